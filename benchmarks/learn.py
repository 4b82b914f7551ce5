"""How well `resnet` learns 1,000 drawn images on this machine, measured on images it never saw.

    python benchmarks/learn.py [--epochs 60] [--backbone resnet18] [--canvas 128]

Draws the data, trains, exports, and evaluates the exported file with `maskinfer evaluate`'s own
code. The last line of the output is JSON.
"""

import json
import tempfile
import time
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from maskinfer.evaluation.evaluating import evaluate_folder
from maskinfer.export.exporting import export
from maskinfer.export.settings import ExportSettings
from maskinfer.inference.detector import MaskDetector
from maskinfer.train import loop
from maskinfer.train.display import TerminalDisplay
from maskinfer.train.recipes import recipe_settings
from maskinfer.train.settings import Backbone, MixedPrecision
from maskinfer.train.synthetic.samples import SynthSettings, write_samples

TRAINING_IMAGES, UNSEEN_IMAGES = 1000, 300


def main(
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 60,
    backbone: Annotated[Backbone, typer.Option(help="The trunk.")] = "resnet18",
    canvas: Annotated[int, typer.Option(help="Side of the canvas in pixels.")] = 128,
    mixed_precision: Annotated[
        MixedPrecision, typer.Option(help="bf16 is twice as fast on CPUs with AVX512-BF16 or AMX.")
    ] = "auto",
    work: Annotated[Path | None, typer.Option(help="Where data and run are kept.")] = None,
) -> None:
    """Draw, train, export, evaluate."""
    folder = work or Path(tempfile.mkdtemp(prefix="maskinfer-learn-"))
    data = folder / "synthetic"
    for split, count, seed in (("train", TRAINING_IMAGES, 11), ("test", UNSEEN_IMAGES, 12)):
        if not (data / split).exists():
            write_samples(data / split, SynthSettings(count=count, seed=seed, size_px=224))
    settings = replace(
        recipe_settings("resnet", "default", (str(data),), canvas),
        backbone=backbone,
        weights="none",
        epochs=epochs,
        batch_size=16,  # 1,000 images are few: more steps
        augment=("crop", "color"),
        mixed_precision=mixed_precision,
        patience=None,
    )
    began = time.monotonic()
    run = loop.train(settings, folder / "runs", datetime.now(), TerminalDisplay(Console()))
    seconds = time.monotonic() - began
    file = export(run.path, ExportSettings(out=folder / "learned.onnx"), print).path
    metrics = evaluate_folder(MaskDetector(file, "cpu"), data / "test").metrics
    print(
        json.dumps(
            {
                "iou": metrics.mean_iou,
                "accuracy": metrics.accuracy,
                "balanced_accuracy": metrics.balanced_accuracy,
                "unseen_images": metrics.images,
                "training_minutes": round(seconds / 60, 1),
                "confusion": asdict(metrics.confusion),
            }
        )
    )


if __name__ == "__main__":
    typer.run(main)
