"""Networks with random weights in our file contract: for speed, where answers do not matter."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from maskinfer.data.pixels import Pixels
from maskinfer.export.graph import ContractModule, to_onnx, write_onnx
from maskinfer.export.int8 import quantise
from maskinfer.export.settings import DEFAULT_FACES, PROPOSALS, GraphOptions
from maskinfer.runtime.cpu import has_int8_dot_products
from maskinfer.runtime.model_file import ModelMetadata, WorkingPoint
from maskinfer.train.networks.build import build
from maskinfer.train.networks.network import Network
from maskinfer.train.networks.resnet import ResNetDetector, SpatialHead
from maskinfer.train.recipes import recipe_settings
from maskinfer.train.settings import Model, TrainSettings
from maskinfer.version import __version__

CANVAS = 224
_BATCH = 16


def settings(model: Model) -> TrainSettings:
    """Those of a network on a ResNet-50: what `maskinfer train --network` takes by default."""
    return replace(recipe_settings(model, "default", (), CANVAS), backbone="resnet50")


def random_resnet50(canvases: Pixels) -> ResNetDetector:
    """Make the network.

    Args:
        canvases: (N, 224, 224, 3). Its batch normalisation is measured on them, or values would
            grow from block to block, beyond what INT8 can hold.
    """
    torch.manual_seed(0)
    network = build(settings("resnet"))
    assert isinstance(network, ResNetDetector)
    assert isinstance(network.head, SpatialHead)
    norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for layer in norms:
        layer.momentum = None  # the mean over all batches
    network.train()
    with torch.no_grad():
        for start in range(0, len(canvases), _BATCH):
            network.detect(torch.from_numpy(canvases[start : start + _BATCH]))
        # Answers that hardly move, so that INT8 is allowed for every layer.
        for layer in (network.head.box, network.head.mask):
            layer.weight *= 0.01
    return network.eval()


def random_faster_rcnn() -> Network:
    """Make the network."""
    torch.manual_seed(0)
    return build(settings("fasterrcnn")).eval()


def write_file(
    network: Network,
    precision: Literal["fp32", "int8"],
    canvases: Pixels,
    path: Path,
    proposals: int = PROPOSALS[0],
) -> None:
    """Write a network as a model file.

    Args:
        network: in evaluation mode.
        precision: what it computes with.
        canvases: (N, 224, 224, 3), on which INT8 is calibrated.
        path: of the file.
        proposals: of Faster R-CNN.
    """
    faces = DEFAULT_FACES if network.learns_all_faces else 1
    graph = to_onnx(ContractModule(network, GraphOptions(faces, proposals=proposals)), CANVAS)
    if precision == "int8":
        full_range = has_int8_dot_products() is True
        graph = quantise(graph, canvases, "cpu", full_range=full_range, say=print).model
    told = settings("fasterrcnn" if network.learns_all_faces else "resnet")
    normalisation = {"mean": network.mean.tolist(), "std": network.std.tolist()}
    metadata = ModelMetadata(
        told.model,
        told.backbone,
        told.geometry,
        WorkingPoint(),
        WorkingPoint(),
        normalisation,
        precision,
        __version__,
        faces=faces,
    )
    write_onnx(graph, metadata, path)
