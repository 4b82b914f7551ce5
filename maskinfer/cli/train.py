"""`maskinfer train`."""

import shlex
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from maskinfer.data.dataset import sample_images
from maskinfer.errors import UsageError
from maskinfer.train.recipes import recipe_names, recipe_settings
from maskinfer.train.settings import Backbone, MaskLoss, MixedPrecision, Model, Optimizer

from .options import given_options


class Augmentation(StrEnum):
    """Random changes to training images; an enumeration because Typer lists no literals."""

    flip = "flip"
    crop = "crop"
    zoom = "zoom"
    color = "color"
    mosaic = "mosaic"
    background = "background"


_TRAINING = "Training"
_DATA = "Data"


def train(
    context: typer.Context,
    model: Annotated[Model, typer.Option(help="Which network.")] = "resnet",
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="A folder with train/ and test/; repeat the option to join several, of which "
            "one without test/ only teaches.",
            show_default="sample_images",
            rich_help_panel=_DATA,
        ),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            metavar=f"{'|'.join(recipe_names())}|FILE",
            help="Where the options not given are taken from. report: the course report's numbers; "
            "two-cores: for two CPU cores and an hour or two; finetune: from a network that has "
            "learned already; FILE: your own, in TOML.",
        ),
    ] = "default",
    backbone: Annotated[
        Backbone | None,
        typer.Option(
            help="The network's trunk.",
            show_default="by recipe",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="shipped|imagenet|coco|none|RUN|FILE",
            help="Initial weights: of the model that ships, of a trunk, of an earlier run, or of a "
            ".safetensors file.",
            show_default="by recipe, else imagenet if it can be fetched, else none",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Passes over the training images. With --resume, the new number, over which the "
            "cosine schedule is stretched.",
            show_default="by recipe, else 30",
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Images a step, over all processes.", show_default="by recipe, else 32"),
    ] = None,
    optimizer: Annotated[
        Optimizer | None,
        typer.Option(show_default="by recipe", rich_help_panel=_TRAINING),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(
            help="Highest learning rate.", show_default="by recipe", rich_help_panel=_TRAINING
        ),
    ] = None,
    momentum: Annotated[
        float | None,
        typer.Option(help="Of SGD.", show_default="by recipe", rich_help_panel=_TRAINING),
    ] = None,
    loss: Annotated[
        MaskLoss | None,
        typer.Option(
            help="resnet's mask head: bce one neuron, ce two.",
            show_default="by recipe, else bce",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    canvas: Annotated[
        int | None,
        typer.Option(
            help="Side of the image the network sees, in pixels, a multiple of 32.",
            show_default="by recipe, else 224",
            rich_help_panel=_DATA,
        ),
    ] = None,
    augment: Annotated[
        list[Augmentation] | None,
        typer.Option(
            help="Random changes to training images; repeat it for several. By recipe, else "
            "none, and all but crop for lite. flip makes the right-most face of a photo its "
            "left-most, so leave it off where the left-most face is wanted.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    balance: Annotated[
        bool | None,
        typer.Option(
            "--balance/--no-balance",
            help="Draw both labels equally often.",
            show_default="by recipe",
            rich_help_panel=_DATA,
        ),
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            help="Share of the training images held out to choose the best epoch.",
            show_default="by recipe",
            rich_help_panel=_DATA,
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            help="Stop after so many epochs without a better validation score.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    mixed_precision: Annotated[
        MixedPrecision | None,
        typer.Option(show_default="auto, on with CUDA", rich_help_panel=_TRAINING),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of every random choice.", rich_help_panel=_TRAINING)
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Processes that decode images.",
            show_default="by cores",
            rich_help_panel=_DATA,
        ),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where the run's folder is made.")] = Path("runs"),
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN", help="Continue an interrupted run; only --epochs may be given too."
        ),
    ] = None,
) -> None:
    """Train a network on labelled photos.

    Writes a run folder with the best weights, the history of every epoch, and its curves.
    """
    from datetime import datetime

    from maskinfer.train import loop
    from maskinfer.train.display import display_for
    from maskinfer.train.runs.folder import RunFolder

    from .console import err

    given: dict[str, Any] = {
        "backbone": backbone,
        "weights": weights,
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": lr,
        "momentum": momentum,
        "loss": loss,
        "augment": tuple(name.value for name in augment) if augment else None,
        "balance": balance,
        "validation": validation,
        "patience": patience,
        "mixed_precision": mixed_precision,
        "seed": seed,
        "workers": workers,
    }
    given = {name: value for name, value in given.items() if value is not None}
    display = display_for(err)
    if resume is not None:
        _refuse_changes(context)
        run = loop.resume(RunFolder(resume), epochs, display)
    else:
        folders = data or [sample_images("maskinfer train --data DIR")]
        named = tuple(str(folder.resolve()) for folder in folders)
        settings = replace(recipe_settings(model, recipe, named, canvas), **given)
        run = loop.train(settings, runs, datetime.now(), display)
    display.say(f"Done: {run.path}. Next: maskinfer export {shlex.quote(str(run.path))}")


def _refuse_changes(context: typer.Context) -> None:
    """Refuse options that a resumed run takes from its own configuration."""
    allowed = ("resume", "epochs")
    given = [word for name, word in given_options(context).items() if name not in allowed]
    if given:
        raise UsageError(
            f"--resume continues with the run's own settings: got {', '.join(given)}, expected no "
            "other option than --epochs"
        )
