"""How long `maskinfer predict one.jpg --out -` takes, from the start of its process to its end.

    python benchmarks/startup.py [--starts 20]

Byte code is cached, as it is after an installation. With torch installed and without, in turn.
Without: a meta path finder before all others refuses torch, so that importing it fails as where it
is not installed, and one environment serves for both. Where the median misses the aim, the slowest
imports are listed, as by `python -X importtime`.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from materials import report, run_quietly, write_photos
from rich.console import Console
from rich.table import Table

from maskinfer.runtime.default_model import shipped_model

_SIZE_WH = (640, 480)
_AIM_S = 0.5
_SLOWEST = 15
_WITH_TORCH = "from maskinfer.cli import main; main()"
_WITHOUT_TORCH = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
from maskinfer.cli import main; main()
"""
# import time: self [us] | cumulative | imported package
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|( +)(\S+)")


def main(
    starts: Annotated[int, typer.Option(help="Of each.")] = 20,
    model: Annotated[Path | None, typer.Option(help="By default the one that ships.")] = None,
) -> None:
    """Start, time, print."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    scripts = {"torch there": _WITH_TORCH, "torch not there": _WITHOUT_TORCH}
    seconds: dict[str, list[float]] = {name: [] for name in scripts}
    imports: list[tuple[str, float, float]] = []
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work, "photos")
        write_photos(folder, 1, _SIZE_WH)
        (photo,) = folder.iterdir()
        arguments = ["predict", photo, "--out", "-", "--model", model or shipped_model()]
        for script in scripts.values():  # byte code is written, files are cached
            run_quietly(_command(script, arguments))
        for _ in range(starts):
            for name, script in scripts.items():
                start = time.perf_counter()
                run_quietly(_command(script, arguments))
                seconds[name].append(time.perf_counter() - start)
        if max(map(median, seconds.values())) > _AIM_S:
            imports = _slowest_imports(arguments)
    if imports:
        table = Table("import", "with what it imports, ms", "itself, ms", title="Slowest imports")
        for module, whole, own in imports:
            table.add_row(module, f"{whole:.0f}", f"{own:.0f}")
        Console(width=100).print(table)
    table = Table("", "median s", "worst s", "aim", title=f"{starts} starts of each")
    for name, taken in seconds.items():
        table.add_row(name, f"{median(taken):.2f}", f"{max(taken):.2f}", f"<= {_AIM_S}")
    report(
        table,
        seconds=seconds,
        median_s={name: median(taken) for name, taken in seconds.items()},
        worst_s={name: max(taken) for name, taken in seconds.items()},
        slowest_imports_ms={module: whole for module, whole, _ in imports},
    )


def _command(script: str, arguments: list[object]) -> list[str]:
    return [sys.executable, "-c", script, *map(str, arguments)]


def _slowest_imports(arguments: list[object]) -> list[tuple[str, float, float]]:
    """Modules with what they and all that they import take, and they alone, in ms."""
    done = subprocess.run(
        _command(_WITH_TORCH, arguments),
        env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    imports = [
        (module, int(whole) / 1e3, int(own) / 1e3)
        for own, whole, _, module in _IMPORT.findall(done.stderr)
    ]
    return sorted(imports, key=lambda line: line[1], reverse=True)[:_SLOWEST]


if __name__ == "__main__":
    typer.run(main)
