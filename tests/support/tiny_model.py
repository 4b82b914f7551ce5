"""A model file whose answer can be read off the photo, and photos to ask it about.

The network is arithmetic on pixels, so a test knows the right answer for every image:

| place | box around pixels of a red that is | probability             | score                |
| ----- | ---------------------------------- | ----------------------- | -------------------- |
| 0     | past half; not a number without    | greatest green of all   | greatest blue of all |
|       |                                    | others                  |                      |
| 1     | 64 to 100                          | greatest green of those | half as much, or 0   |

Green and blue are of the canvas, 0..1; by blue a test tells images apart.
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
from maskinfer.runtime.model_file import METADATA_KEY, ModelMetadata, WorkingPoint

METADATA = ModelMetadata(
    network="tiny",
    backbone="",
    geometry=Geometry.letterbox(32),
    one_face=WorkingPoint(),
    all_faces=WorkingPoint(),
    normalisation={"mean": [0.0] * 3, "std": [1.0] * 3},
    precision="fp32",
    maskinfer_version="0.1.0",
    faces=2,
)
# Padding is grey, 114: a blue of 115 or more is the photo's own.
LEAST_BLUE = 115


def build_model(metadata: ModelMetadata | None = METADATA) -> onnx.ModelProto:
    """Make the tiny network as a model that follows the contract."""
    facts = metadata or METADATA
    sides = ["S", "S"] if facts.free_canvas else [facts.geometry.canvas] * 2
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
    all_axes = constant("all_axes", [1, 2, 3], np.int64)
    rank = constant("rank", [1], np.int64)

    def box_around(mask: str) -> str:
        """The smallest box around the pixels of a mask (N, S, S, 1), as (N, 1, 4)."""
        edges = []
        for name, axes in ((f"{mask}_x", [1, 3]), (f"{mask}_y", [2, 3])):
            line = node(
                "ReduceMax",
                [mask, constant(f"{name}_axes", axes, np.int64)],
                f"{name}_line",
                keepdims=0,
            )
            first = node("ArgMax", [line], f"{name}_first", axis=1, keepdims=0)
            last = node("ArgMax", [line], f"{name}_last", axis=1, keepdims=0, select_last_index=1)
            first = node("Cast", [first], f"{name}_start", to=TensorProto.FLOAT)
            last = node("Cast", [last], f"{name}_end", to=TensorProto.FLOAT)
            length = node("Add", [node("Sub", [last, first], f"{name}_d"), one], f"{name}_length")
            edges.append((first, length))
        sides = (edges[0][0], edges[1][0], edges[0][1], edges[1][1])
        columns = [node("Unsqueeze", [side, rank], f"{side}_column") for side in sides]
        box = node("Concat", columns, f"{mask}_flat_box", axis=1)
        return node("Unsqueeze", [box, rank], f"{mask}_box")

    def greatest(plane: str) -> str:
        """The greatest value of a plane (N, S, S, 1), as (N, 1)."""
        most = node("ReduceMax", [plane, all_axes], f"{plane}_most", keepdims=0)
        return node("Unsqueeze", [most, rank], f"{plane}_max")

    def mask_of(name: str, condition: str) -> str:
        return node("Cast", [condition], name, to=TensorProto.FLOAT)

    bright = mask_of("bright", node("Greater", ["red", half], "is_bright"))
    low = node("Greater", ["red", constant("c64", 64.0)], "is_past_64")
    high = node("Less", ["red", constant("c100", 100.0)], "is_below_100")
    dim = mask_of("dim", node("And", [low, high], "is_dim"))
    any_bright, any_dim = greatest(bright), greatest(dim)
    # Not a number without a bright pixel: 0 / 0.
    whole = node("Div", [any_bright, any_bright], "whole")
    whole = node("Unsqueeze", [whole, rank], "whole_box")
    first_box = node("Mul", [box_around(bright), whole], "first_box")
    node("Concat", [first_box, box_around(dim)], "both_boxes", axis=1)
    dim_green = greatest(node("Mul", [dim, "green"], "dim_green"))
    blue = greatest("blue")
    half_blue = node("Mul", [blue, constant("c05", 0.5)], "half_blue")
    second = node("Mul", [half_blue, any_dim], "second_score")
    others = node("Sub", ["green", "dim_green"], "green_of_others")
    node("Div", [node("Concat", [greatest(others), dim_green], "greens", axis=1), full], "propers")
    node("Div", [node("Concat", [blue, second], "blues", axis=1), full], "scores")
    faces = facts.faces
    end = constant("end", [faces], np.int64)
    for name, output in (("both_boxes", "boxes"), ("propers", "proper_mask"), ("scores", "score")):
        node("Slice", [name, constant(f"{output}0", [0], np.int64), end, rank], output)
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", *sides, 3])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", faces, 4]),
            helper.make_tensor_value_info("proper_mask", TensorProto.FLOAT, ["N", faces]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N", faces]),
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
    second_xywh: BoxXywh | None = None,
    second_proper: bool = False,
) -> Image.Image:
    """Draw a photo that the tiny model answers with this box, label, and score `blue` / 255.

    A second face has its own label, and half the score; it comes back exactly from a photo of the
    canvas's size.

    Sides in multiples of two canvases and boxes on even pixels come back exactly.
    """
    assert blue >= LEAST_BLUE
    pixels = np.zeros((size_wh[1], size_wh[0], 3), dtype=np.uint8)
    pixels[..., 1] = 255 if proper else 0
    pixels[..., 2] = blue
    if box_xywh is not None:
        x, y, w, h = box_xywh
        pixels[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0), 0] = 255
    if second_xywh is not None:
        x, y, w, h = second_xywh
        pixels[y : y + h, x : x + w] = (80, 255 if second_proper else 0, blue)
    return Image.fromarray(pixels)
