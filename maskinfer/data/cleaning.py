"""What to do with impossible boxes: the rules of the report this project follows.

| the box                  | when training | when testing                     |
| ------------------------ | ------------- | -------------------------------- |
| has a negative value     | dropped       | clipped into the image           |
| reaches past the border  | dropped       | clipped into the image           |
| has zero width or height | dropped       | grown to one pixel in the image  |

Training on a wrong box teaches it; leaving a test image out would flatter the result.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal, NamedTuple, Self

from maskinfer.errors import ImageError

from .images import image_size
from .labels import BoxXywh, Sample

Mode = Literal["train", "test"]


class FaultKind(StrEnum):
    """What is wrong with a labelled image, as reports count it."""

    UNREADABLE = "unreadable image"
    NO_LABEL = "no label in the file name"
    NEGATIVE = "negative value in box"
    NO_AREA = "box has no area"
    OUTSIDE = "box reaches past the image"
    FRACTIONS = "fractions of pixels in box"


class Fault(NamedTuple):
    """What is wrong with one image, and one line with its own numbers."""

    kind: FaultKind
    reason: str


@dataclass(frozen=True)
class Decision:
    """What was done to one sample, and why."""

    filename: str  # of the sample, relative to its data set, with `/`; printable
    action: Literal["dropped", "repaired", "rounded"]  # rounding is no fault of the box
    kind: FaultKind
    reason: str  # one line
    box_xywh: BoxXywh | None = None  # the box after that; None where dropped

    @classmethod
    def unreadable(cls, filename: str, error: object) -> Self:
        """The decision for an image that cannot be decoded."""
        return cls(filename, "dropped", FaultKind.UNREADABLE, f"{FaultKind.UNREADABLE}: {error}")


def find_fault(box_xywh: BoxXywh, size_wh: tuple[int, int]) -> Fault | None:
    """Why a box is impossible in an image of that size, or None where it is fine."""
    x, y, w, h = box_xywh
    box = f"box [{x}, {y}, {w}, {h}]"
    if min(box_xywh) < 0:
        return Fault(FaultKind.NEGATIVE, f"negative value in {box}")
    if w == 0 or h == 0:
        return Fault(FaultKind.NO_AREA, f"{box} has no area")
    if x + w > size_wh[0] or y + h > size_wh[1]:
        reason = f"{box} reaches past the image, {size_wh[0]} x {size_wh[1]}"
        return Fault(FaultKind.OUTSIDE, reason)
    return None


def repair(box_xywh: BoxXywh, size_wh: tuple[int, int]) -> BoxXywh:
    """Clip a box into its image and make it at least one pixel wide and high.

    A negative width or height counts as zero; the image's are at least 1.
    """
    x, y, w, h = box_xywh
    left, top = min(max(x, 0), size_wh[0] - 1), min(max(y, 0), size_wh[1] - 1)
    right, bottom = min(x + max(w, 0), size_wh[0]), min(y + max(h, 0), size_wh[1])
    return left, top, max(right - left, 1), max(bottom - top, 1)


def clean(
    samples: Iterable[Sample], mode: Mode, name_of: Callable[[Path], str]
) -> tuple[list[Sample], list[Decision]]:
    """Apply the rules: the samples that stay, and a decision for each one dropped or repaired.

    `train` drops what is impossible, `test` repairs it. In both, an image is dropped whose header
    cannot be read; pixels are not decoded, so that damage in them is not seen here. Decisions call
    an image by `name_of`.
    """
    kept: list[Sample] = []
    decisions: list[Decision] = []
    for sample in samples:
        name = name_of(sample.path)
        try:
            size_wh = image_size(sample.path)
        except ImageError as error:
            decisions.append(Decision.unreadable(name, error))
            continue
        if (fault := find_fault(sample.box_xywh, size_wh)) is None:
            kept.append(sample)
        elif mode == "train":
            decisions.append(Decision(name, "dropped", *fault))
        else:
            box = repair(sample.box_xywh, size_wh)
            kept.append(replace(sample, box_xywh=box))
            decisions.append(Decision(name, "repaired", *fault, box))
    return kept, decisions
