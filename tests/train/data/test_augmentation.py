import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskinfer.data.images import Photo
from maskinfer.train.data.augmentation import random_background, random_crop, random_zoom


@given(
    st.integers(4, 60), st.integers(4, 60), st.data(), st.integers(0, 2**32 - 1), st.integers(1, 3)
)
def test_crop_keeps_the_face_whole(
    width: int, height: int, data: st.DataObject, seed: int, reduced: int
) -> None:
    x = data.draw(st.integers(0, width - 1))
    y = data.draw(st.integers(0, height - 1))
    w = data.draw(st.integers(1, width - x))
    h = data.draw(st.integers(1, height - y))
    pixels = np.zeros((height, width, 3), np.uint8)
    photo = Photo(pixels, (width * reduced, height * reduced))
    box = np.array([x, y, w, h], float) * reduced

    crop, faces_in_crop = random_crop(photo, box[None], np.random.default_rng(seed))

    box_in_crop = faces_in_crop[0]
    crop_w, crop_h = crop.size_wh
    assert box_in_crop[0] >= 0
    assert box_in_crop[1] >= 0
    assert box_in_crop[0] + box_in_crop[2] <= crop_w
    assert box_in_crop[1] + box_in_crop[3] <= crop_h
    scale = crop.pixels.shape[1] / crop_w
    assert box_in_crop[2] * scale == pytest.approx(w)


@given(
    st.integers(20, 200), st.integers(20, 200), st.integers(1, 3), st.data(), st.integers(0, 2**32)
)
def test_zoom_keeps_one_of_the_faces_whole(
    width: int, height: int, reduced: int, data: st.DataObject, seed: int
) -> None:
    rows = []
    for _ in range(data.draw(st.integers(1, 3))):
        x = data.draw(st.integers(0, width - 1))
        y = data.draw(st.integers(0, height - 1))
        w, h = data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y))
        rows.append([x, y, w, h])
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.arange(width) % 256
    photo = Photo(pixels, (width * reduced, height * reduced))
    faces = np.array(rows, float)

    zoomed, moved = random_zoom(photo, faces * reduced, np.random.default_rng(seed))

    zoomed_w, zoomed_h = zoomed.size_wh
    scale = zoomed.pixels.shape[1] / zoomed_w  # a photo that stays whole keeps its own pixels
    np.testing.assert_allclose(moved[:, 2:] * scale, faces[:, 2:])
    low, high = moved[:, :2], moved[:, :2] + moved[:, 2:]
    assert ((low >= 0) & (high <= [zoomed_w, zoomed_h])).all(axis=1).any()
    shift = faces[0, 0] - moved[0, 0] * scale
    assert zoomed.pixels[0, 0, 0] == shift  # the box moved as the pixels did


@given(st.integers(50, 200), st.integers(50, 200), st.data(), st.integers(0, 2**32))
def test_background_has_no_face_in_it(
    width: int, height: int, data: st.DataObject, seed: int
) -> None:
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    w, h = data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y))
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[y : y + h, x : x + w] = 255
    photo, faces = Photo(pixels, (width, height)), np.array([[x, y, w, h]], float)
    cut, moved = random_background(photo, faces, np.random.default_rng(seed))
    if cut is photo:  # there is hardly a place without it
        assert moved is faces
    else:
        assert cut.pixels.max(initial=0) == 0 < cut.pixels.size
