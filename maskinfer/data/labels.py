"""The file-name contract: `000190__[70, 83, 100, 102]__True.jpg`.

`true`, `TRUE` and `1` are read as `True`, and fractions of pixels are rounded.

The name carries the label: an id, the face's box as x, y, width, height in pixels of the upright
image (origin top left), and whether the mask is worn properly. Numbers may be negative or past the
border, as they are in real data sets; `maskinfer.data.cleaning` deals with those.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from maskinfer.errors import LabelError

BoxXywh = tuple[int, int, int, int]

PATTERN = "ID__[x, y, w, h]__True.jpg"
_LABELLED = re.compile(
    r"(?P<id>.+)__\[(?P<box>[^\[\]]*)\]__(?P<proper_mask>[^_.]*)(?P<suffix>\.[A-Za-z0-9]+)",
    re.DOTALL,
)
# Nine digits hold every real image and keep arithmetic on boxes far inside 64 bits.
_NUMBER = re.compile(r"\s*([+-]?[0-9]{1,9}(\.[0-9]{1,9})?)\s*")
_WORDS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Label:
    """The label in a file name."""

    id: str  # what stands before it
    box_xywh: BoxXywh  # in whole pixels
    proper_mask: bool  # whether the mask is worn properly
    rounded: bool = False  # whether the name has fractions of pixels


@dataclass(frozen=True)
class Face:
    """A face in an image."""

    box_xywh: BoxXywh  # in pixels of the upright image; may reach past it
    proper_mask: bool  # whether the mask is worn properly
    # Of a face without a properly worn mask, whether it wears one that leaves nose or mouth bare;
    # None where that is not known, and of any other face.
    worn_incorrectly: bool | None = None
    # Whether the box was drawn by hand; a detector's says only about where a face is.
    box_known: bool = True


@dataclass(frozen=True)
class Sample:
    """An image and its label."""

    path: Path  # the image file
    box_xywh: BoxXywh  # in pixels of the upright image, as the label says, possibly impossible
    proper_mask: bool  # whether the mask is worn properly
    others: tuple[Face, ...] = ()  # the image's other faces, as far as they are known
    worn_incorrectly: bool | None = None  # as that of a `Face`
    box_known: bool = True  # likewise
    # Areas with faces that nobody boxed one by one: neither faces nor background.
    crowds: tuple[BoxXywh, ...] = ()

    @property
    def faces(self) -> tuple[Face, ...]:
        """The labelled face, then the others."""
        own = Face(self.box_xywh, self.proper_mask, self.worn_incorrectly, self.box_known)
        return (own, *self.others)


def parse_name(name: str) -> Label:
    """Read the label out of a file's name without folders, or raise a `LabelError`."""
    match = _LABELLED.fullmatch(name)
    if match is None:
        raise LabelError(f"{name!r}: no label in the file name, expected {PATTERN}")
    numbers = [_NUMBER.fullmatch(part) for part in match["box"].split(",")]
    if len(numbers) != 4 or not all(numbers):
        raise LabelError(f"{name!r}: box is {match['box']!r}, expected four numbers, {PATTERN}")
    proper = _WORDS.get(match["proper_mask"].lower())
    if proper is None:
        raise LabelError(f"{name!r}: label is {match['proper_mask']!r}, expected True or False")
    x, y, w, h = (float(number[1]) for number in numbers if number)
    left, top = round(x), round(y)
    # Edges are rounded, so that a box that ends at the border still does.
    box = (left, top, round(x + w) - left, round(y + h) - top)
    return Label(match["id"], box, proper, rounded=any(number[2] for number in numbers if number))


def format_name(label: Label, suffix: str = ".jpg") -> str:
    """Write a label as a file name with an ending; `parse_name` reads it back unchanged.

    A `LabelError` says why a label cannot be written so.
    """
    if not label.id or any(c in label.id for c in "/\\\0"):
        raise LabelError(f"{label.id!r}: an id is not empty and holds no slash, backslash or NUL")
    if any(abs(number) >= 10**9 for number in label.box_xywh):
        raise LabelError(
            f"{label.id!r}: box is {label.box_xywh}, expected at most nine digits a number"
        )
    if not re.fullmatch(r"\.[A-Za-z0-9]+", suffix):
        raise LabelError(f"{suffix!r}: not a file ending, expected one such as .jpg")
    x, y, w, h = label.box_xywh
    return f"{label.id}__[{x}, {y}, {w}, {h}]__{label.proper_mask}{suffix}"


def label_of(path: str) -> Label | None:
    """The label in the last part of a path with `/`; None where it has none that can be read."""
    try:
        return parse_name(path.rpartition("/")[2])
    except LabelError:
        return None
