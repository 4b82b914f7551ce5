"""Safe decoding: any file in, upright 8-bit RGB out, or an `ImageError` that says why not.

EXIF orientation is applied, every colour mode is brought to RGB, transparency is laid on white,
and JPEGs and very large images are decoded at a fraction of their size where the caller needs no
more. Of an animation or a file of many pages the first picture is read.
"""

import errno
import io
import os
import stat
import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from maskinfer.errors import ImageError

Pixels = NDArray[np.uint8]

# More than any phone takes (200 million). A decoder holds 1 to 4 bytes a pixel, so a gigabyte at
# this limit; an array of all pixels, where no `least_wh` allows a smaller one, takes 3 more. Pillow
# has a limit of its own, Image.MAX_IMAGE_PIXELS: it warns past it and refuses twice as much. It is
# for a program, not for a library, to change that: `settle_pillow`.
MAX_PIXELS = 250_000_000
# Files are read whole.
MAX_FILE_BYTES = 1_000_000_000
_LARGE_BYTES = 100_000_000
# Larger images are reduced where less will do; smaller ones never, so that a resize alone decides.
_LARGE_PIXELS = 25_000_000
_LARGEST_REDUCTION = 8  # as for JPEG
# As many pixels are brought to RGB at a time: Pillow keeps 4 bytes for each, an array's copy 3.
_STRIP_PIXELS = 4_000_000
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N")

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What the endings of `scan.IMAGE_SUFFIXES` stand for, and no more, whatever a file is called:
# Pillow knows forty other formats, and runs Ghostscript to read one of them. The first come with
# Pillow's first import (phones' MPO counts as JPEG); for the others it imports all its plugins.
_FIRST_FORMATS = ("JPEG", "PNG", "GIF", "BMP")
_FURTHER_FORMATS = ("WEBP", "TIFF", "AVIF", "HEIF", "DIB")

# Held by the thread that reads a large file or decodes a large image: 32 threads that each hold 250
# million pixels of 4 bytes would take 32 GB. A JPEG passes by where it is decoded reduced.
_one_large_image = threading.RLock()


def settle_pillow(max_pixels: int = MAX_PIXELS) -> None:
    """Make Pillow silent and take photos up to our limit: for a process that is ours alone.

    Photos past the limit and damaged pixels are reported; of damaged EXIF blocks users need not
    hear, as the pixels are fine.
    """
    Image.MAX_IMAGE_PIXELS = max_pixels
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


class Photo:
    """A decoded image.

    Attributes:
        image: Pillow's RGB image, upright; smaller than the original where decoded reduced.
        pixels: the same as a (H, W, 3) uint8 array.
        size_wh: width and height of the upright original in pixels; boxes refer to this.
    """

    def __init__(self, pixels: Pixels | Image.Image, size_wh: tuple[int, int]) -> None:
        """Take pixels in either form; the other is made when it is asked for, as copies cost."""
        self.size_wh = size_wh
        if isinstance(pixels, Image.Image):
            self.image = pixels
        else:
            self.pixels = pixels

    @cached_property
    def image(self) -> Image.Image:
        return Image.fromarray(self.pixels)

    @cached_property
    def pixels(self) -> Pixels:
        return np.asarray(self.image)


ImageSource = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]
# Given a photo's width and height in pixels, the least width and height to decode it at.
LeastWh = Callable[[tuple[int, int]], tuple[int, int]]


def smallest(size_wh: tuple[int, int]) -> tuple[int, int]:
    """As little as there is: for who only asks whether a file can be decoded."""
    return 1, 1


