"""Whether a model file predicts what its checkpoint predicts, on real images.

It is compared with the traced network, at several batch sizes, from which it differs only by what
the precision costs; and with the checkpoint's own evaluation, which for Faster R-CNN is
torchvision's and takes more proposals, so a few images may differ.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from maskinfer.data.boxes import iou_xywh
from maskinfer.data.pixels import Pixels
from maskinfer.errors import ModelFileError
from maskinfer.runtime.session import Outputs
from maskinfer.train.networks.network import Detections

BATCH_SIZES = (1, 3, 8)
_TORCH_BATCH = 8

Predict = Callable[[Pixels, int], Outputs]  # of a model: canvases and a batch size in
Numbers = NDArray[np.float32]  # (N, 6): x, y, w, h, proper_mask, score
Detect = Callable[[torch.Tensor], Detections]


@dataclass(frozen=True)
class Tolerance:
    """How far a model may differ from its checkpoint.

    Attributes:
        box_px: largest difference of x, y, w or h from the traced network, in canvas pixels.
        probability: largest difference of a probability or score.
        share: least share of images within both. Where the best of many boxes is chosen, two
            that score the same to the last digit may change places.
        label_agreement: least share of images whose label is the checkpoint's. A label that
            differs counts only where the probabilities differ by more than `probability`: one
            near the threshold may fall either way.
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
        "fp16": Tolerance(1.0, 0.02, 0.98, 0.97, 0.98),
        "int8": Tolerance(20.0, 0.2, 0.9, 0.95, 0.9),
    },
    "lite": {
        "fp32": Tolerance(0.02, 2e-4, 0.98, 0.97, 0.98),
        "fp16": Tolerance(1.0, 0.02, 0.96, 0.97, 0.98),
        "int8": Tolerance(20.0, 0.2, 0.85, 0.95, 0.9),
    },
    "fasterrcnn": {
        "fp32": Tolerance(0.02, 2e-4, 0.96, 0.94, 0.90),
        "fp16": Tolerance(1.0, 0.02, 0.96, 0.94, 0.90),
        "int8": Tolerance(20.0, 0.2, 0.85, 0.90, 0.85),
    },
}


def tolerance(network: str, precision: str) -> Tolerance:
    """How far a file of that network and precision may differ.

    Raises:
        ModelFileError: either is unknown.
    """
    try:
        return _TOLERANCES[network][precision]
    except KeyError:
        raise ModelFileError(
            f"a {network} in {precision}: this maskinfer knows {', '.join(_TOLERANCES)} in "
            f"{', '.join(_TOLERANCES['resnet'])}"
        ) from None


