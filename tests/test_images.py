import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskinfer.errors import ImageError
from maskinfer.images import MAX_PIXELS, Header, image_size, load_photo, read_header

# `maskinfer.images` sets this filter once; pytest takes it away for each test.

ORIENTATION = 0x0112


def quarters(width: int = 64, height: int = 48) -> Image.Image:
    """A picture that looks different however it is turned: a colour for each quarter."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    pixels[: height // 2, width // 2 :] = (0, 255, 0)
    pixels[height // 2 :, : width // 2] = (0, 0, 255)
    pixels[height // 2 :, width // 2 :] = (255, 255, 255)
    return Image.fromarray(pixels)


def encode(image: Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


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


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_orientation_gives_the_upright_picture(tmp_path, format_, orientation):
    upright = quarters()
    path = tmp_path / "photo"
    path.write_bytes(
        encode(stored_as(upright, orientation), format_, exif=exif(orientation), quality=95)
    )

    photo = load_photo(path)

    assert_looks_like(photo.pixels, upright, tolerance=12)
    assert photo.size_wh == image_size(path) == upright.size


def test_header_tells_how_the_pixels_are_stored(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(stored_as(quarters(), 6), "JPEG", exif=exif(6)))

    assert read_header(path) == Header((64, 48), 6)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_impossible_orientations_are_upright(orientation):
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
def test_corrupt_exif_still_decodes(tmp_path, block):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(quarters(), "JPEG", exif=block))

    assert_looks_like(load_photo(path).pixels, quarters())
    assert image_size(path) == (64, 48)


@pytest.mark.parametrize(
    "damage",
    [(0x010F, 2, 100, FAR), (0x8769, 4, 1, FAR), (0x8825, 4, 2, FAR), (0x011A, 5, 1, FAR)],
    ids=["maker", "exif block", "gps block", "resolution"],
)
def test_orientation_is_found_beside_damaged_exif_entries(damage):
    data = encode(stored_as(quarters(), 6), "JPEG", exif=exif_with(TURNED, damage))

    assert_looks_like(load_photo(data).pixels, quarters())


WHITE, RED = [255, 255, 255], [255, 0, 0]


def test_cmyk_becomes_rgb():
    photo = load_photo(encode(quarters().convert("CMYK"), "JPEG", quality=95))

    assert_looks_like(photo.pixels, quarters(), tolerance=12)


def test_palette_becomes_rgb():
    photo = load_photo(encode(quarters().quantize(8), "PNG"))

    assert_looks_like(photo.pixels, quarters())


@pytest.mark.parametrize("transparency", [0, b"\0"], ids=["index", "table"])
def test_transparent_palette_entries_become_white(transparency):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.paste(0, (0, 0, 4, 8))

    pixels = load_photo(encode(image, "PNG", transparency=transparency)).pixels

    assert [pixels[4, 1].tolist(), pixels[4, 6].tolist()] == [WHITE, RED]


def test_transparent_gif_becomes_white():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])

    assert (load_photo(encode(image, "GIF", transparency=0)).pixels == 255).all()


def test_transparency_is_laid_on_white():
    image = Image.new("RGBA", (3, 1))
    for x, alpha in enumerate((0, 255, 128)):
        image.putpixel((x, 0), (255, 0, 0, alpha))

    pixels = load_photo(encode(image, "PNG")).pixels

    assert pixels[0, :2].tolist() == [WHITE, RED]
    np.testing.assert_allclose(pixels[0, 2], [255, 127, 127], atol=1)


def test_grey_with_alpha_is_laid_on_white():
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
def test_grey_of_any_depth_becomes_rgb(image, format_, expected):
    pixels = load_photo(encode(image, format_)).pixels

    assert pixels.shape == (4, 4, 3)
    assert (pixels == expected).all()


def test_float_pixels_are_refused():
    with pytest.raises(ImageError, match="8-bit"):
        load_photo(encode(Image.new("F", (4, 4), 0.5), "TIFF"))


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


@pytest.mark.parametrize("read", [load_photo, image_size])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an image"),
        (b"these are words", "not an image"),
        (b"\xff\xd8\xff", "not an image"),
        (png_header(100_000, 100_000), "million pixels"),
        (png_header(20_000, MAX_PIXELS // 20_000 + 1), "million pixels"),
    ],
    ids=["empty", "text", "three bytes", "huge", "one row too large"],
)
def test_what_is_no_image_is_refused(tmp_path, read, data, reason):
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)

    with pytest.raises(ImageError, match=reason) as caught:
        read(path)

    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_truncated_files_are_refused(format_):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), format_)

    with pytest.raises(ImageError):
        load_photo(data[: len(data) // 2])


@pytest.mark.parametrize("name", ["gone.jpg", "folder", "nul\0.jpg"])
def test_paths_that_are_no_file_are_refused(tmp_path, name):
    (tmp_path / "folder").mkdir()

    for read in (load_photo, image_size):
        with pytest.raises(ImageError):
            read(tmp_path / name)


def test_paths_bytes_and_pillow_images_give_the_same(tmp_path):
    data = encode(stored_as(quarters(), 6), "JPEG", exif=exif(6))
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)

    with Image.open(path) as opened:
        sources = [path, str(path), data, opened]
        photos = [load_photo(source) for source in sources]

    assert all(photo.size_wh == (64, 48) for photo in photos)
    assert all((photo.pixels == photos[0].pixels).all() for photo in photos)


def test_arrays_are_taken_as_they_are():
    rgb = np.asarray(quarters())
    grey = np.full((4, 6), 9, np.uint8)

    assert (load_photo(rgb).pixels == rgb).all()
    assert load_photo(rgb).size_wh == (64, 48)
    assert load_photo(grey).pixels.shape == (4, 6, 3)
    assert (load_photo(grey).pixels == 9).all()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros(5, np.uint8),
    ],
    ids=["empty", "four channels", "float", "batch", "flat"],
)
def test_other_arrays_are_refused(array):
    with pytest.raises(ImageError, match="expected"):
        load_photo(array)


@pytest.mark.parametrize("min_side", [1, 100, 112, 224, 448, 900, 5000])
@pytest.mark.parametrize("orientation", [1, 6])
def test_reduced_decoding_keeps_the_size_and_enough_pixels(min_side, orientation):
    upright = quarters(1003, 901)
    data = encode(stored_as(upright, orientation), "JPEG", exif=exif(orientation))

    photo = load_photo(data, min_side=min_side)

    assert photo.size_wh == (1003, 901)
    assert min(photo.pixels.shape[:2]) >= min(min_side, 901)
    np.testing.assert_allclose(corners(photo.pixels), corners(np.asarray(upright)), atol=6)
    if min_side <= 112:
        assert max(photo.pixels.shape[:2]) < 300


def test_no_warning_of_pillow_escapes(tmp_path):
    """In a process of its own, as pytest has filters of its own."""
    damaged = exif_with(TURNED, (0x010F, 2, 100, FAR), (0x8769, 4, 1, FAR))
    (tmp_path / "exif.jpg").write_bytes(encode(quarters(), "JPEG", exif=damaged))
    (tmp_path / "large.png").write_bytes(png_header(20_000, 10_000))
    (tmp_path / "bomb.png").write_bytes(png_header(20_000, 15_000))
    code = (
        "import sys, pathlib\n"
        "from maskinfer.images import load_photo, image_size\n"
        "from maskinfer.errors import ImageError\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    for read in (image_size, load_photo):\n"
        "        if (path.name, read) != ('large.png', load_photo):\n"
        "            try: print(path.name, 'read', bool(read(path)))\n"
        "            except ImageError as error: print(path.name, error)\n"
    )

    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
    )

    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "bomb.png more than 250 million pixels",
        "bomb.png more than 250 million pixels",
        "exif.jpg read True",
        "exif.jpg read True",
        "large.png read True",
    ]
