"""Whether a written file predicts what its checkpoint predicts, on real images.

Two comparisons: with the network that was traced, whose answers differ only by what the precision
costs, at several batch sizes; and with the checkpoint's own evaluation, which for Faster R-CNN is
torchvision's and takes more proposals, so a few images may differ.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from maskinfer.data.boxes import iou_xywh
from maskinfer.data.images import Pixels
from maskinfer.errors import ModelFileError
from maskinfer.runtime.session import Outputs
from maskinfer.train.networks.network import Detections

BATCH_SIZES = (1, 3, 8)
_TORCH_BATCH = 8

Run = Callable[[Pixels, int], Outputs]
Detect = Callable[[torch.Tensor], Detections]


@dataclass(frozen=True)
class Tolerance:
    """What still counts as the same.

    Attributes:
        box_px: largest difference of x, y, w or h from the traced network, in canvas pixels.
        probability: largest difference of a probability or score.
        share: of the images that must be within both. Where the best of many boxes is chosen, two
            that score the same to the last digit may change places.
        label_agreement: least share of images whose label is the checkpoint's. A label that
            differs counts only where the probabilities differ by more than `probability`: one
            that is half and half may fall either way.
        mean_iou: least mean IoU with the checkpoint's boxes.
    """

    box_px: float
    probability: float
    share: float
    label_agreement: float
    mean_iou: float


_TOLERANCES = {
    "resnet": {
        "fp32": Tolerance(0.02, 2e-4, 1.0, 0.99, 0.995),
        "fp32, weights stored as fp16": Tolerance(0.5, 0.02, 0.98, 0.97, 0.98),
        "fp16": Tolerance(1.0, 0.02, 0.98, 0.97, 0.98),
        "int8": Tolerance(20.0, 0.2, 0.9, 0.95, 0.9),
    },
    "lite": {
        "fp32": Tolerance(0.02, 2e-4, 0.98, 0.97, 0.98),
        "fp32, weights stored as fp16": Tolerance(0.5, 0.02, 0.96, 0.97, 0.98),
        "fp16": Tolerance(1.0, 0.02, 0.96, 0.97, 0.98),
        "int8": Tolerance(20.0, 0.2, 0.85, 0.95, 0.9),
    },
    "fasterrcnn": {
        "fp32": Tolerance(0.02, 2e-4, 0.96, 0.94, 0.90),
        "fp32, weights stored as fp16": Tolerance(0.5, 0.02, 0.96, 0.94, 0.90),
        "fp16": Tolerance(1.0, 0.02, 0.96, 0.94, 0.90),
        "int8": Tolerance(20.0, 0.2, 0.85, 0.90, 0.85),
    },
}


def tolerance(network: str, precision: str) -> Tolerance:
    """What a file of that network and precision must reach.

    Raises:
        ModelFileError: either is unknown.
    """
    try:
        return _TOLERANCES[network][precision]
    except KeyError:
        raise ModelFileError(
            f"a {network} in {precision}: this maskinfer knows {', '.join(_TOLERANCES)} in "
            f"{'; '.join(_TOLERANCES['resnet'])}"
        ) from None


@dataclass(frozen=True)
class Comparison:
    """The file, run at one batch size, against another evaluation of the same weights.

    Attributes:
        against: the `traced` network, or the `checkpoint`'s own evaluation.
        batch_size: images a run of the file.
        label_agreement: share of the images with one label.
        contrary: share whose labels differ, and probabilities by more than the tolerance.
        mean_iou: of both boxes.
        box_px: largest difference of x, y, w or h, in canvas pixels.
        probability: largest difference of a probability or score.
        within: share of the images within the tolerance of both.
        unusable: share of the images for which the file's answer is no number, as after an
            overflow; the other figures leave them out.
    """

    against: Literal["traced", "checkpoint"]
    batch_size: int
    label_agreement: float
    contrary: float
    mean_iou: float
    box_px: float
    probability: float
    within: float
    unusable: float


@dataclass(frozen=True)
class Parity:
    """A verification's outcome.

    Attributes:
        images: how many were compared.
        comparisons: with the traced network, one a batch size; the last with the checkpoint.
    """

    images: int
    comparisons: tuple[Comparison, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)

    def faults(self, allowed: Tolerance) -> list[str]:
        """What is beyond the tolerance, one line each; empty where the file may be trusted."""
        lines = []
        for found in self.comparisons:
            if found.unusable:
                lines.append(
                    f"batch {found.batch_size}: for {found.unusable:.1%} of {self.images} images "
                    "the answer is no number"
                )
                break
            if found.against == "traced":
                if found.within < allowed.share:
                    lines.append(
                        f"batch {found.batch_size}: {found.within:.1%} of {self.images} images "
                        f"agree with the traced network, expected {allowed.share:.0%} (largest "
                        f"difference {found.box_px:.3g} px, {found.probability:.2g} in probability)"
                    )
                continue
            if 1 - found.contrary < allowed.label_agreement:
                lines.append(
                    f"labels agree with the checkpoint's on {1 - found.contrary:.1%} of "
                    f"{self.images} images, expected {allowed.label_agreement:.0%}"
                )
            if found.mean_iou < allowed.mean_iou:
                lines.append(
                    f"mean IoU with the checkpoint's boxes is {found.mean_iou:.3f}, "
                    f"expected {allowed.mean_iou}"
                )
        return lines


def compare(
    run: Run,
    traced: Detect,
    checkpoint: Detect,
    canvases: Pixels,
    allowed: Tolerance,
    threshold: float,
) -> Parity:
    """Run a model file, the traced network and the checkpoint on the same canvases.

    Args:
        run: the file, of canvases and a batch size.
        traced: what was traced, in evaluation mode.
        checkpoint: its own evaluation.
        canvases: (N, S, S, 3) uint8, N at least 1.
        allowed: what counts as the same.
        threshold: least probability that counts as a properly worn mask.
    """
    images = len(canvases)
    # Fewer images than the largest batch are repeated, or that batch would not be tried.
    canvases = np.resize(canvases, (max(images, *BATCH_SIZES), *canvases.shape[1:]))
    expected = evaluate(traced, canvases)
    comparisons = []
    for size in BATCH_SIZES:
        found = run(canvases, size)
        comparisons.append(_compare(found, expected, "traced", size, allowed, threshold))
    own = evaluate(checkpoint, canvases)
    comparisons.append(_compare(found, own, "checkpoint", size, allowed, threshold))
    return Parity(images, tuple(comparisons))


def evaluate(detect: Detect, canvases: Pixels) -> Outputs:
    """Run a torch network over canvases (N, S, S, 3)."""

    def run(batch: Pixels) -> Outputs:
        return Outputs(*(t.numpy() for t in detect(torch.from_numpy(batch))))

    with torch.inference_mode():
        return in_batches(run, canvases, _TORCH_BATCH)


def in_batches(run: Callable[[Pixels], Outputs], canvases: Pixels, batch_size: int) -> Outputs:
    """Run canvases (N, S, S, 3) so many at a time."""
    starts = range(0, len(canvases), batch_size)
    return joined([run(canvases[start : start + batch_size]) for start in starts])


def joined(parts: Sequence[Outputs]) -> Outputs:
    """Outputs of several batches as those of one."""
    return Outputs(
        np.concatenate([part.boxes_xywh for part in parts]),
        np.concatenate([part.proper_mask for part in parts]),
        np.concatenate([part.score for part in parts]),
    )


def _compare(
    found: Outputs,
    other: Outputs,
    against: Literal["traced", "checkpoint"],
    batch_size: int,
    allowed: Tolerance,
    threshold: float,
) -> Comparison:
    numbers = np.column_stack([found.boxes_xywh, found.proper_mask, found.score])  # (N, 6)
    usable: NDArray[np.bool_] = np.all(np.isfinite(numbers), axis=1)
    if not usable.any():
        return Comparison(against, batch_size, 0, 1, 0, float("inf"), 1, 0, unusable=1)
    found, other = _only(found, usable), _only(other, usable)
    box = np.abs(found.boxes_xywh - other.boxes_xywh).max(axis=1)  # (N,)
    proper = np.abs(found.proper_mask - other.proper_mask)
    probability = np.maximum(proper, np.abs(found.score - other.score))
    differs = (found.proper_mask >= threshold) != (other.proper_mask >= threshold)
    return Comparison(
        against,
        batch_size,
        label_agreement=_share(~differs),
        contrary=_share(differs & (proper > allowed.probability)),
        mean_iou=float(iou_xywh(found.boxes_xywh, other.boxes_xywh).mean()),
        box_px=float(box.max()),
        probability=float(probability.max()),
        within=_share((box <= allowed.box_px) & (probability <= allowed.probability)),
        unusable=_share(~usable),
    )


def _only(outputs: Outputs, flags: NDArray[np.bool_]) -> Outputs:
    return Outputs(outputs.boxes_xywh[flags], outputs.proper_mask[flags], outputs.score[flags])


def _share(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean())
