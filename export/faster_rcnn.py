"""Faster R-CNN as one graph of fixed shapes per image and a free batch.

torchvision's own graph fixes the batch when exported (pytorch/vision issues 2311 and 8937), and
its data-dependent steps keep TensorRT from building it (NVIDIA/TensorRT issue 3034). The same
weights are computed here with neither loops, conditions, `NonZero`, nor operators outside plain
ONNX:

- anchors are constants;
- each pyramid level keeps a fixed number of proposals, the best by objectness;
- their non-maximum suppression is a matrix product, repeated until it settles;
- RoIAlign gathers the cells that each bin averages from one table of feature cells;
- the boxes of both classes are candidates for the last suppression, which is `suppression`'s.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import AnchorGenerator

from maskinfer.train.networks.faster_rcnn import IMPROPER, SMALLEST_BOX, FasterRCNNDetector
from maskinfer.train.networks.network import Candidates

from .suppression import suppress

# Least number of proposals of a level that enter its suppression, best first. torchvision takes
# 1,000, but faces have few rivals.
_LEAST_PER_LEVEL = 256
# Proposals whose features are gathered at a time, 0.8 MB each. More slices take longer to trace.
_SLICE, _MOST_SLICES = 16, 16
_NMS_IOU = 0.7  # torchvision's default
_BINS = 7  # RoIAlign's output is 7 x 7,
_SAMPLES = 2  # each bin the mean of 2 x 2 points: torchvision's defaults
_AVERAGED = (2 * _SAMPLES) ** 2  # cells that a bin averages, two by two about each point
_MAX_LOG_SCALE = math.log(1000.0 / 16)  # torchvision's limit on a box's growth
_BOX_CODER_WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of the box head; the proposals' are 1


class BatchedFasterRCNN(nn.Module):
    """The exported function of a trained Faster R-CNN: uint8 canvases in, candidates out."""

    def __init__(self, network: FasterRCNNDetector, proposals: int) -> None:
        """Take the parts of a network in evaluation mode; but for one matrix, no weight is copied.

        `proposals` is how many go through the box head, over all levels.
        """
        super().__init__()
        self.network = network
        self.canvas = network.canvas
        detector = network.detector
        self.backbone = detector.backbone
        self.rpn_head = detector.rpn.head
        with torch.no_grad():
            images = ImageList(torch.zeros(1, 3, self.canvas, self.canvas), [(self.canvas,) * 2])
            levels = list(self.backbone(images.tensors.to(network.mean.device)).values())
        self.level_sides = [level.shape[-1] for level in levels]

        generator = detector.rpn.anchor_generator
        assert isinstance(generator, AnchorGenerator)
        anchors = generator(images, levels)[0]  # (all cells, 4)
        self.level_sizes = [side * side for side in self.level_sides]
        self.anchors = nn.Buffer(anchors.clone())

        self.per_level = min(max(proposals, _LEAST_PER_LEVEL), max(self.level_sizes))
        self.proposals = min(proposals, sum(min(self.per_level, n) for n in self.level_sizes))
        # Feature levels that RoIAlign reads: all but the coarsest, which only proposes.
        self.align = RoIAlign(self.level_sides[:-1], self.canvas)
        head, predictor = detector.roi_heads.box_head, detector.roi_heads.box_predictor
        assert isinstance(head, TwoMLPHead)
        assert isinstance(predictor, FastRCNNPredictor)
        self.fc6, self.fc7, self.predictor = _channels_last(head.fc6), head.fc7, predictor

    def every_face(self, images: Tensor) -> Candidates:
        """The final boxes of both classes in (N, S, S, 3) uint8: two candidates a proposal."""
        features = list(self.backbone(self.network.normalise(images)).values())
        proposals, valid = self._propose(features)  # (N, K, 4) xyxy, (N, K)
        cells = torch.cat([f.flatten(2) for f in features[:-1]], dim=2).transpose(1, 2)
        size = max(_SLICE, -(-self.proposals // _MOST_SLICES))
        regions = self.align(cells, proposals, size)  # (N, k, 7 * 7 * C) each
        hidden = torch.cat([self._box_head(some) for some in regions], dim=1)
        scores = torch.softmax(self.predictor.cls_score(hidden), dim=2)[:, :, IMPROPER:]
        shifts = self.predictor.bbox_pred(hidden).unflatten(2, (3, 4))[:, :, IMPROPER:]
        scores = scores * valid[:, :, None]  # (N, K, 2), improper first, as the shifts
        boxes = _decode(shifts, proposals[:, :, None], _BOX_CODER_WEIGHTS)  # (N, K, 2, 4)
        boxes = boxes.clamp(0, self.canvas).flatten(1, 2)
        proper = scores[..., 1:] / scores.sum(dim=2, keepdim=True).clamp(min=1e-9)  # (N, K, 1)
        sides = boxes[..., 2:] - boxes[..., :2]
        is_box = (sides.amin(dim=2) >= SMALLEST_BOX).to(boxes.dtype)
        return Candidates(boxes, proper.expand(-1, -1, 2).flatten(1), scores.flatten(1) * is_box)

    def _box_head(self, regions: Tensor) -> Tensor:
        """What the box head says of the features of regions (N, k, 7 * 7 * C): (N, k, 1024)."""
        # As rows: of a batch of rows the exporter would transpose the weights of every slice anew,
        # and neither FP16 nor INT8 would know them for weights.
        hidden = torch.relu(self.fc7(torch.relu(self.fc6(regions.flatten(0, 1)))))
        return hidden.reshape(*regions.shape[:2], -1)

    def _propose(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The best proposals (N, K, 4) as xyxy, and which of them are real (N, K) as 0 or 1."""
        objectness, shifts = self.rpn_head(features)
        rows = []
        for level_objectness, level_shifts, anchors in zip(
            objectness, shifts, torch.split(self.anchors, self.level_sizes), strict=True
        ):
            count = min(self.per_level, len(anchors))
            score, index = level_objectness.flatten(1).topk(count, dim=1)  # (N, k), best first
            shift = _rows(level_shifts.flatten(2).transpose(1, 2), index)  # (N, k, 4)
            row = torch.cat([score[..., None], shift, anchors[index]], dim=2)  # (N, k, 9)
            # A level with fewer cells is filled with empty boxes, which count as unreal.
            rows.append(nn.functional.pad(row, (0, 0, 0, self.per_level - count)))
        score, shift, anchor = torch.split(torch.stack(rows, dim=1), [1, 4, 4], dim=3)
        boxes = _decode(shift, anchor, (1.0, 1.0, 1.0, 1.0)).clamp(0, self.canvas)
        sides = boxes[..., 2:] - boxes[..., :2]
        real = (sides.amin(dim=3) >= 1e-3).to(score.dtype)  # torchvision's smallest box
        valid = suppress(boxes.flatten(0, 1), real.flatten(0, 1), _NMS_IOU)
        valid = valid.reshape(real.shape)
        # Suppressed proposals sink below every other without leaving the fixed shape.
        scores = (score[..., 0] - (1 - valid) * 1e4).flatten(1)
        _, index = scores.topk(self.proposals, dim=1)
        valid = _rows(valid.flatten(1)[..., None], index)[..., 0]
        return _rows(boxes.flatten(1, 2), index), valid


