"""Experiment two: torchvision's Faster R-CNN with a ResNet or MobileNetV2 and a feature pyramid.

Three classes: background, mask worn improperly, mask worn properly. One anchor shape a location,
as in the report. The one box wanted is the best-scored of all detections.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import mobilenet_backbone, resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import box_area, box_convert, box_iou

from maskinfer.train.settings import TrainSettings

from .network import Candidates, Detections, Losses, Network, Targets, normalisations

IMPROPER, PROPER = 1, 2  # class numbers; 0 is background
SMALLEST_BOX = 1e-2  # shorter side in pixels; torchvision leaves smaller boxes out
# Anchor sides of the five pyramid levels at a canvas of 224; they grow with it.
_ANCHOR_SIDES_AT_224 = (16, 32, 64, 128, 256)
# Of torchvision's 1,000 proposals an image, those that a run's figures are measured on: its label
# on 99 % of photos (docs/experiments.md), and the box head's time an eighth.
_MEASURED_PROPOSALS = 128

_Outputs = tuple[ImageList, dict[str, Tensor]]


class _RegionProposals(RegionProposalNetwork):  # type: ignore[misc]
    """torchvision's, to which anchors in what is passed over are neither faces nor background."""

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        labels, faces = super().assign_targets_to_anchors(anchors, targets)
        for label, boxes, target in zip(labels, anchors, targets, strict=True):
            passed_over = (label == 0) & _lies_in(boxes, target["passed_over"])
            if not passed_over.equal(label == 0):  # a loss needs some background
                label[passed_over] = -1
        return labels, faces


class _Full:
    """A layer whose outputs are coordinates and scores: in FP32 also where others compute in less.

    In BF16 a coordinate of 200 pixels has steps of one, and many scores are equal.
    """

    def forward(self, x: Tensor) -> Any:
        if not torch.is_autocast_enabled(x.device.type):
            return super().forward(x)  # type: ignore[misc]
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())  # type: ignore[misc]


class _FullConv(_Full, nn.Conv2d):
    """Of each cell."""


class _FullPredictor(_Full, FastRCNNPredictor):  # type: ignore[misc]
    """Of each proposal."""


class FasterRCNNDetector(Network):
    """torchvision's detector, taken apart where its own `forward` only does half of what we need.

    Its `forward` returns losses in training mode and boxes in evaluation mode, never both, and
    resizes and normalises what we have resized and normalised already; so its backbone, region
    proposal network and box heads are called here one by one.
    """

    learns_all_faces = True
    trunk_name = "detector.backbone.body"

    def __init__(self, settings: TrainSettings) -> None:
        canvas, backbone = settings.geometry.canvas, settings.backbone
        super().__init__(canvas)
        if backbone == "mobilenet_v2":
            body = mobilenet_backbone(
                backbone_name=backbone,
                weights=None,
                fpn=True,
                norm_layer=nn.BatchNorm2d,
                trainable_layers=6,
                returned_layers=[1, 2, 3, 5],  # strides 4, 8, 16, 32, as of a ResNet
            )
        else:
            body = resnet_fpn_backbone(
                backbone_name=backbone, weights=None, norm_layer=nn.BatchNorm2d, trainable_layers=5
            )
        sides = tuple((round(side * canvas / 224),) for side in _ANCHOR_SIDES_AT_224)
        self.detector = FasterRCNN(
            body,
            num_classes=3,
            rpn_anchor_generator=AnchorGenerator(sides, ((1.0,),) * len(sides)),
            box_batch_size_per_image=settings.box_samples,
            # The best box of either class is wanted however little it scores, so none is cut off
            # by its score or by the number of better ones: 1,000 proposals, two classes.
            box_score_thresh=0.0,
            box_detections_per_img=2000,
        )
        # Which have the state of their bases.
        self.detector.rpn.__class__ = _RegionProposals
        for layer in (self.detector.rpn.head.cls_logits, self.detector.rpn.head.bbox_pred):
            layer.__class__ = _FullConv
        self.detector.roi_heads.box_predictor.__class__ = _FullPredictor

    def begin_from(self, origin: str) -> None:
        # As torchvision's own pretrained detectors: batches are too small to learn statistics, and
        # what the stem and the first stage have learned is general.
        if origin in ("imagenet", "coco"):
            self.keeps_statistics_of = self.trunk_name
            body = self.detector.backbone.body
            for layer in normalisations(body):
                layer.requires_grad_(requires_grad=False)
            for name, stage in body.named_children():
                stage.requires_grad_(requires_grad=False)
                if name in body.return_layers:
                    break

    def measure(self, canvases: Tensor, targets: Targets) -> tuple[Losses, Detections]:
        outputs = self.outputs(canvases)
        # torchvision returns losses only in training mode. Neither the proposal network nor the
        # box heads hold batch normalisation, so only what they return changes; the backbone,
        # which holds it, stays in evaluation mode. They sample at random: the same draw each
        # time, and none taken from the training's own stream.
        parts = nn.ModuleList([self.detector.rpn, self.detector.roi_heads])
        devices = [canvases.device] if canvases.is_cuda else []
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            torch.manual_seed(0)
            parts.train()
            try:
                losses = self.losses(outputs, targets)
            finally:
                parts.eval()
        return losses, self.detections(outputs, _MEASURED_PROPOSALS)

    def candidates(self, canvases: Tensor) -> list[Candidates]:
        # Two a proposal: the box of either class, each with its class's score.
        images, features = self.outputs(canvases)
        heads = self.detector.roi_heads
        proposals, _ = self.detector.rpn(images, features)
        pooled = heads.box_roi_pool(features, proposals, images.image_sizes)
        logits, shifts = heads.box_predictor(heads.box_head(pooled))
        scores = torch.softmax(logits, dim=1)[:, IMPROPER:]  # (all proposals, 2)
        boxes = heads.box_coder.decode(shifts, proposals)[:, IMPROPER:].clamp(0, self.canvas)
        proper = scores[:, 1:] / scores.sum(dim=1, keepdim=True).clamp(min=1e-9)
        is_box = (boxes[..., 2:] - boxes[..., :2]).amin(dim=2) >= SMALLEST_BOX
        columns = (boxes, proper.expand(-1, 2), scores * is_box)
        counts = [len(p) for p in proposals]
        by_image = (column.split(counts) for column in columns)
        return [
            Candidates(*(column.flatten(0, 1) for column in image))
            for image in zip(*by_image, strict=True)
        ]

    def outputs(self, canvases: Tensor) -> _Outputs:
        """Canvases as torchvision wants them, and their feature maps by name of the level."""
        sizes_hw = [(self.canvas, self.canvas)] * len(canvases)
        images = ImageList(self.normalise(canvases), sizes_hw)
        features: dict[str, Tensor] = self.detector.backbone(images.tensors)
        # Region features are sampled in FP32.
        return images, {name: level.float() for name, level in features.items()}

    def losses(self, outputs: _Outputs, targets: Targets) -> Losses:
        images, features = outputs
        described = _torchvision_targets(targets, self.canvas)
        proposals, losses = self.detector.rpn(images, features, described)
        proposals = [_of_use(*pair) for pair in zip(proposals, described, strict=True)]
        _, box_losses = self.detector.roi_heads(features, proposals, images.image_sizes, described)
        return {**losses, **box_losses}

    def detections(self, outputs: _Outputs, most: int | None = None) -> Detections:
        images, features = outputs
        proposals, _ = self.detector.rpn(images, features)  # of each image, best first
        proposals = [best_first[:most] for best_first in proposals]
        faces, _ = self.detector.roi_heads(features, proposals, images.image_sizes)
        best = [_best(image) for image in faces]
        return Detections(*(torch.stack(column) for column in zip(*best, strict=True)))


