from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskinfer.data.cleaning import find_fault
from maskinfer.importers.crops import choose_face, crop_around, fit_box


@given(
    st.tuples(*[st.floats(-300, 300)] * 4),
    st.tuples(st.integers(1, 200), st.integers(1, 200)),
)
def test_fitted_boxes_are_inside(box: Any, size_wh: Any) -> None:
    fitted, fault = fit_box(box, size_wh)

    if fitted is None:
        assert fault is not None
    else:
        assert find_fault(fitted, size_wh) is None


@pytest.mark.parametrize(
    ("box", "fitted", "faulty"),
    [
        ((10, 20, 30, 40), (10, 20, 30, 40), False),
        ((9.6, 20.4, 30.0, 40.0), (10, 20, 30, 40), False),
        ((-0.4, -0.2, 100.6, 80.5), (0, 0, 100, 80), False),
        ((-1, 0, 10, 10), (0, 0, 9, 10), True),
        ((95, 0, 10, 10), (95, 0, 5, 10), True),
        ((100, 0, 10, 10), None, True),
        ((10, 10, 0.2, 10), None, True),
        ((10, 10, -5, 10), None, True),
    ],
)
def test_fitting_rounds_edges_and_clips(
    box: Any, fitted: tuple[int, int, int, int] | None, faulty: bool
) -> None:
    found, fault = fit_box(box, (100, 80))

    assert found == fitted
    assert (fault is not None) == faulty


@pytest.mark.parametrize(
    ("boxes", "face", "chosen"),
    [
        ([(5, 0, 1, 1)], "left", 0),
        ([(5, 0, 1, 1), (4, 9, 9, 9)], "left", 1),
        ([(5, 7, 1, 1), (5, 3, 1, 1)], "left", 1),
        ([(5, 5, 1, 1), (5, 5, 1, 1)], "left", 0),
        ([(0, 0, 2, 9), (5, 0, 5, 4)], "largest", 1),
        ([(5, 0, 3, 4), (0, 0, 4, 3)], "largest", 1),
    ],
)
def test_choosing_a_face(boxes: list[tuple[int, int, int, int]], face: str, chosen: int) -> None:
    assert choose_face(boxes, face) == chosen


@pytest.mark.parametrize(
    ("others", "crop"),
    [
        ([], (60, 60, 150, 150)),
        ([(20, 90, 30, 30)], (70, 60, 150, 150)),
        ([(80, 90, 10, 30)], (90, 60, 150, 150)),
        ([(75, 90, 30, 30)], (90, 60, 150, 150)),
        ([(85, 40, 30, 30)], (60, 80, 150, 150)),
        ([(85, 140, 30, 30)], (60, 60, 150, 130)),
        ([(140, 90, 30, 30)], (60, 60, 150, 150)),
        ([(140, 90, 40, 40)], (60, 60, 130, 150)),
        ([(100, 100, 40, 40)], (60, 60, 150, 150)),
    ],
    ids=[
        "alone",
        "left",
        "touching left",
        "overlapping left",
        "left and above",
        "left and below",
        "right, no larger",
        "right, larger",
        "overlapping right, larger",
    ],
)
def test_crops_cut_off_neighbours(others: Any, crop: tuple[int, int, int, int]) -> None:
    # Alone, a face of 30 pixels takes 30 on each side; the cut is half-way to a neighbour.
    assert crop_around((90, 90, 30, 30), others, (300, 300)) == crop


@st.composite
def crowds(draw: st.DrawFn) -> tuple[list[tuple[int, int, int, int]], tuple[int, int]]:
    """Faces on a grid of 40 pixels, so that none overlaps another, in their photo's size."""
    cells = st.tuples(st.integers(0, 5), st.integers(0, 4))
    faces = []
    for column, row in draw(st.lists(cells, min_size=1, unique=True)):
        w, h = draw(st.integers(1, 40)), draw(st.integers(1, 40))
        x, y = draw(st.integers(0, 40 - w)), draw(st.integers(0, 40 - h))
        faces.append((column * 40 + x, row * 40 + y, w, h))
    return faces, (240, 200)


@given(crowds())
def test_a_face_apart_is_whole_left_most_and_largest_in_its_crop(crowd: Any) -> None:
    faces, size_wh = crowd
    for number, (x, y, w, h) in enumerate(faces):
        others = faces[:number] + faces[number + 1 :]
        left, top, right, bottom = crop_around((x, y, w, h), others, size_wh)

        assert 0 <= left <= x < x + w <= right <= size_wh[0]
        assert 0 <= top <= y < y + h <= bottom <= size_wh[1]
        for other_x, other_y, other_w, other_h in others:
            columns = min(right, other_x + other_w) - max(left, other_x)
            visible_rows = min(bottom, other_y + other_h) - max(top, other_y)
            if columns > 0 and visible_rows > 0:
                assert other_x >= x
                assert columns * visible_rows <= w * h
