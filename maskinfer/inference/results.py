"""The result of each image, a prediction or a failure, and the files that hold results.

| file             | columns                                                         |
| ---------------- | --------------------------------------------------------------- |
| `OUT.csv`        | filename,x,y,w,h,proper_mask,probability,score, and iou,correct |
|                  | where labels are known and one face is asked for                |
| `OUT.errors.csv` | filename,error; only where an image failed                      |

An image has a row for each face that was asked for; where none scores enough, one row with empty
cells. By the ending of `--out` the output is a CSV, Parquet of the same columns, or JSON lines.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from maskinfer.data.folders import Failure
from maskinfer.data.labels import BoxXywh
from maskinfer.errors import UsageError
from maskinfer.text import csv_line, recorded_name

COLUMNS = ("filename", "x", "y", "w", "h", "proper_mask", "probability", "score")
LABEL_COLUMNS = ("iou", "correct")
ERROR_COLUMNS = ("filename", "error")
STDOUT = "-"
SUFFIXES = (".csv", ".jsonl", ".parquet")
NOT_FINITE = "the model's output is not finite"  # a failure's reason
_GROUP_ROWS = 65_536  # of a Parquet file, held in memory


@dataclass(frozen=True)
class Prediction:
    """What a model predicts for one face."""

    box_xywh: BoxXywh  # in whole pixels of the upright image, inside it, at least 1 x 1
    proper_mask: bool  # whether the mask is worn properly: probability >= the threshold
    probability: float  # that the mask is worn properly, 0..1
    score: float  # confidence that a face is there, 0..1

    def values(self) -> dict[str, Any]:
        """By column, to as many decimals as outputs have."""
        cells = (*self.box_xywh, self.proper_mask, round(self.probability, 4), round(self.score, 4))
        return dict(zip(COLUMNS[1:], cells, strict=True))


@dataclass(frozen=True)
class ImagePrediction:
    """What a model predicts for one image."""

    filename: str  # relative to the folder given, with `/`
    faces: tuple[Prediction, ...]  # those asked for, the best first; empty where none scores enough
    # Of the one face and the label's; None where the image has no label, or every face was asked
    # for. Without a face 0.
    iou: float | None = None
    # Whether `proper_mask` is the label's; None likewise. Without a face False.
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


class KeptPrediction(ImagePrediction):
    """A result of a finished prediction, handed through where what failed is predicted again."""


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


def check_format(out: Path) -> None:
    """Raise a `UsageError` where the ending names no format, or one whose package is missing."""
    if out.suffix not in SUFFIXES:
        raise UsageError(f"--out {out}: expected a file ending in {', '.join(SUFFIXES)}, or -")
    if out.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ModuleNotFoundError:
            raise UsageError(
                f"--out {out}: pyarrow is not installed. Run, in the project's folder: "
                "pip install '.[parquet]'"
            ) from None


def for_spreadsheet(name: str) -> str:
    """A name that a spreadsheet does not take for a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r", "'")) else name


def write_predictions(
    predictions: Iterable[ImagePrediction],
    path: Path,
    suffix: str,
    *,
    labelled: bool,
    spreadsheet: bool = False,
) -> None:
    """Write the output of a prediction: a row a face, in JSON lines an object an image.

    The suffix, one of `SUFFIXES`, names the format; a CSV may be one for spreadsheets. Only some
    predictions are in memory at a time.
    """
    if suffix == ".parquet":
        rows = (prediction.rows(labelled=labelled) for prediction in predictions)
        _write_parquet(chain.from_iterable(rows), path, labelled)
    elif suffix == ".jsonl":
        objects = (
            {"filename": p.filename, "faces": [face.values() for face in p.faces]}
            | (p.label_values() if labelled else {})
            for p in predictions
        )
        _write_lines((json.dumps(item, ensure_ascii=False) + "\n" for item in objects), path)
    else:
        if spreadsheet:
            predictions = (replace(p, filename=for_spreadsheet(p.filename)) for p in predictions)
        lines = (csv_lines(prediction, labelled=labelled) for prediction in predictions)
        header = csv_line(columns(labelled=labelled))
        _write_lines(chain([header], chain.from_iterable(lines)), path, spreadsheet=spreadsheet)


def write_failures(failures: Iterable[Failure], path: Path, *, spreadsheet: bool = False) -> None:
    """Write the CSV of failures, or raise an `OSError`."""
    name = for_spreadsheet if spreadsheet else str
    cells = ((name(failure.filename), failure.error) for failure in failures)
    lines = map(csv_line, chain([ERROR_COLUMNS], cells))
    _write_lines(lines, path, spreadsheet=spreadsheet)


@dataclass(frozen=True)
class RowStream:
    """Results as they come, as a CSV on a stream. Nothing can be resumed."""

    stream: BinaryIO
    on_failure: Callable[[Failure], object]
    labelled: bool

    def begin(self) -> None:
        """Write the header."""
        self._write(csv_line(columns(labelled=self.labelled)))

    def write(self, result: Result) -> None:
        """Write an image's rows, or report a failure; a `BrokenPipeError` if its reader is gone."""
        if isinstance(result, Failure):
            self.on_failure(result)
        else:
            named = replace(result, filename=recorded_name(result.filename))
            self._write("".join(csv_lines(named, labelled=self.labelled)))

    def finish(self) -> None:
        """Nothing is left to do."""

    def _write(self, line: str) -> None:
        self.stream.write(line.encode())
        self.stream.flush()


def _write_lines(lines: Iterable[str], path: Path, *, spreadsheet: bool = False) -> None:
    with path.open("w", encoding="utf-8-sig" if spreadsheet else "utf-8", newline="") as stream:
        stream.writelines(lines)


def _write_parquet(rows: Iterator[dict[str, Any]], path: Path, labelled: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        "filename": pa.string(),
        **dict.fromkeys(("x", "y", "w", "h"), pa.int32()),
        **dict.fromkeys(("proper_mask", "correct"), pa.bool_()),
        **dict.fromkeys(("probability", "score", "iou"), pa.float64()),
    }
    schema = pa.schema([(name, kinds[name]) for name in columns(labelled=labelled)])
    with pq.ParquetWriter(path, schema) as writer:
        while values := list(islice(rows, _GROUP_ROWS)):
            writer.write_table(pa.Table.from_pylist(values, schema=schema))
