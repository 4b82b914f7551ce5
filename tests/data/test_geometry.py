import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskinfer.data.geometry import (
    Geometry,
    Placement,
    canvas_to_image,
    decode_wh,
    image_to_canvas,
    place,
)
from maskinfer.data.images import Photo

GEOMETRIES = {
    "letterbox": Geometry.letterbox(224),
    "center crop": Geometry("center_crop", 224, 256),
    "center crop of all": Geometry("center_crop", 64, 64),
}
BOTH = pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)


def blank(width: int, height: int) -> Photo:
    """A photo of a size that costs no memory: the map depends on the size alone."""
    return Photo(np.zeros((1, 1, 3), np.uint8), (width, height))


@BOTH
@given(st.integers(1, 5000), st.integers(1, 5000), st.data())
def test_boxes_come_back_from_the_canvas(geometry: Any, width: Any, height: Any, data: Any) -> None:
    x, y = data.draw(st.floats(0, width - 0.5)), data.draw(st.floats(0, height - 0.5))
    w, h = data.draw(st.floats(0, width - x)), data.draw(st.floats(0, height - y))
    _, placement = place(blank(width, height), geometry)

    on_canvas = image_to_canvas([[x, y, w, h]], [placement])

    np.testing.assert_allclose(
        canvas_to_image(on_canvas, [placement]), [[x, y, w, h]], atol=1e-7, rtol=0
    )


