"""Comparing two evaluations of the same weights."""

from typing import Any

import numpy as np
import pytest
import torch

from maskinfer.export.matching import match
from maskinfer.export.parity import Reference, compare, tolerance
from maskinfer.export.suppression import Faces
from maskinfer.runtime.session import Outputs

_SIDE = 8


def _outputs(canvases: np.ndarray) -> Outputs:
    """Two faces an image, and an empty place."""
    mean = canvases.mean(axis=(1, 2, 3), dtype=np.float32)
    box = np.stack([mean / 64, mean / 64, mean / 32, mean / 32], axis=1)
    faces = np.array([1, 0.5, 0], np.float32)
    boxes = np.stack([box, box + np.array([50, 0, 0, 0]), 0 * box], axis=1).astype(np.float32)
    return Outputs(boxes, mean[:, None] * faces / 255, mean[:, None] * faces / 255)


def _network(canvases: torch.Tensor) -> Faces:
    outputs = _outputs(canvases.numpy())
    columns = (outputs.boxes_xywh, outputs.proper_mask, outputs.score)
    return Faces(*map(torch.from_numpy, columns))


def _reference(count: int) -> Reference:
    shades = np.random.default_rng(0).integers(1, 256, (count, 1, 1, 1))
    canvases = np.broadcast_to(shades, (count, _SIDE, _SIDE, 3)).astype(np.uint8)
    return Reference.compute(_network, _network, canvases, 0.5)


@pytest.mark.parametrize("network", ["resnet", "fasterrcnn"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("part", ["boxes_xywh", "proper_mask", "score"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_answer_that_is_no_number_is_a_fault(
    network: str, precision: str, part: str, value: Any
) -> None:
    """As an overflow in FP16 leaves behind; a share of images within the tolerance hides it."""

    def run(canvases: np.ndarray, batch_size: int) -> Outputs:
        outputs = _outputs(canvases)
        getattr(outputs, part)[5] = value
        return outputs

    allowed = tolerance(network, precision)
    faults = compare(run, _reference(48), allowed).faults(allowed)
    assert faults == ["batch 1: for 2.1% of 48 images the output is not a number"]


def test_nothing_but_nan_is_a_fault() -> None:
    def run(canvases: np.ndarray, batch_size: int) -> Outputs:
        nothing = np.full((len(canvases), 1), np.nan, dtype=np.float32)
        return Outputs(np.repeat(nothing[..., None], 4, axis=2), nothing, nothing)

    allowed = tolerance("resnet", "fp32")
    faults = compare(run, _reference(3), allowed).faults(allowed)
    assert faults == ["batch 1: for 100.0% of 3 images the output is not a number"]


def test_every_batch_size_is_tried_on_a_single_image() -> None:
    seen = []

    def run(canvases: np.ndarray, batch_size: int) -> Outputs:
        seen.append((min(batch_size, len(canvases)), batch_size))
        return _outputs(canvases)

    allowed = tolerance("resnet", "fp32")
    parity = compare(run, _reference(1), allowed)
    assert seen == [(1, 1), (3, 3), (8, 8)]
    assert parity.images == 1
    assert parity.faults(allowed) == []


def _faces(*rows: tuple[float, float, float, float, float, float]) -> Outputs:
    """One image; a row is x, y, w, h, probability, score. Filled up to four places."""
    table = np.zeros((1, 4, 6), np.float32)
    table[0, : len(rows)] = np.array(rows).reshape(-1, 6)
    return Outputs(table[..., :4], table[..., 4], table[..., 5])


A, B = (0, 0, 10, 10, 0.9, 0.8), (50, 0, 10, 10, 0.4, 0.3)
FAINT = (30, 30, 10, 10, 0.5, 0.1)
FLAT = (40, 5, 0, -3, 0.5, 1.0)  # what a network that has learned little may answer


@pytest.mark.parametrize(
    ("ours", "theirs", "pairs", "unmatched"),
    [
        pytest.param([], [], 0, 0, id="nobody"),
        pytest.param([A, B], [A, B], 2, 0, id="same"),
        pytest.param([A], [A, B], 1, 1, id="missing"),
        pytest.param([A, B], [A], 1, 1, id="invented"),
        pytest.param([A, FAINT], [A], 1, 0, id="faint-face-on-one-side"),
        pytest.param([FAINT], [FAINT], 1, 0, id="best-counts-however-faint"),
        pytest.param([FAINT], [], 0, 1, id="best-is-missing"),
        pytest.param([A, B], [A, (50, 0, 10, 10, 0.4, 0.19)], 2, 0, id="partner-of-any-score"),
        pytest.param([A, (1, 0, 10, 10, 0.9, 0.7)], [A], 1, 1, id="one-to-one"),
        pytest.param([FLAT], [FLAT], 1, 0, id="no-area"),
        pytest.param([FLAT], [(9, 5, 0, -3, 0.5, 1.0)], 0, 2, id="no-area-elsewhere"),
    ],
)
def test_faces_are_matched_one_to_one(
    ours: list[Any], theirs: list[Any], pairs: int, unmatched: int
) -> None:
    matches = match(_faces(*ours), _faces(*theirs))
    assert (len(matches.iou), matches.unmatched) == (pairs, unmatched)
    expected = pairs / (pairs + unmatched) if pairs + unmatched else 1
    assert matches.mean_iou == pytest.approx(expected)


def test_missing_faces_are_a_fault() -> None:
    def run(canvases: np.ndarray, batch_size: int) -> Outputs:
        outputs = _outputs(canvases)
        outputs.score[:, 1] = 0
        outputs.boxes_xywh[:, 1] = 0
        return outputs

    allowed = tolerance("lite", "int8")
    faults = compare(run, _reference(48), allowed).faults(allowed)
    assert len(faults) == 4
    assert "on one side only" in faults[0]
