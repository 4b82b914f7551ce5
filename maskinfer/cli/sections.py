"""Printing what there is to know under headings, as `info` and `doctor` do."""

from collections.abc import Mapping

from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from maskinfer.results import printable_name

from .console import out
from .detecting import add_figure, figures_table


def print_section(title: str, rows: Mapping[str, object]) -> None:
    """Print a heading and, indented below it, names and values; nothing where there are none."""
    if not rows:
        return
    print_heading(title)
    table = figures_table()
    for name, value in rows.items():
        add_figure(table, escape(printable_name(name)), value)
    out.print(Padding(table, (0, 0, 0, 2), expand=False))
    out.print()


def print_heading(title: str) -> None:
    """Print the heading of a section."""
    out.print(Text(title, style="bold cyan"))