@dataclass(frozen=True)
class Agreement:
    """A model's outputs at one batch size beside another evaluation of the same weights.

    Attributes:
        against: the `traced` network, or the `checkpoint`'s own evaluation.
        batch_size: canvases per batch.
        label_agreement: share of the images with one label.
        contrary: share whose labels differ, and probabilities by more than the tolerance.
        mean_iou: of both boxes.
        box_px: largest difference of x, y, w or h, in canvas pixels.
        probability: largest difference of a probability or score.
        within: share of the images within the tolerance of both.
        unusable: share of the images for which an output is not a number, as after an overflow;
            the other figures leave them out.
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
    comparisons: tuple[Agreement, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)

    def faults(self, allowed: Tolerance) -> list[str]:
        """What is beyond the tolerance, one line each; empty where the file may be trusted."""
        lines = []
        for agreement in self.comparisons:
            batch = f"batch {agreement.batch_size}"
            if agreement.unusable:
                lines.append(
                    f"{batch}: for {agreement.unusable:.1%} of {self.images} images the output is "
                    "not a number"
                )
                break
            if agreement.against == "traced":
                if agreement.within < allowed.share:
                    lines.append(
                        f"{batch}: {agreement.within:.1%} of {self.images} images agree with the "
                        f"traced network, expected {allowed.share:.0%} (largest difference "
                        f"{agreement.box_px:.3g} px, {agreement.probability:.2g} in probability)"
                    )
                continue
            if 1 - agreement.contrary < allowed.label_agreement:
                lines.append(
                    f"labels agree with the checkpoint's on {1 - agreement.contrary:.1%} of "
                    f"{self.images} images, expected {allowed.label_agreement:.0%}"
                )
            if agreement.mean_iou < allowed.mean_iou:
                lines.append(
                    f"mean IoU with the checkpoint's boxes is {agreement.mean_iou:.3f}, "
                    f"expected {allowed.mean_iou}"
                )
        return lines


class Reference(NamedTuple):
    """What a model should predict.

    Attributes:
        images: how many different ones are among the canvases.
        canvases: (N, S, S, 3) uint8.
        traced: what the traced network predicts.
        checkpoint: what the checkpoint's own evaluation predicts.
        threshold: least probability that counts as a properly worn mask.
    """

    images: int
    canvases: Pixels
    traced: Numbers
    checkpoint: Numbers
    threshold: float

    @classmethod
    def compute(
        cls, traced: Detect, checkpoint: Detect, canvases: Pixels, threshold: float
    ) -> "Reference":
        """Evaluate the same weights in both ways.

        Args:
            traced: the module that is exported, in evaluation mode.
            checkpoint: the network's own evaluation.
            canvases: (N, S, S, 3) uint8, N at least 1.
            threshold: least probability that counts as a properly worn mask.
        """
        images = len(canvases)
        # Fewer images than the largest batch are repeated, or that batch would not be tried.
        canvases = np.resize(canvases, (max(images, *BATCH_SIZES), *canvases.shape[1:]))
        ours, own = _evaluate(traced, canvases), _evaluate(checkpoint, canvases)
        return cls(images, canvases, ours, own, threshold)


def compare(predict: Predict, reference: Reference, allowed: Tolerance) -> Parity:
    """Predict at each batch size, and set the outputs beside the reference."""
    comparisons = []
    for size in BATCH_SIZES:
        ours = _numbers(predict(reference.canvases, size))
        comparisons.append(_compare(ours, reference, "traced", size, allowed))
    comparisons.append(_compare(ours, reference, "checkpoint", size, allowed))
    return Parity(reference.images, tuple(comparisons))


def _evaluate(detect: Detect, canvases: Pixels) -> Numbers:
    def run(batch: Pixels) -> Outputs:
        return Outputs(*(t.numpy() for t in detect(torch.from_numpy(batch))))

    with torch.inference_mode():
        return _numbers(in_batches(run, canvases, _TORCH_BATCH))


def _numbers(outputs: Outputs) -> Numbers:
    return np.column_stack([outputs.boxes_xywh, outputs.proper_mask, outputs.score])


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
    ours: Numbers,
    reference: Reference,
    against: Literal["traced", "checkpoint"],
    batch_size: int,
    allowed: Tolerance,
) -> Agreement:
    usable = np.isfinite(ours).all(axis=1)
    if not usable.any():
        return Agreement(against, batch_size, 0, 1, 0, float("inf"), 1, 0, unusable=1)
    theirs = reference.traced if against == "traced" else reference.checkpoint
    ours, theirs = ours[usable], theirs[usable]
    difference = np.abs(ours - theirs)
    box, proper = difference[:, :4].max(axis=1), difference[:, 4]  # (N,)
    probability = difference[:, 4:].max(axis=1)
    differs = (ours[:, 4] >= reference.threshold) != (theirs[:, 4] >= reference.threshold)
    return Agreement(
        against,
        batch_size,
        label_agreement=float(np.mean(~differs)),
        contrary=float(np.mean(differs & (proper > allowed.probability))),
        mean_iou=float(iou_xywh(ours[:, :4], theirs[:, :4]).mean()),
        box_px=float(box.max()),
        probability=float(probability.max()),
        within=float(np.mean((box <= allowed.box_px) & (probability <= allowed.probability))),
        unusable=float(np.mean(~usable)),
    )
