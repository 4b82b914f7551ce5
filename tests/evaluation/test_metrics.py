import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskinfer.evaluation.metrics import (
    Confusion,
    Metrics,
    expected_calibration_error,
    measure,
    precision_recall,
    reliability_bins,
)


@pytest.mark.parametrize(
    ("ious", "true", "predicted", "expected"),
    [
        pytest.param([], [], [], (None, None, None, (0, 0, 0, 0)), id="empty"),
        pytest.param([0.5], [1], [1], (0.5, 1.0, 1.0, (1, 0, 0, 0)), id="one"),
        pytest.param(
            [1.0, 0.0], [1, 1], [1, 0], (0.5, 0.5, 0.5, (1, 1, 0, 0)), id="one class: its own share"
        ),
        pytest.param(
            [0.2, 0.4, 0.6, 0.8],
            [1, 1, 1, 0],
            [1, 1, 1, 1],
            (0.5, 0.75, 0.5, (3, 0, 1, 0)),
            id="balanced: a constant answer is worth a half",
        ),
        pytest.param(
            [1.0] * 5,
            [1, 1, 0, 0, 0],
            [1, 0, 0, 0, 1],
            (1.0, 0.6, (1 / 2 + 2 / 3) / 2, (1, 1, 1, 2)),
            id="many",
        ),
    ],
)
def test_measure_gives_known_figures(ious: Any, true: Any, predicted: Any, expected: Any) -> None:
    metrics = measure(ious, true, predicted)
    mean_iou, accuracy, balanced, counts = expected
    assert metrics.images == len(ious)
    for got, wanted in zip(
        (metrics.mean_iou, metrics.accuracy, metrics.balanced_accuracy),
        (mean_iou, accuracy, balanced),
        strict=True,
    ):
        assert got == (None if wanted is None else pytest.approx(wanted))
    assert metrics.confusion == Confusion(*counts)
    _, proper, improper, none, _ = zip(*metrics.confusion.rows(), strict=True)
    assert sum(proper) + sum(improper) == len(ious)
    assert sum(none) == 0


def test_no_face_is_a_miss_in_every_figure_but_the_calibration_error() -> None:
    """Two are called rightly and surely; where there is no face, the numbers mean nothing."""
    ious, true, called = [1.0, 1.0, 0.0, 0.0], [1, 0, 1, 0], [1, 0, 1, 1]
    probabilities, scores, has_face = [1.0, 0.0, 1.0, 1.0], [0.9] * 4, [1, 1, 0, 0]
    metrics = measure(ious, true, called, probabilities, scores, has_face)
    assert metrics.confusion == Confusion(1, 0, 0, 1, 1, 1)
    assert (metrics.images, metrics.mean_iou, metrics.accuracy) == (4, 0.5, 0.5)
    assert (metrics.balanced_accuracy, metrics.ap50, metrics.calibration_error) == (0.5, 0.5, 0.0)


def test_nowhere_a_face_leaves_nothing_to_calibrate() -> None:
    metrics = measure([0.0], [True], [True], [0.9], [0.9], [False])
    assert (metrics.accuracy, metrics.ap50, metrics.calibration_error) == (0.0, 0.0, None)
    assert metrics.confusion.rows()[0] == ("proper", 0, 0, 1, 0.0)


@pytest.mark.parametrize(
    ("ious", "true", "probabilities", "scores", "expected"),
    [
        pytest.param([], [], [], [], None, id="empty"),
        pytest.param([0.5], [1], [0.9], [1.0], 1.0, id="one"),
        pytest.param([0.49], [1], [0.9], [1.0], 0.0, id="box-too-far-off"),
        pytest.param([1.0], [0], [0.9], [1.0], 0.0, id="wrong-class"),
        # Right, wrong, right by confidence: precision 1 up to a third, 2/3 up to two thirds.
        pytest.param([1.0, 0.0, 1.0], [1, 1, 1], [0.9, 0.8, 0.7], [1.0] * 3, 5 / 9, id="ranked"),
        pytest.param([1.0, 0.0, 1.0], [1, 1, 1], [0.9] * 3, [0.7, 0.9, 0.8], 4 / 9, id="by-score"),
        pytest.param([1.0, 1.0], [1, 0], [0.9, 0.9], [1.0, 0.5], 0.5, id="mean-of-two-classes"),
        pytest.param([1.0, 1.0], [1, 0], [0.9, 0.1], [1.0, 1.0], 1.0, id="both-right"),
        # Of the same confidence, their order in the array plays no part.
        pytest.param([1.0, 0.0], [1, 1], [0.9] * 2, [1.0] * 2, 1 / 4, id="ties"),
        pytest.param([0.0, 1.0], [1, 1], [0.9] * 2, [1.0] * 2, 1 / 4, id="ties-turned"),
    ],
)
def test_average_precision_is_the_area_under_the_curve(
    ious: Any, true: Any, probabilities: Any, scores: Any, expected: float | int | None
) -> None:
    called = [probability >= 0.5 for probability in probabilities]
    ap50 = measure(ious, true, called, probabilities, scores).ap50
    assert ap50 == (None if expected is None else pytest.approx(expected))


