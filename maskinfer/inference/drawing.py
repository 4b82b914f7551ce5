"""Faces drawn on a photo: a box, and beside it what the model says of the mask."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from maskinfer.data.images import load_photo

from .results import Prediction

_Boxes = NDArray[np.int64]  # (..., 4) left, top, right, bottom
# Distinct to colour-blind eyes too; the words say the same.
_PROPER, _NOT_PROPER = "#0077bb", "#cc3311"
_LINE_SHARE = 1 / 200  # at most, of the photo's longer side
_LINE_SHARE_OF_FACE = 1 / 16
# The height of words by that of the face, within what can be read and what leaves photo to see.
_TEXT_SHARE_OF_FACE = 1 / 5
_LEAST_TEXT_SHARE, _MOST_TEXT_SHARE = 1 / 90, 1 / 25  # of the photo's longer side
_LEAST_TEXT = 10  # pixels
_MOST_COVERED = 0.5  # of another face


def draw(photo: Image.Image, faces: Sequence[Prediction]) -> Image.Image:
    """Draw faces on a copy of a photo: boxes, with `proper` or `not proper` and its probability.

    In a crowd, faces whose words would cover those of others have only the box, in its colour. The
    photo may be of any mode; the copy is RGB, turned upright by its EXIF orientation, as for
    predicting. An `ImageError` where its pixels cannot be read.
    """
    drawn = Image.fromarray(load_photo(photo).pixels)
    draw_on(drawn, faces)
    return drawn


def draw_on(photo: Image.Image, faces: Sequence[Prediction]) -> None:
    """As `draw`, on an upright RGB photo itself."""
    canvas = ImageDraw.Draw(photo)
    boxes = np.array([face.box_xywh for face in faces], np.int64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]  # left, top, right, bottom
    for index in reversed(range(len(faces))):  # the best last: over others where they overlap
        _draw_box(canvas, boxes[index], _color(faces[index]), max(photo.size))
    words: list[_Boxes] = []  # where they stand
    # Those that people look for first: where there is no room for all, they have some.
    for index in sorted(range(len(faces)), key=lambda index: faces[index].probability):
        place = _draw_words(canvas, faces[index], boxes[index], np.delete(boxes, index, 0), words)
        if place is not None:
            words.append(place)


def _color(face: Prediction) -> str:
    return _PROPER if face.proper_mask else _NOT_PROPER


def _draw_box(canvas: ImageDraw.ImageDraw, box: _Boxes, color: str, longer: int) -> None:
    left, top, right, bottom = box.tolist()
    shorter = min(right - left, bottom - top)
    line = round(max(2, min(longer * _LINE_SHARE, shorter * _LINE_SHARE_OF_FACE)))
    canvas.rectangle((left, top, right - 1, bottom - 1), outline=color, width=line)


def _draw_words(
    canvas: ImageDraw.ImageDraw, face: Prediction, box: _Boxes, others: _Boxes, words: list[_Boxes]
) -> _Boxes | None:
    """Write beside a face's box, where that covers least of others and of words that stand already.

    Boxes are left, top, right and bottom, others (M, 4). Returns where the words stand; None where
    every place would cover others, or most of a face.
    """
    text = f"{'proper' if face.proper_mask else 'not proper'} {face.probability:.2f}"
    photo_wh = canvas.im.size
    least, most = (
        max(_LEAST_TEXT, share * max(photo_wh)) for share in (_LEAST_TEXT_SHARE, _MOST_TEXT_SHARE)
    )
    size = round(min(max((box[3] - box[1]) * _TEXT_SHARE_OF_FACE, least), most))
    left, top, right, bottom = _text_box(canvas, text, size)
    if right - left + size // 2 > photo_wh[0]:
        size = max(6, size * photo_wh[0] // (right - left + size // 2))
        left, top, right, bottom = _text_box(canvas, text, size)
    margin = max(1, size // 6)
    places = _places(box, (right - left + 2 * margin, bottom - top + 2 * margin), photo_wh)
    on_faces = _overlap(places, others)  # (P, M)
    areas = (others[:, 2:] - others[:, :2]).prod(1)
    free = ~(on_faces > _MOST_COVERED * areas).any(1)
    if words:
        free &= ~_overlap(places, np.stack(words)).any(1)
    if not free.any():
        return None
    # Twice for the face that the words are about.
    cost = on_faces.sum(1) + 2 * _overlap(places, box[None])[:, 0]
    place: _Boxes = places[free][cost[free].argmin()]
    canvas.rectangle((*place[:2].tolist(), *(place[2:] - 1).tolist()), fill=_color(face))
    at = (int(place[0]) + margin - left, int(place[1]) + margin - top)
    canvas.text(at, text, fill="white", font=ImageFont.load_default(size))
    return place


def _places(box: _Boxes, wh: tuple[int, int], photo_wh: tuple[int, int]) -> _Boxes:
    """(P, 4) left, top, right and bottom of where words may stand, in the photo if they fit."""
    left, top, right, bottom = box.tolist()
    columns = (left, right - wh[0], (left + right - wh[0]) // 2)
    rows = (top, (top + bottom - wh[1]) // 2, bottom - wh[1])
    corners = np.array(
        [
            *((x, top - wh[1]) for x in columns),
            *((x, bottom) for x in columns),
            *((right, y) for y in rows),
            *((left - wh[0], y) for y in rows),
            (left, top),  # inside, of a face that fills the photo
        ]
    )
    corners = np.clip(corners, 0, np.maximum(np.subtract(photo_wh, wh), 0))
    return np.hstack([corners, corners + wh])


def _overlap(boxes: _Boxes, others: _Boxes) -> _Boxes:
    """Pixels that each of (P, 4) boxes shares with each of (M, 4) others, as (P, M)."""
    starts = np.maximum(boxes[:, None, :2], others[:, :2])
    ends = np.minimum(boxes[:, None, 2:], others[:, 2:])
    shared: _Boxes = (ends - starts).clip(min=0).prod(2)
    return shared


def _text_box(canvas: ImageDraw.ImageDraw, words: str, size: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the words when drawn at the origin."""
    left, top, right, bottom = canvas.textbbox((0, 0), words, font=ImageFont.load_default(size))
    return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)
