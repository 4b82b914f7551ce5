import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile
from support.corpus import encode
from support.pictures import (
    at_least,
    corners,
    exif,
    large_in,
    png_header,
    quarters,
    stored_as,
)

from maskinfer.data import images
from maskinfer.data.images import (
    image_size,
    load_photo,
)
from maskinfer.errors import ImageError


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


def test_decoding_asks_about_the_stored_sides() -> None:
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
    assert load_photo(data, at_least(3001, 1)).pixels.shape == (563, 6001, 3)


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


@pytest.mark.parametrize("kind", ["PNG", "progressive JPEG", "file"])
def test_images_wait_where_others_take_all_memory_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    budget = images._Budget(64 * 48 * 11 * 3 // 2)
    monkeypatch.setattr(images, "_files" if kind == "file" else "_decoders", budget)
    source = encode(quarters(), "PNG")
    if kind == "file":
        budget._limit = len(source)
        (tmp_path / "a.png").write_bytes(source)
        source = tmp_path / "a.png"
    elif kind == "progressive JPEG":
        source = encode(quarters(), "JPEG", progressive=True)
    passing = encode(quarters(), "JPEG")
    with ThreadPoolExecutor(1) as pool:
        with budget.take(budget._limit // 2 + 1):
            done = pool.submit(load_photo, source, at_least(8, 6))
            with pytest.raises(TimeoutError):
                done.result(timeout=0.2)
            assert load_photo(passing, at_least(8, 6)).pixels.shape == (6, 8, 3)
        assert done.result(timeout=10).size_wh == (64, 48)


def test_an_image_that_takes_more_than_there_is_waits_until_it_is_alone() -> None:
    budget = images._Budget(10)
    with ThreadPoolExecutor(8) as pool:
        together: list[int] = []
        most: list[int] = []

        def take(size: int) -> None:
            with budget.take(size):
                together.append(size)
                most.append(sum(together))
                time.sleep(0.002)
                together.remove(size)

        list(pool.map(take, [3, 99, 4, 5, 99, 1, 10, 9] * 8))
    assert {total for total in most if total > 10} == {99}


def test_narrow_images_are_reduced_along_their_long_side() -> None:
    photo = load_photo(encode(Image.new("L", (90_000, 300), 9), "PNG"), at_least(280, 280))

    assert photo.size_wh == (90_000, 300)
    assert photo.pixels.shape == (300, 11_250, 3)
    assert (photo.pixels == 9).all()


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
