"""A run's results as they come, on disk, so that a run that ends early can go on.

For `--out preds.csv`:

| file                       | holds                                                             |
| -------------------------- | ----------------------------------------------------------------- |
| `preds.csv.partial`        | rows, as the prediction CSV has them, whatever the output will be |
| `preds.errors.csv.partial` | failures                                                          |
| `preds.meta.json`          | the model, the settings, how far the run is; stays when it ends   |

Every row is handed to the system when it is written. Together the two files are a prefix of the
run: resuming walks the source beside them, cuts what does not follow, and goes on from there.
"""

import contextlib
import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from maskinfer.data.folders import Failure
from maskinfer.data.sources import Source
from maskinfer.errors import MaskinferError, UsageError
from maskinfer.files import check_file, write_text
from maskinfer.text import printable_name
from maskinfer.version import __version__

from .outputs import make_output
from .results import ERROR_COLUMNS, Row, columns, parse_row, row_cells, write_line

_SCHEMA = 1


@dataclass(frozen=True)
class Places:
    """The files of a run.

    Attributes:
        out: what the run makes.
        errors: the failures, where there are any.
        meta: what made it.
        rows_partial: rows, until then.
        errors_partial: failures, until then.
    """

    out: Path
    errors: Path
    meta: Path
    rows_partial: Path
    errors_partial: Path

    @classmethod
    def of(cls, out: Path) -> Self:
        """Beside the output: `preds.csv` has `preds.errors.csv` and `preds.meta.json`."""
        stem = out.name.removesuffix(".csv")
        errors = out.with_name(f"{stem}.errors.csv")
        return cls(
            out,
            errors,
            out.with_name(f"{stem}.meta.json"),
            out.with_name(f"{out.name}.partial"),
            errors.with_name(f"{errors.name}.partial"),
        )


def check_places(places: Places, *, overwrite: bool, resume: bool) -> None:
    """Refuse where a run would write, before any work is done for it.

    Raises:
        UsageError: a file cannot be written, exists and may not be replaced, or is being written
            by another run.
    """
    for path in (places.out, places.errors):
        check_file(path, overwrite=overwrite or resume)
    # One of ours whose output is gone is in nobody's way.
    check_file(places.meta, overwrite=overwrite or bool(_read_meta(places.meta)))
    for path in (places.rows_partial, places.errors_partial):
        check_file(path, overwrite=True)
        if not path.is_file():
            continue
        if not (overwrite or resume):
            raise UsageError(
                f"{path}: holds rows of an interrupted run; go on with --resume, or begin again "
                "with --overwrite"
            )
        with path.open("rb") as stream:
            _lock(stream, places.out)


