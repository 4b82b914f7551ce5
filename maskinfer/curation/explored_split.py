"""The images of one part of a data set, as exploring measures them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskinfer.data.boxes import Boxes
from maskinfer.data.folders import Failure

_GRID = 32  # cells a side, of where faces are


class Colors(NamedTuple):
    """Channel figures of a split's photos, as networks see them; red, green, blue.

    Each photo has the same weight, at no more than 224 pixels a side.
    """

    mean: NDArray[np.float64]  # (3,) in 0..255
    std: NDArray[np.float64]  # (3,) of all pixels about that mean
    mean_error: NDArray[np.float64]  # (3,) standard error of the mean over photos; infinite for one


@dataclass(frozen=True)
class ImpossibleBox:
    """A label whose box is impossible."""

    filename: str  # relative to the data set
    reason: str  # one line
    in_training: str  # what is done with the image when training
    in_testing: str  # what is done when testing


@dataclass(frozen=True)
class ExploredSplit:
    """The images of one part of a data set."""

    name: str  # `train`, `test`, or the folder's own
    folder: Path  # where it is
    filenames: list[str]  # of its N readable images, relative to the data set, in sorted order
    sizes_wh: NDArray[np.int64]  # (N, 2) width and height of the upright images in pixels
    labelled: NDArray[np.bool_]  # (N,) whether the name carries a label
    boxes_xywh: NDArray[np.int64]  # (N, 4) as labelled, possibly impossible; zeros without one
    proper_mask: NDArray[np.bool_]  # (N,) the labels; False where there is none
    colors: Colors | None  # None without a readable image
    unreadable: list[Failure]  # each file that cannot be read, and each folder
    unlabelled: list[Failure]  # each readable image without a label, and why
    impossible: list[ImpossibleBox]  # each impossible box
    # (M, 8) of labelled images with a predicted face, the labelled box and the predicted one, in
    # pixels of the upright image.
    boxes_beside: Boxes

    def count(self, proper: bool) -> int:
        """How many readable images have this label."""
        return int((self.labelled & (self.proper_mask == proper)).sum())

    def possible(self) -> NDArray[np.bool_]:
        """(N,) whether an image is labelled with a box that lies inside it and is not empty."""
        boxes, sizes = self.boxes_xywh, self.sizes_wh
        inside = (boxes[:, :2] >= 0).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)
        inside &= (boxes[:, :2] + boxes[:, 2:] <= sizes).all(axis=1)
        return self.labelled & inside

    def measures(self) -> dict[str, NDArray[Any]]:
        """Sides of images in pixels, and of possible boxes, with their shape and share of area."""
        width, height = self.boxes_xywh[self.possible(), 2:].T
        return {
            "width": self.sizes_wh[:, 0],
            "height": self.sizes_wh[:, 1],
            "box_width": width,
            "box_height": height,
            "box_aspect": width / height,
            "box_area_share": self.relative_boxes()[:, 2:].prod(axis=1),
        }

    def relative_boxes(self) -> Boxes:
        """(M, 4) the possible boxes, as shares of their image's width and height."""
        kept = self.possible()
        return self.boxes_xywh[kept] / np.tile(self.sizes_wh[kept], 2)

    def coverage(self) -> NDArray[np.float64]:
        """(32, 32) share of the possible boxes that cover each part of an image, from the top."""
        grid = np.zeros((_GRID, _GRID))
        boxes = self.relative_boxes()
        low = np.floor(boxes[:, :2] * _GRID).astype(int)
        high = np.ceil((boxes[:, :2] + boxes[:, 2:]) * _GRID).astype(int)
        for (left, top), (right, bottom) in zip(low, high, strict=True):
            grid[top:bottom, left:right] += 1
        return grid / max(len(boxes), 1)
