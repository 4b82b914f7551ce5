"""Faults of the way to a file, which pass, told from faults of the file, which stay."""

import errno
import time
from collections.abc import Callable
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
