"""Whether fine-tuning on 300 photos of one's own ends better than it began.

    maskinfer import voc VOC --out left --face left
    python benchmarks/finetune.py single left --runs RUNS [--weights shipped]

Makes three small data sets of shared photos: crops of single faces; the same as a bad camera sees
them, grey, at a quarter of their size and strongly compressed; and whole photos, of which the
left-most face is wanted. Each has 300 photos to train on and all test photos, and is trained on
with `--recipe finetune`. Prints the figures on the test photos before and after; the last line of
the output is JSON.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from materials import report
from PIL import Image
from rich.table import Table

from maskinfer.data.dataset import Dataset
from maskinfer.evaluation.evaluating import evaluate_folder
from maskinfer.evaluation.metrics import Metrics
from maskinfer.export.exporting import export
from maskinfer.export.settings import ExportSettings
from maskinfer.inference.choosing import FaceRule
from maskinfer.inference.detector import MaskDetector
from maskinfer.train.display import Display
from maskinfer.train.loop import train
from maskinfer.train.recipes import recipe_settings
from maskinfer.train.runs.folder import RunFolder

_PHOTOS = 300
_JPEG_QUALITY = 25


def main(
    single: Annotated[Path, typer.Argument(help="Crops of single faces, with train/ and test/.")],
    whole: Annotated[Path, typer.Argument(help="Whole photos, with train/ and test/.")],
    runs: Annotated[Path, typer.Option(help="Where run folders go.")],
    weights: Annotated[str, typer.Option(help="Where training begins.")] = "shipped",
) -> None:
    """Train, measure and print."""
    table = Table("data", "", "IoU", "balanced accuracy", "calibration error", "best epoch")
    rows = []
    with TemporaryDirectory() as folder:
        before = export(
            Path(weights), ExportSettings(Path(folder, "before.onnx"), data=single), lambda _: None
        ).path
        for name, data, face in _data_sets(single, whole, Path(folder)):
            settings = replace(recipe_settings("lite", "finetune", (str(data),)), weights=weights)
            run = train(settings, runs, datetime.now(), Display())
            out = ExportSettings(Path(folder, f"{name}.onnx"))
            after = export(run.path, out, lambda _: None).path
            for when, model in (("before", before), ("after", after)):
                figures = _measure(model, data, face)
                table.add_row(
                    name,
                    when,
                    f"{figures.mean_iou:.3f}",
                    f"{figures.balanced_accuracy:.3f}",
                    f"{figures.calibration_error:.3f}",
                    str(_best_epoch(run)) if when == "after" else "",
                )
                rows.append({"data": name, "when": when, **figures.to_dict()})
    report(table, rows=rows)


def _measure(model: Path, data: Path, face: FaceRule) -> Metrics:
    detector = MaskDetector(model, "cpu", 8, face=face)
    return evaluate_folder(detector, Dataset(data).split("test")).metrics


def _best_epoch(run: RunFolder) -> int:
    history = run.read_history()
    return max(history, key=lambda row: row.score or 0.0).epoch


def _data_sets(single: Path, whole: Path, folder: Path) -> Iterator[tuple[str, Path, FaceRule]]:
    yield "crops", _some_of(single, folder / "crops"), "main"
    bad = _some_of(single, folder / "bad-camera")
    for path in bad.glob("*/*"):
        with Image.open(path) as opened:
            grey = opened.convert("L")
        small = grey.resize((max(1, grey.width // 4), max(1, grey.height // 4)))
        small.resize(grey.size).convert("RGB").save(path, "JPEG", quality=_JPEG_QUALITY)
    yield "bad camera", bad, "main"
    yield "whole photos, left-most face", _some_of(whole, folder / "whole"), "left"


def _some_of(data: Path, folder: Path) -> Path:
    """A copy with evenly spaced training images and all test images, without the other lists."""
    for split in ("train", "test"):
        paths = sorted((data / split).glob("*.jpg"))
        if split == "train":
            places = np.linspace(0, len(paths) - 1, min(_PHOTOS, len(paths))).round().astype(int)
            paths = [paths[place] for place in places.tolist()]
        (folder / split).mkdir(parents=True)
        for path in paths:
            shutil.copyfile(path, folder / split / path.name)
    for name in ("other_faces.csv", "face_notes.csv"):
        if (data / name).is_file():
            shutil.copyfile(data / name, folder / name)
    return folder


if __name__ == "__main__":
    typer.run(main)
