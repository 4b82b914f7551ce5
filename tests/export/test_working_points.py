"""Working points of models whose answers are made up."""

import numpy as np
import pytest

from maskinfer.export.working_points import Photo, WorkingPoints, measure
from maskinfer.runtime.model_file import WorkingPoint

_BOX = [10.0, 10, 20, 20]
_CANVAS = 100


def _photo(
    scores: list[float], probabilities: list[float], labels: tuple[bool, ...], *, hit: bool = True
) -> Photo:
    """Faces side by side; the first is the labelled one, unless it is not hit."""
    boxes = np.array([[10 + 30 * place, 10, 20, 20] for place in range(len(scores))], np.float32)
    faces = boxes[: len(labels)].astype(float)
    faces[0] = _BOX if hit else [10, 60, 20, 20]
    return Photo(boxes, np.float32(probabilities), np.float32(scores), faces, labels)


def _single(score: float, *, hit: bool = True) -> Photo:
    return _photo([score, 0.0], [0.9, 0.0], (True,), hit=hit)


def test_without_photos_every_face_counts() -> None:
    point = WorkingPoint(0.0, 0.7)
    assert measure([], 0.7, _CANVAS) == WorkingPoints(point, point)


@pytest.mark.parametrize(
    ("photos", "expected"),
    [
        pytest.param([_single(0.3)] * 49, 0.0, id="too-few"),
        pytest.param([_single(0.3)] * 50, 0.3, id="enough"),
        pytest.param([_single(0.1), *[_single(0.5)] * 99], 0.5, id="a-hundredth-is-lost"),
        pytest.param([*[_single(0.1)] * 2, *[_single(0.5)] * 98], 0.1, id="two-hundredths-are-not"),
        pytest.param([*[_single(0.1, hit=False)] * 9, *[_single(0.5)] * 91], 0.5, id="never-found"),
        pytest.param([_single(0.9, hit=False)] * 60, 0.0, id="nothing-is-found"),
        pytest.param([_single(0.0)] * 60, 0.0, id="nobody-is-seen"),
    ],
)
def test_least_score_loses_a_hundredth_of_the_labelled_faces(
    photos: list[Photo], expected: float
) -> None:
    points = measure(photos, 0.6, _CANVAS)
    assert points.one_face.min_score == pytest.approx(expected, abs=1e-3)
    assert points.one_face.min_score <= expected or expected == 0
    assert points.one_face.threshold == 0.6
    assert points.all_faces == points.one_face
    assert points.photos == (len(photos) if len(photos) >= 50 else 0)


@pytest.mark.parametrize(
    ("empty", "expected"),
    [
        pytest.param([0.1] * 100, 0.1, id="lower-than-what-loses-faces"),
        pytest.param([*[0.1] * 97, 0.3, 0.4, 0.45], 0.3, id="two-hundredths-may-be-seen"),
        pytest.param([0.8] * 100, 0.5, id="no-higher-than-what-loses-faces"),
    ],
)
def test_least_score_is_no_higher_than_pictures_of_nobody_need(
    empty: list[float], expected: float
) -> None:
    points = measure([_single(0.5)] * 100, 0.6, _CANVAS, empty=empty)
    assert points.one_face.min_score == pytest.approx(expected, abs=0.01)


def test_pair_for_photos_tells_those_with_somebody_not_properly_masked() -> None:
    """In photos of proper masks, an unsure face of 0.45 and a false one of 0.35 that scores 0.3."""
    proper = [_photo([0.9, 0.6, 0.3], [0.9, 0.45, 0.05], (True, True))] * 15
    improper = [_photo([0.9, 0.5, 0.0], [0.9, 0.15, 0.0], (True, False))] * 15
    points = measure(proper + improper, 0.7, _CANVAS)
    assert points.balanced_accuracy == (1,)
    assert points.photos_of_all == 30
    assert 0.3 < points.all_faces.min_score <= 0.5
    assert 0.15 < points.all_faces.threshold <= 0.45


def test_pair_for_photos_suits_a_larger_canvas_too() -> None:
    proper = [_photo([0.9, 0.6], [0.9, 0.65], (True, True))] * 15
    improper = [_photo([0.9, 0.5], [0.9, 0.1], (True, False))] * 15
    finer = [_photo([0.9, 0.6], [0.9, 0.4], (True, True))] * 15
    points = measure(proper + improper, 0.7, _CANVAS, finer + improper)
    assert points.balanced_accuracy == (1, 1)
    assert 0.1 < points.all_faces.threshold <= 0.4


def test_threshold_for_photos_is_not_a_single_tip_of_a_ragged_curve() -> None:
    """One improper face of 0.95 tells by chance; between 0.3 and 0.6 all but it is told."""
    proper = [_photo([0.9, 0.6], [0.97, 0.97], (True, True))] * 10
    improper = [_photo([0.9, 0.6], [0.97, 0.3], (True, False))] * 11
    unsure = [_photo([0.9, 0.6], [0.97, 0.935], (True, True))] * 2
    late = [_photo([0.9, 0.6], [0.97, 0.93], (True, False))]
    points = measure(proper + improper + unsure + late, 0.5, _CANVAS)
    assert 0.3 < points.all_faces.threshold < 0.9


def test_photos_of_one_kind_say_nothing_of_photos() -> None:
    photos = [_photo([0.9, 0.6], [0.9, 0.8], (True, True))] * 60
    points = measure(photos, 0.7, _CANVAS)
    assert points.all_faces == points.one_face
    assert (points.photos_of_all, points.balanced_accuracy) == (0, ())


def test_model_of_one_face_has_one_point() -> None:
    photo = Photo(
        np.float32([_BOX]),
        np.float32([0.9]),
        np.float32([1]),
        np.array([_BOX, _BOX]),
        (True, False),
    )
    points = measure([photo, photo._replace(labels=(True, True))] * 30, 0.7, _CANVAS)
    assert points.all_faces == points.one_face == WorkingPoint(1.0, 0.7)
