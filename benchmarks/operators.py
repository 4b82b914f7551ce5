"""Where a model's milliseconds go: by kind of operator and by the size of what it computes.

    python benchmarks/operators.py maskinfer/default.onnx [--canvas 224] [--batch 8]

Profiles a file in ONNX Runtime and, where it is installed, in OpenVINO, on all cores, and prints
the share of the time of each operator and size of feature map, the largest first; the last line of
the output is JSON. Operators are those that the runtime computes, fused as it fuses them.
"""

import json
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import onnxruntime
import typer
from materials import report
from numpy.typing import NDArray
from rich.table import Table

from maskinfer.threads import usable_cores

_RUNS = 30
_SHOWN = 14


def main(
    model: Path,
    canvas: Annotated[int, typer.Option(help="Side of the canvases, for files of any size.")] = 224,
    batch: Annotated[int, typer.Option(help="Canvases at a time.")] = 8,
) -> None:
    """Profile and print."""
    rng = np.random.default_rng(0)
    canvases = rng.integers(0, 256, (batch, canvas, canvas, 3), dtype=np.uint8)
    runtimes = {"ONNX Runtime": _onnxruntime}
    if find_spec("openvino"):
        runtimes["OpenVINO"] = _openvino
    table = Table("runtime", "operator", "map", "ms", "share")
    rows = []
    for runtime, profile in runtimes.items():
        spent: Counter[tuple[str, str]] = Counter()
        for operator, size, milliseconds in profile(model, canvases):
            spent[operator, size] += milliseconds
        total = sum(spent.values())
        for (operator, size), ms in spent.most_common(_SHOWN):
            table.add_row(runtime, operator, size, f"{ms:.2f}", f"{ms / total:.3f}")
            rows.append({"runtime": runtime, "operator": operator, "map": size, "ms": ms})
        table.add_row(runtime, "all", "", f"{total:.2f}", "", end_section=True)
    report(table, rows=rows)


def _onnxruntime(model: Path, canvases: NDArray[np.uint8]) -> Iterator[tuple[str, str, float]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    options.enable_profiling = True
    with TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder, "profile"))
        session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        for _ in range(_RUNS):
            session.run(None, {session.get_inputs()[0].name: canvases})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    for event in events:
        facts = event.get("args", {})
        if event.get("cat") == "Node" and "output_type_shape" in facts:
            shapes = [next(iter(shape.values())) for shape in facts["output_type_shape"]]
            size = _size(shapes[0] if shapes else [])
            yield facts["op_name"], size, event["dur"] / 1000 / _RUNS


def _openvino(model: Path, canvases: NDArray[np.uint8]) -> Iterator[tuple[str, str, float]]:
    import openvino

    core = openvino.Core()
    settings = {"PERF_COUNT": True, "INFERENCE_PRECISION_HINT": "f32"}
    read = core.read_model(model)
    read.reshape(list(canvases.shape))
    compiled = core.compile_model(read, "CPU", settings)
    shapes = {
        node.get_friendly_name(): list(node.get_output_shape(0))
        for node in compiled.get_runtime_model().get_ops()
        if node.get_output_size() and node.get_output_partial_shape(0).is_static
    }
    request = compiled.create_infer_request()
    for _ in range(_RUNS):
        request.infer([canvases])
        for node in request.get_profiling_info():
            if node.status == openvino.ProfilingInfo.Status.EXECUTED:
                milliseconds = node.real_time.total_seconds() * 1000 / _RUNS
                yield node.node_type, _size(shapes.get(node.node_name, [])), milliseconds


def _size(shape: list[int]) -> str:
    """Channels and side of a feature map, whichever stands last."""
    if len(shape) != 4:
        return "other"
    channels, side = (shape[1], shape[2]) if shape[2] == shape[3] else (shape[3], shape[1])
    return f"{channels} x {side}²"


if __name__ == "__main__":
    typer.run(main)
