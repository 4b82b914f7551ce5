"""Photo -> canvas, and boxes through the same map and exactly back.

A network sees a square canvas of S x S pixels. Training and inference both make it here, so that a
network is given what it learned on.

- `letterbox`: the longest side becomes S, the rest is grey; nothing of the photo is lost.
- `center_crop`: both sides become `resize` (the aspect is not kept), then the middle S x S is cut
  out, as in the course report (256, then 224). Boxes may reach past the canvas.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from .boxes import Boxes, clip_xywh
from .images import Photo
from .pixels import Pixels

# Networks halve a canvas five times.
CANVAS_STEP, LEAST_CANVAS, MOST_CANVAS = 32, 64, 4096
CANVAS_RULE = f"a multiple of {CANVAS_STEP}, {LEAST_CANVAS} to {MOST_CANVAS}"

_Kind = Literal["letterbox", "center_crop"]


def is_canvas(side: int) -> bool:
    """Whether networks can read canvases of a side in pixels, by `CANVAS_RULE`."""
    return LEAST_CANVAS <= side <= MOST_CANVAS and side % CANVAS_STEP == 0


@dataclass(frozen=True)
class Geometry:
    """How photos become canvases; a `ValueError` where values are of another kind or make none."""

    kind: _Kind
    canvas: int  # S, the canvas's side in pixels
    resize: int  # both sides before the crop, in pixels; equals `canvas` for a letterbox

    def __post_init__(self) -> None:
        if self.kind not in get_args(_Kind):
            raise ValueError(f"geometry is {self.kind!r}, expected {' or '.join(get_args(_Kind))}")
        for name in ("canvas", "resize"):
            if type(getattr(self, name)) is not int:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected a whole number")
        is_crop = self.kind == "center_crop"
        if not 0 < self.canvas <= self.resize or (self.canvas < self.resize and not is_crop):
            raise ValueError(f"canvas {self.canvas} of a photo resized to {self.resize}")

    @classmethod
    def letterbox(cls, canvas: int) -> "Geometry":
        """Keep the whole photo and its aspect."""
        return cls("letterbox", canvas, canvas)


@dataclass(frozen=True)
class Placement:
    """Where one photo lies on its canvas: canvas = image * scale + offset, for x and y."""

    scale_xy: tuple[float, float]  # canvas pixels per image pixel
    offset_xy: tuple[float, float]  # the photo's top left corner in canvas pixels
    size_wh: tuple[int, int]  # the upright original's width and height in pixels


def decode_wh(
    geometry: Geometry, size_wh: tuple[int, int], oversampling: float = 1.25
) -> tuple[int, int]:
    """The least width and height at which a photo may be decoded without costing the canvas detail.

    In the order of its own, upright or not, and perhaps more than those. Decoded pixels per drawn
    pixel are `oversampling`: a JPEG's reduced decoding is coarser than resizing is, so a little
    more than 1 is needed; what enlarges parts of the photo needs more.
    """
    drawn_wh = (geometry.resize, geometry.resize)
    if geometry.kind == "letterbox":
        drawn_wh = _inner_wh(geometry.canvas, size_wh)
    return math.ceil(drawn_wh[0] * oversampling), math.ceil(drawn_wh[1] * oversampling)


def _inner_wh(side: int, size_wh: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a photo that is drawn on a letterbox of this side."""
    width, height = size_wh
    ratio = side / max(width, height)
    return max(1, round(width * ratio)), max(1, round(height * ratio))


def place(photo: Photo, geometry: Geometry) -> tuple[Pixels, Placement]:
    """Draw a photo on its canvas, (S, S, 3) uint8 RGB; with it, where the photo lies on it."""
    side = geometry.canvas
    width, height = photo.size_wh
    image = photo.image
    if geometry.kind == "center_crop":
        offset = (side - geometry.resize) / 2
        scale_xy = (geometry.resize / width, geometry.resize / height)
        # The middle of the photo in pixels of the (perhaps reduced) decoded image.
        margin = -offset / geometry.resize
        w, h = image.size
        crop = (margin * w, margin * h, (1 - margin) * w, (1 - margin) * h)
        canvas = image.resize((side, side), Image.Resampling.BILINEAR, box=crop)
        return np.asarray(canvas), Placement(scale_xy, (offset, offset), photo.size_wh)

    inner_w, inner_h = _inner_wh(side, photo.size_wh)
    left, top = (side - inner_w) // 2, (side - inner_h) // 2
    # Grey is the least conspicuous border.
    pixels = np.full((side, side, 3), 114, dtype=np.uint8)
    pixels[top : top + inner_h, left : left + inner_w] = np.asarray(
        image.resize((inner_w, inner_h), Image.Resampling.BILINEAR)
    )
    return pixels, Placement((inner_w / width, inner_h / height), (left, top), photo.size_wh)


def image_to_canvas(boxes_xywh: ArrayLike, placements: Sequence[Placement]) -> Boxes:
    """Carry (N, 4) boxes from pixels of upright images to canvas pixels, by N placements.

    They are not clipped: a box may reach past the canvas. Other lengths are a `ValueError`.
    """
    boxes, scale, offset, _ = _aligned(boxes_xywh, placements)
    return np.concatenate([boxes[:, :2] * scale + offset, boxes[:, 2:] * scale], axis=1)


def canvas_to_image(boxes_xywh: ArrayLike, placements: Sequence[Placement]) -> Boxes:
    """Carry (N, 4) boxes from canvas pixels back to pixels of upright images, by N placements.

    They are clipped to their images. Other lengths are a `ValueError`.
    """
    boxes, scale, offset, sizes_wh = _aligned(boxes_xywh, placements)
    back = np.concatenate([(boxes[:, :2] - offset) / scale, boxes[:, 2:] / scale], axis=1)
    return clip_xywh(back, sizes_wh)


def _aligned(
    boxes_xywh: ArrayLike, placements: Sequence[Placement]
) -> tuple[Boxes, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    boxes = np.asarray(boxes_xywh, dtype=np.float64).reshape(-1, 4)
    if len(boxes) != len(placements):
        raise ValueError(f"{len(boxes)} boxes for {len(placements)} placements")
    columns = [
        np.array([getattr(p, name) for p in placements], dtype=np.float64).reshape(-1, 2)
        for name in ("scale_xy", "offset_xy", "size_wh")
    ]
    return boxes, columns[0], columns[1], columns[2]