def _torchvision_targets(targets: Targets, canvas: int) -> list[dict[str, Tensor]]:
    """Faces as x1, y1, x2, y2 inside the canvas, at least a pixel wide, and what is passed over."""
    boxes_xyxy = box_convert(targets.faces_xywh, "xywh", "xyxy").clamp(0, canvas)
    low = boxes_xyxy[..., :2].clamp(max=canvas - 1)
    boxes_xyxy = torch.cat([low, torch.maximum(boxes_xyxy[..., 2:], low + 1)], dim=2)
    labels = torch.where(targets.faces_proper > 0.5, PROPER, IMPROPER)
    return [
        {"boxes": boxes[learnt], "labels": label[learnt], "passed_over": boxes[~learnt]}
        for boxes, label, learnt in zip(boxes_xyxy, labels, targets.learnt, strict=True)
    ]


def _of_use(proposals: Tensor, target: dict[str, Tensor]) -> Tensor:
    """Of (N, 4) proposals those that are a face or outside what is passed over; all if none is."""
    is_face = (box_iou(proposals, target["boxes"]) >= 0.5).any(dim=1)  # as torchvision has it
    kept = is_face | ~_lies_in(proposals, target["passed_over"])
    return proposals[kept] if kept.any() else proposals


def _lies_in(boxes: Tensor, areas: Tensor) -> Tensor:
    """Of (N, 4) boxes, whether at least half lies in one of (M, 4) areas."""
    low = torch.maximum(boxes[:, None, :2], areas[:, :2])
    high = torch.minimum(boxes[:, None, 2:], areas[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=2)
    inside: Tensor = (shared >= 0.5 * box_area(boxes)[:, None]).any(dim=1)
    return inside


def _best(faces: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """The best-scored box (4,) as x, y, w, h, its probability of a proper mask (), its score ().

    The probability weighs the best score of either class, so that it agrees with the label of the
    best box.
    """
    boxes, labels, scores = faces["boxes"], faces["labels"], faces["scores"]
    if len(scores) == 0:  # every box was degenerate
        zero = scores.new_zeros(())
        return boxes.new_zeros(4), zero + 0.5, zero
    proper = (scores * (labels == PROPER)).max()
    improper = (scores * (labels == IMPROPER)).max()
    box_xywh = box_convert(boxes[scores.argmax()], "xyxy", "xywh")
    probability = proper / (proper + improper).clamp(min=1e-9)
    return box_xywh, probability, torch.maximum(proper, improper)
