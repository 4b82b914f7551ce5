"""Whether a model file finds the faces that its checkpoint finds, on real images.

It is compared with the traced network, at several batch sizes, from which it differs only by what
the precision costs; and with the checkpoint's own evaluation, which for Faster R-CNN is
torchvision's and takes more proposals, so a few faces may differ.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch

from maskinfer.data.pixels import Pixels
from maskinfer.errors import ModelFileError
from maskinfer.runtime.session import Outputs

from .matching import match, numbers
from .settings import Precision
from .suppression import Faces

BATCH_SIZES = (1, 3, 8)
_TORCH_BATCH = 8

Predict = Callable[[Pixels, int], Outputs]  # of a model: canvases and a batch size in
Find = Callable[[torch.Tensor], Faces]  # of a network: canvases in
Against = Literal["traced", "checkpoint"]  # the network, or the checkpoint's own evaluation


@dataclass(frozen=True)
class Tolerance:
    """How far a model may differ from its checkpoint."""

    box_px: float  # largest difference of x, y, w or h from the traced network, in canvas pixels
    probability: float  # largest difference of a probability or score
    # Least share of faces that the other side has too, within both. Of two boxes of a face that
    # score the same to the last digit, either may be the better one.
    share: float
    # Least share of faces whose label is the checkpoint's. A label that differs counts only where
    # probabilities differ by more than `probability`: one near the threshold may fall either way.
    label_agreement: float
    mean_iou: float  # least mean IoU with the checkpoint's boxes; 0 for a face without a partner


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
    """How far a file of that network and precision may differ; others are a `ModelFileError`."""
    try:
        return _TOLERANCES[network][precision.removesuffix("-weights")]
    except KeyError:
        raise ModelFileError(
            f"a {network} in {precision}: this maskinfer knows {', '.join(_TOLERANCES)} in "
            f"{', '.join(get_args(Precision))}"
        ) from None


@dataclass(frozen=True)
class Agreement:
    """A model's outputs at one batch size beside another evaluation of the same weights.

    `box_px`, `probability` and the labels are of matched faces; no other figure but `unusable` is
    of images for which an output is not a number, as after an overflow.
    """

    against: Against
    batch_size: int
    faces: int  # how many of either side score `matching.FLOOR` or are the best of their image
    unmatched: int  # how many of them the other side does not have
    label_agreement: float  # share of the faces with one label
    contrary: float  # share whose labels differ, and probabilities by more than the tolerance
    mean_iou: float  # of both boxes, 0 where unmatched
    box_px: float  # largest difference of x, y, w or h, in canvas pixels
    probability: float  # largest difference of a probability or score
    within: float  # share of all faces that are matched, within the tolerance of both
    unusable: float  # share of those images


@dataclass(frozen=True)
class Parity:
    """A verification's outcome."""

    images: int  # how many were compared
    # One a batch size with the traced network, then one with the checkpoint.
    comparisons: tuple[Agreement, ...]

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
                        f"{batch}: {agreement.within:.1%} of {agreement.faces} faces agree with "
                        f"the traced network, expected {allowed.share:.0%} (largest difference "
                        f"{agreement.box_px:.3g} px, {agreement.probability:.2g} in probability; "
                        f"{agreement.unmatched} on one side only)"
                    )
                continue
            if 1 - agreement.contrary < allowed.label_agreement:
                lines.append(
                    f"labels agree with the checkpoint's on {1 - agreement.contrary:.1%} of "
                    f"{agreement.faces} faces, expected {allowed.label_agreement:.0%}"
                )
            if agreement.mean_iou < allowed.mean_iou:
                lines.append(
                    f"mean IoU with the checkpoint's boxes is {agreement.mean_iou:.3f}, "
                    f"expected {allowed.mean_iou} ({agreement.unmatched} of {agreement.faces} "
                    "faces on one side only)"
                )
        return lines


