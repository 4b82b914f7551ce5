"""A model file whose answer can be read off the photo, and photos to ask it about.

The network is arithmetic on pixels, so a test knows the right answer for every image:

- `boxes`: the smallest box around pixels whose red is past half; not a number where there is none
- `proper_mask`: the greatest green of the canvas, 0..1
- `score`: the greatest blue of the canvas, 0..1, by which a test tells images apart
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from maskinfer.data.geometry import Geometry
from maskinfer.data.labels import BoxXywh
from maskinfer.runtime.model_file import METADATA_KEY, ModelMetadata

METADATA = ModelMetadata(
    network="tiny",
    backbone="",
    geometry=Geometry.letterbox(32),
    threshold=0.5,
    normalisation={"mean": [0.0] * 3, "std": [1.0] * 3},
    precision="fp32",
    maskinfer_version="0.1.0",
)
# Padding is grey, 114: a blue of 115 or more is the photo's own.
LEAST_BLUE = 115


def build_model(metadata: ModelMetadata | None = METADATA) -> onnx.ModelProto:
    """Make the tiny network as a model that follows the contract."""
    side = (metadata or METADATA).geometry.canvas
    nodes: list[onnx.NodeProto] = []

    def constant(name: str, values: Any, kind: type = np.float32) -> str:
        tensor = numpy_helper.from_array(np.array(values, dtype=kind), name)
        nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    one, half = constant("c1", 1.0), constant("c127", 127.5)
    full = constant("c255", 255.0)
    channel_axis = constant("channel_axis", [3], np.int64)
    for name, index in (("red", 0), ("green", 1), ("blue", 2)):
        start, stop = (
            constant(f"{name}0", [index], np.int64),
            constant(f"{name}1", [index + 1], np.int64),
        )
        plane = node("Slice", ["images", start, stop, channel_axis], f"{name}_u8")
        node("Cast", [plane], name, to=TensorProto.FLOAT)  # (N, S, S, 1)
    bright = node("Greater", ["red", half], "is_bright")
    bright = node("Cast", [bright], "bright", to=TensorProto.FLOAT)
    all_axes = constant("all_axes", [1, 2, 3], np.int64)
    any_bright = node("ReduceMax", [bright, all_axes], "any_bright", keepdims=0)  # (N,)
    whole = node("Div", [any_bright, any_bright], "whole")  # 1, or 0 / 0
    rank = constant("rank", [1], np.int64)
    edges = []
    for name, axes in (("x", [1, 3]), ("y", [2, 3])):
        line = node(
            "ReduceMax",
            [bright, constant(f"{name}_axes", axes, np.int64)],
            f"{name}_line",
            keepdims=0,
        )
        first = node("ArgMax", [line], f"{name}_first", axis=1, keepdims=0)
        last = node("ArgMax", [line], f"{name}_last", axis=1, keepdims=0, select_last_index=1)
        first = node("Cast", [first], f"{name}_start", to=TensorProto.FLOAT)
        last = node("Cast", [last], f"{name}_end", to=TensorProto.FLOAT)
        length = node("Add", [node("Sub", [last, first], f"{name}_d"), one], f"{name}_length")
        edges.append((first, length))
    columns = []
    for edge in (edges[0][0], edges[1][0], edges[0][1], edges[1][1]):
        value = node("Mul", [edge, whole], f"{edge}_or_nan")
        columns.append(node("Unsqueeze", [value, rank], f"{edge}_column"))
    node("Concat", columns, "boxes", axis=1)  # (N, 4)
    for name, output in (("green", "proper_mask"), ("blue", "score")):
        greatest = node("ReduceMax", [name, all_axes], f"{name}_max", keepdims=0)
        node("Div", [greatest, full], output)
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", side, side, 3])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", 4]),
            helper.make_tensor_value_info("proper_mask", TensorProto.FLOAT, ["N"]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    if metadata is not None:
        helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    return model


def write_model(path: Path, **changes: Any) -> Path:
    """Write the tiny model file; `changes` replace fields of its metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(build_model(replace(METADATA, **changes)), path)
    return path


def draw_photo(
    size_wh: tuple[int, int] = (64, 64),
    box_xywh: BoxXywh | None = (16, 8, 24, 32),
    *,
    proper: bool = True,
    blue: int = 200,
) -> Image.Image:
    """Draw a photo that the tiny model answers with this box, label, and score `blue` / 255.

    Sides in multiples of two canvases and boxes on even pixels come back exactly.
    """
    assert blue >= LEAST_BLUE
    pixels = np.zeros((size_wh[1], size_wh[0], 3), dtype=np.uint8)
    pixels[..., 1] = 255 if proper else 0
    pixels[..., 2] = blue
    if box_xywh is not None:
        x, y, w, h = box_xywh
        pixels[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0), 0] = 255
    return Image.fromarray(pixels)
