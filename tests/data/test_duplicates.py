import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from maskinfer.data import duplicates
from maskinfer.data.duplicates import find_copies, kind_of, perceptual_hash
from maskinfer.train.synthetic.samples import draw_scene, random_scene

PHOTOS = [draw_scene(random_scene(41, index, 160)) for index in range(12)]


def saved(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def hashes_of(images: list[Image.Image]) -> np.ndarray:
    return np.array([perceptual_hash(image) for image in images], dtype=np.uint64).reshape(-1, 5)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda image: saved(image, 20), id="saved anew"),
        pytest.param(lambda image: image.resize((80, 80)), id="stretched"),
        pytest.param(lambda image: image.reduce(2), id="half"),
        pytest.param(lambda image: ImageEnhance.Brightness(image).enhance(0.7), id="darker"),
        pytest.param(lambda image: image.convert("L").convert("RGB"), id="grey"),
    ],
)
def test_copies_are_found_whatever_was_done_to_them(change: Any) -> None:
    groups = find_copies(hashes_of([*PHOTOS, *map(change, PHOTOS)]))
    pairs = set(groups)
    expected = {(index, index + len(PHOTOS)) for index in range(len(PHOTOS))}
    assert pairs <= expected
    assert len(pairs) >= len(PHOTOS) - 1


def test_different_photos_are_no_copies() -> None:
    photos = [draw_scene(random_scene(42, index, 96)) for index in range(150)]
    assert find_copies(hashes_of(photos)) == []


def test_copies_are_exact_where_files_are_the_same_bytes() -> None:
    hashes = hashes_of([PHOTOS[0], PHOTOS[1], PHOTOS[0], PHOTOS[1], PHOTOS[1]])
    digests = [b"a", b"b", b"a", b"b", b"another"]
    groups = [list(group) for group in find_copies(hashes)]
    assert groups == [[0, 2], [1, 3, 4]]
    kinds = [kind_of(hashes[group], (digests[i] for i in group)) for group in groups]
    assert kinds == ["exact", "near"]


def test_copies_of_other_hashes_or_lost_files_are_near() -> None:
    hashes = hashes_of(PHOTOS[:2])
    assert kind_of(hashes, iter(())) == "near"  # without reading a file
    assert kind_of(hashes[[0, 0]], iter([None, None])) == "near"


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_images_have_no_copies(count: int) -> None:
    assert find_copies(hashes_of(PHOTOS[:count])) == []


def test_a_folder_of_one_image_many_times_is_one_group() -> None:
    hashes = np.repeat(hashes_of(PHOTOS[:1]), 20_000, axis=0)
    (group,) = find_copies(hashes)
    assert len(group) == 20_000
    assert kind_of(hashes, (b"same" for _ in group)) == "exact"


@given(st.data())
def test_hashes_that_differ_by_few_bits_are_always_grouped(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    hashes = rng.integers(0, 2**64, (40, 5), dtype=np.uint64)
    bits = data.draw(st.sets(st.integers(0, 63), max_size=8))
    close = hashes[7].copy()
    for bit in bits:
        close[0] ^= np.uint64(1 << bit)
    groups = find_copies(np.vstack([hashes, close]))
    assert groups == [(7, 40)]


@pytest.mark.parametrize("many", [(10**9, 10**9), (0, 10**9), (0, 1)])
@pytest.mark.parametrize("few", [1, 32])
def test_as_many_bands_as_agree_find_what_comparing_all_pairs_finds(
    monkeypatch: pytest.MonkeyPatch, many: tuple[int, int], few: int
) -> None:
    """Hashes of which many have the same bands, in buckets small and large."""
    monkeypatch.setattr(duplicates, "_MANY", many)
    monkeypatch.setattr(duplicates, "_FEW", few)
    rng = np.random.default_rng(0)
    hashes = np.repeat(rng.integers(0, 2**64, (12, 5), dtype=np.uint64), 20, axis=0)
    for row in hashes:
        for place, bits in enumerate(rng.integers(0, [8, 9, 9, 9, 9])):
            for bit in rng.choice(64, bits, replace=False).tolist():
                row[place] ^= np.uint64(1 << bit)
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None])
    close = (apart[..., 0] <= 8) & (apart[..., 1:].sum(axis=2) <= 40)
    group = list(range(len(hashes)))
    for first, second in np.argwhere(close).tolist():
        old, new = group[second], group[first]
        group = [new if one == old else one for one in group]
    expected = {tuple(np.flatnonzero(np.array(group) == one).tolist()) for one in group}
    found = find_copies(hashes)
    assert set(found) == {members for members in expected if len(members) > 1}
    assert found


def test_many_images_that_hardly_differ_are_one_group_and_little_work() -> None:
    """Frames of a fixed camera: pairs grow with the square of their number."""
    rng = np.random.default_rng(3)
    hashes = np.tile(rng.integers(0, 2**64, 5, dtype=np.uint64), (6000, 1))
    for _ in range(2):
        hashes[:, 0] ^= np.uint64(1) << rng.integers(0, 64, 6000, dtype=np.uint64)
    (group,) = find_copies(hashes)
    assert len(group) == 6000


def test_copies_of_copies_are_one_group() -> None:
    rng = np.random.default_rng(4)
    chain = [rng.integers(0, 2**64, 5, dtype=np.uint64)]
    for step in range(7):  # each differs by eight bits from the one before
        following = chain[-1].copy()
        for bit in range(8 * step, 8 * step + 8):
            following[0] ^= np.uint64(1 << bit)
        chain.append(following)
    order = rng.permutation(len(chain))
    (group,) = find_copies(np.array(chain)[order])
    assert group == tuple(range(8))
