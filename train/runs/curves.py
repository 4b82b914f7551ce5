"""`curves.png`: loss, accuracy and IoU over the epochs, for train and test."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from maskinfer.files import replacing
from maskinfer.report.figures import is_uneven

from .files import EpochRow

_PARTS = {"train": "#4477aa", "validation": "#ccbb44", "test": "#cc3311"}
_PANELS = {"loss": "loss", "accuracy": "accuracy", "iou": "IoU"}


def draw_curves(
    history: Sequence[EpochRow],
    best_epoch: int,
    measured: Mapping[str, int],
    title: str,
    path: Path,
) -> None:
    """Draw a run so far into a PNG.

    A dotted line marks the best epoch, unless it is 0. `measured` says how many images of each part
    the figures are of.
    """
    figure = Figure(figsize=(12, 4), layout="constrained")
    figure.suptitle(title)
    epochs = [row.epoch for row in history]
    for axes, (figure_name, heading) in zip(figure.subplots(1, 3), _PANELS.items(), strict=True):
        drawn: list[float] = []
        for part, color in _PARTS.items():
            values = [getattr(row, f"{part}_{figure_name}") for row in history]
            if values and values[0] is not None:
                label = f"{part}, {measured.get(part, 0)} images"
                axes.plot(epochs, values, color=color, label=label, marker=".")
                drawn += values
        if figure_name == "loss" and is_uneven(drawn):
            axes.set_yscale("log")
        if best_epoch:
            axes.axvline(best_epoch, color="grey", linestyle=":", label="best epoch")
        axes.set(xlabel="epoch", title=heading)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if figure_name != "loss":
            axes.set_ylim(0, 1)
        axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=110)
