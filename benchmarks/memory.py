"""Whether `maskinfer predict` takes more memory for more images.

    python benchmarks/memory.py [--few 1000] [--many 20000]

Each folder has a process of its own. The images are hard links to a few small JPEGs.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from materials import peak_mb, report, write_photos
from rich.table import Table

from maskinfer.runtime.default_model import shipped_model

_SIZE_WH = (160, 120)
_DISTINCT = 8
_AIM = 1.10


def main(
    few: Annotated[int, typer.Option(help="Images of the smaller folder.")] = 1000,
    many: Annotated[int, typer.Option(help="Images of the larger one.")] = 20_000,
    model: Annotated[Path | None, typer.Option(help="By default the one that ships.")] = None,
) -> None:
    """Link, predict, compare."""
    peaks_mb = {}
    with tempfile.TemporaryDirectory() as work:
        for count in (few, many):
            folder = Path(work, str(count))
            write_photos(folder, count, _SIZE_WH, distinct=_DISTINCT)
            peaks_mb[count] = _peak_mb(folder, model or shipped_model())
    ratio = peaks_mb[many] / peaks_mb[few]
    table = Table("images", "peak MB", "ratio", "aim")
    table.add_row(str(few), f"{peaks_mb[few]:.1f}", "", "")
    table.add_row(str(many), f"{peaks_mb[many]:.1f}", f"{ratio:.3f}", f"<= {_AIM}")
    report(table, peak_mb={str(count): mb for count, mb in peaks_mb.items()}, ratio=ratio)


def _peak_mb(folder: Path, model: Path) -> float:
    out = folder.with_suffix(".csv")
    return peak_mb("predict", folder, "--out", out, "--model", model)


if __name__ == "__main__":
    typer.run(main)
