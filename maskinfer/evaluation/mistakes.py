"""What a model gets wrong, and on what kind of photos: an evaluation looked at closely."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskinfer.data.images import load_photo
from maskinfer.data.labels import BoxXywh
from maskinfer.errors import ImageError
from maskinfer.inference.pipeline import decode_threads
from maskinfer.text import printable_name
from maskinfer.threads import map_ahead

from .evaluating import Evaluation, Measured
from .metrics import FOUND_IOU, PrecisionRecall, ReliabilityBin, precision_recall, reliability_bins

IOU_EDGES = np.linspace(0.0, 1.0, 21)
_LOOKED_AT = 16  # pixels of a face's shorter side that its brightness is measured over
_BINS, _LEAST_IN_BIN = 5, 10


@dataclass(frozen=True)
class Case:
    """A measured image, and what its photo is like.

    Attributes:
        measured: label and prediction.
        brightness: mean luma of the labelled face (ITU-R BT.601), 0..255; None where the photo can
            no longer be read.
        box_share: the labelled box's side in percent of the photo's, as the root of its share of
            the area; None likewise.
    """

    measured: Measured
    brightness: float | None
    box_share: float | None

    def to_dict(self) -> dict[str, Any]:
        """One row of facts, fit for JSON."""
        measured, row = self.measured, self.measured.row
        return {
            "filename": printable_name(row.filename),
            "label_box_xywh": list(measured.box_xywh),
            "label": label_word(measured.proper_mask),
            "found_box_xywh": list(row.box_xywh),
            "called": label_word(row.proper_mask),
            "probability": measured.probability,
            "score": row.score,
            "iou": measured.iou,
            "correct": measured.correct,
            "brightness": self.brightness,
            "box_share": self.box_share,
        }


@dataclass(frozen=True)
class QuantityBin:
    """How good a model is where a quantity lies between two values.

    Attributes:
        low: least value.
        high: the next bin's least; of the last one the greatest.
        images: how many there are.
        accuracy: share of right calls; None without images.
        mean_iou: None without images.
    """

    low: int
    high: int
    images: int
    accuracy: float | None
    mean_iou: float | None


@dataclass(frozen=True)
class ErrorAnalysis:
    """An evaluation, image by image.

    Attributes:
        cases: all measured images, at least one.
        threshold: least probability that the model calls proper.
    """

    cases: list[Case]
    threshold: float

    def false_positives(self) -> list[Case]:
        """Called proper, labelled improper; the surest first."""
        wrong = [c for c in self.cases if not c.measured.correct and not c.measured.proper_mask]
        return sorted(wrong, key=lambda case: -case.measured.probability)

    def false_negatives(self) -> list[Case]:
        """Called improper, labelled proper; the surest first."""
        wrong = [c for c in self.cases if not c.measured.correct and c.measured.proper_mask]
        return sorted(wrong, key=lambda case: case.measured.probability)

    def lowest_iou(self) -> list[Case]:
        """All images, the worst box first."""
        return sorted(self.cases, key=lambda case: case.measured.iou)

    def least_sure(self) -> list[Case]:
        """Called rightly, the closest to the threshold first."""
        right = [case for case in self.cases if case.measured.correct]
        return sorted(right, key=lambda case: abs(case.measured.probability - self.threshold))

    def worst(self) -> list[Case]:
        """Called wrongly, the surest first; then those of which only the box is wrong."""
        wrong = self.false_positives() + self.false_negatives()
        # As sure as the probability of what was called, whatever the threshold.
        wrong.sort(key=lambda case: -abs(case.measured.probability - case.measured.proper_mask))
        missed = [c for c in self.lowest_iou() if c.measured.correct and c.measured.iou < FOUND_IOU]
        return wrong + missed

    def reliability(self) -> list[ReliabilityBin]:
        """Probabilities against the shares that they promise."""
        return reliability_bins(self._probabilities(), self._labels())

    def precision_recall(self) -> dict[str, PrecisionRecall]:
        """Of each label that there is, by its word."""
        probabilities, labels = self._probabilities(), self._labels()
        curves = {
            label_word(proper): precision_recall(
                probabilities if proper else 1 - probabilities, labels == proper
            )
            for proper in (True, False)
        }
        return {word: curve for word, curve in curves.items() if curve is not None}

    def ious(self) -> dict[str, list[float]]:
        """IoU of the images of each label that there is, by its word."""
        found = {
            label_word(proper): [
                case.measured.iou for case in self.cases if case.measured.proper_mask == proper
            ]
            for proper in (True, False)
        }
        return {word: values for word, values in found.items() if values}

    def by_box_share(self) -> list[QuantityBin]:
        """By the size of the labelled box, in percent of the photo."""
        return self._by([case.box_share for case in self.cases])

    def by_brightness(self) -> list[QuantityBin]:
        """By the brightness of the labelled face, 0..255."""
        return self._by([case.brightness for case in self.cases])

    def to_dict(self) -> dict[str, Any]:
        """Bins of all charts and a row an image, fit for JSON."""
        edges = IOU_EDGES.tolist()
        return {
            "bins": {
                "reliability": [asdict(found) for found in self.reliability()],
                "average_precision": {
                    word: curve.average_precision for word, curve in self.precision_recall().items()
                },
                "iou": {
                    "edges": edges,
                    **{
                        word: np.histogram(values, IOU_EDGES)[0].tolist()
                        for word, values in self.ious().items()
                    },
                },
                "box_share": [asdict(found) for found in self.by_box_share()],
                "brightness": [asdict(found) for found in self.by_brightness()],
            },
            "images": [case.to_dict() for case in self.cases],
        }

    def _probabilities(self) -> NDArray[np.float64]:
        return np.array([case.measured.probability for case in self.cases])

    def _labels(self) -> NDArray[np.bool_]:
        return np.array([case.measured.proper_mask for case in self.cases])

    def _by(self, quantity: list[float | None]) -> list[QuantityBin]:
        known = [
            (value, case.measured)
            for value, case in zip(quantity, self.cases, strict=True)
            if value is not None
        ]
        if not known:
            return []
        values = np.array([value for value, _ in known])
        correct = np.array([measured.correct for _, measured in known])
        iou = np.array([measured.iou for _, measured in known])
        edges = quantile_edges(values)
        place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
        bins = []
        for index, (low, high) in enumerate(pairwise(edges.tolist())):
            inside = place == index
            some = bool(inside.any())
            bins.append(
                QuantityBin(
                    low,
                    high,
                    int(inside.sum()),
                    float(correct[inside].mean()) if some else None,
                    float(iou[inside].mean()) if some else None,
                )
            )
        return bins


def label_word(proper: bool) -> Literal["proper", "improper"]:
    """A label as people read it."""
    return "proper" if proper else "improper"


def quantile_edges(values: ArrayLike) -> NDArray[np.int64]:
    """Whole numbers between which about as many values lie, in at most five bins, ten a bin.

    Where many values are alike, bins may hold fewer.

    Args:
        values: (N,), N at least 1.

    Returns:
        at least two, rising, the first and the last around all values.
    """
    found = np.asarray(values, dtype=np.float64)
    bins = min(max(len(found) // _LEAST_IN_BIN, 1), _BINS)
    inner = np.rint(np.quantile(found, np.linspace(0, 1, bins + 1)[1:-1]))
    low, high = np.floor(found.min()), np.ceil(found.max())
    edges = np.unique([low, *np.clip(inner, low, high), max(high, low + 1)])
    return edges.astype(np.int64)


def analyse(
    evaluation: Evaluation,
    threshold: float,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> ErrorAnalysis:
    """Look at the photos of an evaluation again, for what may lie behind its mistakes.

    Args:
        evaluation: what was measured.
        threshold: least probability that the model calls proper.
        on_progress: called with the number of images done so far, and of all.
    """
    folder, measured = evaluation.folder, evaluation.measured
    threads = decode_threads()
    cases: list[Case] = []

    def look(case: Measured) -> Case:
        return _look(folder, case)

    with closing(map_ahead(look, measured, threads=threads, ahead=4 * threads)) as looks:
        for case in looks:
            cases.append(case)
            on_progress(len(cases), len(measured))
    return ErrorAnalysis(cases, threshold)


def _look(folder: Path, measured: Measured) -> Case:
    box_xywh = measured.box_xywh
    # The mean of a face needs few of its pixels.
    share = min(1.0, _LOOKED_AT / min(box_xywh[2:]))
    try:
        photo = load_photo(
            folder / measured.row.filename,
            lambda size_wh: (max(1, round(size_wh[0] * share)), max(1, round(size_wh[1] * share))),
        )
    except ImageError:
        return Case(measured, None, None)
    width, height = photo.size_wh
    area = box_xywh[2] * box_xywh[3] / (width * height)
    return Case(measured, _brightness(photo.pixels, photo.size_wh, box_xywh), 100 * area**0.5)


def _brightness(
    pixels: NDArray[np.uint8], size_wh: tuple[int, int], box_xywh: BoxXywh
) -> float | None:
    """Mean luma of the decoded pixels that a box touches, (H, W, 3) of a photo of that size."""
    height, width = pixels.shape[:2]
    x, y, w, h = box_xywh
    left, right = x * width // size_wh[0], -(-(x + w) * width // size_wh[0])
    top, bottom = y * height // size_wh[1], -(-(y + h) * height // size_wh[1])
    face = pixels[top:bottom, left:right]
    if not face.size:  # the photo is another by now
        return None
    red, green, blue = face.reshape(-1, 3).mean(axis=0).tolist()
    return float(0.299 * red + 0.587 * green + 0.114 * blue)
