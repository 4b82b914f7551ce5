"""How fast model files compute in ONNX Runtime and in OpenVINO, beside ResNet-50 and others.

    python benchmarks/runtimes.py MODEL [MODEL ...] [--other yolo26n.onnx] [--runtime openvino]

Each file has a session of its own, opened alone, since one session's waiting threads slow the
next; it has all cores for one batch after another. Each figure is the median of five rounds over
all of them. ResNet-50 is torchvision's classifier in FP32 at 224 px; another file takes float
canvases at 224 px, such as `YOLO("yolo26n.yaml").export(format="onnx", imgsz=224, dynamic=True)` of
ultralytics writes. OpenVINO computes as the file says, not in BF16. Canvases and weights are
random, which does not change the speed. Decoding is not measured.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime as ort
import torch
import typer
from materials import report
from numpy.typing import NDArray
from rich.table import Table
from torchvision.models import resnet50

from maskinfer.threads import usable_cores

_ROUNDS = 5
_BATCHES = 15
_WARM_UP = 3
_FREE_SIDE = 224  # pixels, of a file that reads canvases of any side
_RESNET = "ResNet-50, FP32"

Run = Callable[[NDArray[Any]], object]


def main(
    models: Annotated[list[Path], typer.Argument(help="Model files of maskinfer.")],
    other: Annotated[list[Path] | None, typer.Option(help="Other ONNX files.")] = None,
    runtime: Annotated[list[str] | None, typer.Option(help="By default both.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images per batch.")] = 8,
) -> None:
    """Print images/s of each file in each runtime and its ratio to ResNet-50 there."""
    runtimes = runtime or list(_OPENERS)
    with tempfile.TemporaryDirectory() as work:
        reference = resnet50_file(Path(work))
        files = {_RESNET: reference, **{str(p): p for p in (*models, *(other or []))}}
        speeds = timed(list(files.values()), batch_size, runtimes)
    table = Table("", *(f"{name}{what}" for name in runtimes for what in (", images/s", ", x")))
    for name, path in files.items():
        cells = []
        for each in runtimes:
            speed = speeds[path, each]
            cells += [f"{speed:.0f}", f"{speed / speeds[reference, each]:.2f}"]
        table.add_row(name, *cells)
    by_name = {
        name: {each: speeds[path, each] for each in runtimes} for name, path in files.items()
    }
    report(table, batch_size=batch_size, images_per_s=by_name)


def timed(
    files: Sequence[Path], batch_size: int, runtimes: Sequence[str] = ("onnxruntime",)
) -> dict[tuple[Path, str], float]:
    """Images/s of each file in each runtime, the median of five rounds over all of them."""
    speeds: dict[tuple[Path, str], list[float]] = {
        (file, each): [] for file in files for each in runtimes
    }
    for _ in range(_ROUNDS):
        for (file, each), rounds in speeds.items():
            rounds.append(_images_per_second(file, each, batch_size))
    return {key: statistics.median(rounds) for key, rounds in speeds.items()}


def _images_per_second(path: Path, runtime: str, batch_size: int) -> float:
    images = ort.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()[0]
    rng = np.random.default_rng(0)
    if images.type == "tensor(uint8)":
        sides = (side if isinstance(side, int) else _FREE_SIDE for side in images.shape[1:3])
        batch = rng.integers(0, 256, (batch_size, *sides, 3), dtype=np.uint8)
    else:
        batch = rng.random((batch_size, 3, _FREE_SIDE, _FREE_SIDE), dtype=np.float32)
    run = _OPENERS[runtime](path, images.name, batch)
    seconds = []
    for _ in range(_WARM_UP + _BATCHES):
        began = time.perf_counter()
        run(batch)
        seconds.append(time.perf_counter() - began)
    return batch_size / statistics.median(seconds[_WARM_UP:])


def _in_onnxruntime(path: Path, name: str, batch: NDArray[Any]) -> Run:
    options = ort.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {name: images})


def _in_openvino(path: Path, name: str, batch: NDArray[Any]) -> Run:
    import openvino

    model = openvino.Core().read_model(path)
    model.reshape({name: batch.shape})
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    return lambda images: compiled({name: images})


_OPENERS: dict[str, Callable[[Path, str, NDArray[Any]], Run]] = {
    "onnxruntime": _in_onnxruntime,
    "openvino": _in_openvino,
}


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
