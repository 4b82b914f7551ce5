"""Write beside, then rename: whoever looks at a file finds the old one or the new one, whole."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LONGEST_NAME = 255  # bytes, on the usual file systems


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to: renamed to `path` when the block ends, removed where it fails.

    Args:
        path: the file to make or to replace, in a folder that exists.

    Yields:
        a path beside it, so that the rename stays within one file system, and this thread's own,
        so that no other that writes the same file meets it half-written.

    Raises:
        OSError: what the block raises, or the file cannot be renamed.
    """
    suffix = f".{os.getpid()}.{threading.get_ident()}.partial"
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
