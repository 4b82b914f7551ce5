"""A trained network as the one function that every model file computes, and as ONNX."""

import logging
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import helper
from torch import nn

from maskinfer.data.geometry import CANVAS_STEP
from maskinfer.runtime.model_file import INPUT_NAME, METADATA_KEY, OUTPUT_NAMES, ModelMetadata
from maskinfer.train.networks.faster_rcnn import FasterRCNNDetector
from maskinfer.train.networks.lite import LiteDetector
from maskinfer.train.networks.network import Network

from .faster_rcnn import BatchedFasterRCNN
from .settings import GraphOptions
from .suppression import Faces, distinct_faces, faces_one_by_one, one_face

OPSET = 18
# Cells of `lite` that are looked at for its faces. On 194 whole photos at 224, 416 and 640 px, 128
# of them lost two of 2,103 faces that scored 0.2, and 192 none.
_LITE_RIVALS = 192


class ContractModule(nn.Module):
    """What every model file computes: uint8 canvases (N, S, S, 3) in, `Faces` out."""

    def __init__(self, network: Network, options: GraphOptions) -> None:
        """Wrap a network that is in evaluation mode, on the CPU."""
        super().__init__()
        self.network: nn.Module = network
        if isinstance(network, FasterRCNNDetector):
            self.network = BatchedFasterRCNN(network, options.proposals)
            options = replace(options, proposals=self.network.proposals)
        self.options = options
        self.eval()

    def forward(self, images: torch.Tensor) -> Faces:
        """Find the faces in each image."""
        network = self.network
        if isinstance(network, BatchedFasterRCNN):  # two candidates a proposal
            return distinct_faces(network.every_face(images), self.options, 2 * network.proposals)
        if isinstance(network, LiteDetector):
            return distinct_faces(network.every_face(images), self.options, _LITE_RIVALS)
        assert isinstance(network, Network)
        return one_face(network.detect(images), self.options)


def checkpoint_function(network: Network, options: GraphOptions) -> Callable[[torch.Tensor], Faces]:
    """What `ContractModule` computes, by the network's own evaluation, whatever its shapes."""
    if network.learns_all_faces:
        return lambda images: faces_one_by_one(network.candidates(images), options)
    return lambda images: one_face(network.detect(images), options)


def to_onnx(module: nn.Module, canvas: int, *, free_canvas: bool = False) -> onnx.ModelProto:
    """Trace a `ContractModule` for canvases of S pixels: a graph with its weights inside.

    Its batch dimension is free, and with `free_canvas` S is, too, in steps of `CANVAS_STEP`.
    """
    # Two canvases: an example batch of one would be taken for a constant (pytorch 157621).
    example = torch.zeros(2, canvas, canvas, 3, dtype=torch.uint8)
    free: dict[int, Any] = {0: torch.export.Dim("N")}
    if free_canvas:
        side = CANVAS_STEP * torch.export.Dim("side", min=2)
        free |= {1: side, 2: side}
    quiet = logging.getLogger("onnxscript")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's own deprecations
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                dynamic_shapes={INPUT_NAME: free},
                input_names=[INPUT_NAME],
                output_names=list(OUTPUT_NAMES),
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
    finally:
        quiet.setLevel(level)
    assert program is not None
    model = program.model_proto
    assert isinstance(model, onnx.ModelProto)
    # The exporter's notes on each node hold the paths of the source that was traced.
    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.metadata_props[:]
    return model


def write_onnx(model: onnx.ModelProto, metadata: ModelMetadata, path: Path) -> None:
    """Write a model file; its metadata and producer replace what the graph holds of them."""
    del model.metadata_props[:]
    helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    model.producer_name = "maskinfer"
    model.producer_version = metadata.maskinfer_version
    onnx.checker.check_model(model)
    onnx.save(model, path)
