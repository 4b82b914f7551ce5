"""What each precision costs in accuracy and gives in speed, side by side with torch eager.

    python benchmarks/precision.py RUN [RUN ...] --data DATA [--canvas 224]

Each RUN is exported in FP32, FP16 and INT8 as `maskinfer export` does, INT8 calibrated on the run's
own training images, and each file evaluated on DATA's labelled test images. Then eager and the
files are timed batch by batch in turn. `--canvas` takes the weights at another size than they were
trained at, to time it; accuracy then suffers in all precisions alike.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, get_args

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from side_by_side import eager, race

from maskinfer.data.dataset import Dataset
from maskinfer.evaluation.evaluating import evaluate_folder
from maskinfer.export.exporting import export
from maskinfer.export.graph import checkpoint_function
from maskinfer.export.settings import DEFAULT_FACES, ExportSettings, GraphOptions, Precision
from maskinfer.export.verification import draw_evenly
from maskinfer.inference.detector import MaskDetector
from maskinfer.runtime.session import Session
from maskinfer.train.runs.checkpoint import Checkpoint
from maskinfer.train.runs.folder import RunFolder

_CONSOLE = Console(width=100)


def main(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    data: Annotated[list[Path], typer.Option(help="Data sets whose test images are measured on.")],
    canvas: Annotated[int | None, typer.Option(help="In place of the run's own.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images per batch.")] = 8,
    images: Annotated[int, typer.Option(help="Timed on so many.")] = 64,
) -> None:
    """Export, evaluate and time each run."""
    for path in runs:
        with tempfile.TemporaryDirectory() as work:
            _measure(_at_canvas(path, canvas, Path(work)), data, batch_size, images, Path(work))


def _measure(run: RunFolder, data: list[Path], batch_size: int, images: int, work: Path) -> None:
    _, config, network, *_ = Checkpoint.load(run.path)
    settings = config.settings
    options = GraphOptions(DEFAULT_FACES if network.learns_all_faces else 1)
    ways = {"torch eager": eager(checkpoint_function(network, options))}
    accuracy: dict[str, list[str]] = {}
    for precision in get_args(Precision):
        out = work / f"{precision}.onnx"
        export(run.path, ExportSettings(out=out, precision=precision), _CONSOLE.print)
        session = Session(out, "cpu", batch_size)
        ways[precision] = session.run
        if precision == "int8":
            _CONSOLE.print(session.metadata.export["int8"])
        accuracy[precision] = []
        for folder in data:
            detector = MaskDetector(out, "cpu", batch_size)
            metrics = evaluate_folder(detector, _test_part(folder)).metrics
            accuracy[precision].append(f"{metrics.mean_iou:.4f} / {metrics.accuracy:.4f}")

    geometry = settings.geometry
    canvases = draw_evenly([_test_part(data[0])], geometry, images)
    _, speeds = race(ways, np.resize(canvases, (images, *canvases.shape[1:])), batch_size)
    table = Table(title=f"{settings.model} {settings.backbone}, {geometry.canvas} px")
    table.add_column("")
    for name in ("images/s", "x eager", "x FP32", *(f"IoU / accuracy, {d.name}" for d in data)):
        table.add_column(name, justify="right")
    for name, speed in speeds.items():
        table.add_row(
            name,
            f"{speed:.1f}",
            f"{speed / speeds['torch eager']:.2f}",
            f"{speed / speeds['fp32']:.2f}",
            *accuracy.get(name, [""] * len(data)),
        )
    _CONSOLE.print(table)


def _test_part(data: Path) -> Path:
    return Dataset.open(data).test_part().path


def _at_canvas(run: Path, canvas: int | None, work: Path) -> RunFolder:
    if canvas is None:
        return RunFolder(run)
    copied = work / "run"
    shutil.copytree(
        run, copied, ignore=shutil.ignore_patterns("network.safetensors", "optimizer.safetensors")
    )
    config = json.loads((copied / "config.json").read_text())
    config["settings"]["geometry"] |= {"canvas": canvas, "resize": canvas}
    (copied / "config.json").write_text(json.dumps(config))
    return RunFolder(copied)


if __name__ == "__main__":
    typer.run(main)
