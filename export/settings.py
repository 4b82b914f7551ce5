"""What an export is told to do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maskinfer.errors import UsageError

Format = Literal["onnx", "engine", "triton"]
Precision = Literal["fp32", "fp16", "int8"]
Storage = Literal["fp32", "fp16"]
Target = Literal["cpu", "tensorrt"]

# More than these brought boxes no nearer to torchvision's, and cost time: docs/results.md.
DEFAULT_PROPOSALS = 128

THRESHOLD = 0.5  # least probability that counts as a properly worn mask
VERIFIED_ON = 48  # images, evenly spaced over the test images


@dataclass(frozen=True)
class BatchRange:
    """Batch sizes that a TensorRT engine takes, and the one it is tuned for."""

    minimum: int = 1
    optimum: int = 8
    maximum: int = 32


@dataclass(frozen=True)
class ExportSettings:
    """How a run becomes a model file.

    Attributes:
        out: the file, or for `triton` the model's folder; None puts it under `models/`, named
            after the run.
        data: the data set whose test images the file is verified on; None takes the run's own.
        format: `onnx`, a TensorRT `engine`, or a model repository for `triton`.
        precision: what the network computes with.
        storage: how FP32's weights are stored; computing is FP32 either way.
        target: whose INT8 it is: a CPU's (unsigned activations) or TensorRT's (signed).
        calibrate: folder of images that INT8's ranges are measured on; None takes the run's
            training images.
        batch: what an engine takes; its maximum is Triton's `max_batch_size` too.
        proposals: Faster R-CNN's proposals that go through its box head; None takes
            `DEFAULT_PROPOSALS`.
    """

    out: Path | None = None
    data: Path | None = None
    format: Format = "onnx"
    precision: Precision = "fp32"
    storage: Storage = "fp32"
    target: Target = "cpu"
    calibrate: Path | None = None
    batch: BatchRange = BatchRange()
    proposals: int | None = None


def check(settings: ExportSettings) -> None:
    """Refuse settings that cannot mean anything.

    Raises:
        UsageError: with the option, its value and the rule.
    """
    batch = settings.batch
    rules = [
        (
            1 <= batch.minimum <= batch.optimum <= batch.maximum,
            f"--batch: got {batch.minimum} {batch.optimum} {batch.maximum}, "
            "expected 1 <= MIN <= OPT <= MAX",
        ),
        (
            settings.storage == "fp32" or settings.precision == "fp32",
            f"--storage {settings.storage}: only for --precision fp32, got {settings.precision}",
        ),
        (
            settings.calibrate is None or settings.precision == "int8",
            f"--calibrate: only for --precision int8, got {settings.precision}",
        ),
        (
            settings.target == "cpu" or settings.precision == "int8",
            f"--target {settings.target}: only for --precision int8, other precisions are the same "
            "everywhere",
        ),
        (
            settings.precision != "int8" or (settings.format, settings.target) != ("engine", "cpu"),
            "--target cpu: TensorRT cannot build a CPU's INT8; leave it out for engines",
        ),
        (
            settings.proposals is None or settings.proposals >= 1,
            f"--proposals: got {settings.proposals}, expected at least 1",
        ),
    ]
    for holds, complaint in rules:
        if not holds:
            raise UsageError(complaint)
