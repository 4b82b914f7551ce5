"""How much memory `maskinfer predict` takes with Faster R-CNN, by default and with most proposals.

    python benchmarks/faster_rcnn_memory.py [--images 96]

ResNet-50 at 224 pixels, random weights, small drawn photos; each command has a process of its own.
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from materials import in_a_process, peak_mb, report, write_photos
from rich.table import Table

from maskinfer.export.settings import PROPOSALS

_SIZE_WH = (320, 240)
_AIM_MB = 2000  # by default


def main(images: Annotated[int, typer.Option(help="How many photos.")] = 96) -> None:
    """Write two files, predict with each, print."""
    table = Table("proposals", "peak MB", "images/s", "aim")
    rows = []
    with tempfile.TemporaryDirectory() as work:
        photos = Path(work, "photos")
        write_photos(photos, images, _SIZE_WH)
        for proposals, aim in ((PROPOSALS[0], f"<= {_AIM_MB}"), (1000, "")):
            model, out = Path(work, f"{proposals}.onnx"), Path(work, f"{proposals}.csv")
            in_a_process(_write, model, proposals)
            began = time.perf_counter()
            peak = peak_mb("predict", photos, "--out", out, "--model", model, "--provider", "cpu")
            speed = images / (time.perf_counter() - began)
            table.add_row(str(proposals), f"{peak:.0f}", f"{speed:.1f}", aim)
            rows.append({"proposals": proposals, "peak_mb": peak, "images_per_s": speed})
    report(table, rows=rows)


def _write(path: Path, proposals: int) -> None:
    from random_networks import random_faster_rcnn, write_file

    write_file(random_faster_rcnn(), "fp32", np.empty(0, np.uint8), path, proposals)


if __name__ == "__main__":
    typer.run(main)
