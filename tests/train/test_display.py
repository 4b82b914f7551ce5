"""What a run says where there is no terminal."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from support.written_run import row

from maskinfer.train import display
from maskinfer.train.display import TerminalDisplay


class Clock:
    """Time that passes when told."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(display, "time", clock)
    return clock


def test_a_line_now_and_then_says_how_far_it_is(clock: Clock) -> None:
    said = io.StringIO()
    shown = TerminalDisplay(Console(file=said, width=200))
    with shown.start(Path("runs/a"), 0, 4):
        shown.begin("train", 8)
        for _ in range(8):
            clock.now += 20
            shown.step(0.5)
        shown.begin("test", 2)
        for _ in range(2):
            clock.now += 20
            shown.step(0.4)
        shown.end_epoch(row(1), is_best=True)
        shown.begin("train", 8)
        clock.now += 40
        shown.step(0.3)
    lines = said.getvalue().splitlines()
    assert lines[0] == "Run: runs/a"
    assert lines[3] == "  1/4   train: step 2 of 8, loss 0.500, 0:10:00 left"
    assert [line for line in lines if "test:" in line] == [
        "  1/4   test: step 10 of 10, loss 0.400, 0:10:00 left"
    ]
    assert lines[-2].startswith("  1/4     30 s")
    assert lines[-1] == "  2/4   train: step 1 of 10, loss 0.300, 0:10:33 left"


def test_a_resumed_run_counts_its_own_epochs(clock: Clock) -> None:
    said = io.StringIO()
    shown = TerminalDisplay(Console(file=said, width=200))
    with shown.start(Path("runs/a"), 2, 4):
        shown.begin("train", 4)
        clock.now += 60
        shown.step(0.5)
    assert said.getvalue().splitlines()[-1].endswith("0:07:00 left")
