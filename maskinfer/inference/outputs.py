"""What a run makes of its rows, by the ending of `--out`: a CSV, JSON lines, or Parquet."""

import json
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Self

from maskinfer.data.folders import Failure
from maskinfer.errors import UsageError
from maskinfer.files import replacing

from .results import COLUMNS, Row, columns, iter_rows, row_cells, write_line

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


def make_output(rows: Path, out: Path, *, labelled: bool) -> None:
    """Make the output of a prediction CSV, which is gone afterwards.

    Args:
        rows: a whole prediction CSV.
        out: as `check_format` passed it.
        labelled: whether it has columns for labels.

    Raises:
        OSError: the disk refuses.
    """
    if out.suffix == ".csv":
        rows.replace(out)
        return
    write = _write_parquet if out.suffix == ".parquet" else _write_jsonl
    with replacing(out) as beside, rows.open(encoding="utf-8", newline="") as stream:
        write(iter_rows(stream), beside, labelled)
    rows.unlink()


class RowStream:
    """Rows as they come, as a CSV on a stream; failures go to stderr. Nothing can be resumed.

    Attributes:
        kept_in: None, since nothing is kept.
        dropped: 0, likewise.
    """

    kept_in = None
    dropped = 0

    def __init__(
        self, stream: BinaryIO, on_failure: Callable[[Failure], object], *, labelled: bool
    ) -> None:
        """Take a stream, and what to tell of failures; write nothing yet."""
        self._stream = stream
        self._on_failure = on_failure
        self._labelled = labelled

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def begin(self) -> None:
        """Write the header."""
        write_line(self._stream, columns(labelled=self._labelled))

    def write(self, result: Row | Failure) -> None:
        """Write a row, or tell of a failure.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        if isinstance(result, Row):
            write_line(self._stream, row_cells(result, labelled=self._labelled))
        else:
            self._on_failure(result)

    def finish(self) -> None:
        """Nothing is left to do."""


def _write_jsonl(rows: Iterator[Row], path: Path, labelled: bool) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for row in rows:
            stream.write(json.dumps(_values(row, labelled), ensure_ascii=False) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def _write_parquet(rows: Iterator[Row], path: Path, labelled: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        "filename": pa.string(),
        **dict.fromkeys(("x", "y", "w", "h"), pa.int32()),
        "proper_mask": pa.bool_(),
        "score": pa.float64(),
        "iou": pa.float64(),
        "correct": pa.bool_(),
    }
    schema = pa.schema([(name, kinds[name]) for name in columns(labelled=labelled)])
    with pq.ParquetWriter(path, schema) as writer:
        while values := [_values(row, labelled) for row in islice(rows, _GROUP_ROWS)]:
            writer.write_table(pa.Table.from_pylist(values, schema=schema))


def _values(row: Row, labelled: bool) -> dict[str, Any]:
    values = dict(
        zip(
            COLUMNS,
            (row.filename, *row.box_xywh, row.proper_mask, row.score),
            strict=True,
        )
    )
    return values | ({"iou": row.iou, "correct": row.correct} if labelled else {})
