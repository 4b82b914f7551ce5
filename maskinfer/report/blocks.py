"""What a page is made of. Texts are plain: whatever they hold is escaped when the page is made."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from .thumbnails import Outline, RemotePhoto

Cell = str | int | float | None
Item = TypeVar("Item")

_MOST_ROWS = 300  # of a table
_MOST_CARDS = 48  # of a gallery


@dataclass(frozen=True)
class Link:
    """A file that a reader can open, and what is shown for it, mostly its name in the data set."""

    path: Path
    text: str


Row = Sequence[Cell | Link]


@dataclass(frozen=True)
class Notes:
    """Lines that a reader should not miss, a paragraph each."""

    lines: Sequence[str]
    kind: Literal["warning", "good", "plain"] = "plain"


@dataclass(frozen=True)
class Table:
    """Rows under headings, sortable by each; `left_out` more are in the JSON alone."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Row]
    left_out: int = 0
    best: int | None = None  # the row that stands out

    @classmethod
    def of(
        cls,
        caption: str,
        headings: Sequence[str],
        items: Sequence[Item],
        cells: Callable[[Item], Iterable[Cell | Link]],
    ) -> "Table":
        """A row for each of the first 300 items, the only ones that cells are made for."""
        rows = [tuple(cells(item)) for item in items[:_MOST_ROWS]]
        return cls(caption, headings, rows, len(items) - len(rows))


@dataclass(frozen=True)
class Chart:
    """A drawing, made by us, and in words what it shows, for readers who cannot see it."""

    title: str
    alt: str
    svg: str


@dataclass(frozen=True)
class Choice:
    """What a reader may decide about a photo."""

    cells: Mapping[str, str]  # what the list of decisions holds about it, by column
    # What is written into the list's column `action`, and what is shown for it; the first is
    # preselected and means no decision.
    options: Mapping[str, str]


@dataclass(frozen=True)
class Card:
    """A photo with a few lines beneath."""

    photo: Path | RemotePhoto  # the file, of which a small copy is shown
    name: str  # beneath it
    outlines: tuple[Outline, ...]  # drawn on that copy
    alt: str  # what is drawn on it, for readers who cannot see it
    lines: Sequence[str]  # beneath the name
    label: Literal["proper", "improper"] | None = None  # to filter by; None without
    correct: bool | None = None  # whether the model is right, to filter by; None: none was asked
    choice: Choice | None = None  # what may be decided about it
    answer: str | None = None  # the model's in short, to filter by; None where all have the same


@dataclass(frozen=True)
class Gallery:
    """Photos side by side, the most interesting first, of a total shown and not shown."""

    title: str
    cards: Sequence[Card]
    total: int
    folded: bool = False  # until it is asked for

    @classmethod
    def of(
        cls,
        title: str,
        items: Sequence[Item],
        card: Callable[[Item], Card],
        most: int = _MOST_CARDS,
        *,
        folded: bool = False,
    ) -> "Gallery":
        """A photo for each of the first items, the only ones that cards are made for."""
        return cls(title, [card(item) for item in items[:most]], len(items), folded)


Block = Notes | Table | Chart | Gallery


@dataclass(frozen=True)
class Section:
    """A part of a page under a heading: a paragraph, and blocks; consecutive charts share a row."""

    title: str
    intro: str = ""
    blocks: Sequence[Block] = ()


@dataclass(frozen=True)
class Page:
    """A whole page, as each page's module makes it; its facts are for machines, fit for JSON."""

    title: str
    subtitle: str
    sections: Sequence[Section]
    facts: Mapping[str, Any]
    verdict: str  # what it comes to, in a sentence
    headline: Mapping[str, Cell]  # the three or four figures that matter most
    kind: Literal["warning", "good", "plain"] = "plain"  # of the verdict, its colour
