"""A page -> one HTML file that needs no network and runs no script but its own."""

import base64
import hashlib
from collections.abc import Callable, Iterable
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

from maskinfer.text import printable_name
from maskinfer.version import __version__

from .blocks import Block, Cell, Chart, Gallery, Notes, Page, Table
from .thumbnails import make_thumbnails

_TEMPLATES = "templates"


def render_page(
    page: Page,
    address: Callable[[Path], str],
    made: str,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> str:
    """Make the HTML; the photos on the page are decoded here.

    Args:
        page: what it shows.
        address: of a file, from the page.
        made: when, as people write it.
        on_progress: called with the number of thumbnails done so far, and of all.

    Returns:
        the HTML, valid UTF-8 whatever bytes file names hold.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__, _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable_name
    environment.filters["cell"] = cell_text
    environment.filters["address"] = address
    environment.tests["file"] = lambda photo: isinstance(photo, Path)
    assets = files(__package__) / _TEMPLATES
    style, script = ((assets / name).read_text("utf-8") for name in ("page.css", "page.js"))
    blocks = (block for section in page.sections for block in section.blocks)
    cards = [card for block in blocks if isinstance(block, Gallery) for card in block.cards]
    html = environment.get_template("page.html").render(
        title=page.title,
        subtitle=page.subtitle,
        sections=[
            {"id": f"section-{number}", "section": section, "rows": _rows(section.blocks)}
            for number, section in enumerate(page.sections, start=1)
        ],
        thumbnails=make_thumbnails(((c.photo, c.outlines) for c in cards), on_progress),
        has_labels=any(card.label is not None for card in cards),
        has_correct=any(card.correct is not None for card in cards),
        answers=dict.fromkeys(card.answer for card in cards if card.answer is not None),
        choices=any(card.choice is not None for card in cards),
        linked=any(isinstance(card.photo, Path) for card in cards),
        style=style,
        script=script,
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        version=__version__,
        made=made,
    )
    return printable_name(html)


def cell_text(cell: Cell) -> str:
    """A table's cell as it is shown."""
    if cell is None:
        return "–"
    if isinstance(cell, float):
        size = abs(cell)
        return f"{cell:.3f}" if size < 10 else f"{cell:.1f}" if size < 1000 else f"{cell:.0f}"
    return str(cell)


_KINDS = {Notes: "notes", Table: "table", Chart: "charts", Gallery: "gallery"}


def _rows(blocks: Iterable[Block]) -> list[dict[str, Any]]:
    """Blocks by kind, charts that follow each other together."""
    return [
        {"kind": kind, "blocks": list(group)}
        for kind, group in groupby(blocks, key=lambda block: _KINDS[type(block)])
    ]
