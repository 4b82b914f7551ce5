import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.tiny_model import METADATA, build_model

from maskinfer.data.geometry import Geometry
from maskinfer.errors import ModelFileError
from maskinfer.runtime.model_file import METADATA_KEY
from maskinfer.runtime.session import Session


def set_metadata(model: onnx.ModelProto, value: str) -> None:
    del model.metadata_props[:]
    helper.set_model_props(model, {METADATA_KEY: value})


def no_metadata(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def newer_schema(model: onnx.ModelProto) -> None:
    set_metadata(model, replace(METADATA, schema=99).to_json())


def damaged_metadata(model: onnx.ModelProto) -> None:
    set_metadata(model, '{"schema": 1')


def change_metadata(*path: str, value: object) -> Callable[[onnx.ModelProto], None]:
    def spoil(model: onnx.ModelProto) -> None:
        values = json.loads(METADATA.to_json())
        inner = values
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        set_metadata(model, json.dumps(values))

    return spoil


def other_canvas(model: onnx.ModelProto) -> None:
    set_metadata(model, replace(METADATA, geometry=Geometry.letterbox(64)).to_json())


def fixed_batch(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def float_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def other_input_name(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "x"
    for node in model.graph.node:
        node.input[:] = ["x" if name == "images" else name for name in node.input]


def no_score(model: onnx.ModelProto) -> None:
    del model.graph.output[2]


def integer_output(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Cast", ["blue_max"], ["s"], to=TensorProto.INT64))
    model.graph.node[-2].output[0] = "unused"
    model.graph.node[-1].output[0] = "score"
    model.graph.output[2].type.tensor_type.elem_type = TensorProto.INT64


def channels_first(model: onnx.ModelProto) -> None:
    fresh = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 3, 32, 32])
    model.graph.input[0].CopyFrom(fresh)
    transposed = helper.make_node("Transpose", ["images"], ["nhwc"], perm=[0, 2, 3, 1])
    for node in model.graph.node:
        node.input[:] = ["nhwc" if name == "images" else name for name in node.input]
    model.graph.node.insert(0, transposed)


def external_weights(model: onnx.ModelProto) -> None:
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [4], np.ones(4, np.float32))
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    model.graph.initializer.append(tensor)
    columns = next(node for node in model.graph.node if "boxes" in node.output)
    columns.output[0] = "b"
    model.graph.node.append(helper.make_node("Mul", ["b", "w"], ["boxes"]))


def newer_operators(model: onnx.ModelProto) -> None:
    model.ir_version = 999


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_metadata, r"no maskinfer metadata.*Run: maskinfer export"),
        (newer_schema, r"metadata schema 99.*install a newer maskinfer"),
        (damaged_metadata, r"damaged maskinfer metadata"),
        (change_metadata("schema", value=0), r"damaged maskinfer metadata \(schema is 0"),
        (change_metadata("schema", value=True), r"damaged maskinfer metadata \(schema is True"),
        (change_metadata("schema", value="1"), r"damaged maskinfer metadata \(schema is '1'"),
        (change_metadata("schema", value=1.0), r"damaged maskinfer metadata \(schema is 1\.0"),
        (
            change_metadata("one_face", "threshold", value="abc"),
            r"threshold: got 'abc', expected a number",
        ),
        (
            change_metadata("one_face", "threshold", value=1.5),
            r"threshold: got 1\.5, expected 0 to 1",
        ),
        (
            change_metadata("one_face", "threshold", value=True),
            r"threshold: got True, expected a number",
        ),
        (
            change_metadata("one_face", "threshold", value=math.nan),
            r"threshold: got nan, expected a number",
        ),
        (change_metadata("geometry", "kind", value="wobble"), r"kind: got 'wobble', expected"),
        (
            change_metadata("geometry", "kind", value=[]),
            r"kind: got \[\], expected one",
        ),
        (change_metadata("geometry", "canvas", value=32.0), r"canvas: got 32\.0, expected a whole"),
        (change_metadata("geometry", "resize", value="32"), r"resize: got '32', expected a whole"),
        (change_metadata("geometry", "canvas", value=0), r"damaged maskinfer metadata \(canvas 0"),
        (change_metadata("export", value=None), r"damaged maskinfer metadata \(export: got None"),
        (change_metadata("export", "int8", value=None), r"metadata \(export.int8: got None"),
        (change_metadata("network", value=5), r"damaged maskinfer metadata \(network: got 5"),
        (change_metadata("geometry", value=None), r"damaged maskinfer metadata \("),
        (
            change_metadata("training", value={"notes": "x" * 11_000_000}),
            r"damaged metadata \(11,\d{3},\d{3} characters long\)",
        ),
        (other_canvas, r"input 'images' is \(N, 32, 32, 3\), expected \(N, 64, 64, 3\)"),
        (fixed_batch, r"input 'images' is \(1, 32, 32, 3\), expected \(N, 32, 32, 3\)"),
        (channels_first, r"input 'images' is \(N, 3, 32, 32\), expected \(N, 32, 32, 3\)"),
        (float_input, r"input 'images' is tensor\(float\), expected tensor\(uint8\)"),
        (other_input_name, r"inputs are 'x', expected 'images'"),
        (no_score, r"outputs are 'boxes', 'proper_mask', expected 'score' among them"),
        (integer_output, r"output 'score' is tensor\(int64\), expected tensor\(float\)"),
        (external_weights, r"keeps its weights in a second file, expected one file"),
        (newer_operators, r"onnxruntime [0-9.]+ cannot load it"),
    ],
)
def test_a_model_that_breaks_the_contract_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[onnx.ModelProto], None],
    words: str,
) -> None:
    model = build_model()
    spoil(model)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    # What the file names as its second part lies ready, in its folder and in the current one.
    (tmp_path / "weights.bin").write_bytes(bytes(16))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFileError, match=words) as caught:
        Session(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
