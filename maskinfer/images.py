"""Safe decoding: any file in, upright 8-bit RGB out, or an `ImageError` that says why not.

EXIF orientation is applied, every colour mode is brought to RGB, transparency is laid on white,
and large JPEGs are decoded at a fraction of their size where the caller needs no more.
"""

import io
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from .errors import ImageError

Pixels = NDArray[np.uint8]

# Past this a decoder may fill the memory of a laptop: 3 bytes a pixel.
MAX_PIXELS = 250_000_000
_TOO_LARGE = f"more than {MAX_PIXELS // 10**6} million pixels"
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N")

# What turns the stored pixels upright, by EXIF orientation.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pillow warns of large and of slightly damaged files. Warnings cannot be caught thread by thread,
# and photos are decoded on threads, so it is settled once, here: past our limit (Pillow's own would
# warn from 89 million pixels on) the warning is an error, which becomes an `ImageError`; what
# Pillow says about a broken EXIF block is not for users, whose pixels are fine.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


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
        min_side: where given, a JPEG may be decoded reduced (by 2, 4 or 8) so long as both its
            sides keep at least this many pixels.

    Raises:
        ImageError: the source cannot be read as an image.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    try:
        if isinstance(source, Image.Image):
            return _upright(source, source.size)
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
            orientation = _orientation(image)
            return Header(_turned(image.size, orientation), orientation)
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise ImageError(_reason(error)) from error


def _decode(image: Image.Image, min_side: int | None) -> Photo:
    size_wh = image.size
    if size_wh[0] * size_wh[1] > MAX_PIXELS:
        raise ImageError(_TOO_LARGE)
    if min_side is not None and image.format == "JPEG":
        image.draft(None, (min_side, min_side))
    return _upright(image, size_wh)


def _upright(image: Image.Image, size_wh: tuple[int, int]) -> Photo:
    orientation = _orientation(image)
    if orientation != 1:
        image = image.transpose(_TURNS[orientation])
    return Photo(np.asarray(_to_rgb(image)), _turned(size_wh, orientation))


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


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT or image.mode == "I":
        values = np.asarray(image).astype(np.int64)
        if image.mode != "I" or values.max(initial=0) > 255:
            values = values >> 8
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ImageError("floating-point pixels, whose range is not known; save it as 8-bit")
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
        return _TOO_LARGE
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or of an unknown format"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, OSError) else f"damaged: {text}"
