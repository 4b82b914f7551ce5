"""What is said of each image, a row or a failure, and the prediction CSV that holds it.

| file             | columns                                                                    |
| ---------------- | -------------------------------------------------------------------------- |
| `OUT.csv`        | filename,x,y,w,h,proper_mask,score, and iou,correct where labels are known |
| `OUT.errors.csv` | filename,error; only where an image failed                                 |
"""

import csv
import math
import os
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from .atomic import replacing
from .errors import MaskinferError, UsageError
from .labels import BoxXywh

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
        probability: that the mask is worn properly, 0..1; not in the CSV.
    """

    filename: str
    box_xywh: BoxXywh
    proper_mask: bool
    score: float
    iou: float | None = None
    correct: bool | None = None
    probability: float | None = None


@dataclass(frozen=True)
class Failure:
    """An image without a prediction, and why."""

    filename: str
    error: str


def check_file(out: Path, *, overwrite: bool) -> None:
    """Refuse an output file before any work is done for it.

    Raises:
        UsageError: it cannot be written, or exists and `overwrite` is False.
    """
    if out.is_dir():
        raise UsageError(f"{out}: a folder, expected a file to write")
    if not out.parent.is_dir():
        raise UsageError(
            f"{out}: no folder {out.parent}. Make it with: mkdir -p {shlex.quote(str(out.parent))}"
        )
    if not os.access(out.parent, os.W_OK):
        raise UsageError(f"{out}: folder {out.parent} cannot be written to")
    if out.exists() and not out.is_file():
        raise UsageError(f"{out}: not a regular file, expected one that can be replaced")
    if out.exists() and not overwrite:
        raise UsageError(f"{out}: exists. To replace it, add --overwrite")


def write_text(out: Path, text: str) -> None:
    """Write a whole file beside its place, then rename it.

    Raises:
        MaskinferError: the disk is full, or otherwise refuses.
    """
    try:
        with replacing(out) as beside:
            beside.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MaskinferError(f"{out}: cannot be written, {error.strerror}") from error


def columns(*, labelled: bool) -> tuple[str, ...]:
    """The columns of a prediction CSV, with those of labels or without."""
    return COLUMNS + LABEL_COLUMNS if labelled else COLUMNS


def printable_name(name: str) -> str:
    r"""Make a file name, or text with one in it, valid UTF-8: other bytes are written as `\xff`."""
    try:
        name.encode()
        return name
    except UnicodeEncodeError:
        pass
    try:
        data = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can hold and no file's name
        data = name.encode("utf-8", "backslashreplace")
    return data.decode("utf-8", "backslashreplace")


def strict_json(value: Any) -> Any:
    """A value as JSON without extensions holds it: no NaN or infinity, and texts that are UTF-8."""
    if isinstance(value, dict):
        return {printable_name(str(name)): strict_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return printable_name(value) if isinstance(value, str) else value


def read_predictions(path: Path) -> list[Row]:
    """Read a prediction CSV.

    Raises:
        UsageError: no such file.
        MaskinferError: the file is not a prediction CSV; the message names the line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return list(iter_rows(stream))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except OSError as error:
        raise MaskinferError(f"{path}: cannot be read, {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise MaskinferError(f"{path}: {error}") from error


def iter_rows(stream: TextIO) -> Iterator[Row]:
    """Read a prediction CSV row by row, from a stream that leaves line ends as they are.

    Raises:
        ValueError, csv.Error: it is none; the message names the line.
    """
    reader = csv.reader(stream, strict=True)
    header = tuple(next(reader, ()))
    if header not in (columns(labelled=False), columns(labelled=True)):
        raise ValueError(f"columns are {','.join(header)!r}, expected {','.join(COLUMNS)}")
    for number, cells in enumerate(reader, start=1):
        try:
            yield parse_row(cells, len(header))
        except ValueError as error:
            raise ValueError(f"row {number}: {error}") from error


def parse_row(cells: list[str], width: int) -> Row:
    """Read a row of a prediction CSV of so many columns.

    Raises:
        ValueError: it is none; the message says why.
    """
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


def row_cells(row: Row, *, labelled: bool) -> list[str]:
    """The cells of a row, with those of labels or without."""
    cells = [
        row.filename,
        *map(str, row.box_xywh),
        str(row.proper_mask),
        f"{row.score:.4f}",
    ]
    if labelled:
        cells.append("" if row.iou is None else f"{row.iou:.4f}")
        cells.append("" if row.correct is None else str(row.correct))
    return cells


def csv_line(cells: Iterable[str]) -> str:
    """Write one line of a CSV, printable names in it, with its line feed."""
    # By hand: before Python 3.13 the csv module leaves a lone carriage return unquoted.
    return ",".join(quote_cell(printable_name(cell)) for cell in cells) + "\n"


def write_line(stream: BinaryIO, cells: Iterable[str]) -> None:
    """Write one line of a CSV, and hand it to the system: whoever is killed leaves it whole."""
    stream.write(csv_line(cells).encode())
    stream.flush()


def quote_cell(cell: str) -> str:
    """A cell as it stands in a line of a CSV."""
    return '"' + cell.replace('"', '""') + '"' if set(cell) & set(',"\r\n') else cell
