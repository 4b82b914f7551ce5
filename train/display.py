"""How a run shows its progress: one live line, and one lasting line per epoch."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from rich import progress
from rich.console import Console

from maskinfer.text import visible
from maskinfer.train.runs.files import EpochRow

_BETWEEN_LINES = 30  # seconds, within an epoch, where there is no terminal


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
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.epoch, self.epochs = 0, 0
        # Steps of this epoch, done and all that are known of; and of the whole epoch before.
        self.done, self.known, self.whole_epoch = 0, 0, 0

    def say(self, message: str) -> None:
        self.console.print(visible(message), soft_wrap=True, markup=False, highlight=False)

    @contextmanager
    def start(self, run: Path, epochs_done: int, epochs: int) -> Iterator[None]:
        self.epoch, self.epochs = epochs_done + 1, epochs
        self.first, self.began, self.said = epochs_done, time.monotonic(), time.monotonic()
        self.whole = self.progress.add_task(
            "epochs", total=epochs, completed=epochs_done, figures=""
        )
        self.part = self.progress.add_task("", total=None, figures="")
        self.say(f"Run: {run}")
        self.say(
            "acc: share of masks judged rightly; IoU: of the found box with the labelled one; "
            "validation: balanced accuracy and IoU, by which the best epoch (*) is chosen; where a "
            "network learns all faces, by those of the face nearest to the answer, in brackets"
        )
        self.say("epoch  time    train loss   acc   IoU |  test loss   acc   IoU | validation")
        with self.progress:
            yield

    def begin(self, what: str, steps: int) -> None:
        self.what, self.known = what, self.done + steps
        self.progress.reset(self.part, total=steps, description=f"{self.epoch} {what}", figures="")

    def step(self, loss: float) -> None:
        self.done += 1
        steps = max(self.whole_epoch, self.known)
        done = self.epoch - 1 + min(self.done / steps, 1.0)
        elapsed = time.monotonic() - self.began
        left = elapsed / (done - self.first) * (self.epochs - done) if done > self.first else 0.0
        words = f"{timedelta(seconds=round(left))} left"
        self.progress.update(self.part, advance=1, figures=f"loss {loss:.3f}")
        self.progress.update(self.whole, completed=done, figures=words)
        if not self.console.is_terminal and time.monotonic() - self.said >= _BETWEEN_LINES:
            self.said = time.monotonic()
            self.say(
                f"{self.epoch:3d}/{self.epochs:<3d} {self.what}: step {self.done} of {steps}, "
                f"loss {loss:.3f}, {words}"
            )

    def end_epoch(self, row: EpochRow, is_best: bool) -> None:
        validation, tested = "", " " * 22
        if row.test_loss is not None:
            tested = f"{row.test_loss:10.3f} {row.test_accuracy:.3f} {row.test_iou:.3f}"
        if row.validation_iou is not None:
            validation = f" | {row.validation_balanced_accuracy:.3f} {row.validation_iou:.3f}"
        if row.validation_nearest_iou is not None and row.chosen_by is not None:
            iou, balanced_accuracy = row.chosen_by
            validation += f" ({balanced_accuracy:.3f} {iou:.3f})"
        self.say(
            f"{row.epoch:3d}/{self.epochs:<3d}{row.seconds:5.0f} s "
            f"{row.train_loss:10.3f} {row.train_accuracy:.3f} {row.train_iou:.3f} |"
            f"{tested}{validation}"
            f"{' *' if is_best else ''}"
        )
        self.epoch = row.epoch + 1
        if row.epoch:  # before the first nothing is trained
            self.whole_epoch = self.done
        self.done = self.known = 0
        self.progress.update(self.whole, completed=row.epoch)


def display_for(console: Console) -> Display:
    """A terminal display in the first process, by torchrun's `RANK`, a silent one in others."""
    return TerminalDisplay(console) if os.environ.get("RANK", "0") == "0" else Display()
