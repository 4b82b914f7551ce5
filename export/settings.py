"""What an export is asked for."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from maskinfer.data.geometry import CANVAS_RULE, is_canvas
from maskinfer.errors import UsageError
from maskinfer.runtime.model_file import ModelMetadata

Format = Literal["onnx", "engine", "triton"]
# Of the layers; `fp16-weights` computes in FP32 and stores its weights in FP16.
Precision = Literal["fp32", "fp16-weights", "fp16", "int8"]
Target = Literal["cpu", "any-cpu", "tensorrt"]
Say = Callable[[str], None]  # takes a line about a step that takes long

# More than these brought boxes no nearer to torchvision's, and cost time: docs/experiments.md.
PROPOSALS = (128, 256, 512, 1000)  # tried in turn, until the file agrees

DEFAULT_FACES = 64  # the most faces in a photo
_MOST_FACES = 1000
VERIFIED_ON = 48  # images, evenly spaced over the test images


@dataclass(frozen=True)
class BatchRange:
    """Batch sizes that a TensorRT engine takes, and the one it is tuned for."""

    minimum: int = 1
    optimum: int = 8
    maximum: int = 32


@dataclass(frozen=True)
class ExportSettings:
    """How a run becomes a model file."""

    # The file, or for `triton` the model's folder; None: under `models/`, named after the run.
    out: Path | None = None
    data: Path | None = None  # on whose test images the file is verified; None: the run's own
    format: Format = "onnx"  # or a TensorRT `engine`, or a model repository for `triton`
    precision: Precision = "fp32"
    # Whose INT8 it is: that of CPUs like this machine's or of any (unsigned activations), or
    # TensorRT's (signed); None: TensorRT's for engines, else `cpu`.
    target: Target | None = None
    calibrate: Path | None = None  # images to measure INT8's ranges on; None: the training images
    # What an engine takes; its maximum is Triton's `max_batch_size` too. None: the default range.
    batch: BatchRange | None = None
    # Faster R-CNN's that go through its box head; None: the fewest of `PROPOSALS` with which the
    # file agrees with its checkpoint.
    proposals: int | None = None
    faces: int | None = None  # the most in a photo; None: `DEFAULT_FACES`, for `resnet` 1
    canvas: int | None = None  # its side in pixels, for `lite` the default one; None: as trained
    weights: Path | None = None  # where they go too, as one file to train from or export again
    overwrite: bool = False  # whether what is at `out` and `weights` is replaced

    @property
    def int8_target(self) -> Target:
        """The target, chosen by the format where none is named."""
        return self.target or ("tensorrt" if self.format == "engine" else "cpu")


@dataclass(frozen=True)
class GraphOptions:
    """What the exported graph makes of the network's outputs."""

    faces: int = DEFAULT_FACES  # K, the most in an image
    temperature: float = 1.0  # divides the log-odds of a properly worn mask
    proposals: int = PROPOSALS[0]  # Faster R-CNN's, through its box head

    def describe(self, model: str) -> dict[str, Any]:
        """JSON-able values for a model file's metadata, that `recall` reads."""
        names = ["temperature", *(["proposals"] if model == "fasterrcnn" else [])]
        return {name: getattr(self, name) for name in names}

    @classmethod
    def recall(cls, metadata: ModelMetadata) -> "GraphOptions":
        """The options of a model file."""
        names = [field.name for field in fields(cls) if field.name in metadata.export]
        return cls(metadata.faces, **{name: metadata.export[name] for name in names})


def check(settings: ExportSettings) -> None:
    """Refuse what makes no sense, by a `UsageError` with the option, its value and the rule."""
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
        f"--faces: got {settings.faces}, expected 1 to {_MOST_FACES}": (
            settings.faces is None or 1 <= settings.faces <= _MOST_FACES
        ),
        f"--canvas: got {canvas}, expected {CANVAS_RULE}": (canvas is None or is_canvas(canvas)),
    }
    for complaint, holds in rules.items():
        if not holds:
            raise UsageError(complaint)
