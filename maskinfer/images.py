"""Safe decoding: any file in, upright 8-bit RGB out, or an `ImageError` that says why not.

EXIF orientation is applied, every colour mode is brought to RGB, transparency is laid on white,
and JPEGs and very large images are decoded at a fraction of their size where the caller needs no
more.
"""

import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from .errors import ImageError

Pixels = NDArray[np.uint8]

# More than any phone takes (200 million). A decoder holds 1 to 4 bytes a pixel, so a gigabyte at
# this limit; an array of all pixels, where no `min_side` allows a smaller one, takes 3 more. Pillow
# has a limit of its own, Image.MAX_IMAGE_PIXELS: it warns past it and refuses twice as much. It is
# for a program, not for a library, to change that; `maskinfer.cli` does.
MAX_PIXELS = 250_000_000
# Larger images are reduced where less will do; smaller ones never, so that a resize alone decides.
_LARGE_PIXELS = 25_000_000
_LARGEST_REDUCTION = 8  # as for JPEG
# As many pixels are brought to RGB at a time: Pillow keeps 4 bytes for each, an array's copy 3.
_STRIP_PIXELS = 4_000_000
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N")


@dataclass(frozen=True)
class Photo:
    """A decoded image.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, upright; smaller than the original where decoded reduced.
        size_wh: width and height of the upright original in pixels; boxes refer to this.
    """

    pixels: Pixels
    size_wh: tuple[int, int]


ImageSource = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]


def load_photo(source: ImageSource, min_side: int | None = None) -> Photo:
    """Decode one image.

    Args:
        source: a path, the bytes of a file, a Pillow image, or a (H, W, 3) or (H, W) uint8 array.
        min_side: where given, a JPEG may be decoded reduced (by 2, 4 or 8), and any very large
            image be reduced, so long as both its sides keep at least this many pixels.

    Raises:
        ImageError: the source cannot be read as an image.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    try:
        if isinstance(source, Image.Image):
            return _upright(source, source.size, min_side)
        # Read whole: Pillow's lazy file handles otherwise stay open when a decoder raises.
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            return _decode(image, min_side)
    except ImageError:
        raise
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise ImageError(_reason(error)) from error


@dataclass(frozen=True)
class Header:
    """What a file says of its image before any pixel is decoded.

    Attributes:
        size_wh: width and height of the upright image in pixels.
        orientation: EXIF orientation of the stored pixels, 1 to 8; 1 is upright.
    """

    size_wh: tuple[int, int]
    orientation: int


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of the upright image, read from the header alone.

    Raises:
        ImageError: the file cannot be read as an image.
    """
    return read_header(path).size_wh


def read_header(path: Path) -> Header:
    """Read size and orientation without decoding pixels.

    Raises:
        ImageError: the file cannot be read as an image.
    """
    try:
        with Image.open(path) as image:
            _check_size(image.size)
            orientation = _orientation(image)
            return Header(_turned(image.size, orientation), orientation)
    except ImageError:
        raise
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise ImageError(_reason(error)) from error


def _decode(image: Image.Image, min_side: int | None) -> Photo:
    size_wh = image.size
    _check_size(size_wh)
    if min_side is not None and image.format == "JPEG":
        image.draft(None, (min_side, min_side))
    return _upright(image, size_wh, min_side)


def _check_size(size_wh: tuple[int, int]) -> None:
    if size_wh[0] * size_wh[1] > MAX_PIXELS:
        raise ImageError(_too_large(MAX_PIXELS))


def _too_large(limit: int) -> str:
    return f"more than {limit // 10**6} million pixels"


def _upright(image: Image.Image, size_wh: tuple[int, int], min_side: int | None) -> Photo:
    if 0 in image.size:
        raise ImageError("an empty image")
    factor = 1
    if min_side is not None and image.width * image.height > _LARGE_PIXELS:
        factor = min(max(min(image.size) // min_side, 1), _LARGEST_REDUCTION)
    orientation = _orientation(image)
    pixels = _turn(_to_pixels(image, factor), orientation)
    return Photo(pixels, _turned(size_wh, orientation))


def _turn(pixels: Pixels, orientation: int) -> Pixels:
    """Turn stored pixels upright."""
    if orientation in (3, 4, 6, 7):
        pixels = pixels[::-1]
    if orientation in (2, 3, 7, 8):
        pixels = pixels[:, ::-1]
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    return np.ascontiguousarray(pixels)


def _turned(size_wh: tuple[int, int], orientation: int) -> tuple[int, int]:
    return size_wh[::-1] if orientation >= 5 else size_wh


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 5 to 8 swap the sides; 1 where EXIF is missing or damaged."""
    if image.format == "TIFF":  # Pillow turns these by itself, and says the upright size
        return 1
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # a damaged EXIF block is no reason to refuse the pixels
        return 1
    return orientation if orientation in range(1, 9) else 1


def _to_pixels(image: Image.Image, factor: int) -> Pixels:
    """Bring an image to RGB, both sides divided by a factor and rounded up, strip by strip."""
    if image.mode == "F":
        raise ImageError("floating-point pixels, whose range is not known; save it as 8-bit")
    if image.mode == "I":  # 32 bits a pixel, holding 8 or 16
        image = image.convert("I;16" if np.max(image.getextrema()) > 255 else "L")
    if image.width * image.height <= _STRIP_PIXELS:
        return np.asarray(_to_rgb(image))
    width, height = (-(-side // factor) for side in image.size)
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    rows = max(1, _STRIP_PIXELS // (image.width * factor))  # of `pixels`, a strip
    for top in range(0, height, rows):
        bottom = min((top + rows) * factor, image.height)
        strip = _to_rgb(image.crop((0, top * factor, image.width, bottom)))
        pixels[top : top + rows] = np.asarray(strip.reduce(factor) if factor > 1 else strip)
    return pixels


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT:
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        rgb = Image.new("RGB", image.size, "white")
        rgb.paste(rgba, mask=rgba.getchannel("A"))
        return rgb
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_array(array: NDArray[np.uint8]) -> Photo:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.size == 0:
        raise ImageError(
            f"array of {array.dtype} {array.shape}, expected uint8 (H, W, 3) or (H, W), not empty"
        )
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    if array.shape[2] != 3:
        raise ImageError(f"array of shape {array.shape}, expected (H, W, 3), RGB")
    return Photo(array, (array.shape[1], array.shape[0]))


def _reason(error: Exception) -> str:
    """One line for what a decoder raised, without the name of the buffer Pillow read from."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        # The error is past twice Pillow's limit; the warning, where it is made an error, past it.
        times = 2 if isinstance(error, Image.DecompressionBombError) else 1
        return _too_large(min(MAX_PIXELS, times * (Image.MAX_IMAGE_PIXELS or MAX_PIXELS)))
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or of an unknown format"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, OSError) else f"damaged: {text}"
