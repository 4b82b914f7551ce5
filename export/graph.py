"""A trained network as the one function that every model file is, and as ONNX."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from maskinfer.runtime.model_file import INPUT_NAME, METADATA_KEY, OUTPUT_NAMES, ModelMetadata
from maskinfer.train.calibration import LEAST_PROBABILITY
from maskinfer.train.networks.faster_rcnn import FasterRCNNDetector
from maskinfer.train.networks.lite import LiteDetector
from maskinfer.train.networks.network import Detections, Network

from .faster_rcnn import BatchedFasterRCNN
from .fp16 import is_beyond_fp16
from .settings import Answer
from .suppression import choose, choose_one_by_one

OPSET = 18
# Smaller tensors stay FP32: they weigh little, and a variance may be too small for FP16.
_LEAST_FP16_DIMENSIONS = 2


class _Contract(nn.Module):
    """A network as the one function: the face asked for, with a calibrated probability."""

    def __init__(self, network: Network, answer: Answer) -> None:
        super().__init__()
        self.network: nn.Module = network
        if isinstance(network, FasterRCNNDetector):
            self.network = BatchedFasterRCNN(network, answer.proposals)
        self.answer = answer

    def forward(self, images: torch.Tensor) -> Detections:
        network = self.network
        if self.answer.face != "best":
            assert isinstance(network, BatchedFasterRCNN | LiteDetector)
            found = choose(network.every_face(images), self.answer, images.shape[1])
        elif isinstance(network, BatchedFasterRCNN):
            found = network(images)
        else:
            assert isinstance(network, Network)
            found = network.detect(images)
        return calibrated(found, self.answer.temperature)


def contract_module(network: Network, answer: Answer) -> nn.Module:
    """The module to trace: uint8 canvases (N, S, S, 3) in, `Detections` out.

    Args:
        network: in evaluation mode, on the CPU.
        answer: what is made of its outputs.
    """
    return _Contract(network, answer).eval()


def checkpoint_answer(network: Network, answer: Answer) -> Callable[[torch.Tensor], Detections]:
    """The same function by the network's own evaluation, whatever its shapes."""

    def detect(images: torch.Tensor) -> Detections:
        if answer.face == "best":
            found = network.detect(images)
        else:
            found = choose_one_by_one(network.candidates(images), answer, images.shape[1])
        return calibrated(found, answer.temperature)

    return detect


def calibrated(found: Detections, temperature: float) -> Detections:
    """Divide the log-odds of a properly worn mask by a temperature."""
    if temperature == 1:
        return found
    clipped = found.proper_mask.clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    log_odds = torch.log(clipped) - torch.log(1 - clipped)
    return found._replace(proper_mask=torch.sigmoid(log_odds / temperature))


def to_onnx(module: nn.Module, canvas: int) -> onnx.ModelProto:
    """Trace a contract module.

    Args:
        module: as `contract_module` made it.
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


def store_fp16(model: onnx.ModelProto) -> None:
    """Keep weights in half the bytes, in place; the arithmetic stays FP32.

    Each large FP32 constant becomes FP16 behind a cast, which ONNX Runtime folds when it loads the
    file, so speed and memory are those of FP32.
    """
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if (
            tensor.data_type != TensorProto.FLOAT
            or len(tensor.dims) < _LEAST_FP16_DIMENSIONS
            or is_beyond_fp16(tensor)
        ):
            continue
        name = tensor.name
        half = numpy_helper.from_array(
            numpy_helper.to_array(tensor).astype("float16"), f"{name}.fp16"
        )
        tensor.CopyFrom(half)
        casts.append(
            helper.make_node("Cast", [half.name], [name], name=f"{name}.cast", to=TensorProto.FLOAT)
        )
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])


def write_onnx(model: onnx.ModelProto, metadata: ModelMetadata, path: Path) -> None:
    """Write a model file with its metadata; the weights lie in the one file.

    Args:
        model: the graph; only what it says about itself is changed.
        metadata: what the file will say about itself.
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
