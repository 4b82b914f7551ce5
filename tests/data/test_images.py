import io
import os
import socket
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from maskinfer.data import images
from maskinfer.data.folders import IMAGE_SUFFIXES
from maskinfer.data.images import (
    MAX_PIXELS,
    Header,
    LeastWh,
    Photo,
    image_size,
    load_photo,
    read_header,
)
from maskinfer.errors import ImageError

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


def test_header_tells_how_the_pixels_are_stored(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(stored_as(quarters(), 6), "JPEG", exif=exif(6)))

    assert read_header(path) == Header((64, 48), 6)


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
def test_what_is_no_image_is_refused(tmp_path: Path, read: Any, data: Any, reason: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)

    with pytest.raises(ImageError, match=reason) as caught:
        read(path)

    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_truncated_files_are_refused(format_: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), format_)

    with pytest.raises(ImageError):
        load_photo(data[: len(data) // 2])


@pytest.mark.parametrize("name", ["gone.jpg", "folder", "nul\0.jpg"])
def test_paths_that_are_no_file_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()

    for read in (load_photo, image_size):
        with pytest.raises(ImageError):
            read(tmp_path / name)


def test_paths_bytes_and_pillow_images_give_the_same(tmp_path: Path) -> None:
    data = encode(stored_as(quarters(), 6), "JPEG", exif=exif(6))
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)

    with Image.open(path) as opened:
        sources = [path, str(path), data, opened]
        photos = [load_photo(source) for source in sources]

    assert all(photo.size_wh == (64, 48) for photo in photos)
    assert all((photo.pixels == photos[0].pixels).all() for photo in photos)


def test_arrays_are_taken_as_they_are() -> None:
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
def test_other_arrays_are_refused(array: Any) -> None:
    with pytest.raises(ImageError, match="expected"):
        load_photo(array)


def at_least(width: int, height: int) -> LeastWh:
    """A landscape photo's least sides, whichever way it is stored."""
    return lambda size_wh: (width, height) if size_wh[0] >= size_wh[1] else (height, width)


@pytest.mark.parametrize("width", [1, 100, 112, 224, 448, 900, 5000])
@pytest.mark.parametrize("height", [1, 112, 300])
@pytest.mark.parametrize("orientation", [1, 6])
def test_reduced_decoding_keeps_the_size_and_enough_pixels(
    width: int, height: int, orientation: int
) -> None:
    upright = quarters(1003, 901)
    data = encode(stored_as(upright, orientation), "JPEG", exif=exif(orientation))

    photo = load_photo(data, at_least(width, height))

    assert photo.size_wh == (1003, 901)
    assert photo.pixels.shape[1] >= min(width, 1003)
    assert photo.pixels.shape[0] >= min(height, 901)
    np.testing.assert_allclose(corners(photo.pixels), corners(np.asarray(upright)), atol=6)
    if max(width, height) <= 112:
        assert max(photo.pixels.shape[:2]) < 300


def test_reduced_decoding_of_what_phones_write_beside_jpeg() -> None:
    data = encode(quarters(1000, 800), "MPO", save_all=True, append_images=[quarters()])

    photo = load_photo(data, at_least(100, 80))

    assert photo.size_wh == (1000, 800)
    assert photo.pixels.shape == (100, 125, 3)
    np.testing.assert_allclose(corners(photo.pixels), corners(np.asarray(quarters())), atol=6)


def test_decoding_is_told_the_stored_sides() -> None:
    asked = []

    def least_wh(size_wh: tuple[int, int]) -> tuple[int, int]:
        asked.append(size_wh)
        return size_wh

    load_photo(encode(stored_as(quarters(), 6), "JPEG", exif=exif(6)), least_wh)

    assert asked == [(48, 64)]


ALLOW_LARGE = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")


@ALLOW_LARGE
def test_what_pillow_only_warns_of_is_read() -> None:
    photo = load_photo(encode(Image.new("1", (12_000, 9_000), 1), "PNG"), at_least(448, 448))

    assert photo.size_wh == (12_000, 9_000)
    assert photo.pixels.shape == (1125, 1500, 3)
    assert (photo.pixels == 255).all()


@ALLOW_LARGE
def test_limits_of_ours_and_of_pillow_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(png_header(20_000, 15_000))
    for pillow_s, said in ((None, 250), (10**9, 250), (120_000_000, 240)):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillow_s)
        for read in (load_photo, image_size):
            with pytest.raises(ImageError, match=f"^more than {said} million pixels$"):
                read(path)


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


