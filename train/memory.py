"""Freed memory, which glibc keeps while a CPU trains, or asks what was trained."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

# Of malloc.h; a threshold of -1 never trims.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
# Where glibc's own thresholds end as large memory is freed; once set, they no longer move.
_USUAL = {_M_MMAP_MAX: 65536, _M_MMAP_THRESHOLD: 32 << 20, _M_TRIM_THRESHOLD: 64 << 20}


@cache
def _glibc() -> ctypes.CDLL | None:
    """The C library, where it is glibc and a CPU trains."""
    if sys.platform != "linux" or torch.cuda.is_available():
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") else None


@contextmanager
def kept_memory() -> Iterator[None]:
    """Have glibc keep what is freed, for the next step's activations, or the next batch's.

    Otherwise large ones are mapped and cleared by Linux at every step: at 224 pixels that takes a
    third of `lite`'s time. Nothing is changed where there is a GPU.
    """
    glibc = _glibc()
    if glibc is None:
        yield
        return
    glibc.mallopt(_M_MMAP_MAX, 0)
    glibc.mallopt(_M_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        for parameter, value in _USUAL.items():
            glibc.mallopt(parameter, value)
        glibc.malloc_trim(0)


def bound_kept_memory() -> None:
    """Give freed memory back where the process holds more than a third of the machine's.

    Canvases of changing sides leave ever more gaps in it.
    """
    if glibc := _glibc():
        resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        if resident > os.sysconf("SC_PHYS_PAGES") / 3:
            glibc.malloc_trim(0)
