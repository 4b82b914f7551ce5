"""FP16: the layers of a graph compute in half precision, all else as before.

The graph's inputs and outputs stay what they are, and so do box arithmetic and softmax. Written
here because onnxconverter-common's pass, and ONNX Runtime's copy of it, leave nodes out of order
and put a cast around every node that is kept (onnxconverter-common issues 208 and 306).
"""

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from .layers import find_layers, reduced_nodes

_LARGEST = float(np.finfo(np.float16).max)


def to_half(model: ModelProto) -> tuple[str, ...]:
    """Make the layers of a graph compute in FP16, in place, but for those it cannot hold.

    Returns:
        the weights of the layers that stay in FP32, since a weight or bias is beyond FP16.
    """
    graph = model.graph
    layers = find_layers(graph)
    weights = {t.name for t in graph.initializer if t.data_type == TensorProto.FLOAT}
    large = {t.name for t in graph.initializer if t.name in weights and _is_beyond(t)}
    reading = {node.name for node in graph.node if not large.isdisjoint(node.input)}
    beyond = {layer.weight for layer in layers if not reading.isdisjoint(layer.nodes)}
    reduced = set(reduced_nodes(graph, [x for x in layers if x.weight not in beyond]))
    constants = {t.name for t in graph.initializer}
    inside = {name for node in graph.node if node.name in reduced for name in node.output}
    leaving = {name for node in graph.node if node.name not in reduced for name in node.input}
    fulls = {name: _full(name) for name in inside}

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
        nodes += [_cast(n, _half(n)) for n in entering if n not in weights and n not in halves]
        halves.update(entering)
        _rename(node, {name: _half(name) for name in entering})
        nodes.append(node)
        nodes += [_cast(name, _full(name)) for name in node.output if name in leaving]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]  # says FP32 of what is FP16 now
    _add_halves(graph, halves & weights)
    return tuple(layer.weight for layer in layers if layer.weight in beyond)


def _is_beyond(tensor: TensorProto) -> bool:
    """Whether a constant holds a value larger than FP16 can."""
    return bool(np.abs(numpy_helper.to_array(tensor)).max(initial=0) > _LARGEST)


def _cast(name: str, renamed: str) -> NodeProto:
    kind = TensorProto.FLOAT16 if renamed == _half(name) else TensorProto.FLOAT
    return helper.make_node("Cast", [name], [renamed], name=f"{renamed}.cast", to=kind)


def _half(name: str) -> str:
    return f"{name}.fp16"


def _full(name: str) -> str:
    return f"{name}.fp32"


def _rename(node: NodeProto, names: dict[str, str]) -> None:
    for place, name in enumerate(node.input):
        node.input[place] = names.get(name, name)


def _add_halves(graph: GraphProto, names: set[str]) -> None:
    """Add constants in FP16, and drop those that no node reads any more."""
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    halved = [
        numpy_helper.from_array(
            numpy_helper.to_array(tensor).clip(-_LARGEST, _LARGEST).astype(np.float16),
            _half(tensor.name),
        )
        for tensor in graph.initializer
        if tensor.name in names
    ]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *halved])
