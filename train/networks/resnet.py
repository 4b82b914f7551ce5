"""Experiment one: a ResNet, or another trunk, with two heads, a box and a mask logit."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from maskinfer.train.settings import TrainSettings

from .network import Detections, Losses, Network, Targets

_NECK = 128  # channels of the spatial head's map


class OneFaceDetector(Network):
    """A trunk with a box head and a mask head.

    The pooled heads are the report's: one linear layer each on the mean of the last feature map.
    The spatial heads keep the map: each cell proposes a box and a mask logit, and a softmax over
    the cells weighs them, so that where a face is need not survive the pooling.

    Losses: L1 between boxes in units of the canvas, summed over x, y, w, h, times `box_weight`;
    plus binary cross-entropy of the mask logit (`bce`) or cross-entropy of two (`ce`).
    """

    def __init__(self, settings: TrainSettings, middle: int, last: int) -> None:
        """Make the heads, for the channels of the two maps that `levels` returns."""
        super().__init__(settings.geometry.canvas)
        self.logits = 1 if settings.loss == "bce" else 2
        self.box_weight = settings.box_weight
        if settings.head == "pooled":
            self.head: nn.Module = PooledHead(last, self.logits)
        else:
            self.head = SpatialHead(middle, last, self.logits)

    def levels(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The trunk's feature maps at strides 16 and 32 of normalised canvases."""
        raise NotImplementedError

    def outputs(self, canvases: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (B, 4) as xywh in units of the canvas, mask logits (B, 1 or 2), score (B,)."""
        boxes, logits, score = self.head(*self.levels(self.normalise(canvases)))
        return boxes.float(), logits.float(), score.float()

    def losses(self, outputs: tuple[Tensor, Tensor, Tensor], targets: Targets) -> Losses:
        boxes, logits, _ = outputs
        true_boxes = targets.boxes_xywh / self.canvas
        known = targets.box_known[:, 0].float()
        box = ((boxes - true_boxes).abs().sum(dim=1) * known).mean() * self.box_weight
        if self.logits == 1:
            mask = F.binary_cross_entropy_with_logits(logits[:, 0], targets.proper_mask)
        else:
            mask = F.cross_entropy(logits, targets.proper_mask.long())
        return {"box": box, "mask": mask}

    def detections(self, outputs: tuple[Tensor, Tensor, Tensor]) -> Detections:
        boxes, logits, score = outputs
        one = self.logits == 1
        proper = torch.sigmoid(logits[:, 0]) if one else torch.softmax(logits, dim=1)[:, 1]
        return Detections(boxes * self.canvas, proper, score)


class ResNetDetector(OneFaceDetector):
    """ResNet-18, -34 or -50 as the trunk."""

    trunk_name = "resnet"

    def __init__(self, settings: TrainSettings) -> None:
        resnet = models.get_model(settings.backbone, weights=None)
        last: int = resnet.fc.in_features
        super().__init__(settings, last // 2, last)
        resnet.fc = nn.Identity()
        self.resnet = resnet

    def levels(self, x: Tensor) -> tuple[Tensor, Tensor]:
        body = self.resnet
        x = body.maxpool(body.relu(body.bn1(body.conv1(x))))
        middle = body.layer3(body.layer2(body.layer1(x)))
        return middle, body.layer4(middle)


class MobileNetDetector(OneFaceDetector):
    """MobileNetV2 as the trunk (Sandler et al. 2018, arXiv 1801.04381)."""

    trunk_name = "features"

    def __init__(self, settings: TrainSettings) -> None:
        features = models.mobilenet_v2(weights=None).features
        super().__init__(settings, 96, 1280)
        self.features = features

    def levels(self, x: Tensor) -> tuple[Tensor, Tensor]:
        middle = self.features[:14](x)
        return middle, self.features[14:](middle)


class PooledHead(nn.Module):
    """Two linear layers on the mean of the last feature map; its score is always 1."""

    def __init__(self, channels: int, logits: int) -> None:
        super().__init__()
        self.box = nn.Linear(channels, 4)
        self.mask = nn.Linear(channels, logits)
        nn.init.constant_(self.box.bias, 0.33)  # a box about the middle, a third of the canvas

    def forward(self, middle: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pooled = last.mean(dim=(2, 3))  # (B, C)
        return self.box(pooled), self.mask(pooled), torch.ones_like(pooled[:, 0])


class SpatialHead(nn.Module):
    """Cells at stride 16 that each propose a box and a mask logit, weighed by a softmax.

    The score is the share of that weight which lies inside the box it gave.
    """

    def __init__(self, middle: int, last: int, logits: int) -> None:
        super().__init__()
        self.last = nn.Conv2d(last, _NECK, 1)
        self.middle = nn.Conv2d(middle, _NECK, 1)
        self.mix = nn.Sequential(
            nn.BatchNorm2d(_NECK),
            nn.ReLU(),
            nn.Conv2d(_NECK, _NECK, 3, padding=1, bias=False),
            nn.BatchNorm2d(_NECK),
            nn.ReLU(),
        )
        self.weight = nn.Conv2d(_NECK, 1, 1)
        self.box = nn.Conv2d(_NECK, 4, 1)
        self.mask = nn.Conv2d(_NECK, logits, 1)
        nn.init.zeros_(self.weight.weight)  # every cell counts the same at first
        nn.init.normal_(self.box.weight, std=0.01)
        assert self.box.bias is not None
        with torch.no_grad():
            self.box.bias.copy_(torch.tensor([0.0, 0.0, 0.33, 0.33]))

    def forward(self, middle: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        upper = F.interpolate(self.last(last), scale_factor=2.0, mode="nearest")
        x = self.mix(self.middle(middle) + upper)  # (B, 128, c, c)
        cells = x.shape[-1]
        weight = torch.softmax(self.weight(x).float().flatten(1), dim=1)  # (B, c * c)
        centre = (torch.arange(cells, device=x.device) + 0.5) / cells
        centre_y, centre_x = torch.meshgrid(centre, centre, indexing="ij")
        centre_xy = torch.stack([centre_x.flatten(), centre_y.flatten()])  # (2, c * c)

        proposed = self.box(x).float().flatten(2)  # (B, 4, c * c): offset of the centre, w, h
        box_centre = ((proposed[:, :2] + centre_xy) * weight[:, None]).sum(dim=2)
        size = (proposed[:, 2:] * weight[:, None]).sum(dim=2)
        boxes = torch.cat([box_centre - size / 2, size], dim=1)
        logits = (self.mask(x).float().flatten(2) * weight[:, None]).sum(dim=2)

        inside = ((centre_xy - box_centre[:, :, None]).abs() <= size[:, :, None] / 2).all(dim=1)
        return boxes, logits, (weight * inside).sum(dim=1)
