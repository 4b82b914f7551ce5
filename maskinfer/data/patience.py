"""Faults of the way to a file, which pass, told from faults of the file, which stay."""

import errno
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from maskinfer.errors import DatasetError, ImageError, TransientError, UnreachableError

Read = TypeVar("Read")

# Those of a network file system, of a disk that is going, and of a machine at its limits.
TRANSIENT = frozenset(
    getattr(errno, name)
    for name in (
        *("EIO", "ESTALE", "EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "EINTR", "EREMOTEIO"),
        *("ETIMEDOUT", "ECONNRESET", "ECONNREFUSED", "ECONNABORTED", "EPIPE", "ENOTCONN"),
        *("EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH", "ENETDOWN", "ENETRESET"),
    )
    if hasattr(errno, name)
)
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # seconds
_PATIENCE = 2  # pauses for a file whose place answers


# Folders that held something, the last noticed at the end.
_known: deque[str] = deque(maxlen=1000)


def notice(folder: str) -> None:
    """Remember a folder that holds something."""
    if folder not in _known and _holds_something(folder):
        _known.append(folder)


def has_gone(folder: str) -> bool:
    """Whether it, or the next folder above one that was noticed, held something and does not now.

    It may be away for a while: a disk that was unmounted leaves an empty folder.
    """
    known = [f"{path}/" for path in list(_known)]
    for place in (Path(folder), *Path(folder).parents):
        if any(path.startswith(f"{place}/") for path in known):
            return not _holds_something(place)
    return False


def _holds_something(folder: str | Path) -> bool:
    try:
        with os.scandir(folder or ".") as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def read_patiently(
    read: Callable[[], Read],
    is_reachable: Callable[[], bool],
    wait: Callable[[float], object] = time.sleep,
) -> Read:
    """Read again, after growing pauses, what cannot be read for a fault that may pass.

    Those are a `TransientError`, and any where the place of the file is not reachable. Where it
    does not answer after all pauses, half a minute in sum, that is an `UnreachableError`; where it
    does, an `ImageError` or `DatasetError` of `read` is raised.
    """
    for tried, pause in enumerate((*_PAUSES, None)):
        try:
            return read()
        except (ImageError, DatasetError) as error:
            if is_reachable() and (tried >= _PATIENCE or not isinstance(error, TransientError)):
                raise
            if pause is None:
                raise UnreachableError(
                    f"the photos cannot be reached any more, {reason_of(error)}; continue with "
                    "--resume when they can"
                ) from error
        wait(pause)
    raise AssertionError


def reason_of(error: Exception) -> str:
    """Why a file cannot be read, in a line without its path."""
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return " ".join(str(error).split())
