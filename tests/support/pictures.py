"""Pictures that show how they were turned, and files that hold or claim them."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from maskinfer.data.images import LeastWh

ORIENTATION = 0x0112


def quarters(width: int = 64, height: int = 48) -> Image.Image:
    """A picture that looks different however it is turned: a colour for each quarter."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    pixels[: height // 2, width // 2 :] = (0, 255, 0)
    pixels[height // 2 :, : width // 2] = (0, 0, 255)
    pixels[height // 2 :, width // 2 :] = (255, 255, 255)
    return Image.fromarray(pixels)


def stored_as(upright: Image.Image, orientation: int) -> Image.Image:
    """The pixels that a camera held another way stores, so that turning them gives the picture."""
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    return upright if undo is None else upright.transpose(undo)


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[ORIENTATION] = orientation
    return block


def corners(pixels: np.ndarray) -> list[list[int]]:
    """The colours in the middles of the four quarters."""
    height, width = pixels.shape[:2]
    rows, columns = (height // 4, 3 * height // 4), (width // 4, 3 * width // 4)
    return [pixels[row, column].tolist() for row in rows for column in columns]


def assert_looks_like(pixels: np.ndarray, expected: Image.Image, tolerance: int = 6) -> None:
    assert pixels.dtype == np.uint8
    assert pixels.shape == (expected.height, expected.width, 3)
    np.testing.assert_allclose(corners(pixels), corners(np.asarray(expected)), atol=tolerance)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


def at_least(width: int, height: int) -> LeastWh:
    """A landscape photo's least sides, whichever way it is stored."""
    return lambda size_wh: (width, height) if size_wh[0] >= size_wh[1] else (height, width)


def large_in(mode: str, size_wh: tuple[int, int]) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (size_wh[1], size_wh[0], 3), np.uint8)
    image = Image.fromarray(noise)
    if mode.startswith("I"):
        wide = noise[..., 0].astype(np.int32) * 257
        return Image.fromarray(wide if mode == "I" else wide.astype(np.uint16))
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(noise[..., 0]))
    return image.convert(mode)


def _gray_jpeg() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (64, 64), 128).save(stream, "JPEG")
    return stream.getvalue()


def jpeg_of_scans(side: int, scans: int) -> bytes:
    """A grey baseline JPEG, each colour in a scan of its own, the last of them many times."""
    tables, frame = b"", b""
    data = _gray_jpeg()
    place = 2
    while data[place + 1] != 0xDA:
        length = int.from_bytes(data[place + 2 : place + 4])
        if data[place + 1] == 0xC0:
            colours = bytes([1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
            frame = b"\xff\xc0\0\x11\x08" + 2 * side.to_bytes(2) + b"\x03" + colours
        else:
            tables += data[place : place + 2 + length]
        place += 2 + length
    pixels = data[place + 2 + int.from_bytes(data[place + 2 : place + 4]) : -2]
    one_scan = [b"\xff\xda\0\x08\x01" + bytes([n, 0, 0, 63, 0]) + pixels for n in (1, 2, 3)]
    return data[:2] + tables + frame + b"".join(one_scan) + (scans - 3) * one_scan[0] + b"\xff\xd9"
