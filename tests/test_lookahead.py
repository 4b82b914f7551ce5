import threading
import time
from collections.abc import Iterator

import pytest

from maskinfer.lookahead import map_ahead


@pytest.mark.parametrize("count", [0, 1, 5, 100], ids=["empty", "one", "edge", "many"])
def test_map_ahead_keeps_the_order_whatever_finishes_first(count: int) -> None:
    def slow_at_first(item: int) -> int:
        time.sleep(0.002 if item % 5 == 0 else 0)
        return item * item

    results = map_ahead(slow_at_first, range(count), threads=4, ahead=5)
    assert list(results) == [item * item for item in range(count)]


def test_map_ahead_takes_no_more_items_than_it_may_hold() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(10_000):
            taken += 1
            yield item

    results = map_ahead(lambda item: item, items(), threads=2, ahead=7)
    for asked in range(1, 500):
        next(results)
        assert taken <= asked + 7
    results.close()
    assert taken < 600


def test_map_ahead_raises_in_the_item_s_turn() -> None:
    results = map_ahead(lambda item: 1 // item, [1, 0, 1], threads=2, ahead=3)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_map_ahead_closed_early_ends_its_threads() -> None:
    results = map_ahead(lambda item: item, range(1000), threads=3, ahead=10)
    next(results)
    results.close()
    limit = time.monotonic() + 10
    while any(thread.name.startswith("maskinfer-ahead") for thread in threading.enumerate()):
        assert time.monotonic() < limit
        time.sleep(0.01)