class Reference(NamedTuple):
    """What a model should predict."""

    images: int  # how many different ones are among the canvases
    canvases: Pixels  # (N, S, S, 3)
    traced: Outputs  # what the traced network predicts
    checkpoint: Outputs  # what the checkpoint's own evaluation predicts
    threshold: float  # least probability that counts as a properly worn mask
    seconds: float  # that the network which is traced took

    @classmethod
    def compute(
        cls, traced: Find, checkpoint: Find | Outputs, canvases: Pixels, threshold: float
    ) -> "Reference":
        """Evaluate the same weights in both ways, on canvases (N, S, S, 3), N at least 1.

        `checkpoint` may be what an earlier reference on the same canvases computed.
        """
        images = len(canvases)
        # Fewer images than the largest batch are repeated, or that batch would not be tried.
        canvases = np.resize(canvases, (max(images, *BATCH_SIZES), *canvases.shape[1:]))
        began = time.perf_counter()
        ours = _evaluate(traced, canvases)
        seconds = time.perf_counter() - began
        own = checkpoint if isinstance(checkpoint, Outputs) else _evaluate(checkpoint, canvases)
        return cls(images, canvases, ours, own, threshold, seconds)

    def faults(self, allowed: Tolerance) -> list[str]:
        """What is beyond the tolerance before anything is traced, as of `Parity`."""
        own = _compare(self.traced, self, "checkpoint", _TORCH_BATCH, allowed)
        return Parity(self.images, (own,)).faults(allowed)


def compare(predict: Predict, reference: Reference, allowed: Tolerance) -> Parity:
    """Predict at each batch size, and set the outputs beside the reference."""
    comparisons = []
    for size in BATCH_SIZES:
        ours = predict(reference.canvases, size)
        comparisons.append(_compare(ours, reference, "traced", size, allowed))
    comparisons.append(_compare(ours, reference, "checkpoint", size, allowed))
    return Parity(reference.images, tuple(comparisons))


def _evaluate(find: Find, canvases: Pixels) -> Outputs:
    def run(batch: Pixels) -> Outputs:
        return Outputs(*(t.numpy() for t in find(torch.from_numpy(batch))))

    with torch.inference_mode():
        return in_batches(run, canvases, _TORCH_BATCH)


def in_batches(run: Callable[[Pixels], Outputs], canvases: Pixels, batch_size: int) -> Outputs:
    """Run canvases (N, S, S, 3) so many at a time."""
    starts = range(0, len(canvases), batch_size)
    parts = [run(canvases[start : start + batch_size]) for start in starts]
    return Outputs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _compare(
    ours: Outputs, reference: Reference, against: Against, batch_size: int, allowed: Tolerance
) -> Agreement:
    usable = np.asarray(np.isfinite(numbers(ours)).all(axis=(1, 2)))  # (N,)
    theirs = reference.traced if against == "traced" else reference.checkpoint
    matches = match(*(Outputs(*(values[usable] for values in side)) for side in (ours, theirs)))
    difference = np.abs(matches.ours - matches.theirs)  # (M, 6)
    box, proper = difference[:, :4].max(axis=1), difference[:, 4]  # (M,)
    probability = difference[:, 4:].max(axis=1)
    labels, their_labels = (side[:, 4] >= reference.threshold for side in matches[:2])
    differs = labels != their_labels
    within = (box <= allowed.box_px) & (probability <= allowed.probability)
    pairs = max(1, len(differs))
    return Agreement(
        against,
        batch_size,
        matches.faces,
        matches.unmatched,
        label_agreement=1 - float(differs.sum() / pairs),
        contrary=float((differs & (proper > allowed.probability)).sum() / pairs),
        mean_iou=matches.mean_iou,
        box_px=float(box.max(initial=0)),
        probability=float(probability.max(initial=0)),
        within=float(within.sum() / matches.faces) if matches.faces else 1.0,
        unusable=float(np.mean(~usable)),
    )
