"""From settings to a network with random weights."""

from maskinfer.train.settings import TrainSettings

from .faster_rcnn import FasterRCNNDetector
from .lite import LiteDetector
from .network import Network
from .resnet import MobileNetDetector, ResNetDetector


def build(settings: TrainSettings) -> Network:
    """The network that settings name, with random weights."""
    canvas = settings.geometry.canvas
    if settings.model == "resnet":
        heads = (canvas, settings.head, settings.loss, settings.box_weight)
        if settings.backbone == "mobilenet_v2":
            return MobileNetDetector(*heads)
        return ResNetDetector(settings.backbone, *heads)
    if settings.model == "lite":
        return LiteDetector(canvas)
    return FasterRCNNDetector(settings.backbone, canvas, settings.box_samples)
