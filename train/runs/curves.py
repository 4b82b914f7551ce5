"""`curves.png`: loss, accuracy and IoU over the epochs, for train and test."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from maskinfer.files import replacing

from .files import EpochRow

_PARTS = {"train": "#4477aa", "validation": "#ccbb44", "test": "#cc3311"}
_PANELS = {"loss": "loss", "accuracy": "accuracy", "iou": "IoU"}


def draw_curves(history: Sequence[EpochRow], best_epoch: int, title: str, path: Path) -> None:
    """Draw a run so far into a PNG; `best_epoch` is marked by a dotted line, 0 marks none."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    figure.suptitle(title)
    epochs = [row.epoch for row in history]
    for axes, (figure_name, label) in zip(figure.subplots(1, 3), _PANELS.items(), strict=True):
        for part, color in _PARTS.items():
            values = [getattr(row, f"{part}_{figure_name}") for row in history]
            if values and values[0] is not None:
                axes.plot(epochs, values, color=color, label=part, marker=".")
        if best_epoch:
            axes.axvline(best_epoch, color="grey", linestyle=":", label="best epoch")
        axes.set(xlabel="epoch", title=label)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if figure_name != "loss":
            axes.set_ylim(0, 1)
        axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=110)
