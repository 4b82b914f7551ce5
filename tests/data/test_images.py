import io
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.corpus import encode
from support.pictures import (
    assert_looks_like,
    exif,
    jpeg_of_scans,
    png_header,
    quarters,
    stored_as,
)

from maskinfer.data import images
from maskinfer.data.folders import IMAGE_SUFFIXES
from maskinfer.data.images import (
    MAX_PIXELS,
    Photo,
    image_size,
    load_photo,
    smallest,
)
from maskinfer.errors import ImageError


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


def test_a_side_too_long_to_be_reduced_is_refused() -> None:
    data = encode(Image.new("1", (100_001, 1)), "PNG")
    with pytest.raises(ImageError, match="a side of 100001 pixels, expected at most 100000"):
        load_photo(data, smallest)


def test_a_jpeg_that_would_take_minutes_is_refused() -> None:
    data = encode(Image.new("RGB", (2000, 1000), "grey"), "JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    load_photo(data[:scan] + 100 * data[scan:-2] + data[-2:])
    with pytest.raises(ImageError, match=r"a JPEG of 15\d\d scans, .* at most 1250"):
        load_photo(data[:scan] + 1500 * data[scan:-2] + data[-2:])


def test_a_jpeg_s_scans_are_counted_whatever_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    take = images._decoders.take
    monkeypatch.setattr(images._decoders, "take", lambda size: taken.append(size) or take(size))
    assert load_photo(jpeg_of_scans(2000, 3), smallest).size_wh == (2000, 2000)
    load_photo(encode(Image.new("RGB", (2000, 2000)), "JPEG"), smallest)
    assert taken[0] == 64 * taken[1]  # held whole, not reduced by 8
    with pytest.raises(ImageError, match="a JPEG of 700 scans, of this size expected at most 625"):
        load_photo(jpeg_of_scans(2000, 700), smallest)


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