@BOTH
@pytest.mark.parametrize(
    ("size_wh", "box"),
    [
        ((640, 480), (200, 150, 160, 120)),
        ((480, 640), (130, 300, 200, 90)),
        ((224, 224), (50, 60, 70, 80)),
        ((100, 60), (30, 20, 33, 17)),
        ((1501, 333), (700, 111, 333, 99)),
    ],
    ids=["landscape", "portrait", "square", "small", "odd"],
)
def test_pixels_are_where_the_boxes_say(
    geometry: Any, size_wh: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    x, y, w, h = box
    pixels = np.full((size_wh[1], size_wh[0], 3), 255, np.uint8)
    pixels[y : y + h, x : x + w] = (0, 0, 255)

    canvas, placement = place(Photo(pixels, size_wh), geometry)

    blue = (canvas[..., 0] < 114) & (canvas[..., 2] > 200)  # neither white nor padding
    rows, columns = np.flatnonzero(blue.any(axis=1)), np.flatnonzero(blue.any(axis=0))
    left, top, width, height = image_to_canvas([box], [placement])[0]
    drawn = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    np.testing.assert_allclose(drawn, (left, top, left + width, top + height), atol=1)


@BOTH
def test_reduced_decoding_moves_no_pixel(geometry: Any) -> None:
    pixels = np.full((800, 600, 3), 255, np.uint8)
    pixels[200:400, 100:500] = 0
    reduced = pixels.reshape(400, 2, 300, 2, 3).mean(axis=(1, 3)).astype(np.uint8)

    whole, placement = place(Photo(pixels, (600, 800)), geometry)
    half, placement_of_half = place(Photo(reduced, (600, 800)), geometry)

    assert placement == placement_of_half
    assert np.abs(whole.astype(int) - half).mean() < 2


@BOTH
@pytest.mark.parametrize("size_wh", [(1, 4000), (4000, 1), (1, 1), (3, 2)])
def test_extreme_shapes_are_placed(geometry: Any, size_wh: tuple[int, int]) -> None:
    photo = Photo(np.full((size_wh[1], size_wh[0], 3), 200, np.uint8), size_wh)

    canvas, placement = place(photo, geometry)

    assert canvas.shape == (geometry.canvas, geometry.canvas, 3)
    assert canvas.dtype == np.uint8
    assert (canvas == 200).all(axis=-1).any()
    whole = [[0, 0, *size_wh]]
    back = canvas_to_image(image_to_canvas(whole, [placement]), [placement])
    np.testing.assert_allclose(back, whole, atol=1e-7)


def test_letterbox_keeps_the_whole_photo_in_the_middle() -> None:
    canvas, placement = place(
        Photo(np.zeros((50, 100, 3), np.uint8), (100, 50)), Geometry.letterbox(64)
    )

    assert image_to_canvas([[0, 0, 100, 50]], [placement]).tolist() == [[0, 16, 64, 32]]
    assert (canvas[16:48] == 0).all()
    assert (canvas[:16] == 114).all()
    assert (canvas[48:] == 114).all()


def test_center_crop_lets_boxes_reach_past_the_canvas() -> None:
    _, placement = place(blank(256, 256), Geometry("center_crop", 224, 256))

    assert image_to_canvas([[0, 0, 256, 256]], [placement]).tolist() == [[-16, -16, 256, 256]]


def test_boxes_back_in_the_image_are_clipped_to_it() -> None:
    _, placement = place(blank(100, 50), Geometry.letterbox(100))

    assert canvas_to_image([[-10, 0, 200, 200]], [placement]).tolist() == [[0, 0, 100, 50]]


def test_each_box_goes_with_its_own_placement() -> None:
    placements = [place(blank(w, h), Geometry.letterbox(100))[1] for w, h in [(200, 100), (50, 50)]]
    boxes = np.array([[10.0, 20.0, 30.0, 40.0], [1.0, 2.0, 3.0, 4.0]])

    together = image_to_canvas(boxes, placements)

    apart = [image_to_canvas(boxes[i : i + 1], placements[i : i + 1])[0] for i in range(2)]
    np.testing.assert_array_equal(together, apart)


@pytest.mark.parametrize("carry", [image_to_canvas, canvas_to_image])
def test_no_boxes_and_uneven_lists(carry: Any) -> None:
    placement = Placement((1.0, 1.0), (0.0, 0.0), (10, 10))

    assert carry(np.zeros((0, 4)), []).shape == (0, 4)
    with pytest.raises(ValueError, match="2 boxes for 1 placements"):
        carry(np.zeros((2, 4)), [placement])


@BOTH
@given(st.integers(1, 70_000), st.integers(1, 70_000), st.floats(1, 8))
def test_decoding_keeps_more_detail_than_the_canvas_shows(
    geometry: Any, width: Any, height: Any, oversampling: Any
) -> None:
    least = decode_wh(geometry, (width, height), oversampling)

    _, placement = place(blank(width, height), geometry)
    drawn = np.multiply(placement.scale_xy, (width, height))
    assert (least >= drawn * oversampling - 1e-6).all()
    assert max(least) <= math.ceil(geometry.resize * oversampling)
    assert decode_wh(geometry, (height, width), oversampling) == least[::-1]


@pytest.mark.parametrize(
    ("geometry", "size_wh", "least"),
    [
        (Geometry.letterbox(224), (640, 480), (280, 210)),
        (Geometry.letterbox(224), (3000, 4000), (210, 280)),
        (Geometry.letterbox(224), (20_000, 10), (280, 2)),
        (Geometry.letterbox(224), (20, 10), (280, 140)),
        (Geometry("center_crop", 224, 256), (640, 480), (320, 320)),
    ],
    ids=["landscape", "portrait", "thin", "small", "center crop"],
)
def test_decoding_size_is_a_quarter_more_than_what_is_drawn(
    geometry: Any, size_wh: tuple[int, int], least: tuple[int, int]
) -> None:
    assert decode_wh(geometry, size_wh) == least


@pytest.mark.parametrize(
    ("kind", "canvas", "resize"),
    [
        ("wobble", 32, 32),
        ("letterbox", 32.0, 32),
        ("letterbox", 32, "32"),
        ("letterbox", True, True),
        ("center_crop", 32, 31),
        ("center_crop", 0, 31),
        ("letterbox", 32, 64),
    ],
)
def test_what_is_no_geometry_is_refused(kind: str, canvas: Any, resize: Any) -> None:
    with pytest.raises(ValueError, match=r"geometry|canvas|resize"):
        Geometry(kind, canvas, resize)
