"""What other tools say about faces in photos, in one form, whatever the tool.

The readers (`voc`, `yolo`, `coco` and so on) take a `Source` and yield photo by photo an
`AnnotatedImage`, and a `Skipped` for each photo, file or face that cannot be used: what is damaged
in a large set is listed and does not stop the rest. Boxes are in pixels of the upright photo, as in
our data sets.
"""

import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NoReturn, TypeVar
from xml.parsers import expat

from maskinfer.errors import AnnotationError

BoxXywhFloat = tuple[float, float, float, float]
Split = Literal["train", "val", "test"]
Item = TypeVar("Item")

# Of one file. Parsed XML takes up to 25 times as much memory; a list names a photo a line.
MAX_BYTES = 16_000_000
_MAX_LIST_BYTES = 256_000_000
_MAX_JSON_BYTES = 2_000_000_000  # of all photos; COCO's own have half a gigabyte
_LONGEST_REASON = 500  # characters; an annotation's own words can be of any length

SPLIT_WORDS: dict[str, Split] = {
    **dict.fromkeys(("train", "training", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


@dataclass(frozen=True, slots=True)
class AnnotatedFace:
    """One annotated face."""

    # x, y, w, h in pixels of the upright image, as annotated: possibly fractional, past the border,
    # or without area.
    box_xywh: BoxXywhFloat
    class_name: str  # the annotation's own word for it
    crowd: bool = False  # no face, but an area with faces that nobody boxed one by one


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """A photo and every face annotated in it."""

    source: str  # path relative to the source folder, with `/`
    root: Path  # the source folder
    size_wh: tuple[int, int]  # width and height of the upright image in pixels
    orientation: int  # EXIF orientation of the stored pixels; 1 is upright
    split: Split | None  # what the source says; None where it does not
    faces: tuple[AnnotatedFace, ...]  # in the annotation's order

    @property
    def path(self) -> Path:
        """The image file."""
        return self.root / self.source


@dataclass(frozen=True, slots=True)
class Skipped:
    """A photo, a face, or an annotation file that cannot be used."""

    source: str  # path relative to the source folder, with `/`
    reason: str  # made one line where what it quotes has several
    unreadable: bool = False  # whether an image failed to decode

    def __post_init__(self) -> None:
        line = " ".join(self.reason.splitlines())
        if len(line) > _LONGEST_REASON:
            line = f"{line[:_LONGEST_REASON]} ..."
        object.__setattr__(self, "reason", line)


def split_of(source: str, *words: str) -> Split | None:
    """The split that words name, else a folder, as in `train/images/a.jpg` or `val2017/a.jpg`."""
    return split_in((*words, *PurePosixPath(source).parts[:-1]))


def split_in(words: Iterable[str]) -> Split | None:
    """The first of some words that names a split, a year behind it or not."""
    for word in words:
        split = SPLIT_WORDS.get(re.sub(r"\d{4}$", "", word.lower()))
        if split is not None:
            return split
    return None


def read_bytes(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Read a file whole; an `AnnotationError`, which does not name it, where that cannot be."""
    try:
        if path.stat().st_size > max_bytes:
            raise AnnotationError(f"larger than {max_bytes // 10**6} MB")
        return path.read_bytes()
    except OSError as error:
        raise AnnotationError(f"cannot be read, {error.strerror}") from error


def read_text(path: Path, name: str | None = None, *, is_list: bool = False) -> str:
    """Read a UTF-8 text file whole; an `AnnotationError` names it, by default its path."""
    try:
        return read_bytes(path, _MAX_LIST_BYTES if is_list else MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        why = "not a text file in UTF-8"
    except AnnotationError as error:
        why = str(error)
    raise AnnotationError(f"{name or path}: {why}")


def read_json(path: Path, keep: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """Read a JSON file whole, of each object what `keep` returns of it; errors as of `read_bytes`.

    One that is malformed is an `AnnotationError` too.
    """
    try:
        return json.loads(read_bytes(path, _MAX_JSON_BYTES).decode("utf-8-sig"), object_hook=keep)
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"malformed JSON: {error}") from error


def parse_xml(path: Path, max_bytes: int = MAX_BYTES) -> ET.Element:
    """Parse XML that declares no document type, and so no entities that could blow up.

    An `AnnotationError`, which does not name the file, where it does, is malformed or unreadable.
    """

    def refuse(*_: object) -> NoReturn:
        raise AnnotationError("declares a DOCTYPE, which annotations do not need; remove it")

    guard = expat.ParserCreate()
    guard.StartDoctypeDeclHandler = refuse
    data = read_bytes(path, max_bytes)
    try:
        guard.Parse(data, True)
        return ET.fromstring(data)
    except (expat.ExpatError, ET.ParseError, LookupError, ValueError) as error:
        raise AnnotationError(f"malformed XML: {error}") from error


def read_faces(
    read: Callable[[Item], AnnotatedFace], items: Iterable[tuple[object, Item]]
) -> Iterator[AnnotatedFace | str]:
    """Each face, or what is wrong with it: one bad face does not lose the photo's others.

    Each item stands behind its line's number or ` shape 3`, for messages.
    """
    for where, item in items:
        try:
            yield read(item)
        except AnnotationError as error:
            yield f":{where}: {error}"


def parse_number(value: Any, what: str) -> float:
    """A finite number, of a size that a photo can have, from text or JSON.

    Of anything else, an `AnnotationError` says `what` it is.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or abs(number) >= 10**9:
        raise AnnotationError(f"{what} is {str(value)[:60]!r}, expected a number")
    return number


def parse_size(width: Any, height: Any) -> tuple[int, int] | None:
    """A stated size in pixels; None without one, or where tools that do not know it write 0."""
    if width in (None, "") or height in (None, ""):
        return None
    w, h = int(parse_number(width, "width")), int(parse_number(height, "height"))
    return (w, h) if w > 0 and h > 0 else None


def known_size(width: Any, height: Any) -> tuple[int, int] | None:
    """A stated size, or None where it is none: for formats whose boxes do not depend on it."""
    try:
        return parse_size(width, height)
    except AnnotationError:
        return None


def box_around(corners: Iterable[tuple[float, float]]) -> BoxXywhFloat:
    """The box around points; an `AnnotationError` where there is none."""
    if not (points := [*corners]):
        raise AnnotationError("no points")
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def turn(box_xywh: BoxXywhFloat, degrees: float, center: tuple[float, float]) -> BoxXywhFloat:
    """The upright box around one that is turned about a point, clockwise."""
    left, top, w, h = box_xywh
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    corners = [(x - center[0], y - center[1]) for x in (left, left + w) for y in (top, top + h)]
    return box_around(
        (center[0] + x * cosine - y * sine, center[1] + x * sine + y * cosine) for x, y in corners
    )
