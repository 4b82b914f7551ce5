"""Which labels are suspicious: those that predictions contradict.

Images are ranked by self-confidence, the probability that is predicted for the label they have
(Northcutt et al. 2021, Confident learning, arXiv 1911.00068), and by how little the predicted box
overlaps the labelled one. Both mean something only where the network was not trained on the label:
a large one memorises wrong labels.
"""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

from maskinfer.evaluation.labelled import LabelledPrediction
from maskinfer.evaluation.metrics import FOUND_IOU
from maskinfer.files import write_text
from maskinfer.text import csv_line, printable_name

# Boxes that overlap by less are of different faces, so that a call about the one mask says nothing
# about the other. Measured on planted noise: docs/experiments.md.
_SAME_FACE_IOU = 0.3


class Action(StrEnum):
    """What is done about a label."""

    keep = "keep"
    flip = "flip"
    box = "box"
    both = "both"
    drop = "drop"


FOUND_COLUMNS = ("found_x", "found_y", "found_w", "found_h")
COLUMNS = (
    *("filename", "action", "suggestion", "suspicion", "self_confidence", "iou"),
    *("proper_mask", "x", "y", "w", "h"),
    *("probability", "score", *FOUND_COLUMNS),
)


def is_of_label(prediction: LabelledPrediction) -> bool:
    """Whether a face was predicted and is the labelled one, so that the two can be compared."""
    return prediction.iou >= _SAME_FACE_IOU


def contradicts(prediction: LabelledPrediction) -> bool:
    """Whether the labelled face was predicted, and its mask called otherwise."""
    return is_of_label(prediction) and not prediction.correct


def suspicion(prediction: LabelledPrediction) -> float:
    """0..1, the worse of both doubts; 1 where no face was predicted."""
    confidence = prediction.self_confidence
    of_mask = 0.0 if confidence is None or not is_of_label(prediction) else 1 - confidence
    return max(of_mask, 1 - prediction.iou)


def suggestion(prediction: LabelledPrediction) -> Action:
    """What would correct the label if the prediction were right; nothing without a face."""
    box = prediction.face is not None and prediction.iou < FOUND_IOU
    if contradicts(prediction):
        return Action.both if box else Action.flip
    return Action.box if box else Action.keep


def by_label(predictions: Iterable[LabelledPrediction]) -> list[LabelledPrediction]:
    """The labels most likely wrong first; those whose face was not the predicted one last."""

    def rank(prediction: LabelledPrediction) -> tuple[bool, float, str]:
        confidence = prediction.self_confidence
        sure = 1.0 if confidence is None else confidence
        return not is_of_label(prediction), sure, prediction.filename

    return sorted(predictions, key=rank)


def by_box(predictions: Iterable[LabelledPrediction]) -> list[LabelledPrediction]:
    """The boxes most likely wrong first."""
    return sorted(predictions, key=lambda p: (p.iou, p.filename))


def write_suspects(path: Path, predictions: Iterable[LabelledPrediction]) -> None:
    """Write all as a CSV, most suspicious first, to be judged in the column `action`."""
    ranked = sorted(predictions, key=lambda p: (-suspicion(p), p.filename))
    write_text(path, "".join(map(csv_line, [COLUMNS, *map(_cells, ranked)])))


def _cells(prediction: LabelledPrediction) -> list[str]:
    facts = opinion_facts(prediction)
    facts |= zip("xywh", prediction.label_xywh, strict=True)
    facts |= found_cells(prediction)
    cells = [facts.get(column) for column in COLUMNS]
    return [f"{c:.4f}" if isinstance(c, float) else "" if c is None else str(c) for c in cells]


def found_cells(prediction: LabelledPrediction) -> dict[str, str]:
    """The predicted box as the list holds it, by `FOUND_COLUMNS`; empty cells without a face."""
    if prediction.face is None:
        return dict.fromkeys(FOUND_COLUMNS, "")
    return dict(zip(FOUND_COLUMNS, map(str, prediction.face.box_xywh), strict=True))


def opinion_facts(prediction: LabelledPrediction) -> dict[str, Any]:
    """A label and what speaks against it, fit for JSON."""
    face = prediction.face
    return {
        "filename": printable_name(prediction.filename),
        "proper_mask": prediction.label_proper,
        "box_xywh": prediction.label_xywh,
        "probability": prediction.probability,
        "found_xywh": face.box_xywh if face else None,
        "score": face.score if face else None,
        "threshold": prediction.threshold,
        "self_confidence": prediction.self_confidence,
        "iou": prediction.iou,
        "suspicion": suspicion(prediction),
        "suggestion": suggestion(prediction).value,
    }
