"""Which nodes of a graph may compute in a lower precision: its layers, and what lies between.

A layer is a convolution or a matrix product with a weight of its own. What only joins or reshapes
the layers' feature maps follows them. Box arithmetic, softmax and whatever chooses stay as they
are: a coordinate of 223.4 pixels has no room in 8 bits.
"""

from collections.abc import Collection
from dataclasses import dataclass

from onnx import GraphProto, NodeProto

_WEIGHTED = {"Conv", "Gemm", "MatMul"}
_FOLLOWING = {"Add", "Clip", "MaxPool", "Relu", "Resize"}


@dataclass(frozen=True)
class Layer:
    """A weight and the nodes that use it: a head that runs on five maps is one layer."""

    weight: str  # the constant's name, as the checkpoint has it
    nodes: tuple[str, ...]  # their names


def find_layers(graph: GraphProto) -> list[Layer]:
    """All layers, in the order in which they compute."""
    constants = {tensor.name for tensor in graph.initializer}
    nodes_of: dict[str, list[str]] = {}
    for node in graph.node:
        if node.op_type in _WEIGHTED and node.input[1] in constants:
            nodes_of.setdefault(node.input[1], []).append(node.name)
    return [Layer(weight, tuple(nodes)) for weight, nodes in nodes_of.items()]


def reduced_nodes(graph: GraphProto, layers: Collection[Layer]) -> list[NodeProto]:
    """The nodes that compute in the lower precision where these layers do."""
    chosen = {name for layer in layers for name in layer.nodes}
    constants = {tensor.name for tensor in graph.initializer}
    reduced_values: set[str] = set()
    nodes = []
    for node in graph.node:
        computed = {name for name in node.input if name and name not in constants}
        if node.name in chosen or (node.op_type in _FOLLOWING and computed <= reduced_values):
            nodes.append(node)
            reduced_values.update(node.output)
    return nodes


def last_layers(graph: GraphProto, layers: Collection[Layer]) -> list[Layer]:
    """Those from whose outputs no other layer computes."""
    weighted = {name for layer in layers for name in layer.nodes}
    leads_on: set[str] = set()  # values that a layer computes from
    last_nodes: set[str] = set()
    for node in reversed(graph.node):  # which are sorted
        if not leads_on.isdisjoint(node.output):
            leads_on.update(node.input)
        elif node.name in weighted:
            last_nodes.add(node.name)
            leads_on.update(node.input)
    return [layer for layer in layers if last_nodes.issuperset(layer.nodes)]
