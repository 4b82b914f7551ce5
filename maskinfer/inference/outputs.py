"""The formats of an output, by the ending of `--out`: a CSV, JSON lines, or Parquet."""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Self

from maskinfer.data.folders import Failure
from maskinfer.errors import UsageError
from maskinfer.text import csv_line

from .results import ERROR_COLUMNS, ImagePrediction, Result, columns, csv_lines

STDOUT = "-"
SUFFIXES = (".csv", ".jsonl", ".parquet")

_GROUP_ROWS = 65_536  # of a Parquet file, held in memory


def check_format(out: Path) -> None:
    """Refuse an ending that names no format, or one that needs what is not installed.

    Raises:
        UsageError: it does.
    """
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


def write_predictions(
    predictions: Iterable[ImagePrediction], path: Path, suffix: str, *, labelled: bool
) -> None:
    """Write the output of a prediction: a row a face, in JSON lines an object an image.

    Args:
        predictions: in the output's order; only some are in memory at a time.
        path: where to write.
        suffix: one of `SUFFIXES`, which names the format.
        labelled: whether there are columns for labels.

    Raises:
        OSError: the disk refuses.
    """
    if suffix == ".parquet":
        rows = (prediction.rows(labelled=labelled) for prediction in predictions)
        _write_parquet(chain.from_iterable(rows), path, labelled)
    elif suffix == ".jsonl":
        objects = (_object(prediction, labelled) for prediction in predictions)
        _write_lines((json.dumps(item, ensure_ascii=False) + "\n" for item in objects), path)
    else:
        lines = (csv_lines(prediction, labelled=labelled) for prediction in predictions)
        header = csv_line(columns(labelled=labelled))
        _write_lines(chain([header], chain.from_iterable(lines)), path)


def write_failures(failures: Iterable[Failure], path: Path) -> None:
    """Write the CSV of failures.

    Raises:
        OSError: the disk refuses.
    """
    cells = ((failure.filename, failure.error) for failure in failures)
    _write_lines(map(csv_line, chain([ERROR_COLUMNS], cells)), path)


class RowStream:
    """Results as they come, as a CSV on a stream. Nothing can be resumed."""

    def __init__(
        self, stream: BinaryIO, on_failure: Callable[[Failure], object], *, labelled: bool
    ) -> None:
        """Take a stream, and what to call with each failure; write nothing yet."""
        self._stream = stream
        self._on_failure = on_failure
        self._labelled = labelled

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def begin(self) -> None:
        """Write the header."""
        self._write(csv_line(columns(labelled=self._labelled)))

    def write(self, result: Result) -> None:
        """Write an image's rows, or report a failure.

        Raises:
            BrokenPipeError: the reader has gone.
        """
        if isinstance(result, Failure):
            self._on_failure(result)
        else:
            self._write("".join(csv_lines(result, labelled=self._labelled)))

    def finish(self) -> None:
        """Nothing is left to do."""

    def _write(self, line: str) -> None:
        self._stream.write(line.encode())
        self._stream.flush()


def _write_lines(lines: Iterable[str], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
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


def _object(prediction: ImagePrediction, labelled: bool) -> dict[str, Any]:
    faces = [face.values() for face in prediction.faces]
    label = prediction.label_values() if labelled else {}
    return {"filename": prediction.filename, "faces": faces, **label}
