"""Faces drawn on a photo: a box, and beside it what the model says of the mask."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from maskinfer.data.images import load_photo

from .results import Prediction

# Distinct to colour-blind eyes too; the words say the same.
_PROPER, _NOT_PROPER = "#0077bb", "#cc3311"
_LINE_SHARE = 1 / 200  # at most, of the photo's longer side
_LINE_SHARE_OF_FACE = 1 / 16
# The height of words by that of the face, within what can be read and what leaves photo to see.
_TEXT_SHARE_OF_FACE = 1 / 5
_LEAST_TEXT_SHARE, _MOST_TEXT_SHARE = 1 / 72, 1 / 25  # of the photo's longer side
_LEAST_TEXT = 10  # pixels


class _Box(NamedTuple):
    """A rectangle in whole pixels, right and bottom past its last."""

    left: int
    top: int
    right: int
    bottom: int

    def overlap(self, other: "_Box") -> int:
        """Pixels that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0) * max(height, 0)


def draw(photo: Image.Image, faces: Sequence[Prediction]) -> Image.Image:
    """Draw faces on a copy of a photo: boxes, with `proper` or `not proper` and its probability.

    Args:
        photo: of any mode; turned upright by its EXIF orientation, as for predicting.
        faces: predicted of this photo; none is fine.

    Returns:
        a new RGB image, upright.

    Raises:
        ImageError: the photo's pixels cannot be read.
    """
    drawn = Image.fromarray(load_photo(photo).pixels)
    canvas = ImageDraw.Draw(drawn)
    boxes = [_Box(x, y, x + w, y + h) for x, y, w, h in (face.box_xywh for face in faces)]
    # The best last: over all others where they overlap.
    for face, box in reversed(list(zip(faces, boxes, strict=True))):
        _draw_box(canvas, box, _color(face), max(drawn.size))
    placed: list[_Box] = []
    for face, box in zip(faces, boxes, strict=True):
        placed.append(_draw_words(canvas, face, box, boxes, placed))
    return drawn


def _color(face: Prediction) -> str:
    return _PROPER if face.proper_mask else _NOT_PROPER


def _draw_box(canvas: ImageDraw.ImageDraw, box: _Box, color: str, longer: int) -> None:
    shorter = min(box.right - box.left, box.bottom - box.top)
    line = round(max(2, min(longer * _LINE_SHARE, shorter * _LINE_SHARE_OF_FACE)))
    canvas.rectangle((box.left, box.top, box.right - 1, box.bottom - 1), outline=color, width=line)


def _draw_words(
    canvas: ImageDraw.ImageDraw,
    face: Prediction,
    box: _Box,
    boxes: Iterable[_Box],
    placed: Iterable[_Box],
) -> _Box:
    """Write beside a face's box where the words cover least, of other words above all.

    Args:
        canvas: of the photo.
        face: whose words.
        box: its own.
        boxes: of all faces.
        placed: where words stand already.

    Returns:
        where these stand.
    """
    words = f"{'proper' if face.proper_mask else 'not proper'} {face.probability:.2f}"
    photo_wh = canvas.im.size
    longer = max(photo_wh)
    least = max(_LEAST_TEXT, longer * _LEAST_TEXT_SHARE)
    most = max(_LEAST_TEXT, longer * _MOST_TEXT_SHARE)
    size = round(min(max((box.bottom - box.top) * _TEXT_SHARE_OF_FACE, least), most))
    left, top, right, bottom = _text_box(canvas, words, size)
    if right - left + size // 2 > photo_wh[0]:
        size = max(6, size * photo_wh[0] // (right - left + size // 2))
        left, top, right, bottom = _text_box(canvas, words, size)
    margin = max(1, size // 6)
    wh = right - left + 2 * margin, bottom - top + 2 * margin

    def cost(place: _Box) -> int:
        on_words = sum(map(place.overlap, placed))
        # Twice for the face that the words are about.
        return 4 * on_words + sum(map(place.overlap, boxes)) + place.overlap(box)

    place = min(_places(box, wh, photo_wh), key=cost)
    canvas.rectangle((*place[:2], place.right - 1, place.bottom - 1), fill=_color(face))
    at = (place.left + margin - left, place.top + margin - top)
    canvas.text(at, words, fill="white", font=ImageFont.load_default(size))
    return place


def _places(box: _Box, wh: tuple[int, int], photo_wh: tuple[int, int]) -> Iterator[_Box]:
    """Where words of that size may stand, inside the photo as far as they fit: the usual first."""
    width, height = wh
    centre = (box.left + box.right - width) // 2
    middle = (box.top + box.bottom - height) // 2
    columns = (box.left, box.right - width, centre)
    places = [
        *((x, box.top - height) for x in columns),
        *((x, box.bottom) for x in columns),
        *((box.right, y) for y in (box.top, middle, box.bottom - height)),
        *((box.left - width, y) for y in (box.top, middle, box.bottom - height)),
        (box.left, box.top),  # inside, of a face that fills the photo
    ]
    for x, y in places:
        left = max(0, min(x, photo_wh[0] - width))
        top = max(0, min(y, photo_wh[1] - height))
        yield _Box(left, top, left + width, top + height)


def _text_box(canvas: ImageDraw.ImageDraw, words: str, size: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the words when drawn at the origin."""
    left, top, right, bottom = canvas.textbbox((0, 0), words, font=ImageFont.load_default(size))
    return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)
