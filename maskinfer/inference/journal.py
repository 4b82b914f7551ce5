"""Results on disk as they come, so that a prediction that ends early can be resumed.

For `--out preds.csv`:

| file                | holds                                                             |
| ------------------- | ----------------------------------------------------------------- |
| `preds.csv.partial` | the journal: JSON lines, a header and then a line for each image  |
| `preds.csv.journal` | the same of a finished output in which images failed              |
| `preds.meta.json`   | of a finished output: the model, the settings, how many images    |

The journal is in the source's order, and each line is handed to the system when it is written: at
any moment it is a prefix of the whole, up to a torn last line. Each ends with a checksum of itself
and all before it, so that damage, lost and doubled lines show. Resuming walks the source beside it,
cuts it where a line does not follow or its photo has changed, and continues from there. Finishing
writes every output from it and removes or renames it last, so a command that is killed while it
finishes is resumed by finishing again. What failed is predicted again along a finished journal,
whose other results are handed through, into a new one.
"""

import contextlib
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Self

from maskinfer.data.folders import Failure
from maskinfer.data.sources import Source
from maskinfer.errors import MaskinferError, UsageError
from maskinfer.files import check_file, replacing
from maskinfer.text import original_name, printable_name, recorded_name
from maskinfer.version import __version__

from .results import (
    ImagePrediction,
    KeptPrediction,
    Prediction,
    Result,
    write_failures,
    write_predictions,
)

_SCHEMA = 3
_META_SCHEMA = 2
_CHECKED = b', "crc32": "'  # behind a line's values, which cannot hold it unescaped


@dataclass(frozen=True)
class OutputFiles:
    """The files of a prediction."""

    out: Path  # the rows
    errors: Path  # the failures, where there are any
    meta: Path  # what made both
    journal: Path  # all results, until those are written
    finished: Path  # all results then, where images failed

    @classmethod
    def of(cls, out: Path) -> Self:
        """Beside the output: `preds.csv` has `preds.errors.csv` and `preds.meta.json`."""
        names = f"{out.stem}.errors.csv", f"{out.stem}.meta.json"
        journals = f"{out.name}.partial", f"{out.name}.journal"
        return cls(out, *map(out.with_name, names + journals))


def check_files(files: OutputFiles, *, overwrite: bool, resume: bool) -> None:
    """Refuse files that cannot be written, may not be replaced, or are another command's."""
    for path in (files.out, files.errors):
        check_file(path, overwrite=overwrite or resume)
    meta = _read_meta(files.meta)
    if resume and not meta and files.meta.is_file():
        raise UsageError(
            f"{files.meta}: damaged, or of another version, so that nothing says what "
            f"{files.out} was begun with. Its results stay as they are; choose another --out"
        )
    other = files.out.with_name(meta.get("output", files.out.name))
    if other != files.out and other.exists():
        raise UsageError(f"{files.meta}: belongs to {other}; choose another --out than {files.out}")
    # One of ours whose output is gone may be replaced.
    check_file(files.meta, overwrite=overwrite or bool(meta))
    for path in (files.finished, files.journal):
        check_file(path, overwrite=True)
        if path.is_symlink() or (path.exists() and path.stat().st_nlink > 1):
            raise UsageError(f"{path}: a link, which is not written through")
        if path.is_file() and not overwrite:
            with path.open("rb") as stream:
                _read_header(stream, path)
    if not files.journal.is_file():
        return
    if not (overwrite or resume):
        raise UsageError(
            f"{files.journal}: holds results of an interrupted prediction; continue it with "
            "--resume, or begin again with --overwrite"
        )
    _open_locked(files).close()


