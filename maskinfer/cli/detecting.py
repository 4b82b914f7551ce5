"""What commands that run a model share: opening it, saying which it is, and the progress bar."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
)
from rich.table import Table
from rich.text import Text

from maskinfer.detector import MaskDetector
from maskinfer.images import MAX_PIXELS, settle_pillow
from maskinfer.results import printable_name
from maskinfer.runtime import Provider, Session, concurrent_runs

from .console import err, say

FAILED_SOME = 3
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def open_detector(
    model: Path | None,
    provider: Provider,
    batch_size: int,
    max_pixels: int = MAX_PIXELS,
    where: str | None = None,
) -> MaskDetector:
    """Load a model and name it on stderr, with where it runs: `where`, else its provider."""
    settle_pillow(max_pixels)
    if provider is Provider.TENSORRT:
        say("tensorrt: the first run of a model builds an engine, which takes minutes")
    detector = MaskDetector(
        model, provider, batch_size, max_pixels=max_pixels, runs=concurrent_runs()
    )
    session = detector.session
    note = f" ({session.note})" if session.note else ""
    place = where or f"{session.provider}{note}"
    say(f"model: {session.path} [{model_words(session)}] on {place}")
    return detector


def model_words(session: Session) -> str:
    """Name a model's network, backbone and precision."""
    metadata = session.metadata
    return f"{metadata.network} {metadata.backbone} {metadata.precision}".replace("  ", " ")


@contextmanager
def progress_bar(action: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr with speed and time left, where stderr is a terminal.

    Yields:
        a function of the number of images done, and of all.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _SpeedColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bar:
        task = bar.add_task(action, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def figures_table() -> Table:
    """Make an empty table of names and figures."""
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def add_figure(table: Table, name: str, value: object) -> None:
    """Add a line; the value is taken as it is, without markup, and made printable."""
    table.add_row(name, Text(printable_name(str(value))))


def percent(share: float | None) -> str:
    """Format a share as a percentage with one decimal; `none` where nothing was measured."""
    return "none" if share is None else f"{100 * share:.1f} %"


def images_per_second(images: int, seconds: float) -> str:
    """Format a speed as a whole number, or with a decimal where it is slow."""
    speed = images / seconds if seconds > 0 else 0.0
    return f"{speed:.0f}" if speed >= 10 else f"{speed:.1f}"


class _SpeedColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Speed and time left, over the whole run: images come a batch at a time."""
        if not task.completed or not task.elapsed or not task.total:
            return Text("")
        speed = images_per_second(int(task.completed), task.elapsed)
        left = task.elapsed / task.completed * (task.total - task.completed)
        return Text(f"{speed} images/s, {timedelta(seconds=round(left))} left")
