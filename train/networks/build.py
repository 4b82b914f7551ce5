"""From settings to a network with its initial weights."""

from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models import get_model_weights
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from maskinfer.errors import TrainingError, UsageError
from maskinfer.train.settings import TrainSettings

from .faster_rcnn import FasterRCNNDetector
from .lite import LiteDetector, imagenet_state
from .network import Network
from .resnet import ResNetDetector

_SUBJECTS = {"imagenet": "ImageNet", "coco": "COCO"}
# What stands before a trunk's own names in the files of any network.
_TRUNK_PREFIXES = ("resnet.", "detector.backbone.body.", "backbone.body.", "body.")


def build(settings: TrainSettings) -> Network:
    """The network that settings name, with random weights."""
    canvas = settings.geometry.canvas
    if settings.model == "resnet":
        return ResNetDetector(
            settings.backbone, canvas, settings.head, settings.loss, settings.box_weight
        )
    if settings.model == "lite":
        return LiteDetector(canvas)
    return FasterRCNNDetector(settings.backbone, canvas, settings.box_samples)


def load_initial_weights(
    network: Network, settings: TrainSettings, say: Callable[[str], None]
) -> str:
    """Start from what was learned elsewhere.

    Args:
        network: changed in place.
        settings: `weights` says where from.
        say: told, in one line, what was loaded or why not.

    Returns:
        `imagenet`, `coco`, `none`, or the file's name.

    Raises:
        TrainingError: weights were asked for and cannot be fetched.
        UsageError: a file that is not safetensors, or of which nothing fits.
    """
    if settings.weights == "none":
        return "none"
    if settings.weights not in ("auto", "imagenet", "coco"):
        _load_matching(network, _read(Path(settings.weights)), settings.weights, say)
        return Path(settings.weights).name
    origin = "coco" if settings.weights == "coco" else "imagenet"
    subject = f"{_SUBJECTS[origin]} weights"
    try:
        state = _fetch(origin, settings)
    except (URLError, OSError, RuntimeError) as error:
        why = f"{subject} of {settings.backbone} cannot be fetched ({error})"
        if settings.weights != "auto":
            raise TrainingError(f"{why}. Give --weights none or --weights FILE") from error
        say(f"{why}: starting from random weights, which needs more data and epochs")
        return "none"
    _load_matching(network, state, subject, say)
    return origin


def _fetch(origin: str, settings: TrainSettings) -> dict[str, Tensor]:
    """Torchvision's own weights, by their own names; those of lite's backbone are installed."""
    if settings.model == "lite":
        return imagenet_state()
    weights = (
        FasterRCNN_ResNet50_FPN_Weights.COCO_V1
        if origin == "coco"
        else get_model_weights(settings.backbone)["IMAGENET1K_V1"]
    )
    state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    return state


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UsageError(
            f"{path}: not a safetensors file ({error}). Pickled checkpoints are not read, since "
            "reading one can run any code; convert it with safetensors.torch.save_file"
        ) from error


def _load_matching(
    network: Network, state: dict[str, Tensor], subject: str, say: Callable[[str], None]
) -> None:
    """Copy every tensor whose name and shape fit, whole network first, then the trunk alone.

    torchvision's Faster R-CNN has our names without the `detector.` before them.
    """
    own = network.state_dict()
    trunk_prefix = f"{network.trunk_name}."
    fitting: dict[str, Tensor] = {}
    left_over: list[str] = []
    for name, tensor in state.items():
        if name in ("mean", "std"):
            continue  # a run normalises by its own training images
        stripped = next((name[len(p) :] for p in _TRUNK_PREFIXES if name.startswith(p)), name)
        for candidate in (name, f"detector.{name}", trunk_prefix + stripped):
            if candidate in own and own[candidate].shape == tensor.shape:
                fitting[candidate] = tensor
                break
        else:
            left_over.append(name)
    if not any(name.startswith(trunk_prefix) for name in fitting):
        raise UsageError(
            f"{subject}: none of its {len(state)} tensors fits this network's backbone; "
            "is --backbone the one it was trained with?"
        )
    with torch.no_grad():
        network.load_state_dict({**own, **fitting})
    layers = list(dict.fromkeys(name.rpartition(".")[0] or name for name in left_over))
    rest = f"; not used, for they do not fit: {', '.join(layers[:4])}" if layers else ""
    rest += f" and {len(layers) - 4} more" if len(layers) > 4 else ""
    say(f"{subject}: {len(fitting)} of the network's {len(own)} tensors{rest}")
