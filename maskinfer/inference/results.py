"""The result of each image, a prediction or a failure, and the prediction CSV that holds it.

| file             | columns                                                         |
| ---------------- | --------------------------------------------------------------- |
| `OUT.csv`        | filename,x,y,w,h,proper_mask,probability,score, and iou,correct |
|                  | where labels are known and one face is asked for                |
| `OUT.errors.csv` | filename,error; only where an image failed                      |

An image has a row for each face that was asked for; where none scores enough, one row with empty
cells.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from maskinfer.data.folders import Failure
from maskinfer.data.labels import BoxXywh
from maskinfer.text import csv_line

COLUMNS = ("filename", "x", "y", "w", "h", "proper_mask", "probability", "score")
LABEL_COLUMNS = ("iou", "correct")
ERROR_COLUMNS = ("filename", "error")
NOT_FINITE = "the model's output is not finite"  # a failure's reason


@dataclass(frozen=True)
class Prediction:
    """What a model predicts for one face.

    Attributes:
        box_xywh: the face in whole pixels of the upright image, inside it, at least 1 x 1.
        proper_mask: whether the mask is worn properly: probability >= the threshold.
        probability: that the mask is worn properly, 0..1.
        score: confidence that a face is there, 0..1.
    """

    box_xywh: BoxXywh
    proper_mask: bool
    probability: float
    score: float

    def values(self) -> dict[str, Any]:
        """By column, to as many decimals as outputs have."""
        cells = (*self.box_xywh, self.proper_mask, round(self.probability, 4), round(self.score, 4))
        return dict(zip(COLUMNS[1:], cells, strict=True))


@dataclass(frozen=True)
class ImagePrediction:
    """What a model predicts for one image.

    Attributes:
        filename: relative to the folder given, with `/`.
        faces: those asked for, the best first; empty where none scores enough.
        iou: of the one face and the label's; None where the image has no label, or every face was
            asked for. Without a face 0.
        correct: whether `proper_mask` is the label's; None likewise. Without a face False.
    """

    filename: str
    faces: tuple[Prediction, ...]
    iou: float | None = None
    correct: bool | None = None

    def label_values(self) -> dict[str, Any]:
        """Figures of the label by column, to as many decimals as outputs have."""
        iou = None if self.iou is None else round(self.iou, 4)
        return dict(zip(LABEL_COLUMNS, (iou, self.correct), strict=True))

    def rows(self, *, labelled: bool) -> Iterator[dict[str, Any]]:
        """Values by column of a row a face; of one row without a face."""
        label = self.label_values() if labelled else {}
        faces = [face.values() for face in self.faces] or [dict.fromkeys(COLUMNS[1:])]
        return ({"filename": self.filename} | face | label for face in faces)


Result = ImagePrediction | Failure


def columns(*, labelled: bool) -> tuple[str, ...]:
    """The columns of a prediction CSV, with those of labels or without."""
    return COLUMNS + LABEL_COLUMNS if labelled else COLUMNS


def csv_lines(prediction: ImagePrediction, *, labelled: bool) -> Iterator[str]:
    """An image as lines of a prediction CSV, with the cells of labels or without."""
    return (csv_line(map(_cell, row.values())) for row in prediction.rows(labelled=labelled))


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "" if value is None else str(value)
