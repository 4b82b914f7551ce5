"""Small copies of photos, with boxes drawn on them, for a page."""

import base64
import io
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from maskinfer.data.boxes import clip_xywh
from maskinfer.data.images import ImageSource, load_photo
from maskinfer.errors import ImageError
from maskinfer.threads import Progress, map_ahead

LABEL, PREDICTED, OTHER = "#1f77ff", "#ff9500", "#e0399b"
_SIDE = 176  # pixels of the thumbnail's longer side
_QUALITY = 72
# Of boxes that take less of the photo's longer side, only the surroundings are shown.
_LEAST_SHARE = 0.25
_DASH = 5  # pixels
_Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Outline:
    """A box to draw."""

    box_xywh: _Box  # in pixels of the upright image; may reach past it
    color: str
    dashed: bool = False  # distinguishable from whole lines without colour, too
    in_view: bool = True  # whether all of it must be seen


@dataclass(frozen=True)
class RemotePhoto:
    """A photo that is no file of this machine: `read`, which may raise an `ImageError`, makes it.

    It is read only when it is drawn.
    """

    name: str
    read: Callable[[str], ImageSource]


Wanted = tuple[Path | RemotePhoto, tuple[Outline, ...]]


def thumbnail(source: ImageSource | RemotePhoto, outlines: Sequence[Outline] = ()) -> str | None:
    """Make a data URI of a JPEG of at most 176 pixels a side; None where it cannot be read.

    If the outlines are small, it shows only their part of the photo.
    """
    try:
        image = source.read(source.name) if isinstance(source, RemotePhoto) else source
        photo = load_photo(image, lambda size_wh: _decode_wh(size_wh, outlines))
    except ImageError:
        return None
    left, top, right, bottom = _view(photo.size_wh, outlines)
    ratio_x = photo.image.width / photo.size_wh[0]
    ratio_y = photo.image.height / photo.size_wh[1]
    scale = _SIDE / max(right - left, bottom - top)
    part = photo.image.resize(
        (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))),
        Image.Resampling.BICUBIC,
        (left * ratio_x, top * ratio_y, right * ratio_x, bottom * ratio_y),
        reducing_gap=2.0,
    )
    draw = ImageDraw.Draw(part)
    for outline in outlines:
        x, y, w, h = outline.box_xywh
        _draw_box(draw, ((x - left) * scale, (y - top) * scale, w * scale, h * scale), outline)
    stream = io.BytesIO()
    part.save(stream, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def make_thumbnails(wanted: Iterable[Wanted], on_progress: Progress) -> dict[Wanted, str | None]:
    """Make thumbnails in threads, each one once, however often it is wanted."""
    distinct = list(dict.fromkeys(wanted))
    made: dict[Wanted, str | None] = {}
    with closing(map_ahead(lambda w: thumbnail(*w), distinct)) as pictures:
        for key, picture in zip(distinct, pictures, strict=True):
            made[key] = picture
            on_progress(len(made), len(distinct))
    return made


def _decode_wh(size_wh: tuple[int, int], outlines: Sequence[Outline]) -> tuple[int, int]:
    """The least size to decode a photo of those stored sides at, so that what is shown is sharp."""
    # Stored sides may be swapped against the upright ones that boxes refer to: the smaller view of
    # both is sharp in either.
    views = (_view(size, outlines) for size in (size_wh, size_wh[::-1]))
    shown = min(max(right - left, bottom - top) for left, top, right, bottom in views)
    share = min(1.0, _SIDE / max(shown, 1.0))
    return math.ceil(size_wh[0] * share), math.ceil(size_wh[1] * share)


def _view(size_wh: tuple[int, int], outlines: Sequence[Outline]) -> _Box:
    """The part of a photo that is shown: left, top, right, bottom; all of it if boxes are large."""
    width, height = size_wh
    boxes = [o.box_xywh for o in outlines if o.in_view and min(o.box_xywh[2:]) > 0]
    if not boxes:
        return 0.0, 0.0, float(width), float(height)
    inside = clip_xywh(boxes, size_wh)
    low, high = inside[:, :2].min(axis=0), (inside[:, :2] + inside[:, 2:]).max(axis=0)
    side = (high - low).max()
    if side >= _LEAST_SHARE * max(size_wh):
        return 0.0, 0.0, float(width), float(height)
    middle, half = (low + high) / 2, max(side / _LEAST_SHARE / 2, 16)
    left, top = np.maximum(middle - half, 0).tolist()
    right, bottom = np.minimum(middle + half, size_wh).tolist()
    return left, top, right, bottom


def _draw_box(draw: ImageDraw.ImageDraw, box_xywh: _Box, outline: Outline) -> None:
    x, y, w, h = box_xywh
    corners = [(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y)]
    for start, stop in pairwise(corners):
        dashes = max(1, round(math.dist(start, stop) / _DASH)) if outline.dashed else 1
        for first, last in list(pairwise(np.linspace(start, stop, dashes + 1).tolist()))[::2]:
            draw.line([*first, *last], fill=outline.color, width=2)
