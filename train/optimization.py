"""What the weights are updated with: device and precision, optimizer, learning rate."""

import math

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import ProjectConfiguration
from torch.optim import SGD, Adam, Optimizer

from maskinfer.errors import UsageError
from maskinfer.train.networks.network import Network

from .settings import TrainSettings

_WARM_UP = 0.03  # share of the steps


def build_accelerator(settings: TrainSettings) -> Accelerator:
    """CUDA, else the CPU, in the precision of the settings; a `UsageError`: FP16 without CUDA."""
    precision: str = settings.mixed_precision
    if precision == "auto":
        precision = "no"
        if torch.cuda.is_available():
            computes_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
            precision = "bf16" if computes_bf16 else "fp16"
    if precision == "fp16" and not torch.cuda.is_available():
        raise UsageError("--mixed-precision fp16: there is no CUDA device; use bf16 or no")
    if torch.cuda.is_available():
        # TF32 for matrix products, as torch has it for convolutions by default.
        torch.set_float32_matmul_precision("high")
    AcceleratorState._reset_state()  # which an earlier run of this process made for its precision
    return Accelerator(
        cpu=not torch.cuda.is_available(),
        mixed_precision=precision,
        log_with=settings.log,
        project_config=ProjectConfiguration(logging_dir="."),  # until the run has a folder
    )


def build_optimizer(settings: TrainSettings, network: Network) -> Optimizer:
    """Adam, or SGD with momentum, over all of a network's weights; on CUDA one kernel a step."""
    weights, rate, fused = network.parameters(), settings.learning_rate, torch.cuda.is_available()
    if settings.optimizer == "sgd":
        return SGD(weights, lr=rate, momentum=settings.momentum, fused=fused)
    return Adam(weights, lr=rate, fused=fused)


def learning_rate(settings: TrainSettings, step: int, steps: int) -> float:
    """The learning rate of a step, counted from 0 over the whole run of `steps`."""
    peak = settings.learning_rate
    if settings.schedule == "constant":
        return peak
    warm_up = max(1, round(_WARM_UP * steps))
    if step < warm_up:
        return peak * (step + 1) / warm_up
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))
