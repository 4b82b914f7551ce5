"""From settings to a network with random weights."""

import torch

from maskinfer.train.settings import TrainSettings

from .faster_rcnn import FasterRCNNDetector
from .lite import LiteDetector
from .network import Network
from .resnet import MobileNetDetector, ResNetDetector


def build(settings: TrainSettings) -> Network:
    """The network that settings name, with random weights."""
    network: Network
    if settings.model == "lite":
        network = LiteDetector(settings.geometry.canvas)
    elif settings.model == "fasterrcnn":
        network = FasterRCNNDetector(settings)
    elif settings.backbone == "mobilenet_v2":
        network = MobileNetDetector(settings)
    else:
        network = ResNetDetector(settings)
    # A third faster for lite on CPUs, and what tensor cores want. But of lite's layers cuDNN then
    # compiles a kernel for each size of canvas, for 10 to 25 seconds a size (H100, cuDNN 9).
    if settings.model == "lite" and torch.cuda.is_available():
        return network
    return network.to(memory_format=torch.channels_last)
