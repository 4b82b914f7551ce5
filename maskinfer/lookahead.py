"""A function over many items in threads: results in order, and a bounded number ahead."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int, ahead: int
) -> Generator[Result, None, None]:
    """Yield `function(item)` for each item, in order, computed in threads while the caller works.

    `ThreadPoolExecutor.map` would take in all items at once: a million files, a million futures.

    Args:
        function: called from several threads at once.
        items: taken one by one, never more than `ahead` before their result is asked for.
        threads: at least 1.
        ahead: most results begun and not yet handed out, at least 1.

    Raises:
        whatever `function` raises, in its item's turn.
    """
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
        # Without waiting: whoever is interrupted should not sit out what is being computed.
        pool.shutdown(wait=False, cancel_futures=True)
