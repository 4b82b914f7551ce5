"""How good predictions are, from arrays.

A mean over nothing is None, never 0 or NaN: a table can then say "none", and JSON can hold it.
"""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

FOUND_IOU = 0.5  # from this overlap on, a predicted box counts as the labelled face
CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Confusion:
    """Images by label, which is named first, and by answer."""

    proper_called_proper: int
    proper_called_improper: int
    improper_called_proper: int
    improper_called_improper: int
    proper_no_face: int = 0
    improper_no_face: int = 0

    @classmethod
    def count(cls, true: ArrayLike, called: ArrayLike, has_face: ArrayLike) -> Self:
        """Count (N,) bool each: labels, calls, and whether there is a face; else no call counts."""
        label, call, seen = (np.asarray(v, dtype=bool) for v in (true, called, has_face))
        labelled = (label, ~label)
        called = [which & answer & seen for which in labelled for answer in (call, ~call)]
        unseen = [which & ~seen for which in labelled]
        return cls(*(int(which.sum()) for which in called + unseen))

    def rows(self) -> list[tuple[str, int, int, int, float | None]]:
        """Of each label: its word, images called proper, improper, no face, share correct."""
        proper = (self.proper_called_proper, self.proper_called_improper, self.proper_no_face)
        improper = (
            self.improper_called_proper,
            self.improper_called_improper,
            self.improper_no_face,
        )
        return [
            ("proper", *proper, self.proper_right / sum(proper) if any(proper) else None),
            ("improper", *improper, improper[1] / sum(improper) if any(improper) else None),
        ]

    @property
    def proper_right(self) -> int:
        """Of those labelled proper, how many answers are right."""
        return self.proper_called_proper

    @property
    def accuracy(self) -> float | None:
        """Share of right calls, 0..1; None without images."""
        total = sum(vars(self).values())
        return (self.proper_right + self.improper_called_improper) / total if total else None

    @property
    def balanced_accuracy(self) -> float | None:
        """Mean of the shares of right calls over the labels that there are; None without images."""
        shares = [share for *_, share in self.rows() if share is not None]
        return sum(shares) / len(shares) if shares else None


@dataclass(frozen=True)
class Metrics:
    """Figures over labelled images; None where there is nothing to take one over."""

    images: int  # how many were measured
    mean_iou: float | None  # of predicted and true boxes, 0..1, where the true one is known
    accuracy: float | None  # share of right calls, 0..1; no face is no right call
    # Mean of the shares of right calls in each class, over the classes that are present, so with
    # one class it is that class's share.
    balanced_accuracy: float | None
    # Average precision at an IoU of 0.5, the mean over the classes that are present, 0..1; None
    # without images or scores, or where a true box is not known.
    ap50: float | None
    # Expected calibration error of the probabilities, 0..1; images in which no face was predicted
    # have none and are left out.
    calibration_error: float | None
    confusion: Confusion  # counts behind the accuracies
    incorrectly: Confusion | None = None  # of the masks known to be worn incorrectly, if any

    def rows(self) -> list[tuple[str, int, int, int, float | None]]:
        """Those of the confusion, and one of the masks worn incorrectly."""
        rows = self.confusion.rows()
        if self.incorrectly is None:
            return rows
        return [*rows, ("worn incorrectly", *self.incorrectly.rows()[1][1:])]

    def figures(self) -> dict[str, float | None]:
        """The figures by their names in tables."""
        return {
            "mean IoU": self.mean_iou,
            "accuracy": self.accuracy,
            "balanced accuracy": self.balanced_accuracy,
            "AP50": self.ap50,
            "calibration error": self.calibration_error,
        }

    def to_dict(self) -> dict[str, Any]:
        """Numbers, None and dictionaries only, fit for JSON."""
        return asdict(self)


