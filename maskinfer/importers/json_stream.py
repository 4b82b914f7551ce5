"""JSON too large to be held whole: the items of its lists, one by one."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from maskinfer.errors import AnnotationError

_MAX_BYTES = 2_000_000_000  # one file for all photos; COCO's own have half a gigabyte
_CHUNK = 1 << 20  # characters
_MAX_ITEM = 64 << 20  # characters; where an item has no end, the file is not read to its own
_DECODER = json.JSONDecoder()
_AFTER = frozenset(",:]} \t\r\n")  # what may stand behind a value
_SPACE = re.compile(r"[ \t\r\n]*")


def stream_items(path: Path) -> Iterator[tuple[str, Any]]:
    """The items of a JSON list, each with '', or of an object's lists, each with its list's key.

    Before a list's items its key comes once with None; a value that is no list comes whole. An
    `AnnotationError`, which does not name the file, where it is malformed, too large or unreadable.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise AnnotationError(f"larger than {_MAX_BYTES // 10**6} MB")
        with path.open(encoding="utf-8-sig") as file:
            yield from _Reader(file).items()
    except OSError as error:
        raise AnnotationError(f"cannot be read, {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"malformed JSON: {error}") from error


class _Reader:
    def __init__(self, file: TextIO) -> None:
        self._file, self._text, self._at = file, "", 0

    def items(self) -> Iterator[tuple[str, Any]]:
        opening = self._peek()
        if opening == "[":
            for _ in self._entries("]"):
                yield "", self._value()
        elif opening == "{":
            for _ in self._entries("}"):
                key = str(self._value())
                if self._peek() != ":":
                    raise ValueError("expected ':'")
                self._at += 1
                if self._peek() != "[":
                    yield key, self._value()
                    continue
                yield key, None
                for _ in self._entries("]"):
                    yield key, self._value()
        else:
            raise ValueError("neither an object nor a list")
        if self._peek():
            raise ValueError("data behind the end")

    def _entries(self, closing: str) -> Iterator[None]:
        """Stop before each entry of a list or an object, and go past its end."""
        self._at += 1
        while (mark := self._peek()) != closing:
            yield
            if (mark := self._peek()) == ",":
                self._at += 1
            elif mark != closing:
                raise ValueError(f"expected ',', got {mark!r}")
        self._at += 1

    def _peek(self) -> str:
        """The next character that is no space, '' at the end."""
        while True:
            if space := _SPACE.match(self._text, self._at):
                self._at = space.end()
            if self._at < len(self._text) or not self._more(_CHUNK):
                return self._text[self._at : self._at + 1]

    def _value(self) -> Any:
        self._peek()
        size = _CHUNK
        while True:
            with suppress(ValueError):
                value, end = _DECODER.raw_decode(self._text, self._at)
                # It, even a number, may go on past what has been read.
                if self._text[end : end + 1] in _AFTER:
                    self._at = end
                    return value
            if size > _MAX_ITEM or not self._more(size):
                value, self._at = _DECODER.raw_decode(self._text, self._at)
                return value
            size *= 2

    def _more(self, size: int) -> bool:
        read = self._file.read(size)
        self._text, self._at = self._text[self._at :] + read, 0
        return bool(read)
