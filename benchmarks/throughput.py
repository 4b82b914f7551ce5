"""How fast model files compute beside ResNet-50, and beside any other ONNX file.

    python benchmarks/throughput.py MODEL [MODEL ...] [--other yolo11n.onnx]

Each file has a session of its own, opened alone, since one session's waiting threads slow the
next; each figure is the mean of two rounds over all of them. ResNet-50 is torchvision's
classifier in FP32 at 224 px; another file takes float canvases at 224 px, such as
`YOLO("yolo11n.yaml").export(format="onnx", imgsz=224, dynamic=True)` of ultralytics writes.
Canvases and weights are random, which does not change the speed. Decoding is not measured.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import onnxruntime as ort
import torch
import typer
from rich.console import Console
from rich.table import Table
from torchvision.models import resnet50

from maskinfer.threads import usable_cores

_ROUNDS = 2
_BATCHES = 15
_WARM_UP = 3
_FREE_SIDE = 224  # pixels, of a file that reads canvases of any side


def main(
    models: Annotated[list[Path], typer.Argument(help="Model files of maskinfer.")],
    other: Annotated[list[Path] | None, typer.Option(help="Other ONNX files.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images per batch.")] = 8,
) -> None:
    """Print images/s of each file and its ratio to ResNet-50."""
    with tempfile.TemporaryDirectory() as work:
        reference = resnet50_file(Path(work))
        files = {"ResNet-50, FP32": reference, **{str(p): p for p in (*models, *(other or []))}}
        speeds = timed(list(files.values()), batch_size)
        table = Table("", "images/s", "x ResNet-50", "MB")
        for name, path in files.items():
            ratio = speeds[path] / speeds[reference]
            size = path.stat().st_size / 1e6
            table.add_row(name, f"{speeds[path]:.0f}", f"{ratio:.2f}", f"{size:.1f}")
    Console(width=100).print(table)
    by_name = {name: speeds[path] for name, path in files.items()}
    print(json.dumps({"batch_size": batch_size, "cores": usable_cores(), "images_per_s": by_name}))


def timed(files: Sequence[Path], batch_size: int) -> dict[Path, float]:
    """Images/s of each file, the mean of two rounds over all of them."""
    speeds: dict[Path, list[float]] = {file: [] for file in files}
    for _ in range(_ROUNDS):
        for file, rounds in speeds.items():
            rounds.append(_images_per_second(file, batch_size))
    return {file: statistics.mean(rounds) for file, rounds in speeds.items()}


def _images_per_second(path: Path, batch_size: int) -> float:
    options = ort.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    images = session.get_inputs()[0]
    rng = np.random.default_rng(0)
    if images.type == "tensor(uint8)":
        sides = (side if isinstance(side, int) else _FREE_SIDE for side in images.shape[1:3])
        batch = rng.integers(0, 256, (batch_size, *sides, 3), dtype=np.uint8)
    else:
        batch = rng.random((batch_size, 3, 224, 224), dtype=np.float32)
    seconds = []
    for _ in range(_WARM_UP + _BATCHES):
        began = time.perf_counter()
        session.run(None, {images.name: batch})
        seconds.append(time.perf_counter() - began)
    return batch_size / statistics.median(seconds[_WARM_UP:])


def resnet50_file(folder: Path) -> Path:
    """Write torchvision's ResNet-50 classifier in FP32 at 224 px into a folder."""
    path = folder / "resnet50.onnx"
    torch.onnx.export(
        resnet50(weights=None).eval(),
        (torch.zeros(2, 3, 224, 224),),
        path,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("N")},),
        external_data=False,
        verbose=False,
    )
    return path


if __name__ == "__main__":
    typer.run(main)
