"""Stored pixels to upright 8-bit RGB: colour modes, transparency, EXIF orientation."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskinfer.errors import ImageError

Pixels = NDArray[np.uint8]

# Pixels brought to RGB at a time: Pillow keeps 4 bytes for each, an array's copy 3.
_STRIP_PIXELS = 4_000_000

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def to_pixels(image: Image.Image, factor_wh: tuple[int, int]) -> Pixels | Image.Image:
    """Bring an image to RGB, its sides divided by factors and rounded up.

    Strip by strip where it is larger than one, which bounds the memory. Returns (H, W, 3), or, of a
    small image, Pillow's RGB image; an `ImageError` where its mode does not say which number is
    white.
    """
    if image.mode == "F":
        raise ImageError("floating-point pixels, whose range is not known; save it as 8-bit")
    if image.mode == "I":  # 32 bits a pixel, holding 8 or 16
        image = image.convert("I;16" if np.max(image.getextrema()) > 255 else "L")
    if image.width * image.height <= _STRIP_PIXELS:
        return _to_rgb(image)
    width, height = (-(-side // factor) for side, factor in zip(image.size, factor_wh, strict=True))
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    rows = max(1, _STRIP_PIXELS // (image.width * factor_wh[1]))  # of `pixels`, a strip
    for top in range(0, height, rows):
        bottom = min((top + rows) * factor_wh[1], image.height)
        strip = _to_rgb(image.crop((0, top * factor_wh[1], image.width, bottom)))
        pixels[top : top + rows] = np.asarray(
            strip.reduce(factor_wh) if max(factor_wh) > 1 else strip
        )
    return pixels


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        rgb = Image.new("RGB", image.size, "white")
        rgb.paste(rgba, mask=rgba.getchannel("A"))
        return rgb
    return image if image.mode == "RGB" else image.convert("RGB")


def read_orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 5 to 8 swap the sides; 1 where EXIF is missing or damaged."""
    if image.format == "TIFF":  # Pillow turns these by itself, and gives the upright size
        return 1
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # a damaged EXIF block is no reason to refuse the pixels
        return 1
    return orientation if orientation in range(1, 9) else 1


def turn(pixels: Pixels | Image.Image, orientation: int) -> Pixels | Image.Image:
    """Turn stored pixels upright."""
    if orientation == 1:
        return pixels
    if isinstance(pixels, Image.Image):
        return pixels.transpose(_TURNS[orientation])
    # Arrays hold the large images: Pillow is faster, but would take 8 bytes a pixel more.
    if orientation in (3, 4, 6, 7):
        pixels = pixels[::-1]
    if orientation in (2, 3, 7, 8):
        pixels = pixels[:, ::-1]
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    return np.ascontiguousarray(pixels)


def turn_size(size_wh: tuple[int, int], orientation: int) -> tuple[int, int]:
    """The size of the upright image."""
    return size_wh[::-1] if orientation >= 5 else size_wh