class RoIAlign(nn.Module):
    """`torchvision.ops.MultiScaleRoIAlign(7, sampling_ratio=2)` by gathering, for square levels."""

    def __init__(self, level_sides: list[int], canvas: int) -> None:
        """Lay out the levels, finest first; `level_sides` in cells, `canvas` in pixels."""
        super().__init__()
        sides = torch.tensor(level_sides, dtype=torch.float32)
        starts = torch.tensor([0, *level_sides]).square().cumsum(0)[:-1]
        self.sides = nn.Buffer(sides)
        self.scales = nn.Buffer(torch.exp2(torch.log2(sides / canvas).round()))
        self.starts = nn.Buffer(starts)
        steps = torch.arange(_BINS * _SAMPLES, dtype=torch.float32)
        self.steps = nn.Buffer((steps + 0.5) / _SAMPLES)  # (14,), in bins
        # A region of 224 pixels a side belongs to level 4 of 2 to 5 (Lin et al. 2017, eq. 1).
        self.finest = -math.log2(float(self.scales[0]))

    def forward(self, cells: Tensor, regions_xyxy: Tensor, at_a_time: int) -> Iterator[Tensor]:
        """Sample features (N, k, 7 * 7 * C), the channels fastest, in regions of canvas pixels.

        Cells are (N, all cells, C), levels one after the other; regions are (N, K, 4), of which
        each result has so many, the last one the rest.
        """
        channels = cells.shape[2]
        level = self._level_of(regions_xyxy)  # (N, K)
        scaled = regions_xyxy * self.scales[level][..., None]
        bin_wh = (scaled[..., 2:] - scaled[..., :2]).clamp(min=1.0) / _BINS
        points = scaled[..., :2, None] + bin_wh[..., None] * self.steps  # (N, K, 2, 14)
        sides = self.sides[level][..., None]  # (N, K, 1)
        columns, weights_x = _neighbours(points[:, :, 0], sides)  # (N, K, 7, 4)
        rows, weights_y = _neighbours(points[:, :, 1], sides)

        table = cells.reshape(-1, channels)  # (N * all cells, C)
        first = torch.arange(cells.shape[0], device=cells.device) * cells.shape[1]
        first = first[:, None] + self.starts[level].long()  # (N, K): where its level begins
        rows = first[..., None, None] + (rows * sides[..., None]).long()
        parts = (rows, columns.long(), weights_y, weights_x)
        slices = (torch.split(part, at_a_time, dim=1) for part in parts)
        for row, column, weight_y, weight_x in zip(*slices, strict=True):
            # All 4 x 4 cells that a bin averages in one step: (N, k, 7, 7, 4, 4).
            index = row[:, :, :, None, :, None] + column[:, :, None, :, None, :]
            weight = weight_y[:, :, :, None, :, None] * weight_x[:, :, None, :, None, :]
            gathered = table.index_select(0, index.flatten())
            gathered = gathered.reshape(-1, _AVERAGED, channels)
            bins = weight.reshape(-1, 1, _AVERAGED) @ gathered  # (N * k * 7 * 7, 1, C)
            yield bins.reshape(*row.shape[:2], _BINS * _BINS * channels)

    def _level_of(self, regions_xyxy: Tensor) -> Tensor:
        sides = (regions_xyxy[..., 2:] - regions_xyxy[..., :2]).clamp(min=0)
        root_area = (sides[..., 0] * sides[..., 1]).sqrt()
        level = torch.floor(4 + torch.log2(root_area / 224 + 1e-12) + 1e-6)
        return (level - self.finest).clamp(0, len(self.sides) - 1).long()