@dataclass
class Journal:
    """Where results go as they come; a context manager, left without finishing.

    What writes or reads raises a `MaskinferError` where the disk refuses.
    """

    files: OutputFiles  # as `check_files` passed them
    identity: dict[str, Any]  # what a resumed command must agree in, fit for JSON
    facts: dict[str, Any]  # what else is worth recording, likewise
    labelled: bool  # whether rows have columns for labels
    # What changes with an image's file, by its name, fit for JSON.
    stamp: Callable[[str], Any] = lambda name: None
    # Images written so far, those before an interruption among them.
    predicted: int = field(default=0, init=False)
    failures: int = field(default=0, init=False)  # likewise
    dropped: int = field(default=0, init=False)  # results that were cut when resuming
    _checksum: int = field(default=0, init=False)
    _stream: BinaryIO | None = field(default=None, init=False)
    _began: bool = field(default=False, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Close the journal; an exception on its way is the one to show."""
        with contextlib.suppress(OSError):
            if self._began and kind is not None and not self.predicted and not self.failures:
                self._remove()
        with contextlib.suppress(OSError):
            if self._stream is not None:
                self._stream.close()

    def complete(self) -> tuple[int, int] | None:
        """How many images a finished output has, predicted and failed; None where it is none.

        A `UsageError` where it was made with another model or otherwise.
        """
        if not self.files.out.is_file() or self.files.journal.exists():
            return None
        meta = _read_meta(self.files.meta)
        if not meta:
            raise UsageError(
                f"{self.files.meta}: missing, so that nothing says what {self.files.out} was begun "
                f"with. {self.files.out.name} stays as it is; choose another --out"
            )
        self._check_identity(meta)
        return (meta["predicted"], meta["failed"]) if meta.get("status") == "done" else None

    def begin(self) -> None:
        """Begin from nothing, in place of what an interrupted command left."""
        with self._explained():
            self._stream = self._stream or _open_locked(self.files)
            self._stream.truncate(0)
            self._began = True
            header = {"schema": _SCHEMA, "identity": self.identity, "facts": self.facts}
            self._write(json.dumps(header | {"labelled": self.labelled}).encode() + b"\n")
            self._checksum = 0

    def retry(self, source: Source) -> Iterator[str | Result]:
        """The images of a finished prediction: names of those that failed, results of others.

        A `UsageError` where there is none, or it was made with another model or otherwise; a
        `MaskinferError` where its journal is damaged.
        """
        path = self.files.finished
        if not path.is_file():
            raise UsageError(
                f"{path}: missing, so that what failed cannot be predicted again; a prediction "
                "that was interrupted is continued with --resume, any begun again with --overwrite"
            )
        with path.open("rb") as recorded:
            header = _read_header(recorded, path) or {"identity": {}, "labelled": False}
        self._check_identity(header["identity"])
        self.labelled = header["labelled"]
        return self._retried(source)

    def _retried(self, source: Source) -> Iterator[str | Result]:
        for result in self._results(self.files.finished):
            name = original_name(result.filename)
            if isinstance(result, ImagePrediction):
                yield KeptPrediction(**vars(result) | {"filename": name})
            elif name.endswith("/"):  # a folder that could not be listed
                yield from (image for image in source if _name_of(image).startswith(name))
            else:
                yield name

    def resume(
        self,
        images: Iterator[str | Result],
        on_kept: Callable[[Result], object],
        *,
        is_sorted: bool,
    ) -> Iterator[str | Result]:
        """Continue an interrupted prediction, or begin one: the images that are left.

        `images` are all, as the interrupted command had them, and `is_sorted` if they come in the
        order of their recorded names; `on_kept` is called with each result that stays, in order. A
        `UsageError` where it was begun with another model or otherwise, or by another version; a
        `MaskinferError` where the journal is damaged.
        """
        path = self.files.journal
        with self._explained():
            self._stream = _open_locked(self.files)
        with self._explained(), path.open("rb") as recorded:
            header = _read_header(recorded, path)
            if header is None:  # there is none, or it was killed before its first line was whole
                self.begin()
                return images
            self._check_identity(header["identity"])
            self.labelled |= header["labelled"]
            end = recorded.tell()
            image = next(images, None)
            for line in recorded:
                values = _read_line(line, self._checksum)
                if values is None:
                    break
                stamp, result = values.pop("stamp"), _read_result(values)
                name = None if image is None else recorded_name(_name_of(image))
                if image is not None and name == result.filename:
                    if self.stamp(_name_of(image)) != stamp:
                        break
                    image = next(images, None)
                # Another image's result stays where that image is known to come first: it was
                # there, and has vanished since.
                elif not is_sorted or (name is not None and name < result.filename):
                    break
                on_kept(result)
                self._count(result)
                self._checksum = _checksum_of(line)
                end += len(line)
            recorded.seek(end)
            self.dropped = sum(line.endswith(b"\n") for line in recorded)
            self._stream.truncate(end)
        return images if image is None else chain([image], images)

    def write(self, result: Result) -> None:
        """Write one image's result."""
        values = vars(result) | {"filename": recorded_name(result.filename)}
        if isinstance(result, Failure):
            values["error"] = printable_name(result.error)
        else:
            values["faces"] = [vars(face) for face in result.faces]
        values["stamp"] = self.stamp(result.filename)
        with self._explained():
            line = _write_line(values, self._checksum)
            self._write(line)
            self._checksum = _checksum_of(line)
        self._count(result)

    def finish(self) -> None:
        """Write the outputs, and let go of the journal; each step can be repeated."""
        files = self.files
        counts = {"status": "done", "predicted": self.predicted, "failed": self.failures}
        versions = {"schema": _META_SCHEMA, "maskinfer_version": __version__}
        meta = json.dumps(counts | self.facts | self.identity | versions, indent=2) + "\n"
        with self._explained():
            with _replacing(files.out) as beside:
                results = self._results(files.journal)
                rows = (r for r in results if isinstance(r, ImagePrediction))
                form = {"spreadsheet": self.identity.get("spreadsheet", False)}
                write_predictions(rows, beside, files.out.suffix, labelled=self.labelled, **form)
            if self.failures:
                with _replacing(files.errors) as beside:
                    results = self._results(files.journal)
                    failures = (r for r in results if isinstance(r, Failure))
                    write_failures(failures, beside, **form)
            else:
                files.errors.unlink(missing_ok=True)
            with _replacing(files.meta) as beside:
                beside.write_text(meta, encoding="utf-8")
            if not self.failures:
                files.finished.unlink(missing_ok=True)
            self._remove(keep=self.failures > 0)

    def _check_identity(self, recorded: dict[str, Any]) -> None:
        for name, value in self.identity.items():
            if recorded.get(name) != value:
                raise UsageError(
                    f"{self.files.out}: was begun with {name.replace('_', ' ')} "
                    f"{recorded.get(name)!r}, now it is {value!r}; use the same, or begin again "
                    "with --overwrite"
                )

    def _write(self, line: bytes) -> None:
        assert self._stream is not None
        self._stream.write(line)
        self._stream.flush()  # so that a process that is killed leaves the line whole

    def _count(self, result: Result) -> None:
        self.predicted += isinstance(result, ImagePrediction)
        self.failures += isinstance(result, Failure)

    def _results(self, path: Path) -> Iterator[Result]:
        """All that a journal holds, from the beginning."""
        with path.open("rb") as recorded:
            recorded.readline()  # the header
            checksum = 0
            for line in recorded:
                values = _read_line(line, checksum)
                if values is None:
                    how = "begin again with --overwrite"
                    if path == self.files.journal:
                        how = "continue with --resume"
                    raise MaskinferError(f"{path}: damaged; {how}")
                checksum = _checksum_of(line)
                del values["stamp"]
                yield _read_result(values)

    def _remove(self, *, keep: bool = False) -> None:
        """Remove or rename the journal, and only then close it, where that can be done to it."""
        assert self._stream is not None
        if sys.platform == "win32":
            self._stream.close()
        if keep:
            self.files.journal.replace(self.files.finished)
        else:
            self.files.journal.unlink(missing_ok=True)
        self._stream.close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # By its number: pyarrow's own text says more than a user needs.
            reason = os.strerror(error.errno) if error.errno else error
            raise MaskinferError(f"{self.files.out}: cannot be written, {reason}") from error


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """As `files.replacing`, but safe on the disk, and alone: the journal is locked."""
    with replacing(path, "finishing") as beside:
        yield beside
        with beside.open("rb+") as stream:
            os.fsync(stream.fileno())


def _name_of(image: str | Result) -> str:
    return image if isinstance(image, str) else image.filename


def _read_header(stream: BinaryIO, path: Path) -> dict[str, Any] | None:
    """The first line of a journal; None where it is not whole."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    header: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        header = json.loads(line)
    match header:
        case {"schema": schema, "identity": dict(), "labelled": bool()} if schema == _SCHEMA:
            return dict(header)
        case {"schema": schema} if schema != _SCHEMA:
            raise UsageError(
                f"{path}: holds results of a prediction that another version of maskinfer began; "
                "finish it with that version, or begin again with --overwrite"
            )
    raise MaskinferError(
        f"{path}: damaged, its first line is not ours; begin again with --overwrite"
    )


def _write_line(values: dict[str, Any], checksum: int) -> bytes:
    """A line of the journal, behind one with that checksum."""
    text = json.dumps(values).encode().removesuffix(b"}")
    return text + _CHECKED + b'%08x"}\n' % zlib.crc32(text, checksum)


def _checksum_of(line: bytes) -> int:
    """The checksum at the end of a line that is whole."""
    return int(line[-11:-3], 16)


def _read_line(line: bytes, checksum: int) -> dict[str, Any] | None:
    """What `_write_line` made the line of; None where it did not, or it is torn."""
    text, separator, end = line.partition(_CHECKED)
    if not separator or end != b'%08x"}\n' % zlib.crc32(text, checksum):
        return None
    return dict(json.loads(text + b"}"))


def _read_result(values: dict[str, Any]) -> Result:
    if "error" in values:
        return Failure(**values)
    faces = (Prediction(**face | {"box_xywh": tuple(face["box_xywh"])}) for face in values["faces"])
    return ImagePrediction(**values | {"faces": tuple(faces)})


def _read_meta(path: Path) -> dict[str, Any]:
    """The file's content; empty where there is none that can be read."""
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    match meta:
        case {"schema": schema, "predicted": int(done), "failed": int(failed)}:
            output = meta.get("output", path.name)
            is_name = isinstance(output, str) and Path(output).name == output != ""
            if schema == _META_SCHEMA and done >= 0 and failed >= 0 and is_name:
                return dict(meta)
    return {}


def _open_locked(files: OutputFiles) -> BinaryIO:
    """Open the journal, to append, and take it for this process unless another command has it."""
    busy = UsageError(f"{files.out}: another command is writing it now")
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    flags |= getattr(os, "O_BINARY", 0)
    stream = os.fdopen(os.open(files.journal, flags, 0o666), "ab")
    try:
        if sys.platform != "win32":  # which has no lock that others may read past
            import fcntl

            with contextlib.suppress(OSError):  # of a file system without locks
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise busy from None
        journal = files.journal
        if not journal.exists() or not os.path.samestat(os.fstat(stream.fileno()), journal.stat()):
            raise busy  # and finished just now
    except BaseException:
        stream.close()
        raise
    return stream
