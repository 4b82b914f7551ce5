"""The result of each image, a row or a failure, and the prediction CSV that holds it.

| file             | columns                                                                    |
| ---------------- | -------------------------------------------------------------------------- |
| `OUT.csv`        | filename,x,y,w,h,proper_mask,score, and iou,correct where labels are known |
| `OUT.errors.csv` | filename,error; only where an image failed                                 |
"""

from dataclasses import dataclass

from maskinfer.data.labels import BoxXywh
from maskinfer.text import csv_line

COLUMNS = ("filename", "x", "y", "w", "h", "proper_mask", "score")
LABEL_COLUMNS = ("iou", "correct")
ERROR_COLUMNS = ("filename", "error")


@dataclass(frozen=True)
class Row:
    """A prediction of one image.

    Attributes:
        filename: relative to the folder given, with `/`.
        box_xywh: in pixels of the upright image, inside it.
        proper_mask: whether the mask is worn properly.
        score: confidence in the box, 0..1.
        iou: of the box and the label's; None where the image has no label.
        correct: whether `proper_mask` is the label's; None where the image has no label.
        probability: that the mask is worn properly, 0..1; a CSV does not hold it.
    """

    filename: str
    box_xywh: BoxXywh
    proper_mask: bool
    score: float
    iou: float | None = None
    correct: bool | None = None
    probability: float | None = None


def columns(*, labelled: bool) -> tuple[str, ...]:
    """The columns of a prediction CSV, with those of labels or without."""
    return COLUMNS + LABEL_COLUMNS if labelled else COLUMNS


def row_line(row: Row, *, labelled: bool) -> str:
    """A row as a line of a prediction CSV, with the cells of labels or without."""
    cells = [row.filename, *map(str, row.box_xywh), str(row.proper_mask), f"{row.score:.4f}"]
    if labelled:
        cells.append("" if row.iou is None else f"{row.iou:.4f}")
        cells.append("" if row.correct is None else str(row.correct))
    return csv_line(cells)
