"""A report of runs, read back: its page and its facts."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from .page_reader import Page


class Reported:
    """A report as a reader sees it."""

    def __init__(self, path: Path) -> None:
        self.page = (path / "report.html").read_text(encoding="utf-8")
        page = Page(path / "report.html")
        self._tables, self.alts = page.tables, page.alts
        text = (path / "facts.json").read_text(encoding="utf-8")
        self.facts: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)

    def table(self, caption: str) -> list[list[str]]:
        """The cells of a table, its headings first."""
        return [[cell.strip() for cell in cells] for cells in self._tables[caption]]

    def row(self, run: str) -> dict[str, str]:
        """A run's line in the table of results."""
        headings, *rows = self.table("Runs at their best epoch")
        (cells,) = (cells for cells in rows if cells[0] == run)
        return dict(zip(headings, cells, strict=True))

    @property
    def warnings(self) -> list[str]:
        """The lines in the frame of warnings."""
        frames = re.findall(r'<ul class="notes warning">(.*?)</ul>', self.page, re.DOTALL)
        lines = [line for frame in frames for line in re.findall(r"<li>(.*?)</li>", frame)]
        assert [html.unescape(line) for line in lines] == self.facts["warnings"]
        return self.facts["warnings"]