def large_in(mode: str, size_wh: tuple[int, int]) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (size_wh[1], size_wh[0], 3), np.uint8)
    image = Image.fromarray(noise)
    if mode.startswith("I"):
        wide = noise[..., 0].astype(np.int32) * 257
        return Image.fromarray(wide if mode == "I" else wide.astype(np.uint16))
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(noise[..., 0]))
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16"])
def test_very_large_images_are_reduced_where_less_will_do(mode: str) -> None:
    upright = large_in(mode, (3, 2)).resize((6001, 4500), Image.Resampling.NEAREST)
    data = encode(stored_as(upright, 6), "PNG", compress_level=1, exif=exif(6))

    whole, reduced = load_photo(data), load_photo(data, at_least(1000, 1000))

    assert whole.size_wh == reduced.size_wh == (6001, 4500)
    assert whole.pixels.shape == (4500, 6001, 3)
    assert reduced.pixels.shape == (1125, 1501, 3)
    np.testing.assert_allclose(corners(reduced.pixels), corners(whole.pixels), atol=1)
    assert load_photo(data, at_least(1501, 1)).pixels.shape == (1500, 2001, 3)
    assert load_photo(data, at_least(3001, 1)).pixels.shape == (4500, 6001, 3)


@pytest.mark.parametrize(("limit", "said"), [(2999, "2999"), (10**6, "1 million")])
@pytest.mark.parametrize("in_memory", [False, True], ids=["file", "Pillow image"])
def test_limit_of_pixels_is_the_caller_s(limit: int, said: str, in_memory: bool) -> None:
    image = Image.new("L", (limit + 1, 1) if limit < 10**4 else (1001, 1000))
    source = image if in_memory else encode(image, "PNG")

    with pytest.raises(ImageError, match=f"^more than {said} pixels$"):
        load_photo(source, max_pixels=limit)
    assert load_photo(source, max_pixels=1_001_000).size_wh == image.size


def test_size_that_the_pixels_show_is_held_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = ImageFile.ImageFile.load

    def decode_and_grow(image: ImageFile.ImageFile) -> object:
        decode(image)
        image._size = (300, 200)
        return image.im

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode_and_grow)
    with pytest.raises(ImageError, match=r"^more than 50000 pixels$"):
        load_photo(encode(quarters(), "BMP"), max_pixels=50_000)


@pytest.mark.parametrize("kind", ["PNG", "progressive JPEG", "large file"])
def test_one_large_image_is_decoded_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    source = encode(quarters(), "PNG")
    if kind == "large file":
        monkeypatch.setattr(images, "_LARGE_BYTES", len(source) - 1)
        (tmp_path / "a.png").write_bytes(source)
        source = tmp_path / "a.png"
    else:
        monkeypatch.setattr(images, "_LARGE_PIXELS", 64 * 48 - 1)
    if kind == "progressive JPEG":
        source = encode(quarters(), "JPEG", progressive=True)
    passing = encode(quarters(), "JPEG")
    with ThreadPoolExecutor(1) as pool, images._one_large_image:
        done = pool.submit(load_photo, source, at_least(8, 6))
        with pytest.raises(TimeoutError):
            done.result(timeout=0.2)
        assert load_photo(passing, at_least(8, 6)).pixels.shape == (6, 8, 3)
        images._one_large_image.release()
        try:
            assert done.result(timeout=10).size_wh == (64, 48)
        finally:
            images._one_large_image.acquire()


def test_a_pillow_image_may_change_after_it_was_read() -> None:
    source = quarters()
    photo = load_photo(source)
    source.paste(0, (0, 0, 64, 48))
    source.close()

    assert_looks_like(photo.pixels, quarters())


def test_photo_gives_its_pixels_in_either_form() -> None:
    pixels = np.asarray(quarters())
    for photo in (Photo(pixels, (9, 9)), Photo(quarters(), (9, 9))):
        assert (photo.pixels == pixels).all()
        assert photo.image.tobytes() == quarters().tobytes()
        assert photo.size_wh == (9, 9)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak as Linux counts it")
