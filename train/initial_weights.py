"""What a network starts from: weights learned elsewhere, or those of an earlier run."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from torch import Tensor
from torchvision.models import get_model_weights
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from maskinfer.errors import TrainingError, UsageError

from .calibration import Calibration
from .networks.lite import imagenet_state
from .networks.network import Network
from .runs.files import WEIGHTS, weights_path
from .runs.folder import load_tensors, read_calibration
from .settings import TrainSettings

_EPSILON = 1e-5  # of our batch normalisation, torch's default
_NORMALISATION = ("mean", "std")
_SUBJECTS = {"imagenet": "ImageNet", "coco": "COCO"}
# What stands before a trunk's own names in the files of any network.
_TRUNK_PREFIXES = ("resnet.", "detector.backbone.body.", "backbone.body.", "body.", "features.")


class InitialWeights(NamedTuple):
    """What a network starts from."""

    origin: str  # `imagenet`, `coco`, `none`, `shipped`, or the name of a file or run
    whole: bool = False  # every tensor of the network was set, so it is one already
    calibration: Calibration = Calibration()  # of such a network


def load_initial_weights(
    network: Network, settings: TrainSettings, say: Callable[[str], None]
) -> InitialWeights:
    """Start a network from what was learned elsewhere, where `settings.weights` says.

    `say` is told, in one line, what was loaded or why not. A `TrainingError` where weights were
    asked for and cannot be fetched, a `UsageError` of a file that is missing, is not safetensors,
    or of which too little fits, a `RunError` where its calibration is damaged.
    """
    if settings.weights == "none":
        return InitialWeights("none")
    if settings.weights not in ("auto", "imagenet", "coco"):
        path = weights_path(settings.weights)
        state, header = _read(path)
        whole = _load_matching(network, state, settings.weights, say)
        name = path.parent.name if path.name == WEIGHTS else path.name
        calibration = read_calibration(header, path) if whole else Calibration()
        return InitialWeights(name, whole, calibration)
    origin = "coco" if settings.weights == "coco" else "imagenet"
    subject = f"{_SUBJECTS[origin]} weights"
    try:
        state = _fetch(origin, settings)
    except (URLError, OSError, RuntimeError) as error:
        why = f"{subject} of {settings.backbone} cannot be fetched ({error})"
        if settings.weights != "auto":
            raise TrainingError(f"{why}. Give --weights none or --weights FILE") from error
        say(f"{why}: starting from random weights, which needs more data and epochs")
        return InitialWeights("none")
    _load_matching(network, state, subject, say)
    return InitialWeights(origin)


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
    if origin == "coco":
        for name in [name for name in state if name.endswith(".running_var")]:
            # torchvision computes these with an epsilon of 0; by their scale they fit any.
            scale, variance = name.replace("running_var", "weight"), state[name].clamp(min=1e-12)
            state[scale] = state[scale] * ((variance + _EPSILON) / variance).sqrt()
    return state


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        return load_tensors(path)
    except FileNotFoundError as error:
        raise UsageError(
            f"--weights: {path} is missing; a run has it after its first epoch"
        ) from error
    except (SafetensorError, OSError) as error:
        raise UsageError(
            f"{path}: not a safetensors file ({error}). Pickled checkpoints are not read, since "
            "reading one can run any code; convert it with safetensors.torch.save_file"
        ) from error


def _load_matching(
    network: Network, state: dict[str, Tensor], subject: str, say: Callable[[str], None]
) -> bool:
    """Copy every tensor whose name and shape fit, whole network first, then the trunk alone.

    torchvision's Faster R-CNN has our names without the `detector.` before them. Returns whether
    the whole network is set; then its normalisation is too.
    """
    own = network.state_dict()
    trunk_prefix = f"{network.trunk_name}."
    fitting: dict[str, Tensor] = {}
    left_over: list[str] = []
    for name, tensor in state.items():
        if name in _NORMALISATION:
            continue
        stripped = next((name[len(p) :] for p in _TRUNK_PREFIXES if name.startswith(p)), name)
        for candidate in (name, f"detector.{name}", trunk_prefix + stripped):
            if candidate in own and own[candidate].shape == tensor.shape:
                fitting[candidate] = tensor
                break
        else:
            left_over.append(name)
    trunk = [name for name in own if name.startswith(trunk_prefix)]
    if 2 * (fits := len(fitting.keys() & trunk)) < len(trunk):
        raise UsageError(
            f"{subject}: fits {fits} of the {len(trunk)} tensors of this network's backbone; "
            "is --backbone the one it was trained with?"
        )
    whole = own.keys() - fitting.keys() == set(_NORMALISATION) <= state.keys()
    if whole:  # else a run normalises by its own training images
        fitting |= {name: state[name] for name in _NORMALISATION}
    with torch.no_grad():
        network.load_state_dict({**own, **fitting})
    layers = list(dict.fromkeys(name.rpartition(".")[0] or name for name in left_over))
    rest = f"; not used, for they do not fit: {', '.join(layers[:4])}" if layers else ""
    rest += f" and {len(layers) - 4} more" if len(layers) > 4 else ""
    say(f"{subject}: {len(fitting)} of the network's {len(own)} tensors{rest}")
    return whole
