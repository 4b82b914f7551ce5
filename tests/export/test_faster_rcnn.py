"""The batched graph against torchvision's own operators and evaluation."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import MultiScaleRoIAlign, nms

from maskinfer.export.faster_rcnn import RoIAlign, _decode
from maskinfer.export.graph import ContractModule
from maskinfer.export.matching import match
from maskinfer.export.settings import GraphOptions
from maskinfer.export.suppression import Faces, faces_one_by_one, suppress
from maskinfer.runtime.session import Outputs
from maskinfer.train.networks.build import build
from maskinfer.train.networks.faster_rcnn import FasterRCNNDetector
from maskinfer.train.networks.network import Candidates
from maskinfer.train.recipes import recipe_settings


def _random_boxes(count: int, canvas: int, seed: int) -> torch.Tensor:
    """(count, 4) xyxy inside the canvas, of all sizes, at the border now and then."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, 2, generator=generator) * 1.2 * canvas - 0.1 * canvas
    corners = corners.clamp(0, canvas).sort(dim=1).values
    return corners.flatten(1)


@pytest.mark.parametrize("canvas", [64, 128, 224])
def test_roi_align_equals_torchvisions(canvas: int) -> None:
    generator = torch.Generator().manual_seed(canvas)
    sides = [canvas // stride for stride in (4, 8, 16, 32)]
    features = {
        str(level): torch.randn(2, 5, side, side, generator=generator)
        for level, side in enumerate(sides)
    }
    regions = torch.stack([_random_boxes(50, canvas, seed) for seed in (1, 2)])
    expected = MultiScaleRoIAlign(list(features), 7, 2)(
        features, list(regions), [(canvas, canvas)] * 2
    )

    cells = torch.cat([f.flatten(2) for f in features.values()], dim=2).transpose(1, 2)
    got = torch.cat([*RoIAlign(sides, canvas)(cells, regions, 16)], dim=1)  # (2, 50, 7 * 7 * 5)

    got = got.reshape(100, 7, 7, 5).permute(0, 3, 1, 2)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_features_are_gathered_for_few_proposals_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ONNX Runtime holds all sixteen corners of those at once: 50 kB each and proposal."""
    settings = recipe_settings("fasterrcnn", "default", ("data",), 64)
    network = build(replace(settings, backbone="resnet18", weights="none")).eval()
    counts: list[int] = []
    gather = RoIAlign.forward

    def watched(self: RoIAlign, *rest: Any) -> Iterator[torch.Tensor]:
        for features in gather(self, *rest):
            counts.append(features.shape[1])
            yield features

    monkeypatch.setattr(RoIAlign, "forward", watched)
    ContractModule(network, GraphOptions(proposals=128))(
        torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    )
    assert counts == [16] * 8


@given(seed=st.integers(0, 10_000), count=st.integers(1, 120))
def test_suppression_equals_greedy_nms(seed: int, count: int) -> None:
    boxes = _random_boxes(count, 100, seed) * 0.3 + 30  # crowded, so that they overlap
    scores = torch.linspace(1, 0, count)
    keep = suppress(boxes[None], torch.ones(1, count), 0.7)[0]
    assert keep.nonzero().flatten().tolist() == nms(boxes, scores, 0.7).sort().values.tolist()


def test_suppression_ignores_invalid_boxes() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [20, 20, 30, 30]])[None]
    keep = suppress(boxes, torch.tensor([[0.0, 1.0, 1.0]]), 0.7)
    assert keep.tolist() == [[0.0, 1.0, 1.0]]


def test_decode_equals_torchvisions() -> None:
    generator = torch.Generator().manual_seed(0)
    boxes = _random_boxes(40, 100, 3)
    shifts = torch.randn(40, 4, generator=generator) * 3
    weights = (10.0, 10.0, 5.0, 5.0)
    expected = BoxCoder(weights).decode_single(shifts, boxes)
    torch.testing.assert_close(_decode(shifts, boxes, weights), expected)


def test_with_all_proposals_the_graph_equals_torchvisions_evaluation() -> None:
    """At 64 px every level has at most 256 cells, so both look at the same proposals."""
    torch.manual_seed(3)
    settings = replace(recipe_settings("fasterrcnn", "default", ("data",), 64), backbone="resnet18")
    network = build(settings).eval()
    assert isinstance(network, FasterRCNNDetector)
    canvases = torch.randint(0, 256, (6, 64, 64, 3), dtype=torch.uint8)
    options = GraphOptions(proposals=10_000)
    with torch.no_grad():
        best = network.detect(canvases)
        own = faces_one_by_one(network.candidates(canvases), options)
        ours = ContractModule(network, options)(canvases)
        final = _torchvisions(network, canvases, options)
    torch.testing.assert_close(ours.boxes_xywh[:, 0], best.boxes_xywh, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(ours.score[:, 0], best.score, rtol=1e-3, atol=1e-3)
    for theirs, share in ((own, 0.99), (final, 0.9)):
        matches = match(*(Outputs(*(c.numpy() for c in faces)) for faces in (ours, theirs)))
        assert len(matches.iou) >= 6
        assert len(matches.iou) / matches.faces > share
        assert (matches.iou > 0.99).mean() > share


def _torchvisions(
    network: FasterRCNNDetector, canvases: torch.Tensor, options: GraphOptions
) -> Faces:
    """torchvision's own final detections, suppressed over its classes too; no probability."""
    images, features = network.outputs(canvases)
    proposals, _ = network.detector.rpn(images, features)
    detections, _ = network.detector.roi_heads(features, proposals, images.image_sizes)
    candidates = [
        Candidates(d["boxes"], torch.zeros_like(d["scores"]), d["scores"]) for d in detections
    ]
    return faces_one_by_one(candidates, options)
