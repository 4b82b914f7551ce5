"""Long work: how many cores it may use, a function mapped over many items in order, progress."""

import math
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")
Result = TypeVar("Result")
# What long work reports to: how many images are done so far, and how many there are.
Progress = Callable[[int, int], object]

CGROUP = Path("/sys/fs/cgroup")
# Past this many, threads only take memory from each other.
_MAX_THREADS = 32


def unheard(done: int, total: int) -> None:
    """Progress that nobody asked for."""


def usable_cores() -> int:
    """Logical cores that this process may use: its affinity, and a container's limit."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    limit = _cgroup_cores()
    return cores if limit is None else max(1, min(cores, math.ceil(limit)))


def decode_threads() -> int:
    """How many threads decode images by default: one a core."""
    return min(usable_cores(), _MAX_THREADS)


def _cgroup_cores() -> float | None:
    """Cores' worth of processor time that the control group allows; None where it sets no limit.

    A container sees its own group as the root: `cpu.max` in version 2 of control groups, quota and
    period in version 1.
    """
    try:
        if (CGROUP / "cpu.max").exists():
            quota, period = (CGROUP / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota, period = (
                (CGROUP / "cpu" / f"cpu.cfs_{name}_us").read_text(encoding="ascii")
                for name in ("quota", "period")
            )
        cores = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # "max" is no number: no limit
        return None
    return cores if cores > 0 else None


def map_ahead(
    function: Callable[[Value], Result],
    items: Iterable[Value],
    *,
    threads: int | None = None,
    ahead: int | None = None,
) -> Generator[Result, None, None]:
    """Yield `function(item)` for each item, in order, computed in threads while the caller works.

    `ThreadPoolExecutor.map` would take all items at once: a million files, a million futures. Here
    at most `ahead` results are begun and not yet yielded, by default four a thread; by default
    there is a thread a core. What `function` raises is raised in its item's turn.
    """
    threads = threads or decode_threads()
    ahead = ahead or 4 * threads
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="maskinfer-ahead")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Without waiting: an interrupted command does not sit out what is being computed.
        pool.shutdown(wait=False, cancel_futures=True)