def load_photo(
    source: ImageSource,
    least_wh: LeastWh | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Photo:
    """Decode one image.

    Args:
        source: a path, the bytes of a file, a Pillow image, or a (H, W, 3) or (H, W) uint8 array.
        least_wh: where given, a JPEG may be decoded reduced (by 2, 4 or 8), and any very large
            image be reduced, so long as its sides keep at least as many pixels as this says. It is
            asked about the stored sides, before they are turned upright.
        max_pixels: an image with more is refused, unless it is an array already. Pillow may refuse
            fewer, see `MAX_PIXELS`.

    Raises:
        ImageError: the source cannot be read as an image.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    try:
        if isinstance(source, Image.Image):
            _check_size(source.size, max_pixels)
            photo = _upright(source, source.size, least_wh)
            # As an array, since the caller may change or close its image.
            return Photo(photo.pixels, photo.size_wh)
        if isinstance(source, bytes):
            return _load_bytes(source, least_wh, max_pixels)
        return _load_file(source, least_wh, max_pixels)
    except ImageError:
        raise
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise ImageError(_reason(error, max_pixels)) from error


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
        with _open_file(path) as file, _open_image(file) as image:
            _check_size(image.size, MAX_PIXELS)
            orientation = _orientation(image)
            return Header(_turned(image.size, orientation), orientation)
    except ImageError:
        raise
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise ImageError(_reason(error, MAX_PIXELS)) from error


def _load_file(path: str | os.PathLike[str], least_wh: LeastWh | None, max_pixels: int) -> Photo:
    with _open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        with _alone(size > _LARGE_BYTES):
            # Read whole: Pillow's lazy file handles otherwise stay open when a decoder raises. No
            # more than it had when its size was checked.
            return _load_bytes(file.read(size), least_wh, max_pixels)


def _load_bytes(data: bytes, least_wh: LeastWh | None, max_pixels: int) -> Photo:
    with _open_image(io.BytesIO(data)) as image:
        size_wh = image.size
        _check_size(size_wh, max_pixels)
        if least_wh is not None and image.format in ("JPEG", "MPO"):
            image.draft(None, least_wh(size_wh))
        drafted_wh = image.size
        # A progressive JPEG is held whole, whatever it is reduced to.
        width, height = size_wh if image.info.get("progressive") else drafted_wh
        with _alone(width * height > _LARGE_PIXELS):
            image.load()
            if image.size != drafted_wh:  # some formats learn their size from their pixels
                size_wh = image.size
                _check_size(size_wh, max_pixels)
            return _upright(image, size_wh, least_wh)


def _alone(large: bool) -> AbstractContextManager[object]:
    return _one_large_image if large else nullcontext()


def _open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file of a size that can be read, and never wait for a pipe or a device."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise ImageError("not a regular file") from None
        raise
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise ImageError(f"larger than {MAX_FILE_BYTES // 10**6} MB")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _open_image(file: BinaryIO) -> ImageFile.ImageFile:
    try:
        return Image.open(file, formats=_FIRST_FORMATS)
    except UnidentifiedImageError:
        Image.init()
        known = [name for name in _FURTHER_FORMATS if name in Image.OPEN]
        return Image.open(file, formats=known)


def _check_size(size_wh: tuple[int, int], max_pixels: int) -> None:
    if 0 in size_wh:
        raise ImageError("an empty image")
    if size_wh[0] * size_wh[1] > max_pixels:
        raise ImageError(_too_large(max_pixels))


def _too_large(limit: int) -> str:
    return f"more than {f'{limit // 10**6} million' if limit >= 10**6 else limit} pixels"


def _upright(image: Image.Image, size_wh: tuple[int, int], least_wh: LeastWh | None) -> Photo:
    factor = 1
    if least_wh is not None and image.width * image.height > _LARGE_PIXELS:
        least_w, least_h = least_wh(image.size)
        factor = min(image.width // least_w, image.height // least_h)
        factor = min(max(factor, 1), _LARGEST_REDUCTION)
    orientation = _orientation(image)
    pixels = _turn(_to_pixels(image, factor), orientation)
    return Photo(pixels, _turned(size_wh, orientation))


def _turn(pixels: Pixels | Image.Image, orientation: int) -> Pixels | Image.Image:
    """Turn stored pixels upright."""
    if orientation == 1:
        return pixels
    if isinstance(pixels, Image.Image):
        return pixels.transpose(_TURNS[orientation])
    # Pillow is faster, and would take 8 bytes a pixel more for an array, which are the large ones.
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


def _to_pixels(image: Image.Image, factor: int) -> Pixels | Image.Image:
    """Bring an image to RGB, both sides divided by a factor and rounded up, strip by strip.

    Returns:
        (H, W, 3), or, of an image that is no more than one strip, Pillow's RGB image.
    """
    if image.mode == "F":
        raise ImageError("floating-point pixels, whose range is not known; save it as 8-bit")
    if image.mode == "I":  # 32 bits a pixel, holding 8 or 16
        image = image.convert("I;16" if np.max(image.getextrema()) > 255 else "L")
    if image.width * image.height <= _STRIP_PIXELS:
        return _to_rgb(image)
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


def _reason(error: Exception, max_pixels: int) -> str:
    """One line for what a decoder raised, without the name of the buffer Pillow read from."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        # The error is past twice Pillow's limit; the warning, where it is made an error, past it.
        times = 2 if isinstance(error, Image.DecompressionBombError) else 1
        return _too_large(min(max_pixels, times * (Image.MAX_IMAGE_PIXELS or max_pixels)))
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or of an unknown format"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, OSError) else f"damaged: {text}"
