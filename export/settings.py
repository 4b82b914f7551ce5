"""What an export is told to do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Storage = Literal["fp32", "fp16"]


@dataclass(frozen=True)
class ExportSettings:
    """How a run becomes a model file.

    Attributes:
        out: the file; None puts it under `models/`, named after the run.
        data: the data set whose test images the file is verified on; None takes the run's own.
        storage: how weights are stored; computing is FP32 either way.
        proposals: Faster R-CNN's proposals that go through its box head.
    """

    out: Path | None = None
    data: Path | None = None
    storage: Storage = "fp32"
    proposals: int = 128
