"""`maskinfer train`."""

import shlex
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

from maskinfer.data.dataset import sample_images
from maskinfer.errors import UsageError
from maskinfer.train.recipes import as_recipe, recipe_names, recipe_settings
from maskinfer.train.settings import Model, TrainSettings

from .options import given_options, option, panel, takes

# Random changes to training images; an enumeration because Typer lists no literals.
Augmentation = StrEnum("Augmentation", "flip crop zoom color mosaic background")
_BY_RECIPE: dict[str, str] = {"show_default": "by recipe: --show-config"}


@takes(
    TrainSettings,
    partly=True,
    model=option("Which network.", name="--network --model"),
    recipe=option(
        "Where the options not given are taken from. report: the course report's numbers; "
        "two-cores: for two CPU cores and an hour or two; finetune: from a network that has "
        "learned already; FILE: your own, in TOML.",
        f"{'|'.join(recipe_names())}|FILE",
    ),
    show_config=option(
        "Print every setting and where it comes from, as a recipe, and do nothing else.",
        name="--show-config",
    ),
    backbone=option("The network's trunk.", **_BY_RECIPE),
    weights=option(
        "Initial weights: of the model that ships, of a trunk, of an earlier run, or of a "
        ".safetensors file.",
        "shipped|imagenet|coco|none|RUN|FILE",
        show_default="by recipe, else imagenet if it can be fetched, else none",
    ),
    epochs=option(
        "Passes over the training images. With --resume, the new number, over which the cosine "
        "schedule is stretched.",
        show_default="by recipe, else 30",
    ),
    batch_size=option("Images a step, over all processes.", show_default="by recipe, else 32"),
    runs=option("Where the run's folder is made."),
    resume=option("Continue an interrupted run; only --epochs may be given too.", "RUN"),
    **panel(
        "Data",
        data=option(
            "A folder with train/ and test/, or of labelled images, which is then divided; repeat "
            "the option to join several, of which one without test/ only teaches.",
            "DIR",
            show_default="sample_images",
        ),
        canvas=option(
            "Side of the image the network sees, in pixels, a multiple of 32.",
            show_default="by recipe, else 224",
        ),
        augment=option(
            "Random changes to training images; repeat it for several. By recipe, else none, and "
            "all but crop for lite. flip makes the right-most face of a photo its left-most, so "
            "leave it off where the left-most face is wanted.",
        ),
        balance=option("Draw both labels equally often.", **_BY_RECIPE),
        validation=option(
            "Share of the training images held out to choose the best epoch.", **_BY_RECIPE
        ),
        workers=option("Processes that decode images.", min=0, show_default="by cores"),
    ),
    **panel(
        "Training",
        accumulate=option(
            "Steps whose gradients make one update: a larger batch than memory holds.",
            show_default="by recipe, else 1",
        ),
        optimizer=option(**_BY_RECIPE),
        learning_rate=option("Highest learning rate.", name="--lr", **_BY_RECIPE),
        momentum=option("Of SGD.", **_BY_RECIPE),
        loss=option(
            "resnet's mask head: bce one neuron, ce two.", show_default="by recipe, else bce"
        ),
        patience=option("Stop after so many epochs without a better validation score."),
        mixed_precision=option(show_default="auto, on with CUDA"),
        compile=option(
            "Let torch.compile build the network: minutes at first, for long trainings on a GPU.",
        ),
        seed=option("Of every random choice."),
    ),
)
def train(
    given: dict[str, Any],
    context: typer.Context,
    model: Model = "resnet",
    data: list[Path] | None = None,
    recipe: str = "default",
    show_config: bool = False,
    canvas: int | None = None,
    augment: list[Augmentation] | None = None,
    runs: Path = Path("runs"),
    resume: Path | None = None,
) -> None:
    """Train a network on labelled photos.

    Writes a run folder with the best weights, the history of every epoch, and its curves.
    """
    from datetime import datetime

    from maskinfer.train import loop
    from maskinfer.train.display import display_for
    from maskinfer.train.runs.folder import RunFolder

    from .console import err

    if augment:
        given["augment"] = tuple(name.value for name in augment)
    if show_config:
        settings = replace(recipe_settings(model, recipe, (), canvas), **given)
        typer.echo(as_recipe(settings, recipe, [*given, *(["canvas"] if canvas else [])]))
        return
    display = display_for(err)
    if resume is not None:
        _refuse_changes(context)
        run = loop.resume(RunFolder(resume), given.get("epochs"), display)
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
