"""Printing: results to stdout, messages and progress to stderr; tables shared by commands."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Table
from rich.text import Text

from maskinfer.text import visible

_LONGEST_LINE = 10_000  # characters; a command to paste may hold several paths

out = Console()
err = Console(stderr=True)


def say(message: str) -> None:
    """Print a message to stderr as one printable line, unwrapped and without markup."""
    line = visible(" ".join(message.splitlines()))
    if len(line) > _LONGEST_LINE:
        line = f"{line[: _LONGEST_LINE // 2]} ... {line[-_LONGEST_LINE // 2 :]}"
    with suppress(OSError):  # where nobody can be told, the work counts all the same
        err.print(line, soft_wrap=True, markup=False, highlight=False)


@contextmanager
def progress_bar(action: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of images done, and of all, that moves a bar where stderr is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _SpeedColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bar:
        task = bar.add_task(action, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def figures_table(lines: Mapping[str, object]) -> Table:
    """Make a table of names and values; these are taken as they are, without markup, printable."""
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines.items():
        table.add_row(name, Text(visible(str(value))))
    return table


def make_table(
    headings: Iterable[str],
    rows: Iterable[Iterable[object]],
    left: int = 1,
    **style: Any,
) -> Table:
    """Make a table whose first `left` columns are texts, the others numbers, flush right."""
    table = Table(title_justify="left", **style)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place >= left else "left")
    for row in rows:
        table.add_row(*(visible(str(cell)) for cell in row))
    return table


def percent(share: float | None) -> str:
    """Format a share as a percentage with one decimal; `none` where nothing was measured."""
    return "none" if share is None else f"{100 * share:.1f} %"


def decimals(figure: float | None) -> str:
    """Format a figure with three decimals; `none` where nothing was measured."""
    return "none" if figure is None else f"{figure:.3f}"


def images_per_second(images: float, seconds: float) -> str:
    """Format a speed as a whole number, or with a decimal where it is slow."""
    speed = images / seconds if seconds > 0 else 0.0
    return f"{speed:.0f}" if speed >= 10 else f"{speed:.1f}"


class _SpeedColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Speed and time left, averaged since the start, as images come a batch at a time."""
        if not task.completed or not task.elapsed or not task.total:
            return Text("")
        speed = images_per_second(int(task.completed), task.elapsed)
        left = task.elapsed / task.completed * (task.total - task.completed)
        return Text(f"{speed} images/s, {timedelta(seconds=round(left))} left")


def print_section(title: str, rows: Mapping[str, object]) -> None:
    """Print a heading and, indented below it, names and values; nothing if there are none."""
    if not rows:
        return
    print_heading(title)
    table = figures_table({escape(visible(name)): rows[name] for name in rows})
    out.print(Padding(table, (0, 0, 0, 2), expand=False))
    out.print()


def print_heading(title: str) -> None:
    """Print the heading of a section."""
    out.print(Text(title, style="bold cyan"))
