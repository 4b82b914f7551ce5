"""A report on disk: a folder with the page, and the same facts as JSON."""

import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from maskinfer.errors import MaskinferError, UsageError
from maskinfer.results import write_text

from .blocks import Link, Section
from .page import render_page

REPORTS = Path("reports")
PAGE, FACTS = "report.html", "facts.json"


class ReportFolder:
    """Where a report goes.

    Attributes:
        path: the folder.
        now: when the report is made.
    """

    def __init__(self, path: Path, now: datetime) -> None:
        self.path = path
        self.now = now

    @classmethod
    def choose(
        cls, out: Path | None, command: str, now: datetime, *, overwrite: bool
    ) -> "ReportFolder":
        """Choose the folder, before any work is done for it, and make it.

        Args:
            out: as the user named it; None for `reports/COMMAND-TIME`.
            command: which one makes the report.
            now: for the name.
            overwrite: whether a report that is there may be replaced.

        Raises:
            UsageError: it is no folder, cannot be made, or holds something already.
            MaskinferError: this package's `report` extra is not installed.
        """
        check_installed()
        path = out if out is not None else REPORTS / f"{command}-{now:%Y%m%d-%H%M%S}"
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path}: not a folder, expected one for the report")
        if path.is_dir() and not overwrite and any(path.iterdir()):
            raise UsageError(
                f"{path}: not empty. Name another folder, or add --overwrite to replace its report"
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{path}: cannot be made, {error.strerror}") from error
        if not os.access(path, os.W_OK):
            raise UsageError(f"{path}: cannot be written to")
        return cls(path, now)

    @property
    def page(self) -> Path:
        """The HTML file."""
        return self.path / PAGE

    def link(self, file: Path, text: str) -> Link:
        """A link from the page to a file."""
        target, start = file.resolve(), self.path.resolve()
        try:
            relative = Path(os.path.relpath(target, start)).as_posix()
        except ValueError:  # on another drive of Windows
            return Link(text, target.as_uri())
        # Quoted whole: a colon in a name would make the part before it a scheme.
        return Link(text, quote(os.fsencode(relative)))

    def write(
        self, title: str, subtitle: str, sections: Sequence[Section], facts: dict[str, Any]
    ) -> None:
        """Write the page and the JSON.

        Raises:
            MaskinferError: the disk is full, or otherwise refuses.
        """
        made = f"{self.now:%Y-%m-%d %H:%M}"
        # Both are made before either is written, so that they are of one run.
        html = render_page(title, subtitle, sections, made)
        write_text(self.path / FACTS, json.dumps(facts, indent=2, allow_nan=False) + "\n")
        write_text(self.page, html)


def check_installed() -> None:
    """Say what is missing before any work is done.

    Raises:
        MaskinferError: this package's `report` extra is not installed.
    """
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        raise MaskinferError(
            f"{error.name} is not installed; reports need maskinfer's 'report' extra. "
            "Run, in the project's folder: pip install '.[report]'"
        ) from error
