"""Whether a written file predicts what its checkpoint predicts, on real images.

Two comparisons: with the module that was traced, which must agree to the last digits, at several
batch sizes; and with the checkpoint's own evaluation, which for Faster R-CNN is torchvision's and
takes more proposals, so a few images may differ.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maskinfer.boxes import iou_xywh
from maskinfer.runtime import Outputs, Session
from maskinfer.train.detections import Detections, Network

from .settings import Storage

BATCH_SIZES = (1, 3, 8)


@dataclass(frozen=True)
class Tolerance:
    """What still counts as the same.

    Attributes:
        box_px: largest difference of x, y, w or h, in canvas pixels.
        probability: largest difference of a probability or score.
        share: of the images that must be within both. Where the best of many boxes is chosen, two
            that score the same to the last digit may change places.
        label_agreement: least share of images with the checkpoint's label.
        mean_iou: least mean IoU with the checkpoint's boxes.
    """

    box_px: float
    probability: float
    share: float
    label_agreement: float
    mean_iou: float


def tolerance(storage: Storage, network: str) -> Tolerance:
    """What a file of that storage must reach."""
    exact = Tolerance(0.02, 2e-4, 1.0, 0.99, 0.995)
    if storage == "fp16":
        exact = Tolerance(0.5, 0.02, 0.98, 0.97, 0.98)
    if network == "fasterrcnn":
        return Tolerance(exact.box_px, exact.probability, 0.96, 0.94, 0.90)
    return exact


@dataclass(frozen=True)
class BatchParity:
    """The file against the traced module, at one batch size.

    Attributes:
        batch_size: images a run.
        box_px: largest difference over all boxes, in canvas pixels.
        probability: largest difference over all probabilities and scores.
        within: share of the images within the tolerance.
    """

    batch_size: int
    box_px: float
    probability: float
    within: float


@dataclass(frozen=True)
class Parity:
    """A verification's outcome.

    Attributes:
        images: how many were compared.
        batches: one entry a batch size.
        label_agreement: share of images on which the file and the checkpoint give one label.
        mean_iou: of the file's boxes and the checkpoint's.
    """

    images: int
    batches: tuple[BatchParity, ...]
    label_agreement: float
    mean_iou: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)

    def faults(self, allowed: Tolerance) -> list[str]:
        """What is beyond the tolerance, one line each; empty where the file may be trusted."""
        lines = [
            f"batch {batch.batch_size}: {batch.within:.1%} of {self.images} images agree with the "
            f"checkpoint, expected {allowed.share:.0%} (largest difference {batch.box_px:.3g} px, "
            f"{batch.probability:.2g} in probability)"
            for batch in self.batches
            if batch.within < allowed.share
        ]
        if self.label_agreement < allowed.label_agreement:
            lines.append(
                f"labels agree with the checkpoint's on {self.label_agreement:.1%} of "
                f"{self.images} images, expected {allowed.label_agreement:.0%}"
            )
        if self.mean_iou < allowed.mean_iou:
            lines.append(
                f"mean IoU with the checkpoint's boxes is {self.mean_iou:.3f}, "
                f"expected {allowed.mean_iou}"
            )
        return lines


def compare(
    file: Path,
    module: nn.Module,
    network: Network,
    canvases: NDArray[np.uint8],
    allowed: Tolerance,
) -> Parity:
    """Run a model file, the traced module and the checkpoint on the same canvases.

    Args:
        file: the model file.
        module: what was traced, in evaluation mode.
        network: the checkpoint, in evaluation mode.
        canvases: (N, S, S, 3) uint8, N at least 1.
        allowed: what counts as the same.
    """
    traced = _evaluate(module, canvases)
    own = _evaluate(network.detect, canvases)
    batches = []
    for size in BATCH_SIZES:
        found = _run(file, canvases, size)
        box = np.abs(found.boxes_xywh - traced.boxes_xywh).max(axis=1)  # (N,)
        probability = np.maximum(
            np.abs(found.proper_mask - traced.proper_mask), np.abs(found.score - traced.score)
        )
        within = (box <= allowed.box_px) & (probability <= allowed.probability)
        batches.append(
            BatchParity(size, float(box.max()), float(probability.max()), float(within.mean()))
        )
    same_label = (found.proper_mask >= 0.5) == (own.proper_mask >= 0.5)
    return Parity(
        len(canvases),
        tuple(batches),
        float(same_label.mean()),
        float(iou_xywh(_positive(found.boxes_xywh), _positive(own.boxes_xywh)).mean()),
    )


def _run(file: Path, canvases: NDArray[np.uint8], batch_size: int) -> Outputs:
    session = Session(file, "cpu", batch_size)
    parts = [
        session.run(canvases[start : start + batch_size])
        for start in range(0, len(canvases), batch_size)
    ]
    return Outputs(*_joined([(p.boxes_xywh, p.proper_mask, p.score) for p in parts]))


def _evaluate(function: Any, canvases: NDArray[np.uint8]) -> Outputs:
    with torch.inference_mode():
        parts: list[Detections] = [
            function(torch.from_numpy(canvases[start : start + 8]))
            for start in range(0, len(canvases), 8)
        ]
    return Outputs(*_joined([tuple(t.numpy() for t in part) for part in parts]))


def _joined(parts: Sequence[Sequence[NDArray[np.float32]]]) -> list[NDArray[np.float32]]:
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _positive(boxes_xywh: NDArray[np.float32]) -> NDArray[np.float32]:
    """Boxes whose width and height are at least 0: an untrained regressor gives others."""
    return np.concatenate([boxes_xywh[:, :2], np.maximum(boxes_xywh[:, 2:], 0)], axis=1)
