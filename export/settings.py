"""What an export is asked for."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from maskinfer.errors import UsageError

Format = Literal["onnx", "engine", "triton"]
Precision = Literal["fp32", "fp16", "int8"]
Target = Literal["cpu", "any-cpu", "tensorrt"]
FaceRule = Literal["best", "main", "left", "largest"]

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
        target: whose INT8 it is: that of CPUs like this machine's or of any (unsigned activations),
            or TensorRT's (signed); None takes TensorRT's for engines, else `cpu`.
        calibrate: folder of images that INT8's ranges are measured on; None takes the run's
            training images.
        batch: what an engine takes; its maximum is Triton's `max_batch_size` too. None takes the
            default range.
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
    target: Target | None = None
    calibrate: Path | None = None
    batch: BatchRange | None = None
    proposals: int | None = None
    face: FaceRule = "best"
    canvas: int | None = None

    @property
    def int8_target(self) -> Target:
        """The target, chosen by the format where none is named."""
        return self.target or ("tensorrt" if self.format == "engine" else "cpu")


@dataclass(frozen=True)
class GraphOptions:
    """What the exported graph makes of the network's outputs.

    Attributes:
        face: which of several faces it answers with.
        face_score: least score of the faces that are chosen from, unless `face` is `best`.
        lean: what a place one canvas further left is worth in score, where `face` is `main`.
        temperature: divides the log-odds of a properly worn mask.
        proposals: Faster R-CNN's, through its box head.
    """

    face: FaceRule = "best"
    face_score: float = FACE_SCORE
    lean: float = LEAN
    temperature: float = 1.0
    proposals: int = DEFAULT_PROPOSALS

    def describe(self, model: str) -> dict[str, Any]:
        """JSON-able values for a model file's metadata, that `recall` reads."""
        names = ["face", "temperature"]
        names += ["face_score"] if self.face != "best" else []
        names += ["lean"] if self.face == "main" else []
        names += ["proposals"] if model == "fasterrcnn" else []
        return {name: getattr(self, name) for name in names}

    @classmethod
    def recall(cls, described: dict[str, Any]) -> "GraphOptions":
        """The options of a model file; those that it does not name have their defaults."""
        return cls(**{f.name: described[f.name] for f in fields(cls) if f.name in described})


def check(settings: ExportSettings) -> None:
    """Refuse settings that contradict each other or make no sense.

    Raises:
        UsageError: with the option, its value and the rule.
    """
    batch = settings.batch or BatchRange()
    precision, target, canvas = settings.precision, settings.target, settings.canvas
    rules = {
        "--batch: an ONNX file takes any batch; only for --format engine, triton": (
            settings.batch is None or settings.format != "onnx"
        ),
        f"--batch: got {batch.minimum} {batch.optimum} {batch.maximum}, "
        "expected 1 <= MIN <= OPT <= MAX": 1 <= batch.minimum <= batch.optimum <= batch.maximum,
        f"--calibrate: only for --precision int8, got {precision}": (
            settings.calibrate is None or precision == "int8"
        ),
        f"--target {target}: only for --precision int8, other precisions are the same everywhere": (
            target in (None, "cpu") or precision == "int8"
        ),
        f"--target {target}: TensorRT cannot build a CPU's INT8; leave it out for engines": (
            (settings.format, precision) != ("engine", "int8") or target in (None, "tensorrt")
        ),
        f"--proposals: got {settings.proposals}, expected at least 1": (
            settings.proposals is None or settings.proposals >= 1
        ),
        f"--canvas: got {canvas}, expected a multiple of 32, at least 64": (
            canvas is None or (canvas >= 64 and canvas % 32 == 0)
        ),
    }
    for complaint, holds in rules.items():
        if not holds:
            raise UsageError(complaint)
