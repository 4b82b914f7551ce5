"""How fast model files run beside ResNet-50, and beside any other ONNX file.

    python benchmarks/throughput.py MODEL [MODEL ...] [--other yolo11n.onnx]

Each file has a session of its own, opened alone, since one session's waiting threads slow the
next; two rounds over all of them show how far the machine drifts. ResNet-50 is torchvision's
classifier in FP32 at 224 px; an other file takes float canvases at 224 px, such as
`YOLO("yolo11n.yaml").export(format="onnx", imgsz=224, dynamic=True)` of ultralytics writes. Random
canvases and weights do for speed. Decoding photos is not part of it.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import onnxruntime as ort
import torch
import typer
from rich.console import Console
from rich.table import Table
from torchvision.models import resnet50

from maskinfer.cpu import usable_cores

_ROUNDS = 2
_RUNS = 15
_WARM_UP = 3


def main(
    models: Annotated[list[Path], typer.Argument(help="Model files of maskinfer.")],
    other: Annotated[list[Path] | None, typer.Option(help="Other ONNX files.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images a run.")] = 8,
) -> None:
    """Print images/s of each file and its ratio to ResNet-50."""
    with tempfile.TemporaryDirectory() as work:
        reference = Path(work) / "resnet50.onnx"
        _write_resnet50(reference)
        files = {"ResNet-50, FP32": reference, **{str(p): p for p in (*models, *(other or []))}}
        speeds: dict[str, list[float]] = {name: [] for name in files}
        for _ in range(_ROUNDS):
            for name, path in files.items():
                speeds[name].append(_images_per_second(path, batch_size))
    first = statistics.mean(speeds["ResNet-50, FP32"])
    table = Table("", "images/s", "x ResNet-50", "MB")
    for name, path in files.items():
        size = f"{path.stat().st_size / 1e6:.1f}" if path.exists() else ""
        rounds = " ".join(f"{speed:.0f}" for speed in speeds[name])
        table.add_row(name, rounds, f"{statistics.mean(speeds[name]) / first:.2f}", size)
    Console(width=100).print(table)
    print(json.dumps({"batch_size": batch_size, "cores": usable_cores(), "images_per_s": speeds}))


def _images_per_second(path: Path, batch_size: int) -> float:
    options = ort.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    taken = session.get_inputs()[0]
    rng = np.random.default_rng(0)
    if taken.type == "tensor(uint8)":
        batch = rng.integers(0, 256, (batch_size, *taken.shape[1:]), dtype=np.uint8)
    else:
        batch = rng.random((batch_size, 3, 224, 224), dtype=np.float32)
    seconds = []
    for _ in range(_WARM_UP + _RUNS):
        began = time.perf_counter()
        session.run(None, {taken.name: batch})
        seconds.append(time.perf_counter() - began)
    return batch_size / statistics.median(seconds[_WARM_UP:])


def _write_resnet50(path: Path) -> None:
    torch.onnx.export(
        resnet50(weights=None).eval(),
        (torch.zeros(2, 3, 224, 224),),
        path,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("N")},),
        external_data=False,
        verbose=False,
    )


if __name__ == "__main__":
    typer.run(main)
