"""How a run shows its progress: one live line, and one lasting line per epoch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich import progress
from rich.console import Console
from rich.text import Text

from maskinfer.text import visible
from maskinfer.train.runs.files import EpochRow


class Display:
    """Where a run shows its progress; this one shows none, for all processes but the first."""

    def say(self, message: str) -> None:
        """One line."""

    @contextmanager
    def start(self, run: Path, epochs_done: int, epochs: int) -> Iterator[None]:
        """Open the live display for the length of the training."""
        yield

    def begin(self, what: str, steps: int) -> None:
        """A part of an epoch begins: `train`, `test`, ..., of `steps` batches."""

    def step(self, loss: float) -> None:
        """One batch is done; `loss` is the part's mean so far."""

    def end_epoch(self, row: EpochRow, is_best: bool) -> None:
        """A whole epoch is done."""


class TerminalDisplay(Display):
    """Shows loss, IoU, accuracy and time left; writes plain lines where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=20),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[figures]}"),
            _EpochTimeLeft(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.epoch, self.epochs = 0, 0

    def say(self, message: str) -> None:
        self.console.print(visible(message), soft_wrap=True, markup=False, highlight=False)

    @contextmanager
    def start(self, run: Path, epochs_done: int, epochs: int) -> Iterator[None]:
        self.epoch, self.epochs = epochs_done + 1, epochs
        self.whole = self.progress.add_task(
            "epochs", total=epochs, completed=epochs_done, figures=""
        )
        self.part = self.progress.add_task("", total=None, figures="")
        self.say(f"Run: {run}")
        self.say("epoch  time    train loss   acc   IoU |  test loss   acc   IoU | validation")
        with self.progress:
            yield

    def begin(self, what: str, steps: int) -> None:
        self.progress.reset(self.part, total=steps, description=f"{self.epoch} {what}", figures="")

    def step(self, loss: float) -> None:
        self.progress.update(self.part, advance=1, figures=f"loss {loss:.3f}")

    def end_epoch(self, row: EpochRow, is_best: bool) -> None:
        validation = ""
        if row.chosen_by is not None:
            iou, balanced_accuracy = row.chosen_by
            validation = f" | {balanced_accuracy:.3f} {iou:.3f}"
        self.say(
            f"{row.epoch:3d}/{self.epochs:<3d}{row.seconds:5.0f} s "
            f"{row.train_loss:10.3f} {row.train_accuracy:.3f} {row.train_iou:.3f} |"
            f"{row.test_loss:10.3f} {row.test_accuracy:.3f} {row.test_iou:.3f}{validation}"
            f"{' *' if is_best else ''}"
        )
        self.epoch = row.epoch + 1
        self.progress.update(
            self.whole,
            completed=row.epoch,
            figures=f"accuracy {row.test_accuracy:.3f} IoU {row.test_iou:.3f}",
        )


def display_for(console: Console) -> Display:
    """A terminal display in the first process, a silent one in the others.

    torchrun and accelerate number the processes by `RANK`.
    """
    return TerminalDisplay(console) if os.environ.get("RANK", "0") == "0" else Display()


class _EpochTimeLeft(progress.TimeRemainingColumn):
    """Time left for the whole run; for a part it would only flicker."""

    def render(self, task: progress.Task) -> Text:
        return super().render(task) + Text(" left") if task.description == "epochs" else Text("")