class Journal:
    """Where results go as they come; a context manager, left without closing the run.

    Attributes:
        places: its files.
        kept_in: where rows are before the run is finished.
        labelled: whether rows have columns for labels.
        rows: written so far, those of earlier sessions among them.
        failures: likewise.
        dropped: results of an earlier session that were cut away, since an image comes before
            them that was not there then, or a list is another.
    """

    def __init__(
        self,
        places: Places,
        identity: dict[str, Any],
        facts: dict[str, Any],
        *,
        labelled: bool,
    ) -> None:
        """Touch nothing yet.

        Args:
            places: where, as `check_places` passed them.
            identity: what a resumed run must agree in, fit for JSON.
            facts: what else is worth knowing of it, likewise.
            labelled: whether any image has a label.
        """
        self.places = places
        self.kept_in = places.rows_partial
        self.labelled = labelled
        self.rows = 0
        self.failures = 0
        self.dropped = 0
        self._identity = identity
        self._facts = facts
        self._began = False
        self._rows: BinaryIO | None = None
        self._errors: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the files; an exception on its way is the one to show."""
        with contextlib.suppress(OSError):
            self._close()
        if self._began and kind is not None and not self.rows and not self.failures:
            with contextlib.suppress(OSError):
                self.places.rows_partial.unlink(missing_ok=True)
                self.places.meta.unlink(missing_ok=True)

    def is_whole(self) -> bool:
        """Whether the output is there, and the run that made it came to its end.

        Then `rows` and `failures` are that run's.

        Raises:
            UsageError: it was another run.
        """
        if not self.places.out.is_file() or self.places.rows_partial.exists():
            return False
        meta = self._check_identity()
        self.rows, self.failures = int(meta.get("rows", 0)), int(meta.get("failed", 0))
        return meta.get("status") in ("finishing", "done")

    def begin(self) -> None:
        """Begin from nothing, in place of what an earlier run left.

        Raises:
            MaskinferError: the disk refuses.
        """
        with self._explained():
            self._rows = self._rows or self._open_rows()
            self._rows.truncate(0)
            self._began = True
            self.places.errors_partial.unlink(missing_ok=True)
            self._write_meta("running")
            write_line(self._rows, columns(labelled=self.labelled))

    def resume(
        self, source: Source, on_kept: Callable[[Row | Failure], object]
    ) -> Iterator[str | Failure]:
        """Take up an interrupted run, or begin one where there is none.

        Args:
            source: the images of that run.
            on_kept: called with each result that stays, in order.

        Returns:
            what is left to do.

        Raises:
            UsageError: the run was started with another model or otherwise.
            MaskinferError: its files are damaged, or the disk refuses.
        """
        if not self.places.rows_partial.is_file():
            self.begin()
            return iter(source)
        meta = self._check_identity()
        with self._explained():
            self._rows = self._open_rows()
            self._take_back_errors(meta)
            with (
                closing(_Records(self.places.rows_partial)) as rows,
                closing(_Records(self.places.errors_partial)) as errors,
            ):
                if rows.header not in (None, columns(labelled=False), columns(labelled=True)):
                    raise _damaged(self.places.rows_partial, "its first line is not ours")
                if rows.header is not None:
                    self.labelled = rows.header == columns(labelled=True)
                    rest = self._replay(source, rows, errors, on_kept)
                    self.dropped = rows.count_left() + errors.count_left()
            if rows.header is None:  # killed before its first line was whole
                self.begin()
                return iter(source)
            self._rows.truncate(rows.end)
            if self.failures:
                self._errors = self.places.errors_partial.open("ab")
                self._errors.truncate(errors.end)
            else:
                self.places.errors_partial.unlink(missing_ok=True)
            self._write_meta("running")
        return rest

    def write(self, result: Row | Failure) -> None:
        """Write one image's result.

        Raises:
            MaskinferError: the disk is full, or otherwise refuses.
        """
        assert self._rows is not None
        with self._explained():
            if isinstance(result, Row):
                write_line(self._rows, row_cells(result, labelled=self.labelled))
                self.rows += 1
                return
            if self._errors is None:
                self._errors = self.places.errors_partial.open("ab")
                write_line(self._errors, ERROR_COLUMNS)
            write_line(self._errors, (result.filename, result.error))
            self.failures += 1

    def finish(self) -> None:
        """Give the files their names.

        Raises:
            MaskinferError: the disk is full, or otherwise refuses.
        """
        with self._explained():
            for stream in (self._errors, self._rows):
                if stream is not None:
                    os.fsync(stream.fileno())
            # From here on whoever is stopped is finished by --resume: each step can be repeated.
            # Rows stay locked until they have their name, where an open file can be renamed.
            for stream in (self._errors, *([self._rows] if sys.platform == "win32" else [])):
                if stream is not None:
                    stream.close()
            self._write_meta("finishing")
            if self.failures:
                self.places.errors_partial.replace(self.places.errors)
            else:
                self.places.errors.unlink(missing_ok=True)
            make_output(self.places.rows_partial, self.places.out, labelled=self.labelled)
            self._write_meta("done")
            self._close()

    def _replay(
        self,
        source: Source,
        rows: "_Records",
        errors: "_Records",
        on_kept: Callable[[Row | Failure], object],
    ) -> Iterator[str | Failure]:
        """Take what is recorded as long as it follows the source; return the rest of the source."""

        def keep(records: _Records) -> None:
            cells = records.take()
            if records is rows:
                on_kept(
                    _parsed(cells, len(columns(labelled=self.labelled)), self.places.rows_partial)
                )
                self.rows += 1
            elif len(cells) != len(ERROR_COLUMNS):
                raise _damaged(self.places.errors_partial, f"{len(cells)} cells")
            else:
                on_kept(Failure(*cells))
                self.failures += 1

        def keep_vanished(before: str | None) -> None:
            """Keep what comes before a name, or all that is left: it was there."""
            while gone := [
                records
                for records in (rows, errors)
                if records.name is not None and (before is None or records.name < before)
            ]:
                keep(min(gone, key=lambda records: records.name or ""))

        names = iter(source)
        for found in names:
            name = printable_name(found.filename if isinstance(found, Failure) else found)
            if source.sorted:
                keep_vanished(name)
            if rows.name == name:
                keep(rows)
            elif errors.name == name:
                keep(errors)
            else:
                return chain([found], names)
        if source.sorted:
            keep_vanished(None)
        return iter(())

    def _take_back_errors(self, meta: dict[str, Any]) -> None:
        """Undo the first step of a run that was stopped while it finished."""
        places = self.places
        if meta.get("status") == "finishing" and not places.errors_partial.exists():
            if meta.get("failed"):
                places.errors.replace(places.errors_partial)
            else:
                places.errors.unlink(missing_ok=True)

    def _check_identity(self) -> dict[str, Any]:
        """What the run's file says, where it agrees with this run."""
        meta = _read_meta(self.places.meta)
        if not meta:
            raise UsageError(
                f"{self.places.meta}: missing or damaged, so that nothing says what "
                f"{self.places.out} was begun with; begin again with --overwrite"
            )
        for name, value in self._identity.items():
            if meta.get(name) != value:
                raise UsageError(
                    f"{self.places.out}: was begun with {name.replace('_', ' ')} "
                    f"{meta.get(name)!r}, now it is {value!r}; use the same, or begin again with "
                    "--overwrite"
                )
        return meta

    def _write_meta(self, status: str) -> None:
        counts = {"rows": self.rows, "failed": self.failures}
        versions = {"schema": _SCHEMA, "maskinfer_version": __version__}
        meta = {"status": status, **counts, **self._facts, **self._identity, **versions}
        write_text(self.places.meta, json.dumps(meta, indent=2) + "\n")

    def _open_rows(self) -> BinaryIO:
        """Open the rows, to append, and take them for this process.

        Raises:
            UsageError: another run has them.
        """
        path = self.places.rows_partial
        stream = path.open("ab")
        try:
            _lock(stream, self.places.out)
            if not path.exists() or not os.path.samestat(os.fstat(stream.fileno()), path.stat()):
                raise _written_now(self.places.out)  # and had its last name just now
        except BaseException:
            stream.close()
            raise
        return stream

    def _close(self) -> None:
        with contextlib.ExitStack() as both:
            for stream in (self._errors, self._rows):
                if stream is not None:
                    both.callback(stream.close)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise MaskinferError(
                f"{self.places.out}: cannot be written, {error.strerror}"
            ) from error


