"""Write beside, then rename: whoever looks at a file finds the old one or the new one, whole."""

import hashlib
import os
import shlex
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from .errors import MaskinferError, UsageError

_LONGEST_NAME = 255  # bytes, on the usual file systems


@contextmanager
def replacing(path: Path, owner: str | None = None) -> Iterator[Path]:
    """Yield a path to write to: renamed to `path` when the block ends, removed where it fails.

    Args:
        path: the file to make or to replace, in a folder that exists.
        owner: part of the name beside it; by default this thread. Where a lock keeps all others
            away, a fixed one lets a command that continues overwrite what a killed one left.

    Yields:
        a path beside it, so that the rename stays within one file system, and this thread's own,
        so that no other that writes the same file meets it half-written.

    Raises:
        OSError: what the block raises, or the file cannot be renamed.
    """
    suffix = f".{owner or f'{os.getpid()}.{threading.get_ident()}'}.partial"
    stem = path.name
    if len(os.fsencode(stem + suffix)) > _LONGEST_NAME:
        stem = hashlib.sha256(os.fsencode(stem)).hexdigest()
    partial = path.with_name(stem + suffix)
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
    """Yield a folder to fill: renamed to `path` when the block ends, removed where it fails.

    A folder that is there already stays until then, and is put back where the renaming fails.

    Args:
        path: the folder to make or to replace; its parents are made if need be.

    Yields:
        an empty folder on the same file system.

    Raises:
        OSError: what the block raises, or a folder cannot be made or renamed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    work = Path(mkdtemp(prefix=f".{path.name[:50]}.", dir=path.parent))
    fresh, old = work / "new", work / "old"
    try:
        fresh.mkdir()
        yield fresh
        try:
            if path.exists():
                path.rename(old)
            fresh.rename(path)
        except BaseException:
            if old.exists() and not path.exists():
                old.rename(path)
            raise
    finally:
        # An old folder that could not be put back must not be removed with the rest.
        if path.exists() or not old.exists():
            shutil.rmtree(work, ignore_errors=True)


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
