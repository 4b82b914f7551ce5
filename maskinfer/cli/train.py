"""`maskinfer train`."""

import shlex
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

from maskinfer.data.dataset import sample_images
from maskinfer.errors import TrainingError, UsageError
from maskinfer.train.recipes import as_recipe, read_list, recipe_names, recipe_settings
from maskinfer.train.settings import Model, TrainSettings

from .options import given_options, option, panel, takes

# Random changes to training images; an enumeration because Typer lists no literals.
Augmentation = StrEnum("Augmentation", "flip crop zoom color mosaic background")
_BY_RECIPE: dict[str, str] = {"show_default": "by recipe: --show-config"}
_MODEL = option("Which network.", name="--network --model")
_BACKBONE = option("The network's trunk.", **_BY_RECIPE)
_WORKERS = option("Processes that decode images.", min=0, show_default="by cores")
_SEED = option("Of every random choice.")


@takes(
    TrainSettings,
    partly=True,
    model=_MODEL,
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
    backbone=_BACKBONE,
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
        workers=_WORKERS,
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
        log=option("Tell this package of every epoch too; the run's folder holds all figures."),
        seed=_SEED,
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
        settings = replace(recipe_settings(model, recipe, _data("train", data), canvas), **given)
        run = loop.train(settings, runs, datetime.now(), display)
    display.say(f"Done: {run.path}. Next: maskinfer export {shlex.quote(str(run.path))}")


@takes(
    TrainSettings,
    partly=True,
    model=_MODEL,
    data=option("As of `maskinfer train`.", "DIR", show_default="sample_images"),
    learning_rate=option(
        "Learning rates to draw from, evenly on a logarithmic scale.", name="--lr"
    ),
    optimizer=option("Optimizers to choose from, with commas between.", "adam,sgd"),
    batch_size=option("Batch sizes to choose from, with commas between.", "16,32"),
    loss=option("Losses of resnet's mask head to choose from.", "bce,ce"),
    trials=option("How many trainings.", show_default="12", min=1),
    recipe=option("All other settings.", f"{'|'.join(recipe_names())}|FILE"),
    backbone=_BACKBONE,
    weights=option("Initial weights of each trial.", **_BY_RECIPE),
    epochs=option("Of each trial, unless it is stopped early.", **_BY_RECIPE),
    canvas=option("Side of the image the network sees.", **_BY_RECIPE),
    workers=_WORKERS,
    seed=_SEED,
    runs=option("Where the search's folder is made."),
    resume=option("Continue an interrupted search; only --trials may be given too.", "DIR"),
)
def tune(
    given: dict[str, Any],
    context: typer.Context,
    model: Model = "resnet",
    data: list[Path] | None = None,
    learning_rate: str = "1e-4..1e-2",
    optimizer: str | None = None,
    batch_size: str | None = None,
    loss: str | None = None,
    trials: int | None = None,
    recipe: str = "default",
    canvas: int | None = None,
    runs: Path = Path("runs"),
    resume: Path | None = None,
) -> None:
    """Search for the settings that train best, by the validation part.

    Trains one run after another with settings that Optuna chooses, and stops those early that fall
    behind. `maskinfer report DIR` compares them.
    """
    from datetime import datetime

    from maskinfer.train.settings import check
    from maskinfer.train.tuning import Search

    from .console import err, make_table, out, say

    if resume is not None:
        _refuse_changes(context, "trials")
        search = Search.resume(resume, trials, err)
    else:
        chosen = {"optimizer": optimizer, "batch_size": batch_size, "loss": loss}
        space: dict[str, list[Any]] = {"learning_rate": _rates(learning_rate)}
        space |= {name: read_list(name, text) for name, text in chosen.items() if text}
        settings = replace(recipe_settings(model, recipe, _data("tune", data), canvas), **given)
        for name, values in space.items():
            for value in values:
                check(replace(settings, **{name: value}))
        folder = runs / f"tune-{model}-{datetime.now():%Y%m%d-%H%M%S}"
        search = Search.begin(folder, settings, space, trials or 12, err)
        say(f"Search: {folder}")
    found = search.run()
    rows = [
        (trial.number + 1, *(_short(value) for value in trial.params.values()), _short(trial.value))
        for trial in search.finished
    ]
    if found is None:
        raise TrainingError(f"{search.folder}: no trial was trained to the end")
    best, row = found
    headings = ("trial", *search.finished[0].params, "validation")
    out.print(make_table(headings, rows, box=None))
    say(
        f"Best: {best}; its test part, looked at once: IoU {row.test_iou:.3f}, balanced accuracy "
        f"{row.test_balanced_accuracy:.3f}. Next: maskinfer report "
        f"{shlex.quote(str(search.folder))}; maskinfer export {shlex.quote(str(best))}"
    )


def _data(command: str, folders: list[Path] | None) -> tuple[str, ...]:
    folders = folders or [sample_images(f"maskinfer {command} --data DIR")]
    return tuple(str(folder.resolve()) for folder in folders)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _rates(text: str) -> list[float]:
    low, _, high = text.partition("..")
    try:
        ends = [float(low), float(high or low)]
    except ValueError:
        ends = []
    if not ends or not 0 < ends[0] <= ends[1]:
        raise UsageError(f"--lr: got {text!r}, expected LOW..HIGH, such as 1e-4..1e-2")
    return ends


def _refuse_changes(context: typer.Context, also: str = "epochs") -> None:
    """Refuse options that a resumed run takes from its own configuration."""
    allowed = ("resume", also)
    given = [word for name, word in given_options(context).items() if name not in allowed]
    if given:
        raise UsageError(
            f"--resume continues with the run's own settings: got {', '.join(given)}, expected no "
            f"other option than --{also}"
        )