class _Records:
    """The lines of one of a journal's files, one ahead.

    Attributes:
        header: the first line's cells; None where it is not whole.
        end: of what was taken, in bytes.
        name: of the image that the next line is about; None at the end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = path.open("rb") if path.is_file() else io.BytesIO()
        self._next_end = 0
        try:
            first = self._read()
            self.end = self._next_end
            self.header = None if first is None else tuple(first)
            self._next = self._read()
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str | None:
        return None if self._next is None else self._next[0]

    def take(self) -> list[str]:
        """The next line's cells."""
        assert self._next is not None
        cells, self.end = self._next, self._next_end
        self._next = self._read()
        return cells

    def count_left(self) -> int:
        """Go through what is left, and count it."""
        count = 0
        while self._next is not None:
            count += 1
            self._next = self._read()
        return count

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _read(self) -> list[str] | None:
        """The next line's cells; None at the end, and where it was torn while it was written."""
        record = b""
        for line in self._stream:
            record += line
            if record.count(b'"') % 2 == 0:  # else its end is inside quotes
                break
        if not record.endswith(b"\n") or record.count(b'"') % 2:
            return None
        self._next_end += len(record)
        try:
            cells = next(csv.reader(io.StringIO(record.decode(), newline=""), strict=True))
        except (ValueError, csv.Error, StopIteration) as error:
            raise _damaged(self._path, str(error) or "an empty line") from error
        if not cells:
            raise _damaged(self._path, "an empty line")
        return cells


def _parsed(cells: list[str], width: int, path: Path) -> Row:
    try:
        return parse_row(cells, width)
    except ValueError as error:
        raise _damaged(path, f"{cells[0]}: {error}") from error


def _damaged(path: Path, what: str) -> MaskinferError:
    return MaskinferError(f"{path}: damaged, {what}; begin again with --overwrite")


def _read_meta(path: Path) -> dict[str, Any]:
    """What the file says; empty where there is none that can be read."""
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return meta if isinstance(meta, dict) and meta.get("schema") == _SCHEMA else {}


def _written_now(out: Path) -> UsageError:
    return UsageError(f"{out}: another run is writing it now")


def _lock(stream: BinaryIO, out: Path) -> None:
    """Take the file for this process, until it is closed.

    Raises:
        UsageError: another has it.
    """
    if sys.platform == "win32":  # which has no lock that others may read past
        return
    import fcntl

    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _written_now(out) from None
    except OSError:  # a file system without locks
        return
