"""Run folders written by hand: what a training would leave, in no time."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from maskinfer.data.cleaning import Decision
from maskinfer.data.geometry import Geometry
from maskinfer.train.runs.files import EpochRow, RunConfig, RunFiles
from maskinfer.train.settings import TrainSettings

SETTINGS = TrainSettings(
    "resnet", ("data/faces",), "default", Geometry.letterbox(128), epochs=3, patience=None
)
DATA: dict[str, Any] = {
    "names": ["faces"],
    "counts": {
        "train": {"proper": 60, "improper": 40},
        "validation": {"proper": 6, "improper": 5},
        "test": {"proper": 20, "improper": 20},
    },
    "dropped_or_repaired": 0,
    "digest": "0123456789abcdef",
}


def row(epoch: int, validation: float | None = 0.7, **figures: float) -> EpochRow:
    """An epoch of 30 s that has this validation IoU, accuracy and balanced accuracy."""
    usual: dict[str, Any] = {
        "seconds": 30.0,
        "learning_rate": 0.001,
        "train_loss": 1.5,
        "train_accuracy": 0.85,
        "train_iou": 0.75,
        "validation_loss": None if validation is None else 1.6,
        "validation_accuracy": validation,
        "validation_balanced_accuracy": validation,
        "validation_iou": validation,
        "test_loss": 1.75,
        "test_accuracy": 0.8,
        "test_balanced_accuracy": 0.79,
        "test_iou": 0.7,
        "train_balanced_accuracy": 0.84,
    }
    return EpochRow(epoch, **usual | figures)


# The second epoch is the best, and nothing about them is worth a warning.
ROWS = (row(1, 0.6), row(2, 0.8), row(3, 0.7))


def write_run(
    path: Path,
    rows: Sequence[EpochRow] = ROWS,
    *,
    decisions: Sequence[Decision] = (),
    data: dict[str, Any] | None = None,
    weights: str = "imagenet",
    **settings: object,
) -> Path:
    """Write a run's folder; without rows it has no whole epoch yet."""
    path.mkdir(parents=True)
    config = RunConfig(
        replace(SETTINGS, **settings),  # type: ignore[arg-type]
        weights,
        {"mean": [110.0, 105.0, 100.0], "std": [60.0, 60.0, 60.0]},
        DATA | (data or {}),
        {"device": "cpu", "processes": 1, "mixed_precision": "no"},
        {"maskinfer": "0.1.0", "torch": "2.14.1"},
    )
    files = RunFiles(path)
    files.write_config(config)
    files.write_decisions(decisions)
    if rows:
        files.write_history(rows)
    return path
