"""A trained network as the one function that every model file computes, and as ONNX."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import onnx
import torch
from onnx import helper
from torch import nn

from maskinfer.runtime.model_file import INPUT_NAME, METADATA_KEY, OUTPUT_NAMES, ModelMetadata
from maskinfer.train.calibration import LEAST_PROBABILITY
from maskinfer.train.networks.faster_rcnn import FasterRCNNDetector
from maskinfer.train.networks.lite import LiteDetector
from maskinfer.train.networks.network import Detections, Network

from .faster_rcnn import BatchedFasterRCNN
from .settings import GraphOptions
from .suppression import choose, choose_one_by_one

OPSET = 18


class ContractModule(nn.Module):
    """What every model file computes: uint8 canvases (N, S, S, 3) in, `Detections` out.

    It answers with the face asked for, and with a calibrated probability.
    """

    def __init__(self, network: Network, options: GraphOptions) -> None:
        """Wrap a network.

        Args:
            network: in evaluation mode, on the CPU.
            options: what is made of its outputs.
        """
        super().__init__()
        self.network: nn.Module = network
        if isinstance(network, FasterRCNNDetector):
            self.network = BatchedFasterRCNN(network, options.proposals)
        self.options = options
        self.eval()

    def forward(self, images: torch.Tensor) -> Detections:
        """Detect a face in each image."""
        network = self.network
        if self.options.face != "best":
            assert isinstance(network, BatchedFasterRCNN | LiteDetector)
            detections = choose(network.every_face(images), self.options, images.shape[1])
        elif isinstance(network, BatchedFasterRCNN):
            detections = network(images)
        else:
            assert isinstance(network, Network)
            detections = network.detect(images)
        return calibrated(detections, self.options.temperature)


def checkpoint_function(
    network: Network, options: GraphOptions
) -> Callable[[torch.Tensor], Detections]:
    """What `ContractModule` computes, by the network's own evaluation, whatever its shapes."""

    def detect(images: torch.Tensor) -> Detections:
        if options.face == "best":
            detections = network.detect(images)
        else:
            detections = choose_one_by_one(network.candidates(images), options, images.shape[1])
        return calibrated(detections, options.temperature)

    return detect


def calibrated(detections: Detections, temperature: float) -> Detections:
    """Divide the log-odds of a properly worn mask by a temperature."""
    if temperature == 1:
        return detections
    clipped = detections.proper_mask.clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    log_odds = torch.log(clipped) - torch.log(1 - clipped)
    return detections._replace(proper_mask=torch.sigmoid(log_odds / temperature))


def to_onnx(module: nn.Module, canvas: int) -> onnx.ModelProto:
    """Trace a module.

    Args:
        module: a `ContractModule`.
        canvas: S in pixels.

    Returns:
        a graph with a free batch dimension and its weights inside.
    """
    # Two canvases: an example batch of one would be taken for a constant (pytorch 157621).
    example = torch.zeros(2, canvas, canvas, 3, dtype=torch.uint8)
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
                dynamic_shapes={INPUT_NAME: {0: torch.export.Dim("N")}},
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
    _strip_notes(model)
    return model


def write_onnx(model: onnx.ModelProto, metadata: ModelMetadata, path: Path) -> None:
    """Write a model file with its metadata; the weights lie in the one file.

    Args:
        model: the graph; only its metadata and producer change.
        metadata: replaces what the graph holds.
        path: is overwritten.
    """
    del model.metadata_props[:]
    helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    model.producer_name = "maskinfer"
    model.producer_version = metadata.maskinfer_version
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _strip_notes(model: onnx.ModelProto) -> None:
    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.metadata_props[:]
