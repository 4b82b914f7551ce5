"""Quantisation of graphs whose layers are made to bear it, or not."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from maskinfer.errors import ExportError
from maskinfer.export.int8 import quantise

_SIDE = 8


def _constant(name: str, values: object) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, dtype=np.float32), name)


def _graph(hard_layers: int, layers: int) -> onnx.ModelProto:
    """A chain of 1 x 1 convolutions on two channels, of the mean red and the mean green.

    An easy layer keeps both. A hard one makes green 100,000 times as large, and a product behind it
    undoes that: in 8 bits, which the two channels share, nothing is left of red.
    """
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Div", ["pixels", "full"], ["parts"], "scale"),
        helper.make_node("Transpose", ["parts"], ["planes"], "turn", perm=[0, 3, 1, 2]),
    ]
    constants = [_constant("full", 255.0), _constant("undo", [[[1.0]], [[1e-5]]])]
    value = "planes"
    for index in range(layers):
        weight = np.eye(2, 3 if index == 0 else 2)[:, :, None, None]
        is_hard = index >= layers - hard_layers
        if is_hard:
            weight[1] *= 1e5
        constants.append(_constant(f"weight{index}", weight))
        nodes.append(
            helper.make_node("Conv", [value, f"weight{index}"], [f"map{index}"], f"c{index}")
        )
        value = f"map{index}"
        if is_hard:
            nodes.append(helper.make_node("Mul", [value, "undo"], [f"{value}.undone"], f"m{index}"))
            value = f"{value}.undone"
    nodes += [
        helper.make_node("ReduceMean", [value, "sides"], ["means"], "mean", keepdims=0),
        helper.make_node("MatMul", ["means", "to_boxes"], ["box"], "box"),
        helper.make_node("Unsqueeze", ["box", "one"], ["boxes"], "boxes"),
        helper.make_node("Gather", ["means", "red"], ["proper_mask"], "proper", axis=1),
        helper.make_node("Gather", ["means", "green"], ["score"], "score", axis=1),
    ]
    constants += [
        _constant("to_boxes", np.array([[0, 0, 8, 0], [0, 0, 0, 8]])),
        *(
            numpy_helper.from_array(np.array(values, dtype=np.int64), name)
            for name, values in (("sides", [2, 3]), ("one", [1]), ("red", [0]), ("green", [1]))
        ),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("boxes", ["N", 1, 4]), ("proper_mask", ["N", 1]), ("score", ["N", 1]))
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", _SIDE, _SIDE, 3])
    graph = helper.make_graph(nodes, "chain", [images], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model)


@pytest.fixture(scope="module")
def canvases() -> np.ndarray:
    rng = np.random.default_rng(0)
    colours = rng.integers(50, 256, (30, 1, 1, 3))
    return np.broadcast_to(colours, (30, _SIDE, _SIDE, 3)).astype(np.uint8)


@pytest.mark.parametrize("target", ["cpu", "tensorrt"])
def test_layers_that_bear_it_are_all_quantised_but_the_last(
    canvases: np.ndarray, target: str
) -> None:
    done = quantise(_graph(0, 4), canvases, target, full_range=True, say=print)
    assert done.details["layers_in_float"] == ["to_boxes"]
    assert done.details["layers"] == 5
    assert done.details["mean_iou_with_float"] > 0.95
    kinds = {tensor.name: tensor.data_type for tensor in done.model.graph.initializer}
    zero_points = {n.input[2] for n in done.model.graph.node if n.op_type == "QuantizeLinear"}
    assert {kinds[name] for name in zero_points} == {
        TensorProto.UINT8 if target == "cpu" else TensorProto.INT8
    }
    biases = [name for name, kind in kinds.items() if kind == TensorProto.INT32]
    assert target == "cpu" or not biases


def test_layer_that_does_not_bear_it_stays_in_float(canvases: np.ndarray) -> None:
    said: list[str] = []
    done = quantise(_graph(1, 4), canvases, "cpu", full_range=True, say=said.append)
    assert done.details["layers_in_float"] == ["weight3", "to_boxes"]
    assert done.details["mean_iou_with_float"] > 0.95
    assert len(said) == 1
    quantised = {node.name for node in done.model.graph.node if node.op_type == "QuantizeLinear"}
    assert any("map1" in name for name in quantised)
    assert not any("map3" in name for name in quantised)


def test_neighbour_of_a_layer_that_stays_in_float_is_quantised(canvases: np.ndarray) -> None:
    done = quantise(_graph(1, 40), canvases, "cpu", full_range=True, say=print)
    assert done.details["layers_in_float"] == ["weight39", "to_boxes"]


def test_network_that_does_not_bear_it_is_refused(canvases: np.ndarray) -> None:
    with pytest.raises(ExportError, match="INT8: with 2 of 4 layers in float") as caught:
        quantise(_graph(4, 4), canvases, "cpu", full_range=True, say=print)
    assert "--calibrate DIR" in str(caught.value)


@pytest.mark.parametrize(("full_range", "most"), [(True, 127), (False, 64)])
def test_weights_take_seven_bits_where_eight_would_saturate(
    canvases: np.ndarray, full_range: bool, most: int
) -> None:
    done = quantise(_graph(0, 3), canvases, "cpu", full_range=full_range, say=print)
    weights = [
        numpy_helper.to_array(tensor)
        for tensor in done.model.graph.initializer
        if tensor.data_type == TensorProto.INT8 and len(tensor.dims) == 4
    ]
    assert len(weights) == 3
    assert max(np.abs(weight.astype(int)).max() for weight in weights) == most
    assert done.details["weight_bits"] == (8 if full_range else 7)
