"""What the benchmarks run on: drawn photos, and processes of their own. Never imports torch."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image
from rich.console import Console
from rich.table import Table

from maskinfer.runtime.cpu import cpu_name
from maskinfer.threads import usable_cores
from maskinfer.train.synthetic.samples import draw_scene, random_scene

Found = TypeVar("Found")

_MOST_DRAWN_PX = 1000  # larger photos are enlarged drawings
_SEED = 7
_MARK = "VmHWM:"
# Printed whatever way the command ends, but for a kill.
_PEAK_SCRIPT = """
import sys
from maskinfer.cli import main
try:
    main()
finally:
    status = open("/proc/self/status").read()
    print(*(line for line in status.splitlines() if line.startswith("VmHWM:")), file=sys.stderr)
"""


def write_photos(
    folder: Path, count: int, size_wh: tuple[int, int], *, distinct: int = 50, quality: int = 90
) -> None:
    """Write drawn JPEGs, `000000.jpg` and so on: a few distinct ones under many names.

    Args:
        folder: is made.
        count: of names.
        size_wh: in pixels.
        distinct: how many are drawn; the others are hard links to them in turn.
        quality: of the JPEGs.
    """
    folder.mkdir(parents=True)
    for index in range(count):
        path = folder / f"{index:06}.jpg"
        if index >= distinct:
            path.hardlink_to(folder / f"{index % distinct:06}.jpg")
            continue
        photo = draw_scene(random_scene(_SEED, index, min(max(size_wh), _MOST_DRAWN_PX)))
        photo.resize(size_wh, Image.Resampling.BICUBIC).save(path, quality=quality)


def in_a_process(function: Callable[..., Found], *arguments: object) -> Found:
    """Call a function of a module in a fresh process, whose threads end with it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def maskinfer_command(*arguments: object) -> list[str]:
    """The command line of maskinfer with these arguments."""
    return [sys.executable, "-m", "maskinfer", *map(str, arguments)]


def run_quietly(command: Sequence[str], expected: Sequence[int] = (0,)) -> str:
    """Run a command to its end and return what it wrote to stderr.

    Raises:
        SystemExit: it ended otherwise than expected; with what it wrote to stderr.
    """
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode not in expected:
        sys.exit(f"{' '.join(command[:6])} ... ended with {done.returncode}:\n{done.stderr}")
    return done.stderr


def report(table: Table, **found: Any) -> None:
    """Print a table, and as the last line what was found and on what machine, as JSON."""
    Console(width=100).print(table)
    print(json.dumps({"cpu": cpu_name(), "cores": usable_cores(), **found}))


def peak_mb(*arguments: object, expected: Sequence[int] = (0,)) -> float:
    """The most resident memory of a command of maskinfer, in MB, as it says itself at its end.

    By VmHWM of /proc/self/status: what `getrusage` says of a child begins with its parent's.
    """
    said = run_quietly([sys.executable, "-c", _PEAK_SCRIPT, *map(str, arguments)], expected)
    (line,) = (line for line in said.splitlines() if line.startswith(_MARK))
    return int(line.split()[1]) * 1024 / 1e6
