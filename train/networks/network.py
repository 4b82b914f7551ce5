"""What every network is to the training loop, and the shape of its answers."""

from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class Detections(NamedTuple):
    """One box an image, float32."""

    boxes_xywh: Tensor  # (B, 4) canvas pixels
    proper_mask: Tensor  # (B,) probability in 0..1
    score: Tensor  # (B,) confidence in the box in 0..1


class Candidates(NamedTuple):
    """Faces that a network considered, in any order: of one image, or of a batch; float32."""

    boxes_xyxy: Tensor  # (..., K, 4) inside the canvas
    proper_mask: Tensor  # (..., K) probability in 0..1
    score: Tensor  # (..., K) confidence in 0..1


class Targets(NamedTuple):
    """What a batch of canvases shows: the face that each image is labelled with, and all faces.

    Fewer faces than M are filled up with boxes of no size.
    """

    boxes_xywh: Tensor  # (B, 4) float32, canvas pixels; may reach past the canvas
    proper_mask: Tensor  # (B,) float32, 1 where the mask is worn properly, else 0
    faces_xywh: Tensor  # (B, M, 4) float32, all known faces, clipped to the photo on the canvas
    faces_proper: Tensor  # (B, M) float32, as `proper_mask`
    learnt: Tensor  # (B, M) bool, False where most of it is cut off: neither a face nor none
    box_known: Tensor  # (B, M) bool, False where the box says only about where a face is
    incorrectly: Tensor  # (B, M) float32, 1: a mask leaves nose or mouth bare, 0: none, -1: unknown


Losses = dict[str, Tensor]


class Network(nn.Module):
    """A detector of one face: losses to train on, losses and boxes to measure, boxes to use.

    Canvases are (B, S, S, 3) uint8 RGB everywhere; casting and normalising happen inside, so that
    an exported network takes the same input.
    """

    # Whether it learns every known face of an image, and so may rightly find another one than the
    # image is labelled with.
    learns_all_faces = False
    trunk_name: str  # of the submodule that is the backbone, for initial weights
    # Name of the submodule whose batch normalisation keeps its statistics in training; "" is all.
    keeps_statistics_of: str | None = None

    def __init__(self, canvas: int) -> None:
        super().__init__()
        self.canvas = canvas  # S in pixels
        self.register_buffer("mean", torch.full((3,), 127.5))
        self.register_buffer("std", torch.full((3,), 64.0))
        self.mean: Tensor
        self.std: Tensor

    def begin_from(self, origin: str) -> None:
        """Prepare to be trained, from weights of an origin as `load_initial_weights` names it."""

    def train(self, mode: bool = True) -> Self:
        """Set the mode, as of any module; statistics that are kept are not learned from batches."""
        super().train(mode)
        if self.keeps_statistics_of is not None:
            for layer in normalisations(self.get_submodule(self.keeps_statistics_of)):
                layer.eval()
        return self

    def forward(self, canvases: Tensor, targets: Targets) -> Losses:
        """Losses to train on, by name; their sum is minimised."""
        return self.losses(self.outputs(canvases), targets)

    def measure(self, canvases: Tensor, targets: Targets) -> tuple[Losses, Detections]:
        """Losses and boxes of a network in evaluation mode, which it leaves as it was."""
        outputs = self.outputs(canvases)
        return self.losses(outputs, targets), self.detections(outputs)

    def detect(self, canvases: Tensor) -> Detections:
        """The one box of each canvas, in evaluation mode."""
        return self.detections(self.outputs(canvases))

    def outputs(self, canvases: Tensor) -> Any:
        """What `losses` and `detections` are both computed from."""
        raise NotImplementedError

    def losses(self, outputs: Any, targets: Targets) -> Losses:
        """Losses, by name, of what `outputs` returned."""
        raise NotImplementedError

    def detections(self, outputs: Any) -> Detections:
        """The one box of each canvas, of what `outputs` returned."""
        raise NotImplementedError

    def candidates(self, canvases: Tensor) -> list[Candidates]:
        """Every face considered in each canvas, in evaluation mode; of networks that learn all."""
        raise NotImplementedError

    def normalise(self, canvases: Tensor) -> Tensor:
        """(B, S, S, 3) uint8 -> (B, 3, S, S) float32, about zero mean and unit deviation."""
        # Cast before the transpose: TensorRT's parser has no uint8 transpose. And row by row: with
        # means of three numbers, ONNX Runtime takes a fifth of lite's time for these two steps.
        width = canvases.shape[2]
        rows = canvases.float().flatten(2)  # (B, S, S * 3)
        rows = (rows - self.mean.repeat(width)) / self.std.repeat(width)
        return rows.reshape(canvases.shape).permute(0, 3, 1, 2).contiguous()


def normalisations(part: nn.Module) -> list[nn.Module]:
    """The layers of batch normalisation in a part of a network, of one process or several."""
    return [layer for layer in part.modules() if isinstance(layer, _BatchNorm)]