def measure(
    ious: ArrayLike,
    proper_true: ArrayLike,
    proper_predicted: ArrayLike,
    probabilities: ArrayLike | None = None,
    scores: ArrayLike | None = None,
    has_face: ArrayLike | None = None,
    incorrectly: ArrayLike | None = None,
    box_known: ArrayLike | None = None,
) -> Metrics:
    """Compute all figures; arrays of different lengths are a `ValueError`.

    Args:
        ious: (N,) in 0..1, of each image's predicted and true box.
        proper_true: (N,) bool, the labels.
        proper_predicted: (N,) bool, the calls; as the next two, without meaning where no face was
            predicted.
        probabilities: (N,) in 0..1, of a properly worn mask; together with `scores` or not at all.
        scores: (N,) in 0..1, confidence in the boxes.
        has_face: (N,) bool, whether a face was predicted; None for everywhere.
        incorrectly: (N,) bool, whether the mask is known to be worn incorrectly; None for nowhere.
        box_known: (N,) bool, whether the true box is more than approximate; None for everywhere.
    """
    iou = np.asarray(ious, dtype=np.float64)
    true = np.asarray(proper_true, dtype=bool)
    predicted = np.asarray(proper_predicted, dtype=bool)
    given = [np.asarray(v, dtype=np.float64) for v in (probabilities, scores) if v is not None]
    seen = np.ones(iou.shape, bool) if has_face is None else np.asarray(has_face, dtype=bool)
    worn = np.zeros(iou.shape, bool) if incorrectly is None else np.asarray(incorrectly, dtype=bool)
    known = np.ones(iou.shape, bool) if box_known is None else np.asarray(box_known, dtype=bool)
    shapes = [array.shape for array in (iou, true, predicted, *given, seen, worn, known)]
    if set(shapes) != {(iou.size,)}:
        raise ValueError(f"shapes {', '.join(map(str, shapes))}, expected one (N,)")
    confusion = Confusion.count(true, predicted, seen)
    ap50 = calibration_error = None
    if len(iou) and given:
        probability, score = given
        # Each image holds one face and at most one prediction, which is of the class that was
        # called, with the box's score times the probability of that class.
        confidence = score * np.where(predicted, probability, 1 - probability)
        right = (iou >= FOUND_IOU) & (true == predicted)
        called = {label: seen & (predicted == label) for label in (False, True)}
        curves = [
            precision_recall(confidence[calls], right[calls], int((true == label).sum()))
            for label, calls in called.items()
        ]
        if known.all():
            ap50 = float(np.mean([curve.average_precision for curve in curves if curve]))
        if seen.any():
            calibration_error = expected_calibration_error(probability[seen], true[seen])
    return Metrics(
        images=len(iou),
        mean_iou=float(iou[known].mean()) if known.any() else None,
        accuracy=confusion.accuracy,
        balanced_accuracy=confusion.balanced_accuracy,
        ap50=ap50,
        calibration_error=calibration_error,
        confusion=confusion,
        incorrectly=Confusion.count(true[worn], predicted[worn], seen[worn])
        if worn.any()
        else None,
    )


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision over recall, as the least confidence that counts is lowered."""

    recall: NDArray[np.float64]  # (M,) share of what was to be found that is found, rising
    precision: NDArray[np.float64]  # (M,) share of right calls among those made
    average_precision: float  # area under the curve, 0..1


def precision_recall(
    confidence: ArrayLike, is_right: ArrayLike, total: int | None = None
) -> PrecisionRecall | None:
    """Precision and recall at each confidence that there is; None where there is nothing to find.

    Given (N,) the confidence of each call and whether it is right, and how many there are to find;
    a `total` of None where each is among the calls.

    Average precision is the sum of each step of recall times the best precision at that recall or a
    greater one (Everingham et al. 2015, The Pascal VOC challenge: a retrospective, section 4).
    Images of equal confidence are one step, so that their order plays no part.
    """
    sureness, right = np.asarray(confidence, dtype=np.float64), np.asarray(is_right, dtype=bool)
    total = int(right.sum()) if total is None else total
    if not total:
        return None
    order = np.argsort(-sureness, kind="stable")
    # (M,) how many calls are made down to each confidence.
    calls = np.flatnonzero(np.diff(sureness[order], append=-np.inf)) + 1
    hits = np.cumsum(right[order])[calls - 1]
    recall, precision = hits / total, hits / calls
    best = np.maximum.accumulate(precision[::-1])[::-1]
    area = float((np.diff(recall, prepend=0.0) * best).sum())
    return PrecisionRecall(recall, precision, area)


@dataclass(frozen=True)
class ReliabilityBin:
    """Images of similar probability of a proper mask, from the least to the next bin's least."""

    low: float
    high: float
    images: int
    probability: float | None  # the mean; None without images
    proper: float | None  # the share of them that is labelled proper; None without images


def reliability_bins(probabilities: ArrayLike, is_proper: ArrayLike) -> list[ReliabilityBin]:
    """Compare (N,) probabilities of a proper mask, 0..1, with the shares of (N,) labels, in bins.

    These have equal width, and are those of the calibration error.
    """
    probability = np.asarray(probabilities, dtype=np.float64)
    label = np.asarray(is_proper, dtype=bool)
    place = np.minimum((probability * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    groups = []
    for index in range(CALIBRATION_BINS):
        low, high = index / CALIBRATION_BINS, (index + 1) / CALIBRATION_BINS
        inside = place == index
        means = (float(v[inside].mean()) if inside.any() else None for v in (probability, label))
        groups.append(ReliabilityBin(low, high, int(inside.sum()), *means))
    return groups


def expected_calibration_error(probabilities: ArrayLike, is_proper: ArrayLike) -> float:
    """How far probabilities are from the shares of images that are labelled proper.

    Binned as by Guo et al. (2017, On calibration of modern neural networks, eq. 3), but of the
    probability of one class, a properly worn mask, where they take that of the called class.

    The arguments are those of `reliability_bins`, N at least 1. Returns |mean probability - share
    labelled proper| of each bin, averaged over the images, 0..1.
    """
    bins = reliability_bins(probabilities, is_proper)
    gaps = (b.images * abs((b.probability or 0.0) - (b.proper or 0.0)) for b in bins)
    return sum(gaps) / sum(b.images for b in bins)