def test_very_large_images_take_little_more_memory_than_their_pixels(tmp_path: Path) -> None:
    Image.new("L", (12_000, 7_000), 77).save(tmp_path / "grey.png")
    code = (
        "import resource, sys, maskinfer.data.images as images\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "images.load_photo(sys.argv[1], lambda _: (448, 448))\n"
        "print((peak() - before) // 1024)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "grey.png")],
        capture_output=True,
        text=True,
        check=True,
    )

    assert int(done.stdout) < 84 + 100  # MiB


FOREIGN = ["EPS", "ICO", "ICNS", "JPEG2000", "PCX", "PDF", "PPM", "SGI", "TGA", "DDS", "QOI"]


@pytest.mark.parametrize("read", [load_photo, image_size])
@pytest.mark.parametrize("format_", FOREIGN)
def test_formats_that_no_ending_stands_for_are_refused(
    tmp_path: Path, read: Any, format_: Any
) -> None:
    path = tmp_path / "photo.jpg"
    quarters(64, 64).save(path, format_)

    with pytest.raises(ImageError, match="not an image, or of an unknown format"):
        read(path)


def test_formats_that_endings_stand_for_are_read(tmp_path: Path) -> None:
    """HEIF needs a plugin, whose format is asked for only once it is there."""
    for suffix in sorted(IMAGE_SUFFIXES - {".heic", ".heif"}):
        path = tmp_path / "photo"
        quarters().save(path, Image.registered_extensions()[suffix])
        assert load_photo(path).size_wh == image_size(path) == (64, 48)
    quarters().save(tmp_path / "photo", "DIB")
    assert load_photo(tmp_path / "photo").size_wh == (64, 48)


def test_a_format_that_a_plugin_brings_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL.BmpImagePlugin import BmpImageFile

    class Brought(BmpImageFile):
        format = "HEIF"

        def _open(self):
            self.fp = io.BytesIO(b"BM" + self.fp.read()[2:])
            super()._open()

    monkeypatch.setitem(Image.OPEN, "HEIF", (Brought, lambda prefix: prefix[:2] == b"HE"))
    data = b"HE" + encode(quarters(), "BMP")[2:]

    assert_looks_like(load_photo(data).pixels, quarters())


@pytest.mark.parametrize("read", [load_photo, image_size])
def test_folders_and_sockets_are_refused(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "x.jpg"
    with pytest.raises(ImageError, match="Is a directory"):
        read(tmp_path)
    if hasattr(socket, "AF_UNIX"):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            with pytest.raises(ImageError, match=r"^not a regular file$"):
                read(path)
    if Path(os.devnull).exists():
        with pytest.raises(ImageError, match=r"^not a regular file$"):
            read(Path(os.devnull))


@pytest.mark.skipif(sys.platform != "linux", reason="counts open files as Linux lists them")
@pytest.mark.parametrize("read", [load_photo, image_size])
def test_no_file_stays_open(tmp_path: Path, read: Any) -> None:
    (tmp_path / "text.jpg").write_text("words")
    (tmp_path / "half.jpg").write_bytes(encode(quarters(), "JPEG")[:400])
    (tmp_path / "whole.tif").write_bytes(encode(quarters(), "TIFF", compression="tiff_lzw"))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    for path in (tmp_path, *tmp_path.iterdir(), Path(os.devnull), tmp_path / "gone"):
        with suppress(ImageError):
            read(path)

    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize("read", [load_photo, image_size])
def test_files_too_large_to_be_images_are_refused_unread(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "x.jpg"
    path.touch()
    os.truncate(path, 10**9 + 1)  # a hole, which takes no room

    with pytest.raises(ImageError, match=r"^larger than 1000 MB$"):
        read(path)


@pytest.mark.parametrize("size_wh", [(0, 5), (5, 0), (0, 0)])
def test_empty_images_are_refused(size_wh: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="an empty image"):
        load_photo(Image.new("RGB", size_wh))


def test_pillow_s_settings_are_the_host_program_s() -> None:
    """In a process of its own, as this one has imported it long ago."""
    code = (
        "import warnings, numpy\n"
        "from PIL import Image\n"
        "before = list(warnings.filters), Image.MAX_IMAGE_PIXELS\n"
        "import maskinfer.inference.detector, maskinfer.importers.importing, maskinfer.cli\n"
        "assert (list(warnings.filters), Image.MAX_IMAGE_PIXELS) == before\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
