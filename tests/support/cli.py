"""The command line as tests run it."""

from collections.abc import Callable
from typing import NamedTuple


class Finished(NamedTuple):
    """What a command left behind: its exit code and what it printed."""

    code: int
    stdout: str
    stderr: str


RunCli = Callable[..., Finished]
