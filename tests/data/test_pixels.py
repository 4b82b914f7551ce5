import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.corpus import encode
from support.pictures import (
    ORIENTATION,
    assert_looks_like,
    exif,
    large_in,
    quarters,
    stored_as,
)

from maskinfer.data.images import (
    image_size,
    load_photo,
    read_header,
)
from maskinfer.errors import ImageError


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_orientation_gives_the_upright_picture(
    tmp_path: Path, format_: str, orientation: Any
) -> None:
    upright = quarters()
    path = tmp_path / "photo"
    path.write_bytes(
        encode(stored_as(upright, orientation), format_, exif=exif(orientation), quality=95)
    )

    photo = load_photo(path)

    assert_looks_like(photo.pixels, upright, tolerance=12)
    assert photo.size_wh == image_size(path) == upright.size


def test_header_says_how_the_pixels_are_stored(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(stored_as(quarters(), 6), "JPEG", exif=exif(6)))

    assert read_header(path) == ((64, 48), 6)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_impossible_orientations_are_upright(orientation: int) -> None:
    photo = load_photo(encode(quarters(), "JPEG", exif=exif(orientation)))

    assert_looks_like(photo.pixels, quarters())


def exif_with(*entries: tuple[int, int, int, bytes]) -> bytes:
    packed = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + packed + b"\0\0\0\0"


TURNED = (ORIENTATION, 3, 1, b"\x06\0\0\0")
FAR = struct.pack("<I", 99999)


@pytest.mark.parametrize(
    "block",
    [
        b"Exif\0\0",
        b"Exif\0\0garbage",
        exif_with(TURNED)[:-8],
        exif_with((ORIENTATION, 3, 0, b"\0\0\0\0")),
        exif_with((ORIENTATION, 2, 3, b"ab\0\0")),
    ],
    ids=["empty", "garbage", "cut short", "no value", "text"],
)
def test_corrupt_exif_still_decodes(tmp_path: Path, block: Any) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(quarters(), "JPEG", exif=block))

    assert_looks_like(load_photo(path).pixels, quarters())
    assert image_size(path) == (64, 48)


@pytest.mark.parametrize(
    "damage",
    [(0x010F, 2, 100, FAR), (0x8769, 4, 1, FAR), (0x8825, 4, 2, FAR), (0x011A, 5, 1, FAR)],
    ids=["maker", "exif block", "gps block", "resolution"],
)
def test_orientation_is_found_beside_damaged_exif_entries(damage: Any) -> None:
    data = encode(stored_as(quarters(), 6), "JPEG", exif=exif_with(TURNED, damage))

    assert_looks_like(load_photo(data).pixels, quarters())


WHITE, RED = [255, 255, 255], [255, 0, 0]


def test_cmyk_becomes_rgb() -> None:
    photo = load_photo(encode(quarters().convert("CMYK"), "JPEG", quality=95))

    assert_looks_like(photo.pixels, quarters(), tolerance=12)


def test_palette_becomes_rgb() -> None:
    photo = load_photo(encode(quarters().quantize(8), "PNG"))

    assert_looks_like(photo.pixels, quarters())


@pytest.mark.parametrize("transparency", [0, b"\0"], ids=["index", "table"])
def test_transparent_palette_entries_become_white(transparency: bytes | int) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.paste(0, (0, 0, 4, 8))

    pixels = load_photo(encode(image, "PNG", transparency=transparency)).pixels

    assert [pixels[4, 1].tolist(), pixels[4, 6].tolist()] == [WHITE, RED]


def test_transparent_gif_becomes_white() -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])

    assert (load_photo(encode(image, "GIF", transparency=0)).pixels == 255).all()


def test_transparency_is_laid_on_white() -> None:
    image = Image.new("RGBA", (3, 1))
    for x, alpha in enumerate((0, 255, 128)):
        image.putpixel((x, 0), (255, 0, 0, alpha))

    pixels = load_photo(encode(image, "PNG")).pixels

    assert pixels[0, :2].tolist() == [WHITE, RED]
    np.testing.assert_allclose(pixels[0, 2], [255, 127, 127], atol=1)


def test_grey_with_alpha_is_laid_on_white() -> None:
    image = Image.new("LA", (2, 1), (0, 0))
    image.putpixel((1, 0), (77, 255))

    assert load_photo(encode(image, "PNG")).pixels[0].tolist() == [WHITE, [77, 77, 77]]


@pytest.mark.parametrize(
    ("image", "format_", "expected"),
    [
        (Image.new("L", (4, 4), 200), "PNG", 200),
        (Image.new("1", (4, 4), 1), "PNG", 255),
        (Image.new("1", (4, 4), 1), "TIFF", 255),
        (Image.fromarray(np.full((4, 4), 200 * 257, np.uint16)), "PNG", 200),
        (Image.fromarray(np.full((4, 4), 200 * 257, np.uint16)), "TIFF", 200),
        (Image.fromarray(np.full((4, 4), 200, np.int32)), "TIFF", 200),
        (Image.fromarray(np.full((4, 4), 200 * 256, np.int32)), "TIFF", 200),
    ],
    ids=["8", "1", "1 TIFF", "16", "16 TIFF", "32 holding 8", "32 holding 16"],
)
def test_grey_of_any_depth_becomes_rgb(image: Any, format_: str, expected: int) -> None:
    pixels = load_photo(encode(image, format_)).pixels

    assert pixels.shape == (4, 4, 3)
    assert (pixels == expected).all()


def test_float_pixels_are_refused() -> None:
    with pytest.raises(ImageError, match="8-bit"):
        load_photo(encode(Image.new("F", (4, 4), 0.5), "TIFF"))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_large_images_of_any_mode_give_the_same_pixels(mode: str, orientation: int) -> None:
    """They are brought to RGB in strips: 2500 x 2001 pixels are more than one."""
    small = large_in(mode, (50, 40)).resize((2500, 2001), Image.Resampling.NEAREST)
    image = stored_as(small, orientation)
    image.getexif()[ORIENTATION] = orientation

    pixels = load_photo(image).pixels

    one_by_one = np.concatenate(
        [load_photo(small.crop((0, y, 2500, y + 69))).pixels for y in range(0, 2001, 69)]
    )
    assert (pixels == one_by_one).all()
