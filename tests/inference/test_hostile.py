"""Whatever a file holds, it becomes a photo or an `ImageError` of one line, and soon."""

import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.corpus import build, encode
from support.tiny_model import draw_photo

from maskinfer import MaskDetector
from maskinfer.data.geometry import Geometry, decode_wh
from maskinfer.data.images import LeastWh, load_photo, read_header
from maskinfer.errors import ImageError

with tempfile.TemporaryDirectory() as _folder:
    NAMES = sorted(build(Path(_folder)))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str | None]]:
    folder = tmp_path_factory.mktemp("corpus")
    return folder, build(folder)


def least_wh(size_wh: tuple[int, int]) -> tuple[int, int]:
    return decode_wh(Geometry.letterbox(32), size_wh)


def test_corpus_is_large_enough() -> None:
    assert len(NAMES) >= 45


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_every_file_is_a_photo_or_a_reason(corpus: Any, tiny_model: Path, name: Any) -> None:
    folder, expected = corpus
    reason = expected[name]
    start = time.monotonic()

    if reason is None:
        photo = load_photo(folder / name, least_wh)
        assert photo.pixels.shape[2] == 3
        assert read_header(folder / name)[0] == photo.size_wh
        MaskDetector(tiny_model, provider="cpu")(folder / name)
    else:
        with pytest.raises(ImageError) as caught:
            load_photo(folder / name, least_wh)
        assert reason in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1

    assert time.monotonic() - start < 10


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_of_the_corpus_turn_the_photo(corpus: Any, orientation: Any) -> None:
    photo = load_photo(corpus[0] / f"orientation {orientation}.jpg")

    assert photo.size_wh == ((128, 64) if orientation < 5 else (64, 128))


@pytest.mark.parametrize("name", ["cmyk.jpg", "ycck.jpg", "cmyk.tif", "cmyk unmarked.jpg"])
def test_cmyk_of_any_kind_keeps_its_colours(corpus: Any, name: str) -> None:
    red, green, blue = load_photo(corpus[0] / name).pixels[32, 32].tolist()

    assert red > 240
    assert green > 240
    assert abs(blue - 200) < 15


@pytest.mark.parametrize("name", ["moving.gif", "moving.png", "moving.webp", "pages.tiff"])
def test_the_first_picture_is_read(corpus: Any, name: str) -> None:
    assert abs(int(load_photo(corpus[0] / name).pixels[32, 32, 2]) - 200) < 15


def seeds() -> dict[str, list[bytes]]:
    """Small valid files of each format, in several modes."""
    photo, exif = draw_photo((24, 16), (0, 0, 12, 16)), Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "described"
    moving = {"save_all": True, "append_images": [draw_photo((24, 16))]}
    return {
        "JPEG": [
            encode(photo, "JPEG", exif=exif),
            encode(photo.convert("CMYK"), "JPEG"),
            encode(photo, "JPEG", progressive=True),
            encode(photo, "MPO", **moving),
        ],
        "PNG": [
            encode(photo, "PNG", exif=exif, icc_profile=b"junk"),
            encode(photo.quantize(4), "PNG", transparency=0),
            encode(photo.convert("LA"), "PNG"),
            encode(photo, "PNG", **moving),
        ],
        "GIF": [encode(photo, "GIF"), encode(photo, "GIF", **moving)],
        "BMP": [encode(photo, "BMP"), encode(photo.convert("1"), "BMP"), encode(photo, "DIB")],
        "WEBP": [
            encode(photo, "WEBP", exif=exif),
            encode(photo.convert("RGBA"), "WEBP", lossless=True),
            encode(photo, "WEBP", **moving),
        ],
        "TIFF": [
            encode(photo, "TIFF", exif=exif),
            encode(photo, "TIFF", compression="jpeg"),
            encode(photo.convert("1"), "TIFF", compression="group4"),
            encode(photo.convert("CMYK"), "TIFF", compression="tiff_lzw"),
            encode(photo, "TIFF", **moving),
        ],
        "AVIF": [encode(photo, "AVIF", exif=exif)],
    }


SEEDS = seeds()


@st.composite
def mutated(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """A valid file with bytes changed, cut out, put in, or joined to another file's."""
    data = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(1, 6))):
        # Headers are short and decide most.
        place = draw(st.integers(0, len(data)) | st.integers(0, min(len(data), 64)))
        match draw(st.sampled_from(["flip", "set", "cut", "insert", "splice", "end"])):
            case "flip" if place < len(data):
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "set":
                new = draw(st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff"]))
                data[place : place + len(new)] = new
            case "cut":
                del data[place : place + draw(st.integers(1, 40))]
            case "insert":
                data[place:place] = draw(st.binary(min_size=1, max_size=40))
            case "splice":
                other = draw(st.sampled_from(files))
                data[place:] = other[draw(st.integers(0, len(other))) :]
            case "end":
                del data[place:]
    return bytes(data)


def read(data: bytes, least: LeastWh | None) -> None:
    message = ""
    try:
        photo = load_photo(data, least, max_pixels=10**6)
        assert photo.pixels.shape[2:] == (3,)
    except ImageError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1


@pytest.mark.parametrize("format_", SEEDS)
@given(st.data())
def test_damaged_files_raise_nothing_but_image_errors(format_: Any, data: Any) -> None:
    damaged = data.draw(mutated(SEEDS[format_]))
    read(damaged, None)
    read(damaged, least_wh)


@given(st.binary(max_size=200), st.sampled_from([f[:16] for s in SEEDS.values() for f in s]))
def test_random_bytes_raise_nothing_but_image_errors(tail: Any, head: Any) -> None:
    read(tail, least_wh)
    read(head + tail, least_wh)
