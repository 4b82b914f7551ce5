"""What a page is made of. Texts are plain: whatever they hold is escaped when the page is made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from .thumbnails import Outline

Cell = str | int | float | None
Item = TypeVar("Item")

_MOST_ROWS = 300  # of a table


@dataclass(frozen=True)
class Link:
    """A file that a reader can open.

    Attributes:
        text: what is shown, mostly the file's name.
        href: its address, relative to the page.
    """

    text: str
    href: str


@dataclass(frozen=True)
class Notes:
    """Lines that a reader should not miss.

    Attributes:
        lines: a paragraph each.
        kind: `warning`, `good` or `plain`.
    """

    lines: Sequence[str]
    kind: Literal["warning", "good", "plain"] = "plain"


@dataclass(frozen=True)
class Table:
    """Rows under headings, sortable by each.

    Attributes:
        caption: what the rows are.
        headings: of the columns.
        rows: as many cells each; floats are shown with three decimals.
        left_out: how many further rows there are, in the JSON alone.
    """

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell | Link]]
    left_out: int = 0


def bounded_table(
    caption: str,
    headings: Sequence[str],
    items: Sequence[Item],
    cells: Callable[[Item], Sequence[Cell | Link]],
) -> Table:
    """A table of the first 300 items; the others are in the JSON alone.

    Args:
        caption: what the rows are.
        headings: of the columns.
        items: one a row.
        cells: of an item; called only for those that are shown.
    """
    rows = [cells(item) for item in items[:_MOST_ROWS]]
    return Table(caption, headings, rows, len(items) - len(rows))


@dataclass(frozen=True)
class Chart:
    """A drawing.

    Attributes:
        title: above it.
        alt: what it shows, for who cannot see it.
        svg: the drawing, made by us.
    """

    title: str
    alt: str
    svg: str


@dataclass(frozen=True)
class Choice:
    """What a reader may decide about a photo.

    Attributes:
        cells: what stands about it in the list of decisions, by column.
        options: what is written in the list's column `action`, and what is shown; the first one is
            chosen, and is none.
    """

    cells: Mapping[str, str]
    options: Mapping[str, str]


@dataclass(frozen=True)
class Card:
    """A photo with a few lines beneath.

    Attributes:
        link: the file.
        photo: the same, to make a small copy of.
        outlines: drawn on that copy.
        alt: what is drawn on it, for who cannot see it.
        lines: beneath.
        label: `proper` or `improper`, to filter by; None where it has none.
        correct: whether the model is right, to filter by; None where no model was asked.
        choice: what may be decided about it.
    """

    link: Link
    photo: Path
    outlines: tuple[Outline, ...]
    alt: str
    lines: Sequence[str]
    label: Literal["proper", "improper"] | None = None
    correct: bool | None = None
    choice: Choice | None = None


@dataclass(frozen=True)
class Gallery:
    """Photos side by side.

    Attributes:
        title: above them.
        cards: the photos, in the order they should be looked at.
        total: how many there are, shown and not shown.
    """

    title: str
    cards: Sequence[Card]
    total: int


Block = Notes | Table | Chart | Gallery


@dataclass(frozen=True)
class Section:
    """A part of a page under a heading.

    Attributes:
        title: the heading.
        intro: one paragraph; empty for none.
        blocks: what follows; charts next to each other stand in a row.
    """

    title: str
    intro: str = ""
    blocks: Sequence[Block] = field(default_factory=tuple)