def test_measure_without_probabilities_has_no_figures_of_them() -> None:
    metrics = measure([0.5], [True], [True])
    assert metrics.ap50 is None
    assert metrics.calibration_error is None
    assert measure([0.5], [True], [True], [0.9], [1.0]).calibration_error == pytest.approx(0.1)


def test_measure_refuses_arrays_of_different_lengths() -> None:
    with pytest.raises(ValueError, match="expected one"):
        measure([0.5, 0.5], [True], [True])
    with pytest.raises(ValueError, match="expected one"):
        measure([0.5, 0.5], [True, True], [True, True], [0.5], [0.5])


def test_metrics_go_through_json() -> None:
    metrics = measure([0.25], [True], [False])
    values = json.loads(json.dumps(metrics.to_dict()))
    assert Metrics(**{**values, "confusion": Confusion(**values["confusion"])}) == metrics


@pytest.mark.parametrize(
    ("probabilities", "is_proper", "error"),
    [
        pytest.param([1.0, 0.0], [True, False], 0.0, id="sure-and-right"),
        pytest.param([1.0, 0.0], [False, True], 1.0, id="sure-and-wrong"),
        pytest.param([0.75] * 4, [True, True, True, False], 0.0, id="three-of-four"),
        pytest.param([0.55, 0.95], [True, True], 0.25, id="two-bins"),
        pytest.param([0.52, 0.58], [True, False], 0.05, id="one-bin"),
    ],
)
def test_calibration_error_is_the_mean_gap_in_each_bin(
    probabilities: list[float], is_proper: list[bool], error: float
) -> None:
    assert expected_calibration_error(probabilities, is_proper) == pytest.approx(error)


@pytest.mark.parametrize(
    ("confidence", "is_label", "recall", "precision", "area"),
    [
        pytest.param([0.5], [True], [1.0], [1.0], 1.0, id="one"),
        pytest.param([0.9, 0.8], [True, False], [1.0, 1.0], [1.0, 0.5], 1.0, id="right-order"),
        pytest.param([0.9, 0.8], [False, True], [0.0, 1.0], [0.0, 0.5], 0.5, id="wrong-order"),
        # Of the same confidence, their order in the array plays no part.
        pytest.param([0.9] * 4, [True, False, False, True], [1.0], [0.5], 0.5, id="ties"),
        pytest.param(
            [0.7, 0.9, 0.8],
            [True, True, False],
            [0.5, 0.5, 1.0],
            [1.0, 0.5, 2 / 3],
            0.5 + 0.5 * 2 / 3,
            id="many",
        ),
        # At the lower recall no less precision counts than at the greater one.
        pytest.param(
            [0.9, 0.8, 0.7],
            [False, True, True],
            [0.0, 0.5, 1.0],
            [0.0, 1 / 2, 2 / 3],
            2 / 3,
            id="interpolated",
        ),
    ],
)
def test_precision_recall_at_each_confidence(
    confidence: list[float], is_label: list[bool], recall: list[float], precision: Any, area: float
) -> None:
    curve = precision_recall(confidence, is_label)
    assert curve is not None
    assert curve.recall.tolist() == recall
    assert curve.precision.tolist() == pytest.approx(precision)
    assert curve.average_precision == pytest.approx(area)


def test_precision_recall_of_a_label_that_no_image_has() -> None:
    assert precision_recall([0.5], [False]) is None
    assert precision_recall([], []) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_reliability_bins_are_those_of_the_calibration_error(images: Any) -> None:
    probabilities, labels = zip(*images, strict=True)
    bins = reliability_bins(probabilities, labels)
    assert len(bins) == 10
    assert sum(group.images for group in bins) == len(images)
    gaps = [b.images * abs(b.probability - b.proper) for b in bins if b.images]
    error = expected_calibration_error(probabilities, labels)
    assert sum(gaps) / len(images) == pytest.approx(error)
    assert all(b.low - 1e-9 <= b.probability <= b.high + 1e-9 for b in bins if b.images)


def test_masks_worn_incorrectly_are_a_row_of_their_own() -> None:
    true = [True, False, False, False]
    called = [True, False, True, False]
    seen = [True, True, True, False]
    metrics = measure([1.0] * 4, true, called, has_face=seen, incorrectly=[False, True, True, True])
    assert metrics.rows()[1:] == [
        ("improper", 1, 1, 1, 1 / 3),
        ("worn incorrectly", 1, 1, 1, 1 / 3),
    ]
    assert len(measure([1.0], [True], [True]).rows()) == 2
