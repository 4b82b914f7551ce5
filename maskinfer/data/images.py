"""Safe decoding: any file in, upright 8-bit RGB out, or an `ImageError` that says why not.

EXIF orientation is applied, every colour mode is brought to RGB, transparency is laid on white,
and JPEGs and very large images are decoded at a fraction of their size where the caller needs no
more. Of an animation or a file of many pages the first picture is read.
"""

import ctypes
import errno
import io
import logging
import os
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError, _imaging

from maskinfer.errors import ImageError, TransientError

from .patience import TRANSIENT
from .pixels import Pixels, read_orientation, to_pixels, turn, turn_size

# More than any phone takes (200 million). Pillow has its own limit, Image.MAX_IMAGE_PIXELS, warns
# beyond it and refuses twice as much. A program may change that, a library may not:
# `settle_pillow`.
MAX_PIXELS = 250_000_000
MAX_FILE_BYTES = 1_000_000_000  # files are read whole
# Resizing takes some 16 bytes for each pixel of a side, however narrow the image.
_LONGEST_SIDE = 100_000
# Each scan of a JPEG that is held whole goes over all its pixels again. Cameras and editors write
# ten, as many as a photo of `MAX_PIXELS` may have; this many pixels take some 15 seconds.
_MOST_SCANNED = 2_500_000_000
_SCAN = b"\xff\xda"  # a marker, which data between markers cannot hold
# Bytes a pixel that reading takes at most, as measured; an array of all pixels, where no `least_wh`
# allows a smaller one, takes 3 more.
_BYTES = {"WEBP": 18, "AVIF": 14}
_MOST_OTHERS = 11  # 32-bit TIFF; PNG takes 6
# Larger images are reduced where less will do; smaller ones are not, but only resized later.
_LARGE_PIXELS = 25_000_000
_LARGEST_REDUCTION = 8  # as for JPEG

# What the endings in `folders.IMAGE_SUFFIXES` stand for and nothing else, whatever a file's name:
# Pillow knows forty other formats, and runs Ghostscript to read one of them. The first are always
# loaded (phones' MPO counts as JPEG); for the others Pillow imports all its plugins.
_FIRST_FORMATS = ("JPEG", "PNG", "GIF", "BMP")
_FURTHER_FORMATS = ("WEBP", "TIFF", "AVIF", "HEIF", "DIB")


class _Budget:
    """Bytes that threads share: what needs more than there are waits until none are taken."""

    def __init__(self, limit: int) -> None:
        self._limit, self._taken, self._freed = limit, 0, threading.Condition()

    @contextmanager
    def take(self, size: int) -> Iterator[None]:
        with self._freed:
            self._freed.wait_for(lambda: not self._taken or self._taken + size <= self._limit)
            self._taken += size
        try:
            yield
        finally:
            with self._freed:
                self._taken -= size
                self._freed.notify_all()


# A thread that has taken of the second does not wait for the first. Without these, 32 threads that
# each decode 250 million pixels would take 140 GB.
_files, _decoders = _Budget(500_000_000), _Budget(3_000_000_000)


def settle_pillow(max_pixels: int = MAX_PIXELS) -> None:
    """Silence Pillow and let it read photos up to our limit, in a process that is ours alone.

    Photos past the limit and damaged pixels are reported; damaged EXIF blocks are not, as the
    pixels are fine.
    """
    Image.MAX_IMAGE_PIXELS = max_pixels
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # else errors go to stderr
    for kind in ("Error", "Warning"):
        # libtiff prints by itself; on Windows its function is not found this way.
        with suppress(AttributeError, OSError):
            getattr(ctypes.CDLL(_imaging.__file__), f"TIFFSet{kind}Handler")(None)


class Photo:
    """A decoded image; smaller than the original where it was decoded reduced."""

    def __init__(self, pixels: Pixels | Image.Image, size_wh: tuple[int, int]) -> None:
        """Take upright pixels in either form; the other is made on demand, as copies cost."""
        self._stored = pixels
        self.size_wh = size_wh  # of the upright original in pixels; boxes refer to this

    @cached_property
    def image(self) -> Image.Image:
        """Pillow's RGB image."""
        stored = self._stored
        return stored if isinstance(stored, Image.Image) else Image.fromarray(stored)

    @cached_property
    def pixels(self) -> Pixels:
        """The same as a (H, W, 3) uint8 array."""
        return np.asarray(self._stored)


ImageSource = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]
# Given a photo's width and height in pixels, the least width and height to decode it at.
LeastWh = Callable[[tuple[int, int]], tuple[int, int]]


def smallest(size_wh: tuple[int, int]) -> tuple[int, int]:
    """As few pixels as possible, where the question is only whether a file can be decoded."""
    return 1, 1


