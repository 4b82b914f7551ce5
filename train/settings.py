"""The settings of a training run: one frozen dataclass, filled by a recipe and by options."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from maskinfer.data.geometry import Geometry
from maskinfer.errors import UsageError

Model = Literal["resnet", "fasterrcnn", "lite"]
Backbone = Literal["resnet18", "resnet34", "resnet50", "efficientnet_lite0"]
MaskLoss = Literal["bce", "ce"]
Head = Literal["pooled", "spatial"]
Optimizer = Literal["adam", "sgd"]
Schedule = Literal["constant", "cosine"]
Augmentation = Literal["flip", "crop", "zoom", "color"]
MixedPrecision = Literal["auto", "no", "fp16", "bf16"]


@dataclass(frozen=True)
class TrainSettings:
    """All that is needed to repeat a run.

    Attributes:
        model: which network.
        data: folders that each hold `train/` and `test/`; several are joined.
        recipe: the name of the recipe that filled the options not given.
        backbone: the network under the heads: a ResNet, or lite's EfficientNet-Lite0.
        weights: `auto` (ImageNet where it can be fetched, else none), `imagenet`, `coco`
            (torchvision's Faster R-CNN), `none`, or the path of a safetensors file.
        geometry: how photos become canvases.
        epochs: passes over the training images.
        batch_size: images a step, over all processes together.
        optimizer: `adam`, or `sgd` with `momentum`.
        learning_rate: at its highest.
        momentum: of SGD.
        schedule: `constant`, or `cosine`: a warm-up of 3 % of the steps, then down to 0.
        clip_norm: gradients are scaled down to this norm; None leaves them.
        loss: `bce` on one mask logit, or `ce` on two; `resnet` only.
        head: `pooled` heads see the mean of the feature map (report), `spatial` ones the map
            itself; `resnet` only.
        box_weight: the box loss counts this much against the mask loss; `resnet` only.
        box_samples: proposals an image that train the box head; `fasterrcnn` only.
        augment: changes made to training images at random.
        balance: draw both labels equally often.
        validation: share of the training images held out to choose the best epoch and to stop
            early; 0 trains on all and keeps the last epoch.
        patience: stop after this many epochs without a better validation score; None never does.
        mixed_precision: `auto` is BF16 or FP16 on CUDA and none elsewhere.
        seed: of every random choice.
        workers: processes that decode images; None chooses by the number of cores.
    """

    model: Model
    data: tuple[str, ...]
    recipe: str
    geometry: Geometry
    backbone: Backbone = "resnet50"
    weights: str = "auto"
    epochs: int = 30
    batch_size: int = 32
    optimizer: Optimizer = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    schedule: Schedule = "cosine"
    clip_norm: float | None = 2.0
    loss: MaskLoss = "bce"
    head: Head = "spatial"
    box_weight: float = 5.0
    box_samples: int = 32
    augment: tuple[Augmentation, ...] = ()
    balance: bool = True
    validation: float = 0.1
    patience: int | None = 10
    mixed_precision: MixedPrecision = "auto"
    seed: int = 0
    workers: int | None = None


def check(settings: TrainSettings) -> None:
    """Refuse settings that make no sense.

    Raises:
        UsageError: with the option, its value and the rule.
    """
    rules = [
        (settings.epochs >= 1, f"--epochs: got {settings.epochs}, expected at least 1"),
        (settings.batch_size >= 2, f"--batch-size: got {settings.batch_size}, expected at least 2"),
        (
            0 < settings.learning_rate < math.inf,
            f"--lr: got {settings.learning_rate}, expected above 0",
        ),
        (
            0 <= settings.momentum < 1,
            f"--momentum: got {settings.momentum}, expected 0 to 1, 1 excluded",
        ),
        (
            settings.clip_norm is None or 0 < settings.clip_norm < math.inf,
            f"clip_norm: got {settings.clip_norm}, expected above 0",
        ),
        (
            0 <= settings.box_weight < math.inf,
            f"box_weight: got {settings.box_weight}, expected 0 or more",
        ),
        (settings.box_samples >= 1, f"box_samples: got {settings.box_samples}, expected 1 or more"),
        (0 <= settings.seed < 2**31, f"--seed: got {settings.seed}, expected 0 to 2147483647"),
        (
            settings.patience is None or settings.patience >= 1,
            f"--patience: got {settings.patience}, expected at least 1",
        ),
        (
            settings.patience is None or settings.validation > 0,
            f"--patience {settings.patience}: stops by the validation part, and there is none; "
            "give --validation 0.1",
        ),
        (
            settings.geometry.canvas >= 64 and settings.geometry.canvas % 32 == 0,
            f"--canvas: got {settings.geometry.canvas}, expected a multiple of 32, at least 64",
        ),
        (
            0 <= settings.validation < 0.9,
            f"--validation: got {settings.validation}, expected 0 to 0.9",
        ),
        (
            settings.model == "resnet" or settings.loss == "bce",
            f"--loss {settings.loss}: only for --model resnet",
        ),
        (
            settings.weights in ("auto", "imagenet", "coco", "none")
            or Path(settings.weights).is_file(),
            f"--weights: got {settings.weights!r}, expected imagenet, coco, none or a .safetensors "
            "file",
        ),
        (
            settings.weights != "coco"
            or (settings.model, settings.backbone) == ("fasterrcnn", "resnet50"),
            f"--weights coco: only for --model fasterrcnn --backbone resnet50, got "
            f"{settings.model} {settings.backbone}",
        ),
        (
            (settings.model == "lite") == (settings.backbone == "efficientnet_lite0"),
            f"--backbone {settings.backbone}: not for --model {settings.model}; lite has "
            "efficientnet_lite0, the others a resnet18, 34 or 50",
        ),
        (
            set(settings.augment) <= set(get_args(Augmentation)),
            f"--augment: got {', '.join(settings.augment)}, "
            f"expected of {', '.join(get_args(Augmentation))}",
        ),
    ]
    for holds, complaint in rules:
        if not holds:
            raise UsageError(complaint)
