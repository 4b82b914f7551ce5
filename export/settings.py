"""What an export is told to do."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from maskinfer.errors import UsageError

Format = Literal["onnx", "engine", "triton"]
Precision = Literal["fp32", "fp16", "int8"]
Storage = Literal["fp32", "fp16"]
Target = Literal["cpu", "any-cpu", "tensorrt"]
Face = Literal["best", "main", "left", "largest"]

# More than these brought boxes no nearer to torchvision's, and cost time: docs/results.md.
DEFAULT_PROPOSALS = 128

# Least score of a face among which the main, left-most or largest is chosen: the one that served
# best on validation photos (docs/results.md).
FACE_SCORE = 0.4
# How much less a face may score than one that stands a canvas's width to its right and still be the
# main one: the largest that costs photos of one dominant face 0.001 in IoU (docs/results.md).
LEAN = 0.4
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
        target: whose INT8 it is: that of CPUs like this machine's or of any (unsigned activations),
            or TensorRT's (signed).
        calibrate: folder of images that INT8's ranges are measured on; None takes the run's
            training images.
        batch: what an engine takes; its maximum is Triton's `max_batch_size` too.
        proposals: Faster R-CNN's proposals that go through its box head; None takes
            `DEFAULT_PROPOSALS`.
        face: which of the faces that a network sees it answers with: the best-scored, or of those
            that score `FACE_SCORE` the left-most, the largest, or the `main` one: the best-scored,
            unless one further left scores nearly as well.
        canvas: side of the canvas in pixels; None takes the one trained on.
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
    face: Face = "best"
    canvas: int | None = None


@dataclass(frozen=True)
class Answer:
    """What the exported graph makes of the network's outputs.

    Attributes:
        face: which of several faces it answers with.
        face_score: least score of the faces that are chosen from, unless `face` is `best`.
        lean: what a place one canvas further left is worth in score, where `face` is `main`.
        temperature: divides the log-odds of a properly worn mask.
        proposals: Faster R-CNN's, through its box head.
    """

    face: Face = "best"
    face_score: float = FACE_SCORE
    lean: float = LEAN
    temperature: float = 1.0
    proposals: int = DEFAULT_PROPOSALS

    def describe(self, model: str) -> dict[str, Any]:
        """What of it a model's file has to say, for `recall`."""
        chosen = {"face_score": self.face_score} if self.face != "best" else {}
        counted = {"proposals": self.proposals} if model == "fasterrcnn" else {}
        if self.face == "main":
            chosen["lean"] = self.lean
        return {"face": self.face, **chosen, "temperature": self.temperature, **counted}

    @classmethod
    def recall(cls, described: dict[str, Any]) -> "Answer":
        """From what a file says; what it leaves out is the default."""
        return cls(**{f.name: described[f.name] for f in fields(cls) if f.name in described})


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
            settings.format != "engine"
            or settings.precision != "int8"
            or settings.target == "tensorrt",
            f"--target {settings.target}: TensorRT cannot build a CPU's INT8; leave it out for "
            "engines",
        ),
        (
            settings.proposals is None or settings.proposals >= 1,
            f"--proposals: got {settings.proposals}, expected at least 1",
        ),
        (
            settings.canvas is None or (settings.canvas >= 64 and settings.canvas % 32 == 0),
            f"--canvas: got {settings.canvas}, expected a multiple of 32, at least 64",
        ),
    ]
    for holds, complaint in rules:
        if not holds:
            raise UsageError(complaint)
