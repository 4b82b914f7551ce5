"""FP16: the layers of a graph compute in half precision, or only its weights are stored in it.

The graph's inputs and outputs stay what they are, and so do box arithmetic and softmax. Written
here because onnxconverter-common's pass, and ONNX Runtime's copy of it, leave nodes out of order
and put a cast around every node that is kept (onnxconverter-common issues 208 and 306).
"""

from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from maskinfer.data.pixels import Pixels
from maskinfer.runtime.model_file import INPUT_NAME
from maskinfer.runtime.onnx_runtime import bare_session

from .layers import find_layers, reduced_nodes

# A quarter of what FP16 holds: other images may reach further than those measured.
_LARGEST = float(np.finfo(np.float16).max) / 4
_BATCH = 8
_HALF, _FULL = ".fp16", ".fp32"  # ends of the names of values that were cast


def to_half(model: ModelProto, canvases: Pixels) -> dict[str, Any]:
    """Make the layers of a graph compute in FP16, in place, but for those it cannot hold.

    What they compute on canvases (N, S, S, 3) is measured in FP32, since a CPU computes FP16 with
    its range, where a GPU overflows. Returns, JSON-able, the weights of the layers that stay in
    FP32, and the largest absolute value that the others read or compute, at most `_LARGEST`.
    """
    graph = model.graph
    layers = find_layers(graph)
    floats = [t for t in graph.initializer if t.data_type == TensorProto.FLOAT]
    weights = {t.name for t in floats}
    sizes = {t.name: float(np.abs(numpy_helper.to_array(t)).max(initial=0)) for t in floats}
    values = {n.name: {*n.input, *n.output} for n in reduced_nodes(graph, layers)}
    sizes |= _measure(model, set().union(*values.values()) - weights, canvases)
    largest = {
        node: max(sizes.get(value, 0.0) for value in names) for node, names in values.items()
    }
    reduced = {node for node in values if largest[node] <= _LARGEST}
    constants = {t.name for t in graph.initializer}
    inside = {name for node in graph.node if node.name in reduced for name in node.output}
    leaving = {name for node in graph.node if node.name not in reduced for name in node.input}
    fulls = {name: name + _FULL for name in inside}

    halves: set[str] = set()  # values that are needed in FP16 too
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.name not in reduced:
            _rename(node, fulls)
            nodes.append(node)
            continue
        # A Resize takes its scales as FP32 whatever it resizes.
        data = node.input[:1] if node.op_type == "Resize" else node.input
        entering = [n for n in data if n in weights or (n and n not in inside | constants)]
        nodes += [_cast(n, _HALF) for n in entering if n not in weights and n not in halves]
        halves.update(entering)
        _rename(node, {name: name + _HALF for name in entering})
        nodes.append(node)
        nodes += [_cast(name, _FULL) for name in node.output if name in leaving]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]  # says FP32 of what is FP16 now
    _add_halves(graph, halves & weights)
    return {
        "layers_in_fp32": [x.weight for x in layers if not reduced.issuperset(x.nodes)],
        "largest_value": max((largest[name] for name in reduced), default=0.0),
    }


def store_in_half(model: ModelProto) -> None:
    """Store the weights of a graph's layers in FP16, in place; it computes in FP32 as before.

    Each is cast by a node of its own, which runtimes compute once, when they load the graph.
    """
    casts = []
    weights = {layer.weight for layer in find_layers(model.graph)}
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.name not in weights or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name, half = tensor.name, tensor.name + _HALF
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), half))
        cast = f"{half}.cast"
        casts.append(helper.make_node("Cast", [half], [name], name=cast, to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _measure(model: ModelProto, values: set[str], canvases: Pixels) -> dict[str, float]:
    """The largest absolute value of each of a graph's FP32 values, over all canvases."""
    probe = ModelProto()
    probe.CopyFrom(model)
    computed = [name for node in model.graph.node for name in node.output if name in values]
    for name in computed:
        size, largest = f"{name}.abs", f"{name}.max"
        probe.graph.node.append(helper.make_node("Abs", [name], [size]))
        probe.graph.node.append(helper.make_node("ReduceMax", [size], [largest], keepdims=0))
        probe.graph.output.append(helper.make_tensor_value_info(largest, TensorProto.FLOAT, []))
    session = bare_session(probe.SerializeToString())
    names = [f"{name}.max" for name in computed]
    batches = (canvases[first : first + _BATCH] for first in range(0, len(canvases), _BATCH))
    rows = [session.run(names, {INPUT_NAME: batch}) for batch in batches]
    return dict(zip(computed, np.max(rows, axis=0).tolist(), strict=True)) if computed else {}


def _cast(name: str, ending: str) -> NodeProto:
    kind = TensorProto.FLOAT16 if ending == _HALF else TensorProto.FLOAT
    cast = name + ending
    return helper.make_node("Cast", [name], [cast], name=f"{cast}.cast", to=kind)


def _rename(node: NodeProto, names: dict[str, str]) -> None:
    for place, name in enumerate(node.input):
        node.input[place] = names.get(name, name)


def _add_halves(graph: GraphProto, names: set[str]) -> None:
    """Add constants in FP16, and drop those that no node reads any more."""
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    halved = [
        numpy_helper.from_array(numpy_helper.to_array(t).astype(np.float16), t.name + _HALF)
        for t in graph.initializer
        if t.name in names
    ]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *halved])
