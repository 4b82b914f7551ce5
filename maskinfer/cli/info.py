"""`maskinfer info`: what a model file contains."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from rich.columns import Columns
from rich.padding import Padding
from rich.text import Text

from maskinfer.data.geometry import Geometry
from maskinfer.runtime.default_model import resolve_model
from maskinfer.runtime.model_file import WorkingPoint
from maskinfer.runtime.model_info import ModelInfo, Tensor, examine_model
from maskinfer.text import strict_json

from .console import check_json, err, out, print_heading, print_section, say, write_json
from .options import JSON, OVERWRITE, argument


def info(
    model: Annotated[
        Path | None,
        argument(
            "Model file (.onnx or .engine). By default the newest .onnx under models/, else the "
            "one that ships.",
            "MODEL",
        ),
    ] = None,
    json: Annotated[Path | None, JSON] = None,
    overwrite: Annotated[bool, OVERWRITE] = False,
) -> None:
    """Show what a model file contains: metadata, inputs, outputs, operators, size."""
    console = check_json(json, overwrite=overwrite)
    model_info = examine_model(resolve_model(model))
    write_json(json, lambda: strict_json(model_info.to_dict()))
    if console is err:
        return
    _print_info(model_info)
    if model_info.graph is None and model_info.engine is None:
        say("note: listing operators, weights and opset needs onnx. Run: pip install onnx")


def _print_info(model_info: ModelInfo) -> None:
    print_section("File", dict(_file_rows(model_info)))
    values = vars(model_info.metadata)
    sections = {name: value for name, value in values.items() if isinstance(value, dict)}
    print_section("Model", dict(_model_rows(values)))
    for name, value in sections.items():
        print_section(name.replace("_", " ").capitalize(), dict(_flatten(value)))
    print_section("Engine", dict(_flatten(model_info.engine or {})))
    print_section("Inputs", {tensor.name: _tensor_text(tensor) for tensor in model_info.inputs})
    print_section("Outputs", {tensor.name: _tensor_text(tensor) for tensor in model_info.outputs})
    if model_info.graph is not None:
        print_heading(f"Operators ({sum(model_info.graph.operators.values())})")
        counts = (Text(f"{count:>4} {name}") for name, count in model_info.graph.operators.items())
        columns = Columns(counts, equal=True, padding=(0, 2), column_first=True)
        out.print(Padding(columns, (0, 0, 0, 2)))


def _file_rows(model_info: ModelInfo) -> Iterator[tuple[str, object]]:
    yield "path", model_info.path
    yield "size", f"{model_info.size_bytes / 1e6:.1f} MB ({model_info.size_bytes:,} bytes)"
    yield "SHA-256", model_info.sha256
    if model_info.graph is not None:
        yield "producer", model_info.graph.producer or "not named"
        yield "opset", model_info.graph.opset
        weights = (f"{count:,} {kind}" for kind, count in model_info.graph.weights.items())
        yield "weights", ", ".join(weights) or "none"


def _model_rows(values: dict[str, Any]) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Geometry):
            yield "canvas", f"{value.canvas} x {value.canvas} px"
            letterbox = "letterbox: the whole photo, its aspect kept"
            crop = f"center_crop: the middle of the photo stretched to {value.resize} px"
            yield "geometry", letterbox if value.kind == "letterbox" else crop
        elif isinstance(value, WorkingPoint):
            counts = f"from score {value.min_score:.6g}, proper from {value.threshold:.6g}"
            yield name.replace("_", " "), counts
        elif not isinstance(value, dict) and value != "":
            yield name.replace("_", " "), _value_text(value)


def _tensor_text(tensor: Tensor) -> str:
    return f"{tensor.type} ({', '.join(map(str, tensor.shape))})"


def _flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Turn nested values into rows; an inner dictionary of plain values is one row."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, list) and not _is_plain(value):
            value = {str(number): item for number, item in enumerate(value, start=1)}
        if not isinstance(value, dict):
            yield name, _value_text(value)
        elif all(map(_is_plain, value.values())):
            # No space inside a pair, so that lines break between pairs.
            pairs = (f"{k}={_value_text(v).replace(', ', ',')}" for k, v in value.items())
            yield name, "  ".join(pairs) or "none"
        else:
            yield from _flatten(value, f"{name}.")


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return not any(isinstance(item, dict | list) for item in value)
    return not isinstance(value, dict)


def _value_text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(_value_text(item) for item in value) or "none"
    return "none" if value is None else str(value)
