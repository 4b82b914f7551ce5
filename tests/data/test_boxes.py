from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskinfer.data.boxes import clip_xywh, iou_xywh, xywh_to_xyxy, xyxy_to_xywh

POSITIONS = st.floats(-5000, 5000, allow_subnormal=False)
LENGTHS = st.floats(0, 5000, allow_subnormal=False)
BOXES = st.tuples(POSITIONS, POSITIONS, LENGTHS, LENGTHS)
SIZES = st.tuples(st.integers(1, 5000), st.integers(1, 5000))


@given(st.lists(BOXES))
def test_formats_convert_there_and_back(boxes: Any) -> None:
    boxes_xywh = np.array(boxes).reshape(-1, 4)

    back = xyxy_to_xywh(xywh_to_xyxy(boxes_xywh))

    assert back.shape == boxes_xywh.shape
    np.testing.assert_allclose(back, boxes_xywh, atol=1e-9)


def test_right_and_bottom_are_the_first_edge_outside() -> None:
    assert xywh_to_xyxy([10, 20, 3, 4]).tolist() == [10, 20, 13, 24]
    assert xyxy_to_xywh([10, 20, 13, 24]).tolist() == [10, 20, 3, 4]


def test_converting_leaves_the_argument_alone() -> None:
    boxes = np.array([[1.0, 2.0, 3.0, 4.0]])

    xywh_to_xyxy(boxes)
    xyxy_to_xywh(boxes)
    clip_xywh(boxes, (2, 2))

    assert boxes.tolist() == [[1.0, 2.0, 3.0, 4.0]]


@given(BOXES, BOXES)
def test_iou_is_symmetric_and_in_range(a: Any, b: Any) -> None:
    iou = iou_xywh(a, b)

    assert iou == iou_xywh(b, a)
    assert 0 <= iou <= 1 + 1e-12


@given(st.tuples(POSITIONS, POSITIONS, st.floats(0.01, 5000), st.floats(0.01, 5000)))
def test_iou_of_a_box_with_itself_is_one(box: Any) -> None:
    assert iou_xywh(box, box) == 1


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1),
        ((0, 0, 10, 10), (5, 0, 10, 10), 1 / 3),
        ((0, 0, 10, 10), (2, 2, 5, 5), 0.25),
        ((0, 0, 10, 10), (10, 0, 10, 10), 0),
        ((0, 0, 10, 10), (20, 20, 10, 10), 0),
        ((5, 5, 0, 0), (5, 5, 0, 0), 0),
        ((0, 0, 10, 10), (5, 5, 0, 3), 0),
    ],
    ids=["same", "half over", "inside", "touching", "apart", "both empty", "one empty"],
)
def test_iou_of_known_pairs(
    a: tuple[int, int, int, int], b: tuple[int, int, int, int], iou: float
) -> None:
    assert iou_xywh(a, b) == pytest.approx(iou)


def test_iou_broadcasts_one_against_many() -> None:
    many = np.array([[0, 0, 10, 10], [100, 100, 1, 1], [5, 0, 10, 10]])

    np.testing.assert_allclose(iou_xywh([0, 0, 10, 10], many), [1, 0, 1 / 3])
    assert iou_xywh(many[:, None], many[None]).shape == (3, 3)


@given(BOXES, SIZES)
def test_clipping_stays_inside(box: Any, size_wh: Any) -> None:
    clipped = clip_xywh(box, size_wh)
    left, top, right, bottom = xywh_to_xyxy(clipped)

    assert 0 <= left <= right <= size_wh[0] + 1e-9
    assert 0 <= top <= bottom <= size_wh[1] + 1e-9
    assert iou_xywh(clipped, clip_xywh(clipped, size_wh)) in (0, pytest.approx(1))


@given(SIZES, st.data())
def test_clipping_keeps_what_is_inside(size_wh: Any, data: Any) -> None:
    x, y = (data.draw(st.integers(0, side - 1)) for side in size_wh)
    w, h = data.draw(st.integers(0, size_wh[0] - x)), data.draw(st.integers(0, size_wh[1] - y))

    assert clip_xywh((x, y, w, h), size_wh).tolist() == [x, y, w, h]


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ((-5, -5, 10, 10), (0, 0, 5, 5)),
        ((90, 40, 50, 50), (90, 40, 10, 10)),
        ((-10, -10, 500, 500), (0, 0, 100, 50)),
        ((200, 10, 5, 5), (100, 10, 0, 5)),
        ((-20, 10, 5, 5), (0, 10, 0, 5)),
        ((10, 10, -5, 5), (10, 10, 0, 5)),
    ],
    ids=["top left", "bottom right", "all round", "beyond", "before", "negative width"],
)
def test_clipping_cuts_at_the_border(
    box: tuple[int, int, int, int], clipped: tuple[int, int, int, int]
) -> None:
    assert clip_xywh(box, (100, 50)).tolist() == list(clipped)


def test_each_box_is_clipped_to_its_own_image() -> None:
    clipped = clip_xywh([[0, 0, 9, 9], [0, 0, 9, 9]], [[5, 6], [7, 8]])

    assert clipped.tolist() == [[0, 0, 5, 6], [0, 0, 7, 8]]


def test_no_boxes_are_no_boxes() -> None:
    none = np.zeros((0, 4))

    assert xywh_to_xyxy(none).shape == xyxy_to_xywh(none).shape == (0, 4)
    assert clip_xywh(none, (10, 10)).shape == (0, 4)
    assert clip_xywh(none, np.zeros((0, 2))).shape == (0, 4)
    assert iou_xywh(none, none).shape == (0,)
