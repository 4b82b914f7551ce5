"""How good predictions are, from arrays.

A mean over nothing is None, never 0 or NaN: a table can then say "none", and JSON can hold it.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Confusion:
    """How many images of each class were called what; the label's word comes first."""

    proper_called_proper: int
    proper_called_improper: int
    improper_called_proper: int
    improper_called_improper: int

    @property
    def proper(self) -> int:
        """Images labelled as properly masked."""
        return self.proper_called_proper + self.proper_called_improper

    @property
    def improper(self) -> int:
        """Images labelled as not properly masked."""
        return self.improper_called_proper + self.improper_called_improper


@dataclass(frozen=True)
class Metrics:
    """Figures over labelled images.

    Attributes:
        images: how many were measured.
        mean_iou: of predicted and true boxes, 0..1; None without images.
        accuracy: share of right calls, 0..1; None without images.
        balanced_accuracy: mean of the shares of right calls in each class, over the classes that
            are present, so with one class it is that class's share; None without images.
        confusion: counts behind the last two.
    """

    images: int
    mean_iou: float | None
    accuracy: float | None
    balanced_accuracy: float | None
    confusion: Confusion

    def to_dict(self) -> dict[str, Any]:
        """Numbers, None and dictionaries only, fit for JSON."""
        return asdict(self)


def measure(ious: ArrayLike, proper_true: ArrayLike, proper_predicted: ArrayLike) -> Metrics:
    """Compute all figures.

    Args:
        ious: (N,) in 0..1, of each image's predicted and true box.
        proper_true: (N,) bool, the labels.
        proper_predicted: (N,) bool, the calls.

    Raises:
        ValueError: the lengths differ.
    """
    iou = np.asarray(ious, dtype=np.float64)
    true = np.asarray(proper_true, dtype=bool)
    predicted = np.asarray(proper_predicted, dtype=bool)
    if not iou.shape == true.shape == predicted.shape or iou.ndim != 1:
        raise ValueError(f"shapes {iou.shape}, {true.shape}, {predicted.shape}, expected one (N,)")
    confusion = Confusion(
        proper_called_proper=int(np.sum(true & predicted)),
        proper_called_improper=int(np.sum(true & ~predicted)),
        improper_called_proper=int(np.sum(~true & predicted)),
        improper_called_improper=int(np.sum(~true & ~predicted)),
    )
    right = true == predicted
    per_class = [float(right[which].mean()) for which in (true, ~true) if which.any()]
    return Metrics(
        images=len(iou),
        mean_iou=float(iou.mean()) if len(iou) else None,
        accuracy=float(right.mean()) if len(iou) else None,
        balanced_accuracy=float(np.mean(per_class)) if per_class else None,
        confusion=confusion,
    )


def expected_calibration_error(
    probabilities: ArrayLike, is_proper: ArrayLike, bins: int = 10
) -> float:
    """How far probabilities are from the frequencies they promise (Guo et al. 2017, eq. 3).

    Args:
        probabilities: (N,) in 0..1 of a properly worn mask, N at least 1.
        is_proper: (N,) bool, the labels.
        bins: of equal width.

    Returns:
        the mean over the images of |mean probability - share of properly worn| in their bin, 0..1.
    """
    probability = np.asarray(probabilities, dtype=np.float64)
    gap = probability - np.asarray(is_proper, dtype=np.float64)
    place = np.minimum((probability * bins).astype(int), bins - 1)
    return float(np.abs(np.bincount(place, gap)).sum() / len(probability))
