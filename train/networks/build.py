"""From settings to a network with random weights."""

from maskinfer.train.settings import TrainSettings

from .faster_rcnn import FasterRCNNDetector
from .lite import LiteDetector
from .network import Network
from .resnet import MobileNetDetector, ResNetDetector


def build(settings: TrainSettings) -> Network:
    """The network that settings name, with random weights."""
    if settings.model == "lite":
        return LiteDetector(settings.geometry.canvas)
    if settings.model == "fasterrcnn":
        return FasterRCNNDetector(settings)
    is_mobilenet = settings.backbone == "mobilenet_v2"
    return MobileNetDetector(settings) if is_mobilenet else ResNetDetector(settings)
