"""A model as a TensorRT engine.

`tensorrt` tries kernels on the GPU in the machine, and its engine is for GPUs of that kind. Where
that package or a GPU is missing, `tensorrt-rtx` compiles ahead of time, with no GPU and for many:
the machine that loads the engine finishes the work. Their Python APIs are the same.

TensorRT 11 and TensorRT-RTX compute in the graph's own types, and 10 is configured to, so FP16 and
INT8 are decided in the ONNX file, and there is no precision to choose here.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
import torch

from maskinfer.data.pixels import Pixels
from maskinfer.errors import ExportError
from maskinfer.runtime import gpu
from maskinfer.runtime.engine import (
    TENSORRT,
    TENSORRT_RTX,
    Engine,
    EngineError,
    Toolkit,
    without_collecting,
)
from maskinfer.runtime.model_file import INPUT_NAME
from maskinfer.runtime.onnx_runtime import import_onnxruntime
from maskinfer.runtime.session import Outputs

from .parity import Predict, in_batches
from .settings import BatchRange

_AS_ONNX = "The model runs as ONNX: maskinfer export --format onnx"
_AMPERE = 80


@dataclass(frozen=True)
class BuiltEngine:
    """A built engine."""

    plan: bytes  # as TensorRT serialised it; only the same TensorRT loads it
    # JSON-able; `builder` and its `version`, the `compute_capabilities` of the GPUs it is for,
    # whether it also works on `later_gpus`, and its `batch` range.
    built_with: dict[str, Any]


def find_toolkit() -> Toolkit:
    """Import the package that builds on this machine, or raise an `ExportError`; cheap."""
    # torch reports AMD's GPUs likewise, and those have no NVIDIA driver.
    has_gpu = gpu.has_nvidia_driver() and torch.cuda.is_available()
    if has_gpu:
        with contextlib.suppress(ImportError, OSError):
            return Toolkit(TENSORRT)
    try:
        return Toolkit(TENSORRT_RTX)
    except (ImportError, OSError) as error:
        lacking = "tensorrt is not installed" if has_gpu else "there is no NVIDIA GPU for tensorrt"
        raise ExportError(
            f"--format engine: {lacking}, and tensorrt-rtx, which needs none, cannot be imported "
            f"({error}). Run, on Linux x86_64 or Windows: pip install '.[tensorrt]'"
        ) from error


@without_collecting()
def build(model: bytes, canvas: int, batch: BatchRange) -> BuiltEngine:
    """Build an engine of a serialized ONNX file with what this machine has.

    Where the file's S is free, the engine takes canvases of `canvas` pixels. An `ExportError` where
    there is no TensorRT, or it cannot build this model.
    """
    toolkit = find_toolkit()
    trt = toolkit.trt
    try:
        builder = trt.Builder(toolkit.logger)
    except TypeError as error:  # pybind11's, when there is no builder
        raise ExportError(f"{toolkit} does not start: {toolkit.reason}. {_AS_ONNX}") from error
    # 11 is always strongly typed and ignores the flag; a version that dropped it needs none.
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, toolkit.logger)
    if not parser.parse(_with_canvas(model, canvas)):
        raise _parse_fault(toolkit, parser.get_error(0))
    profile = builder.create_optimization_profile()
    shapes = [(n, canvas, canvas, 3) for n in (batch.minimum, batch.optimum, batch.maximum)]
    profile.set_shape(INPUT_NAME, *shapes)
    config = builder.create_builder_config()
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise _build_fault(toolkit, model)
    built_with = {"builder": toolkit.name, "version": trt.__version__, **_gpus(toolkit)}
    return BuiltEngine(bytes(plan), built_with | {"batch": asdict(batch)})


def predictor(engine: BuiltEngine) -> Predict:
    """Load an engine on this machine's GPU, to be compared with its graph.

    An `ExportError` where there is no GPU that it is for, or, from what it returns, TensorRT fails.
    """
    with _failing():
        loaded = Engine(engine.plan, engine.built_with, import_onnxruntime())

    def predict(canvases: Pixels, batch_size: int) -> Outputs:
        least, most = loaded.sizes
        size, count = min(max(batch_size, least), most), len(canvases)
        # The last batch is filled up: it may have fewer canvases than the engine takes.
        filled = np.resize(canvases, (-(-count // size) * size, *canvases.shape[1:]))
        with _failing():
            outputs = in_batches(lambda batch: Outputs(*loaded.run(batch)), filled, size)
        return Outputs(*(values[:count] for values in outputs))

    return predict


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except EngineError as error:
        raise ExportError(f"the engine {error}") from error


def _with_canvas(model: bytes, canvas: int) -> bytes:
    """A model whose free S is fixed, so that TensorRT computes grids of cells when building."""
    try:
        proto = onnx.load_model_from_string(model)
    except Exception:  # protobuf's; TensorRT says what is wrong with the file
        return model
    sides = [dim for tensor in proto.graph.input for dim in tensor.type.tensor_type.shape.dim[1:3]]
    if not any(side.dim_param for side in sides):
        return model
    for side in sides:
        side.dim_value = canvas
    return bytes(proto.SerializeToString())


def _gpus(toolkit: Toolkit) -> dict[str, Any]:
    if toolkit.name == TENSORRT:
        major, minor = torch.cuda.get_device_capability()
        return {
            "gpu": torch.cuda.get_device_name(),
            "compute_capabilities": [f"{major}.{minor}"],
            "later_gpus": False,
        }
    # By default, the builder's manual promises 8.0, 8.6, 8.9, 12.0 and later. The header of such a
    # plan, read from 1.7, has a bit for each capability from 8.0 that the package names, and one
    # more, which no explicit list sets.
    named = sorted(int(member) for member in toolkit.trt.ComputeCapability.__members__.values())
    return {
        "compute_capabilities": [f"{n // 10}.{n % 10}" for n in named if n >= _AMPERE],
        "later_gpus": True,
    }


def _parse_fault(toolkit: Toolkit, error: Any) -> ExportError:
    reason = toolkit.first_reason(error.desc().splitlines())
    if error.node() < 0:
        return ExportError(f"{toolkit} cannot read the model: {reason}. Run: maskinfer export")
    operator = f"operator {error.node_operator()} (node '{error.node_name()}')"
    return ExportError(f"{toolkit} cannot build {operator}: {reason}. {_AS_ONNX}")


def _build_fault(toolkit: Toolkit, model: bytes) -> ExportError:
    """Name the operator where TensorRT names a layer, since a layer has its node's name."""
    reason, what = toolkit.reason, "the model"
    words = set(re.findall(r"[\w./:-]+", reason))
    words |= {re.sub(r"_\d+$", "", word) for word in words}
    nodes = [n for n in onnx.load_model_from_string(model).graph.node if n.name in words]
    if nodes:
        node = max(nodes, key=lambda node: len(node.name))
        what = f"operator {node.op_type} (node '{node.name}')"
    return ExportError(f"{toolkit} cannot build {what}: {reason}. {_AS_ONNX}")
