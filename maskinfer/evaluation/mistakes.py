"""What a model gets wrong, and in which photos."""

from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskinfer.data.images import load_photo
from maskinfer.errors import ImageError
from maskinfer.text import printable_name
from maskinfer.threads import Progress, map_ahead, unheard

from .evaluating import Evaluation
from .labelled import LabelledPrediction, call_word, label_word
from .metrics import FOUND_IOU, PrecisionRecall, ReliabilityBin, precision_recall, reliability_bins

IOU_EDGES = np.linspace(0.0, 1.0, 21)
_FACE_PIXELS = 16  # of a face's shorter side, enough to measure its brightness
_MOST_BINS, _LEAST_IN_BIN = 5, 10


@dataclass(frozen=True)
class QuantityBin:
    """How good a model is where a quantity lies between two values; no figures without images.

    The greater value is the next bin's least; of the last bin the greatest.
    """

    low: int
    high: int
    images: int
    accuracy: float | None
    mean_iou: float | None


@dataclass(frozen=True)
class ErrorAnalysis:
    """An evaluation, image by image, with brightness and box share where photos could be read."""

    predictions: list[LabelledPrediction]

    def wrong_calls(self, label_proper: bool) -> list[LabelledPrediction]:
        """Called otherwise than with this label; the surest first."""
        wrong = [p for p in self.predictions if p.face and not p.correct]
        return sorted((p for p in wrong if p.label_proper == label_proper), key=_self_confidence)

    def no_face(self) -> list[LabelledPrediction]:
        """Images in which the model predicts no face."""
        return [p for p in self.predictions if p.face is None]

    def lowest_iou(self) -> list[LabelledPrediction]:
        """All images whose box is known, the worst box first."""
        return sorted((p for p in self.predictions if p.box_known), key=lambda p: p.iou)

    def least_sure(self) -> list[LabelledPrediction]:
        """Called correctly, the closest to the threshold first."""
        right = [p for p in self.predictions if p.correct]
        return sorted(right, key=lambda p: abs((p.probability or 0.0) - p.threshold))

    def worst(self) -> list[LabelledPrediction]:
        """Called wrongly, the surest first; no face; then those of which only the box is wrong."""
        # As sure as the probability of what was called, whatever the threshold.
        wrong = self.wrong_calls(False) + self.wrong_calls(True)
        boxes = [p for p in self.lowest_iou() if p.correct and p.iou < FOUND_IOU]
        return sorted(wrong, key=_self_confidence) + self.no_face() + boxes

    def reliability(self) -> list[ReliabilityBin]:
        """Probabilities against the shares that they promise."""
        return reliability_bins(*self._called())

    def precision_recall(self) -> dict[str, PrecisionRecall]:
        """Of each label that there is, by its word; empty where no face was predicted."""
        probabilities, labels = self._called()
        curves: dict[str, PrecisionRecall] = {}
        for proper in (True, False) if len(labels) else ():
            confidence = probabilities if proper else 1 - probabilities
            total = sum(p.label_proper == proper for p in self.predictions)
            if curve := precision_recall(confidence, labels == proper, total):
                curves[label_word(proper)] = curve
        return curves

    def ious(self) -> dict[str, list[float]]:
        """IoU of the images of each label whose box is known, by the label's word."""
        known = self.lowest_iou()
        return {
            label_word(proper): ious
            for proper in (True, False)
            if (ious := [p.iou for p in known if p.label_proper == proper])
        }

    def by(self, quantity: Literal["box_share", "brightness"]) -> list[QuantityBin]:
        """Accuracy and IoU in bins of a quantity, of the images of which it is known."""
        answers = [(getattr(p, quantity), p.correct, p.iou) for p in self.predictions]
        known = [answer for answer in answers if answer[0] is not None]
        if not known:
            return []
        values, correct, iou = np.array(known, dtype=np.float64).T
        edges = quantile_edges(values)
        place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
        bins = []
        for index, (low, high) in enumerate(pairwise(edges.tolist())):
            inside = place == index
            means = (float(v[inside].mean()) if inside.any() else None for v in (correct, iou))
            bins.append(QuantityBin(low, high, int(inside.sum()), *means))
        return bins

    def to_dict(self) -> dict[str, Any]:
        """Bins of all charts and a row an image, fit for JSON."""
        counts = {word: np.histogram(v, IOU_EDGES)[0].tolist() for word, v in self.ious().items()}
        return {
            "bins": {
                "reliability": [asdict(group) for group in self.reliability()],
                "average_precision": {
                    word: curve.average_precision for word, curve in self.precision_recall().items()
                },
                "iou": {"edges": IOU_EDGES.tolist(), **counts},
                "box_share": [asdict(group) for group in self.by("box_share")],
                "brightness": [asdict(group) for group in self.by("brightness")],
            },
            "images": [_image_facts(prediction) for prediction in self.predictions],
        }

    def _called(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """(N,) probabilities and (N,) labels of the images in which a face was predicted."""
        called = [(p.face.probability, p.label_proper) for p in self.predictions if p.face]
        numbers = np.array(called, dtype=np.float64).reshape(-1, 2)
        return numbers[:, 0], numbers[:, 1] == 1


def _self_confidence(prediction: LabelledPrediction) -> float:
    return prediction.self_confidence or 0.0


def _image_facts(prediction: LabelledPrediction) -> dict[str, Any]:
    face = prediction.face
    return {
        "filename": printable_name(prediction.filename),
        "label_box_xywh": list(prediction.label_xywh),
        "label": label_word(prediction.label_proper),
        "found_box_xywh": list(face.box_xywh) if face else None,
        "called": call_word(prediction.proper_mask),
        "probability": face.probability if face else None,
        "score": face.score if face else None,
        "iou": prediction.iou,
        "correct": prediction.correct,
        "brightness": prediction.brightness,
        "box_share": prediction.box_share,
    }


def quantile_edges(values: ArrayLike) -> NDArray[np.int64]:
    """Whole numbers that part (N,) values, N at least 1, into bins of about as many.

    At most five bins of at least ten; where many values are alike, they may hold fewer. There are
    at least two edges, rising, the first and the last around all values.
    """
    numbers = np.asarray(values, dtype=np.float64)
    bins = min(max(len(numbers) // _LEAST_IN_BIN, 1), _MOST_BINS)
    inner = np.rint(np.quantile(numbers, np.linspace(0, 1, bins + 1)[1:-1]))
    low, high = np.floor(numbers.min()), np.ceil(numbers.max())
    edges = np.unique([low, *np.clip(inner, low, high), max(high, low + 1)])
    return edges.astype(np.int64)


def analyse(evaluation: Evaluation, on_progress: Progress = unheard) -> ErrorAnalysis:
    """Decode the photos of an evaluation again, to measure what may explain its mistakes."""
    measure = partial(_measure_photo, evaluation.folder)
    predictions: list[LabelledPrediction] = []
    with closing(map_ahead(measure, evaluation.answers)) as measured:
        for prediction in measured:
            predictions.append(prediction)
            on_progress(len(predictions), len(evaluation.answers))
    return ErrorAnalysis(predictions)


def _measure_photo(folder: Path, prediction: LabelledPrediction) -> LabelledPrediction:
    """A prediction with the size of the labelled face, and mean luma of the pixels it touches."""
    x, y, w, h = prediction.label_xywh
    # The mean of a face needs few of its pixels.
    share = min(1.0, _FACE_PIXELS / min(w, h))
    try:
        photo = load_photo(
            folder / prediction.filename,
            lambda size_wh: (max(1, round(size_wh[0] * share)), max(1, round(size_wh[1] * share))),
        )
    except ImageError:
        return prediction
    width, height = photo.size_wh
    rows, columns = photo.pixels.shape[:2]
    left, right = x * columns // width, -(-(x + w) * columns // width)
    top, bottom = y * rows // height, -(-(y + h) * rows // height)
    face = photo.pixels[top:bottom, left:right]
    brightness = None
    if face.size:  # else the photo has changed since
        red, green, blue = face.reshape(-1, 3).mean(axis=0).tolist()
        brightness = 0.299 * red + 0.587 * green + 0.114 * blue
    box_share = 100 * (w * h / (width * height)) ** 0.5
    return replace(prediction, brightness=brightness, box_share=box_share)
