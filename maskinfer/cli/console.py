"""Printing: results to stdout, messages and progress to stderr; tables shared by commands."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from maskinfer.errors import UsageError
from maskinfer.files import check_file, write_text
from maskinfer.text import images_per_second, visible

STDOUT = Path("-")
_LONGEST_LINE = 10_000  # characters; a command to paste may hold several paths
_BETWEEN_LINES = 20  # seconds, where a bar cannot be shown

out = Console(emoji=False)  # names may hold :cat:
err = Console(stderr=True, emoji=False)


def say(message: str) -> None:
    """Print a message to stderr as one printable line; where `out` is quiet, what is wrong."""
    if out.quiet and not message.startswith(("error:", "warning:", "failed:", "stopped")):
        return
    line = visible(" ".join(message.splitlines()))
    if len(line) > _LONGEST_LINE:
        line = f"{line[: _LONGEST_LINE // 2]} ... {line[-_LONGEST_LINE // 2 :]}"
    err.print(line, soft_wrap=True, markup=False, highlight=False)


@contextmanager
def progress_bar(action: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of images done, and of all, that moves a bar.

    Where stderr is no terminal, it says every 20 seconds how far it is.
    """
    pace = _Pace()
    if not err.is_terminal:
        yield lambda done, total: pace.say(action, done, total)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"))
    description = TextColumn("{task.description}")
    with Progress(description, *columns, console=err, disable=out.quiet, transient=True) as bar:
        task = bar.add_task(action, total=None, pace="")
        yield lambda done, total: bar.update(
            task, completed=done, total=total, pace=pace.words(done, total)
        )


class _Pace:
    """Speed and time left, averaged since the first call, as images come a batch at a time."""

    def __init__(self) -> None:
        self._began = self._said = time.monotonic()
        self._first: int | None = None  # done before, of a prediction that is resumed

    def words(self, done: int, total: int) -> str:
        if self._first is None:
            self._first, self._began = done, time.monotonic()
        elapsed, new = time.monotonic() - self._began, done - self._first
        if not new or not elapsed:
            return ""
        left = timedelta(seconds=round(elapsed / new * (total - done)))
        return f"{images_per_second(new, elapsed)} images/s, {left} left"

    def say(self, action: str, done: int, total: int) -> None:
        words = self.words(done, total)
        if words and time.monotonic() - self._said >= _BETWEEN_LINES:
            self._said = time.monotonic()
            say(f"{action}: {done} of {total}, {words}")


def check_json(file: Path | None, *, overwrite: bool) -> Console:
    """Refuse a file for `--json` that cannot be written; return where else to print to."""
    if file == STDOUT:
        if sys.stdout is None:
            raise UsageError("--json -: standard output is closed")
        return err
    if file is not None:
        check_file(file, overwrite=overwrite)
    return out


def write_json(file: Path | None, figures: Callable[[], Mapping[str, Any]]) -> None:
    """Make figures and write them where `--json` wants them; None is nowhere."""
    if file is None:
        return
    text = json.dumps(figures(), indent=2) + "\n"
    if file == STDOUT:
        sys.stdout.write(text)
    else:
        write_text(file, text)


def figures_table(lines: Mapping[str, object]) -> Table:
    """Make a table of names and values; these are taken as they are, without markup, printable."""
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines.items():
        table.add_row(Text(visible(name)), Text(visible(str(value))))
    return table


def make_table(
    headings: Iterable[str], rows: Iterable[Iterable[object]], left: int = 1, **style: Any
) -> Table:
    """Make a table whose first `left` columns are texts, the others numbers, flush right."""
    table = Table(title_justify="left", **style)
    for place, heading in enumerate(headings):
        number = place >= left
        justify: Literal["left", "right"] = "right" if number else "left"
        table.add_column(heading, justify=justify, overflow="fold", no_wrap=number)
    for row in rows:
        table.add_row(*(Text(visible(str(cell))) for cell in row))
    return table


def print_section(title: str, rows: Mapping[str, object]) -> None:
    """Print a heading and, indented below it, names and values; nothing if there are none."""
    if not rows:
        return
    print_heading(title)
    out.print(Padding(figures_table(rows), (0, 0, 0, 2), expand=False))
    out.print()


def print_heading(title: str) -> None:
    """Print the heading of a section."""
    out.print(Text(title, style="bold cyan"))
