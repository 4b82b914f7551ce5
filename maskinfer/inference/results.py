"""The result of each image, a row or a failure, and the prediction CSV that holds it.

| file             | columns                                                                    |
| ---------------- | -------------------------------------------------------------------------- |
| `OUT.csv`        | filename,x,y,w,h,proper_mask,score, and iou,correct where labels are known |
| `OUT.errors.csv` | filename,error; only where an image failed                                 |
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from maskinfer.data.labels import BoxXywh
from maskinfer.errors import MaskinferError, UsageError
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
        probability: that the mask is worn properly, 0..1; None where it was read from a CSV, which
            does not hold it.
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


def read_predictions(path: Path) -> list[Row]:
    """Read a prediction CSV.

    Raises:
        UsageError: no such file.
        MaskinferError: the file is not a prediction CSV; the message names the line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return list(_parse_rows(stream))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except OSError as error:
        raise MaskinferError(f"{path}: cannot be read, {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise MaskinferError(f"{path}: {error}") from error


def _parse_rows(stream: TextIO) -> Iterator[Row]:
    reader = csv.reader(stream, strict=True)
    header = tuple(next(reader, ()))
    if header not in (columns(labelled=False), columns(labelled=True)):
        raise ValueError(f"columns are {','.join(header)!r}, expected {','.join(COLUMNS)}")
    for number, cells in enumerate(reader, start=1):
        try:
            yield _parse_row(cells, len(header))
        except ValueError as error:
            raise ValueError(f"row {number}: {error}") from error


def _parse_row(cells: list[str], width: int) -> Row:
    if len(cells) != width:
        raise ValueError(f"{len(cells)} cells, expected {width}")
    x, y, w, h = (int(cell) for cell in cells[1:5])
    iou, correct = cells[7:] if width > len(COLUMNS) else ("", "")
    return Row(
        filename=cells[0],
        box_xywh=(x, y, w, h),
        proper_mask=_parse_bool(cells[5]),
        score=float(cells[6]),
        iou=float(iou) if iou else None,
        correct=_parse_bool(correct) if correct else None,
    )


def _parse_bool(cell: str) -> bool:
    if cell not in ("True", "False"):
        raise ValueError(f"got {cell!r}, expected True or False")
    return cell == "True"


def row_line(row: Row, *, labelled: bool) -> str:
    """A row as a line of a prediction CSV, with the cells of labels or without."""
    cells = [row.filename, *map(str, row.box_xywh), str(row.proper_mask), f"{row.score:.4f}"]
    if labelled:
        cells.append("" if row.iou is None else f"{row.iou:.4f}")
        cells.append("" if row.correct is None else str(row.correct))
    return csv_line(cells)
