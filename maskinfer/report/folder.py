"""A report on disk: a folder with the page and, as JSON, the same facts."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from urllib.parse import quote

from maskinfer.errors import MaskinferError
from maskinfer.files import check_folder, write_text

from .blocks import Page
from .page import render_page

REPORTS = Path("reports")
PAGE, FACTS = "report.html", "facts.json"


@dataclass(frozen=True)
class ReportFolder:
    """Where a report goes.

    Attributes:
        path: the folder.
        now: when the report is made.
    """

    path: Path
    now: datetime

    @classmethod
    def choose(
        cls, out: Path | None, command: str, now: datetime | None = None, *, overwrite: bool
    ) -> "ReportFolder":
        """Choose the folder, before any work is done for it; `write` makes it.

        Args:
            out: as the user named it; None for a new one, `reports/COMMAND-TIME`.
            command: that makes the report.
            now: for the name; None for this moment.
            overwrite: whether an existing report may be replaced.

        Raises:
            UsageError: it is not a folder, cannot be made, or is not empty.
            MaskinferError: this package's `report` extra is not installed.
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

    def write(
        self, page: Page, on_progress: Callable[[int, int], object] = lambda done, total: None
    ) -> None:
        """Write the page, and its facts as JSON.

        Args:
            page: what to write.
            on_progress: called with the number of thumbnails done so far, and of all.

        Raises:
            MaskinferError: the disk is full, or otherwise refuses.
        """
        made = f"{self.now:%Y-%m-%d %H:%M}"
        # Both are made before either is written, so that they belong together.
        facts = json.dumps(page.facts, indent=2, allow_nan=False) + "\n"
        html = render_page(page, self.address, made, on_progress)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MaskinferError(f"{self.path}: cannot be made, {error.strerror}") from error
        write_text(self.path / FACTS, facts)
        write_text(self.page, html)
