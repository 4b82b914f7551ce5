"""What a browser would make of a page, as far as tests ask."""

from html.parser import HTMLParser
from pathlib import Path


class Page(HTMLParser):
    """A report's page, read.

    `tags` are all elements with their attributes, `tables` the cells of each by its caption,
    `galleries` the lines of each card by its title, `alts` what charts say in words.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.galleries: dict[str, list[list[str]]] = {}
        self.counts: dict[str, str] = {}
        self.text = ""
        self._path: list[str] = []
        self._title = self._caption = ""
        self.feed(file.read_text(encoding="utf-8"))
        self.close()
        self.alts = [a["aria-label"] or "" for t, a in self.tags if a.get("role") == "img"]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("meta", "img", "input", "link", "path", "use", "br"):
            return
        self._path.append(tag)
        if tag == "h3":
            self._title = ""
        elif tag == "caption":
            self._caption = ""
        elif tag == "tr":
            self.tables.setdefault(self._caption, []).append([])
        elif tag in ("td", "th"):
            self.tables[self._caption][-1].append("")
        elif tag == "li" and dict(attrs).get("class") == "card":
            self.galleries[self._title].append([])
        elif tag == "p" and "li" in self._path and self._title in self.galleries:
            # Of names only the beginning is shown, and the whole when pointed at.
            self.galleries[self._title][-1].append(dict(attrs).get("title") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._path:
            while self._path.pop() != tag:
                pass
        if tag == "h3":
            self._title = self._title.strip()
            self.galleries[self._title] = []

    def handle_data(self, data: str) -> None:
        self.text += data
        if not self._path:
            return
        last = self._path[-1]
        if last == "caption":
            self._caption += data
        elif "td" in self._path or "th" in self._path:
            self.tables[self._caption][-1][-1] += data
        elif last == "h3":
            self._title += data
        elif last == "span" and "h3" in self._path:
            self.counts[self._title.strip()] = data
        elif last == "p" and self.galleries.get(self._title):
            lines = self.galleries[self._title][-1]
            if lines and "li" in self._path and not (len(lines) == 1 and lines[0]):
                lines[-1] += data

    def links(self) -> list[str]:
        """Where the page leads to."""
        return [a["href"] or "" for tag, a in self.tags if tag == "a"]

    def check_harmless(self) -> None:
        """Nothing of a file's name has become part of the page's structure."""
        assert sum(tag == "script" for tag, _ in self.tags) == 1
        for tag, attributes in self.tags:
            assert not [name for name in attributes if name.startswith("on")]
            for name in ("src", "href", "xlink:href"):
                value = attributes.get(name) or ""
                assert not value.startswith(("javascript", "http:", "https:")), (tag, value)
