"""What a model file contains, read without predicting an image."""

import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .engine_file import ENGINE_SUFFIX, read_sidecar
from .model_file import INPUT_NAME, OUTPUT_SHAPES, ModelMetadata
from .providers import Provider
from .session import Session


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model; a free dimension is a name."""

    name: str
    type: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Graph:
    """The graph of an ONNX file."""

    producer: str  # what wrote the file, with its version
    opset: str  # version of ONNX's operators, and after it those of other domains
    operators: dict[str, int]  # how often each operator occurs, the most frequent first
    weights: dict[str, int]  # how many numbers of each type there are, the most frequent first


@dataclass(frozen=True)
class ModelInfo:
    """A model file."""

    path: Path
    size_bytes: int
    sha256: str
    metadata: ModelMetadata
    inputs: tuple[Tensor, ...] = ()  # of the graph; for an engine, those of the contract
    outputs: tuple[Tensor, ...] = ()  # likewise
    graph: Graph | None = None  # of an ONNX file; None where the onnx package is not installed
    engine: dict[str, Any] | None = None  # how a TensorRT engine was built; None for an ONNX file

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return asdict(self) | {"path": str(self.path)}


def examine_model(path: Path) -> ModelInfo:
    """Read a model file: ONNX, or a TensorRT engine beside its sidecar.

    A `UsageError` where there is none, a `ModelFileError` where it is damaged or not ours.
    """
    if path.suffix == ENGINE_SUFFIX:
        return _examine_engine(path)
    session = Session(path, Provider.CPU)
    return ModelInfo(
        path,
        path.stat().st_size,
        session.sha256,
        session.metadata,
        _tensors(session.inputs),
        _tensors(session.outputs),
        _read_graph(path),
    )


def _examine_engine(path: Path) -> ModelInfo:
    metadata, engine = read_sidecar(path)
    sha256 = engine.pop("sha256")
    engine.pop("bytes", None)
    side = metadata.geometry.canvas
    return ModelInfo(
        path,
        path.stat().st_size,
        sha256,
        metadata,
        (Tensor(INPUT_NAME, "uint8", ("N", side, side, 3)),),
        tuple(
            Tensor(name, "float32", ("N", metadata.faces, *more))
            for name, more in OUTPUT_SHAPES.items()
        ),
        engine=engine,
    )


def _tensors(nodes: list[Any]) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(
            node.name,
            _type_name(node.type.removeprefix("tensor(").removesuffix(")")),
            tuple("?" if size is None else size for size in node.shape),
        )
        for node in nodes
    )


def _read_graph(path: Path) -> Graph | None:
    """Read the graph; None where the onnx package, of the `train` extra, is not installed."""
    try:
        import onnx
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        return None
    model = onnx.load(path, load_external_data=False)
    weights: Counter[str] = Counter()
    for tensor in model.graph.initializer:
        kind = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
        weights[_type_name(kind)] += math.prod(tensor.dims)
    return Graph(
        f"{model.producer_name} {model.producer_version}".strip(),
        ", ".join(
            f"{entry.domain} {entry.version}".strip()
            for entry in sorted(model.opset_import, key=lambda entry: entry.domain)
        ),
        # With its domain where that is not ONNX's own.
        _by_count(Counter(f"{n.domain}.{n.op_type}".removeprefix(".") for n in model.graph.node)),
        _by_count(weights),
    )


def _type_name(kind: str) -> str:
    """Name a type as numpy does; ONNX omits the bits of its first two."""
    return {"float": "float32", "double": "float64"}.get(kind, kind)


def _by_count(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
