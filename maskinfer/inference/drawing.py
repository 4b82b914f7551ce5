"""Photos with their predictions drawn on them: the box, and the label in words."""

import errno
import math
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from PIL import Image, ImageDraw, ImageFont

from maskinfer.data.folders import Failure
from maskinfer.data.images import ImageSource, load_photo
from maskinfer.errors import ImageError, MaskinferError
from maskinfer.files import replacing

from .results import Prediction, Result

# Distinct to colour-blind eyes too; the label repeats it in words.
_PROPER, _IMPROPER = "#0077bb", "#cc3311"
_JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
_JPEG_QUALITY = 90
_LINE_SHARE = 1 / 200  # of the photo's longer side
_TEXT_SHARE = 1 / 25


def annotate(
    image: Callable[[str], ImageSource],
    out: Path,
    max_pixels: int,
    result: Result,
) -> Result:
    """Draw a prediction on its photo and save that as a JPEG.

    Args:
        image: what to decode for a file name.
        out: the folder to save in, under the same names; `.jpg` is added to other suffixes.
        max_pixels: photos of more pixels are not decoded.
        result: a failure is returned as it is.

    Returns:
        the result; a failure where the photo has become unreadable since it was predicted.

    Raises:
        MaskinferError: the drawn photo cannot be written.
    """
    if isinstance(result, Failure):
        return result
    try:
        source = image(result.filename)
        photo = Image.fromarray(load_photo(source, max_pixels=max_pixels).pixels)
    except ImageError as error:
        return Failure(result.filename, f"cannot be drawn on, {error}")
    for face in result.faces:
        _draw(photo, face)
    path = out / _inside(result.filename)
    try:
        if isinstance(source, str | Path) and path.exists() and path.samefile(source):
            raise MaskinferError(f"{path}: is the photo itself; choose another --annotate DIR")
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside:
            photo.save(beside, "JPEG", quality=_JPEG_QUALITY)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # with the `.jpg` that was added
            return Failure(result.filename, f"cannot be drawn on, {error.strerror}")
        raise MaskinferError(f"{path}: cannot be written, {error.strerror or error}") from error
    return result


def _draw(photo: Image.Image, face: Prediction) -> None:
    draw = ImageDraw.Draw(photo)
    color = _PROPER if face.proper_mask else _IMPROPER
    longer = max(photo.size)
    line = max(2, round(longer * _LINE_SHARE))
    x, y, w, h = face.box_xywh
    draw.rectangle((x, y, x + w - 1, y + h - 1), outline=color, width=line)
    words = f"{'proper' if face.proper_mask else 'not proper'} {face.probability:.2f}"
    size = max(10, round(longer * _TEXT_SHARE))
    left, top, right, bottom = _text_box(draw, words, size)
    if right - left + 2 * line > photo.width:
        size = max(6, size * photo.width // (right - left + 2 * line))
        left, top, right, bottom = _text_box(draw, words, size)
    width, height = right - left + 2 * line, bottom - top + 2 * line
    # Above the box where there is room, else below its upper edge; never past the right border.
    place_x = max(0, min(x, photo.width - width))
    place_y = y - height if y >= height else min(y + line, max(photo.height - height, 0))
    draw.rectangle((place_x, place_y, place_x + width, place_y + height), fill=color)
    at = (place_x + line - left, place_y + line - top)
    draw.text(at, words, fill="white", font=ImageFont.load_default(size))


def _text_box(draw: ImageDraw.ImageDraw, words: str, size: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the words when drawn at the origin."""
    left, top, right, bottom = draw.textbbox((0, 0), words, font=ImageFont.load_default(size))
    return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)


def _inside(filename: str) -> PurePosixPath:
    """Where a photo goes in the output folder, whatever its name, even one with `..`."""
    path = PurePosixPath(filename)
    parts = ["__" if part == ".." else part for part in path.parts if part != path.root]
    name = parts[-1]
    parts[-1] = name if path.suffix.lower() in _JPEG_SUFFIXES else f"{name}.jpg"
    return PurePosixPath(*parts)