def load_photo(
    source: ImageSource, least_wh: LeastWh | None = None, max_pixels: int = MAX_PIXELS
) -> Photo:
    """Decode one image; an `ImageError` where the source cannot be read as one.

    Args:
        source: a path, the bytes of a file, a Pillow image, or a (H, W, 3) or (H, W) uint8 array.
        least_wh: where given, a JPEG may be decoded reduced (by 2, 4 or 8), and any very large
            image be reduced, as long as its sides keep at least as many pixels as this returns for
            the stored sides, before they are turned upright.
        max_pixels: an image with more is refused, unless it is an array already. Pillow may refuse
            fewer, see `MAX_PIXELS`.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    with _reading(max_pixels):
        if isinstance(source, Image.Image):
            _check_size(source.size, max_pixels)
            photo = _upright(source, source.size, least_wh)
            # As an array, since the caller may change or close its image.
            return Photo(photo.pixels, photo.size_wh)
        if isinstance(source, bytes):
            return _load_bytes(source, least_wh, max_pixels)
        with _open_file(source) as file:
            size = os.fstat(file.fileno()).st_size
            with _files.take(size):
                # Read whole, as Pillow's lazy file handles stay open when a decoder raises; and no
                # more than the size that was checked.
                return _load_bytes(file.read(size), least_wh, max_pixels)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of the upright image, from the header alone; else an `ImageError`."""
    return read_header(path)[0]


def read_header(path: Path) -> tuple[tuple[int, int], int]:
    """The upright image's width and height, and the EXIF orientation of the stored pixels, 1 to 8.

    From the header alone; an `ImageError` where the file cannot be read as an image.
    """
    with _reading(MAX_PIXELS), _open_file(path) as file, _open_image(file) as image:
        _check_size(image.size, MAX_PIXELS)
        orientation = read_orientation(image)
        return turn_size(image.size, orientation), orientation


@contextmanager
def _reading(max_pixels: int) -> Iterator[None]:
    """Turn whatever a damaged file makes a decoder raise into an `ImageError` of one line."""
    try:
        yield
    except ImageError:
        raise
    except Exception as error:
        is_transient = isinstance(error, OSError) and error.errno in TRANSIENT
        kind = TransientError if is_transient else ImageError
        raise kind(_reason(error, max_pixels)) from error


def _load_bytes(data: bytes, least_wh: LeastWh | None, max_pixels: int) -> Photo:
    image = _open_image(io.BytesIO(data))
    size_wh = image.size
    _check_size(size_wh, max_pixels)
    is_jpeg = image.format in ("JPEG", "MPO")
    held_whole = is_jpeg and _has_several_scans(data)  # whatever it is reduced to
    most = _MOST_SCANNED // (size_wh[0] * size_wh[1])
    if held_whole and (scans := data.count(_SCAN)) > most:
        raise ImageError(f"a JPEG of {scans} scans, of this size expected at most {most}")
    if least_wh is not None and is_jpeg:
        image.draft(None, least_wh(size_wh))
    drafted_wh = image.size
    width, height = size_wh if held_whole else drafted_wh
    with _decoders.take(width * height * _BYTES.get(image.format or "", _MOST_OTHERS)):
        image.load()
        if image.size != drafted_wh:  # some formats learn their size from their pixels
            size_wh = image.size
            _check_size(size_wh, max_pixels)
        photo = _upright(image, size_wh, least_wh)
        del image  # frees what others may take now
    return photo


def _has_several_scans(data: bytes) -> bool:
    """Whether a JPEG is progressive, its first scan lacks colours, or its segments are no chain."""
    place, colours = 2, 0
    while data[place : place + 1] == b"\xff":
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4])
        if marker in (0xC0, 0xC1):  # a frame, baseline or extended
            colours = data[place + 9]
        elif marker == _SCAN[1]:
            return data[place + 4] != colours
        place += 2 + length
    return True


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
        return Image.open(file, formats=[name for name in _FURTHER_FORMATS if name in Image.OPEN])


def _check_size(size_wh: tuple[int, int], max_pixels: int) -> None:
    if 0 in size_wh:
        raise ImageError("an empty image")
    if size_wh[0] * size_wh[1] > max_pixels:
        raise ImageError(_too_large(max_pixels))
    if max(size_wh) > _LONGEST_SIDE:
        raise ImageError(f"a side of {max(size_wh)} pixels, expected at most {_LONGEST_SIDE}")


def _too_large(limit: int) -> str:
    return f"more than {f'{limit // 10**6} million' if limit >= 10**6 else limit} pixels"


def _upright(image: Image.Image, size_wh: tuple[int, int], least_wh: LeastWh | None) -> Photo:
    factor_wh, pixels = (1, 1), image.width * image.height
    if least_wh is not None and pixels > _LARGE_PIXELS:
        w, h = (side // least for side, least in zip(image.size, least_wh(image.size), strict=True))
        factor_wh = min(max(w, 1), _LARGEST_REDUCTION), min(max(h, 1), _LARGEST_REDUCTION)
        if pixels <= _LARGE_PIXELS * min(factor_wh) ** 2:  # else narrow, and by its long side alone
            factor_wh = min(factor_wh), min(factor_wh)
    orientation = read_orientation(image)
    return Photo(turn(to_pixels(image, factor_wh), orientation), turn_size(size_wh, orientation))


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
