"""The settings of a training run: one frozen dataclass, filled by a recipe and by options."""

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from maskinfer.data.geometry import CANVAS_RULE, Geometry, is_canvas
from maskinfer.errors import UsageError

Model = Literal["resnet", "fasterrcnn", "lite"]
Backbone = Literal["resnet18", "resnet34", "resnet50", "mobilenet_v2", "efficientnet_lite0"]
MaskLoss = Literal["bce", "ce"]
Head = Literal["pooled", "spatial"]
Optimizer = Literal["adam", "sgd"]
Schedule = Literal["constant", "cosine"]
Augmentation = Literal["flip", "crop", "zoom", "color", "mosaic", "background"]
MixedPrecision = Literal["auto", "no", "fp16", "bf16"]
Tracker = Literal["tensorboard", "wandb", "mlflow"]


@dataclass(frozen=True)
class TrainSettings:
    """All that is needed to repeat a run."""

    model: Model
    # Folders that each hold `train/` and `test/`; several are joined, and of those one without
    # `test/` only teaches.
    data: tuple[str, ...]
    recipe: str  # the name of the recipe that filled the options not given
    geometry: Geometry  # how photos become canvases
    backbone: Backbone = "resnet50"  # under the heads; lite's is EfficientNet-Lite0
    # `auto` (ImageNet where it can be fetched, else none), `imagenet`, `coco` (torchvision's Faster
    # R-CNN), `none`, `shipped`, or the path of a run or of a safetensors file. A whole network is
    # measured before its first epoch, as epoch 0.
    weights: str = "auto"
    canvases: tuple[int, ...] = ()  # of training batches, one drawn for each; (): the geometry's
    epochs: int = 30  # passes over the training images
    batch_size: int = 32  # images a step, over all processes together
    accumulate: int = 1  # steps whose gradients are averaged into one update of the weights
    optimizer: Optimizer = "adam"  # or `sgd` with `momentum`
    learning_rate: float = 1e-3  # at its highest
    momentum: float = 0.9  # of SGD
    schedule: Schedule = "cosine"  # a warm-up of 3 % of the steps, then down to 0; or `constant`
    clip_norm: float | None = 2.0  # gradients are scaled down to this norm; None leaves them
    average: float = 0.0  # decay of a moving average of the weights, which is kept in their place
    loss: MaskLoss = "bce"  # on one mask logit, or `ce` on two; `resnet` only
    # `pooled` heads see the mean of the feature map (report), `spatial` ones the map itself;
    # `resnet` only.
    head: Head = "spatial"
    box_weight: float = 5.0  # the box loss counts this much against the mask loss; `resnet` only
    freeze_statistics: bool = False  # batch normalisation keeps those of the initial weights
    box_samples: int = 32  # proposals an image that train the box head; `fasterrcnn` only
    augment: tuple[Augmentation, ...] = ()  # changes made to training images at random
    balance: bool = True  # draw both labels equally often, and masks worn incorrectly oftener
    # Share of the training images held out to choose the best epoch and to stop early; 0 trains on
    # all and keeps the last epoch.
    validation: float = 0.1
    # Stop after this many epochs without a better validation score; None never does, nor does a run
    # without a validation part.
    patience: int | None = 10
    measure_test: bool = True  # after every epoch; a search measures the best of its runs alone
    mixed_precision: MixedPrecision = "auto"  # `auto`: BF16 or FP16 on CUDA, none elsewhere
    compile: bool = False  # by torch.compile, which needs a C++ compiler or Triton
    log: Tracker | None = None  # what is told of every epoch too, a package of that name
    seed: int = 0  # of every random choice
    workers: int | None = None  # processes that decode images; None: by the number of cores


def check(settings: TrainSettings) -> None:
    """Refuse settings that make no sense, by a `UsageError` with option, value and rule."""
    s, canvas = settings, settings.geometry.canvas
    weights = ("auto", "imagenet", "coco", "none", "shipped")
    changes = get_args(Augmentation)
    limits: list[tuple[str, object, bool, str]] = [
        ("--epochs", s.epochs, s.epochs >= 1, "at least 1"),
        ("--batch-size", s.batch_size, s.batch_size >= 2, "at least 2"),
        ("--accumulate", s.accumulate, s.accumulate >= 1, "at least 1"),
        ("--lr", s.learning_rate, 0 < s.learning_rate < math.inf, "above 0"),
        ("--momentum", s.momentum, 0 <= s.momentum < 1, "0 to 1, 1 excluded"),
        ("clip_norm", s.clip_norm, s.clip_norm is None or 0 < s.clip_norm < math.inf, "above 0"),
        ("average", s.average, 0 <= s.average < 1, "0 to 1, 1 excluded"),
        ("box_weight", s.box_weight, 0 <= s.box_weight < math.inf, "0 or more"),
        ("box_samples", s.box_samples, s.box_samples >= 1, "1 or more"),
        ("--seed", s.seed, 0 <= s.seed < 2**31, "0 to 2147483647"),
        ("--patience", s.patience, s.patience is None or s.patience >= 1, "at least 1"),
        ("--canvas", canvas, is_canvas(canvas), CANVAS_RULE),
        ("canvases", s.canvases, all(map(is_canvas, s.canvases)), f"of each: {CANVAS_RULE}"),
        ("--validation", s.validation, 0 <= s.validation < 0.9, "0 to 0.9"),
        (
            "--weights",
            repr(s.weights),
            s.weights in weights or Path(s.weights).exists(),
            "shipped, imagenet, coco, none, a run folder or a .safetensors file",
        ),
        ("--augment", ", ".join(s.augment), {*s.augment} <= {*changes}, f"of {', '.join(changes)}"),
    ]
    for option, value, holds, expected in limits:
        if not holds:
            raise UsageError(f"{option}: got {value}, expected {expected}")
    if s.model != "resnet" and s.loss != "bce":
        raise UsageError(f"--loss {s.loss}: only for --network resnet")
    if s.model == "resnet" and (one := {"mosaic", "background"}.intersection(s.augment)):
        raise UsageError(f"--augment {one.pop()}: not for resnet, which sees one face in any image")
    if s.log is not None and find_spec(s.log) is None:
        raise UsageError(f"--log {s.log}: it is not installed. Run: pip install {s.log}")
    if s.canvases and (s.model != "lite" or s.geometry.kind != "letterbox"):
        raise UsageError(f"canvases {s.canvases}: only for lite on a letterbox")
    if s.weights == "coco" and (s.model, s.backbone) != ("fasterrcnn", "resnet50"):
        raise UsageError(
            "--weights coco: only for --network fasterrcnn --backbone resnet50, got "
            f"{s.model} {s.backbone}"
        )
    if (s.model == "lite") != (s.backbone == "efficientnet_lite0"):
        raise UsageError(
            f"--backbone {s.backbone}: not for --network {s.model}; lite has "
            "efficientnet_lite0, the others a resnet18, 34 or 50, or mobilenet_v2"
        )