def _neighbours(points: Tensor, sides: Tensor) -> tuple[Tensor, Tensor]:
    """The cells along one axis that each bin averages, and how much each of them counts.

    (N, K, 7, 4) each: of either sample point of a bin, the cell below it and the one above. Points
    are (N, K, 7 * 2) in cells, sides (N, K, 1) cells along a side of the region's level. Past the
    last cell's centre RoIAlign repeats that cell, and past the map it reads 0, where a region of
    less than a cell was widened to one.
    """
    share = (points <= sides).to(points.dtype) / _SAMPLES
    points = torch.minimum(points.clamp(min=0), sides - 1)
    low = points.floor()
    part = points - low
    high = torch.minimum(low + 1, sides - 1)
    cells = torch.stack([low, high], dim=-1)  # (N, K, 14, 2)
    weights = torch.stack([share * (1 - part), share * part], dim=-1)
    bins = (*points.shape[:2], _BINS, 2 * _SAMPLES)
    return cells.reshape(bins), weights.reshape(bins)


def _decode(
    shifts: Tensor, boxes_xyxy: Tensor, weights: tuple[float, float, float, float]
) -> Tensor:
    """What torchvision's `BoxCoder.decode` does: shift centres, scale sides; (..., 4) xyxy."""
    size = boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]
    centre = boxes_xyxy[..., :2] + 0.5 * size
    centre = centre + shifts[..., :2] / torch.tensor(weights[:2]).to(shifts) * size
    log_scale = (shifts[..., 2:] / torch.tensor(weights[2:]).to(shifts)).clamp(max=_MAX_LOG_SCALE)
    half = 0.5 * log_scale.exp() * size
    return torch.cat([centre - half, centre + half], dim=-1)


def _rows(values: Tensor, index: Tensor) -> Tensor:
    """Rows of each image: values (N, n, C), index (N, k) -> (N, k, C)."""
    first = torch.arange(values.shape[0], device=values.device)[:, None] * values.shape[1]
    rows = values.reshape(-1, values.shape[2]).index_select(0, (first + index).flatten())
    return rows.reshape(values.shape[0], index.shape[1], values.shape[2])


def _channels_last(fc6: nn.Linear) -> nn.Linear:
    """The first layer of the box head, for regions whose channels run fastest."""
    channels = fc6.in_features // (_BINS * _BINS)
    turned = nn.Linear(fc6.in_features, fc6.out_features)
    weight = fc6.weight.detach().reshape(-1, channels, _BINS, _BINS)
    turned.load_state_dict(
        {"weight": weight.permute(0, 2, 3, 1).flatten(1), "bias": fc6.bias.detach()}
    )
    return turned
