"""Comparing two evaluations of the same weights."""

from typing import Any

import numpy as np
import pytest
import torch

from maskinfer.export.parity import Reference, compare, tolerance
from maskinfer.runtime.session import Outputs
from maskinfer.train.networks.network import Detections

_SIDE = 8


def _outputs(canvases: np.ndarray) -> Outputs:
    mean = canvases.mean(axis=(1, 2, 3), dtype=np.float32)
    boxes = np.stack([mean / 64, mean / 64, mean / 32, mean / 32], axis=1)
    return Outputs(boxes, mean / 255, mean / 255)


def _network(canvases: torch.Tensor) -> Detections:
    outputs = _outputs(canvases.numpy())
    columns = (outputs.boxes_xywh, outputs.proper_mask, outputs.score)
    return Detections(*map(torch.from_numpy, columns))


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
        nothing = np.full(len(canvases), np.nan, dtype=np.float32)
        return Outputs(np.repeat(nothing[:, None], 4, axis=1), nothing, nothing)

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
