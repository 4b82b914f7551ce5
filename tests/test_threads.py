import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskinfer import threads
from maskinfer.threads import map_ahead


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


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "9900000 100000\n"}, 8),
        ({"cpu.max": "junk"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "0\n"}, 8),
    ],
)
def test_a_container_s_limit_is_respected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(threads, "CGROUP", tmp_path)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda pid: range(8), raising=False)
    assert threads.usable_cores() == cores
