"""A report on disk: a folder with the page and, as JSON, the same facts.

The page is one HTML file that needs no network and runs no script but its own.
"""

import base64
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from importlib.util import find_spec
from itertools import count, groupby
from pathlib import Path
from urllib.parse import quote

from maskinfer.data.labels import label_of
from maskinfer.errors import MaskinferError
from maskinfer.files import check_folder, write_text
from maskinfer.text import printable_name
from maskinfer.threads import Progress, unheard
from maskinfer.version import __version__

from .blocks import Cell, Chart, Gallery, Notes, Page, Table
from .thumbnails import make_thumbnails

REPORTS = Path("reports")
PAGE, FACTS = "report.html", "facts.json"
_TEMPLATES = "templates"
_KINDS = {Notes: "notes", Table: "table", Chart: "charts", Gallery: "gallery"}


@dataclass(frozen=True)
class ReportFolder:
    """Where a report goes, and when it is made."""

    path: Path
    now: datetime

    @classmethod
    def choose(
        cls, out: Path | None, command: str, now: datetime | None = None, *, overwrite: bool
    ) -> "ReportFolder":
        """Choose the folder, before any work is done for it; `write` makes it.

        Without `out` it is a new one, `reports/COMMAND-TIME`. A `UsageError` where it is not a
        folder, cannot be made, or is not empty; a `MaskinferError` without the `report` extra.
        """
        for name in ("jinja2", "matplotlib"):
            if find_spec(name) is None:
                raise MaskinferError(
                    f"{name} is not installed; reports need maskinfer's 'report' extra. "
                    "Run, in the project's folder: pip install '.[report]'"
                )
        now = now or datetime.now()
        name = f"{command}-{now:%Y%m%d-%H%M%S}"
        new = (REPORTS / (f"{name}-{i}" if i else name) for i in count())
        path = out or next(path for path in new if not path.exists())
        check_folder(path, overwrite=overwrite)
        return cls(path, now)

    @property
    def page(self) -> Path:
        """The HTML file."""
        return self.path / PAGE

    def files(self) -> set[Path]:
        """What is written, as absolute paths."""
        return {self.path.resolve() / name for name in (PAGE, FACTS)}

    def address(self, file: Path) -> str:
        """The address of a file, relative to the page."""
        target, start = file.resolve(), self.path.resolve()
        try:
            relative = Path(os.path.relpath(target, start)).as_posix()
        except ValueError:  # on another drive of Windows
            return target.as_uri()
        # Quoted whole: a colon in a name would make the part before it a scheme.
        return quote(os.fsencode(relative))

    def write(self, page: Page, on_progress: Progress = unheard) -> None:
        """Write the page, and its facts as JSON; progress is that of its thumbnails.

        A `MaskinferError` where the disk is full, or otherwise refuses.
        """
        # Both are made before either is written, so that they belong together.
        facts = json.dumps(page.facts, indent=2, allow_nan=False) + "\n"
        html = render_page(page, self.address, f"{self.now:%Y-%m-%d %H:%M}", on_progress)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MaskinferError(f"{self.path}: cannot be made, {error.strerror}") from error
        write_text(self.path / FACTS, facts)
        write_text(self.page, html)


def render_page(
    page: Page, address: Callable[[Path], str], made: str, on_progress: Progress = unheard
) -> str:
    """Make the HTML, valid UTF-8 whatever bytes file names hold; its photos are decoded here.

    `address` makes that of a file, from the page.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__, _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = {"printable": printable_name, "cell": cell_text, "short": short_name}
    environment.filters |= filters | {"address": address}
    environment.filters["by_kind"] = lambda blocks: groupby(blocks, lambda b: _KINDS[type(b)])
    environment.tests["file"] = lambda photo: isinstance(photo, Path)
    assets = files(__package__) / _TEMPLATES
    style, script = ((assets / name).read_text("utf-8") for name in ("page.css", "page.js"))
    blocks = (block for section in page.sections for block in section.blocks)
    cards = [card for block in blocks if isinstance(block, Gallery) for card in block.cards]
    html = environment.get_template("page.html").render(
        page=page,
        cards=cards,
        thumbnails=make_thumbnails(((c.photo, c.outlines) for c in cards), on_progress),
        answers=dict.fromkeys(card.answer for card in cards if card.answer is not None),
        style=style,
        script=script,
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        version=__version__,
        made=made,
    )
    return printable_name(html)


def short_name(name: str) -> str:
    """The id alone, of a name that is a label."""
    return name if label_of(name) is None else name.rpartition("/")[2].partition("__[")[0] or name


def cell_text(cell: Cell) -> str:
    """A table's cell as it is shown."""
    if cell is None:
        return "–"
    if isinstance(cell, float):
        size = abs(cell)
        return f"{cell:.3f}" if size < 10 else f"{cell:.1f}" if size < 1000 else f"{cell:.0f}"
    return str(cell)
