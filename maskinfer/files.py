"""Write beside, then rename: a reader finds the old file or the new one, whole."""

import errno
import hashlib
import os
import shlex
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import MaskinferError, UsageError

LONGEST_NAME = 255  # bytes, on the usual file systems


@contextmanager
def replacing(path: Path, owner: str | None = None) -> Iterator[Path]:
    """Yield a path to write to: renamed to `path` when the block ends, removed where it fails.

    It lies beside `path`, in a folder that exists, so that the rename stays within one file system;
    and it is this thread's own, so that no other that writes the same file meets it half-written.
    Where a lock keeps all others away, a fixed `owner` in its name lets a command that continues
    overwrite what a killed one left. An `OSError` where the file cannot be renamed.
    """
    suffix = f".{owner or f'{os.getpid()}.{threading.get_ident()}'}.partial"
    partial = _beside(path, path.name, suffix)
    partial.unlink(missing_ok=True)  # a link would be written through
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        # What stopped the writing is what the caller should hear of.
        with suppress(OSError):
            partial.unlink()
        raise


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill: renamed to `path` when the block ends, removed where it fails.

    A folder that is there already stays until then, and is put back where the renaming fails. What
    a killed command left beside it is put back or removed first. One command at a time. Parents are
    made if need be; an `OSError` where a folder cannot be made, renamed or removed.
    """
    work = _work_folder(path)
    fresh, old = work / "new", work / "old"
    work.mkdir(parents=True, exist_ok=True)
    if {child.name for child in work.iterdir()} - {"new", "old"}:
        raise FileExistsError(errno.EEXIST, "holds files of another origin", str(work))
    _settle(path, old)
    try:
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir()
        yield fresh
        if path.exists():
            path.rename(old)
        fresh.rename(path)
    finally:
        # What stopped the writing is what the caller should hear of.
        with suppress(OSError):
            _settle(path, old)
            shutil.rmtree(work)


def find_folder(path: Path) -> Path | None:
    """A folder, or the one that a killed `replacing_folder` had moved aside; None without."""
    return next((place for place in (path, _work_folder(path) / "old") if place.is_dir()), None)


def _settle(path: Path, old: Path) -> None:
    """Put a folder that was moved aside back, or remove it where another has its place."""
    if not path.exists() and old.exists():
        old.rename(path)
    elif old.is_symlink():
        old.unlink()
    elif old.exists():
        shutil.rmtree(old)


def _work_folder(path: Path) -> Path:
    return _beside(path, f".{path.name}", ".replacing")


def _beside(path: Path, stem: str, suffix: str) -> Path:
    """A name in the same folder, shortened where a file system would refuse it."""
    if len(os.fsencode(stem + suffix)) > LONGEST_NAME:
        stem = hashlib.sha256(os.fsencode(stem)).hexdigest()
    return path.with_name(stem + suffix)


def check_folder(out: Path, *, overwrite: bool) -> None:
    """Refuse a folder for output before any work is done for it.

    A `UsageError` where it is none, cannot be made or written to, or, without `overwrite`, holds
    something; it and its parents may still have to be made.
    """
    if out.is_symlink() and not out.exists():
        raise UsageError(f"{out}: a broken link, expected a folder")
    standing = next(place for place in (out, *out.parents) if place.exists())
    if not standing.is_dir():
        where = "" if standing == out else f"{standing} is "
        raise UsageError(f"{out}: {where}not a folder. Choose another")
    if not overwrite and standing == out and any(out.iterdir()):
        raise UsageError(f"{out}: not empty. Choose another folder, or add --overwrite")
    if not os.access(standing, os.W_OK):
        raise UsageError(f"{out}: {standing} cannot be written to")


def refuse_inside(inner: Path, outer: Path, why: str) -> None:
    """Refuse a path that is another or lies in it, links followed, by a `UsageError`.

    `why` is the rest of its sentence, such as `which is never changed. Choose another --out`.
    """
    if inner.resolve().is_relative_to(outer.resolve()):
        raise UsageError(f"{inner}: lies in {outer}, {why}")


def check_file(out: Path, *, overwrite: bool) -> None:
    """Refuse, by a `UsageError`, an output file that cannot be written or may not be replaced."""
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
    """Write a whole file beside its place, then rename it; a `MaskinferError` where that fails."""
    try:
        with replacing(out) as beside:
            beside.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MaskinferError(f"{out}: cannot be written, {error.strerror}") from error
