"""Small networks trained for real: do they learn, and does every step after agree with them?"""

import csv
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from maskinfer import MaskDetector
from maskinfer.boxes import iou_xywh
from maskinfer.dataset import Sample, read_folder
from maskinfer.export.job import export
from maskinfer.export.settings import ExportSettings
from maskinfer.geometry import canvas_to_image
from maskinfer.results import read_predictions
from maskinfer.train import loop
from maskinfer.train.display import Silent
from maskinfer.train.networks import build
from maskinfer.train.run_folder import RunFolder
from maskinfer.train.settings import Model, recipe_settings
from maskinfer.train.synthetic import SynthSettings, write_samples

pytestmark = pytest.mark.slow


class Learned(NamedTuple):
    run: RunFolder
    file: Path


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    write_samples(folder / "train", SynthSettings(count=600, seed=21, size_px=128))
    write_samples(folder / "test", SynthSettings(count=120, seed=22, size_px=128))
    return folder


def _learn(model: Model, data: Path, folder: Path) -> Learned:
    settings = replace(
        recipe_settings(model, "default", (str(data),), 96),
        backbone="resnet18",
        weights="none",
        epochs={"resnet": 14, "fasterrcnn": 8}[model],
        augment=("crop", "color"),
        batch_size=16,
    )
    run = loop.train(settings, folder / "runs", datetime(2026, 1, 2, 3, 4, 5), Silent())
    return Learned(run, export(run, ExportSettings(out=folder / f"{model}.onnx")).path)


@pytest.fixture(scope="module", params=["resnet", "fasterrcnn"])
def learned(
    request: pytest.FixtureRequest, drawn: Path, tmp_path_factory: pytest.TempPathFactory
) -> Learned:
    return _learn(request.param, drawn, tmp_path_factory.mktemp(request.param))


def _guess_iou(train: list[Sample], test: list[Sample]) -> float:
    """Mean IoU of the one box, always the same, that suits the training images best."""
    boxes = np.array([sample.box_xywh for sample in train], float)
    candidates = np.concatenate([boxes[::3], np.median(boxes, axis=0)[None]])
    best = max(candidates, key=lambda box: iou_xywh(box[None], boxes).mean())
    return float(iou_xywh(best[None], [sample.box_xywh for sample in test]).mean())


def test_networks_do_far_better_than_a_constant_guess(drawn: Path, learned: Learned):
    train, test = (read_folder(drawn / split).samples for split in ("train", "test"))
    found = MaskDetector(learned.file, "cpu")([sample.path for sample in test])
    iou = iou_xywh([f.box_xywh for f in found], [sample.box_xywh for sample in test]).mean()
    right = np.mean([f.proper_mask == s.proper_mask for f, s in zip(found, test, strict=True)])
    majority = max(
        np.mean([s.proper_mask for s in test]), np.mean([not s.proper_mask for s in test])
    )
    print(learned.run.read_config().settings.model, iou, right, _guess_iou(train, test), majority)
    assert iou > _guess_iou(train, test) + 0.25
    assert right > majority + 0.1


def test_csv_agrees_with_torch(drawn: Path, learned: Learned, tmp_path: Path, run_cli):
    """The whole chain against the checkpoint in torch: decode, place, detect, carry back."""
    out = tmp_path / "preds.csv"
    done = run_cli(
        "predict", drawn / "test", "--out", out, "--model", learned.file, "--provider", "cpu"
    )
    assert done.code == 0, done.stderr
    rows = read_predictions(out)
    detector = MaskDetector(learned.file, "cpu")
    canvases, placements = zip(
        *(detector.make_canvas(drawn / "test" / row.filename) for row in rows), strict=True
    )
    network = build(learned.run.read_config().settings).eval()
    learned.run.read_best(network)
    with torch.no_grad():
        own = network.detect(torch.from_numpy(np.stack(canvases)))
    boxes = canvas_to_image(own.boxes_xywh.numpy(), placements)
    same_label = (own.proper_mask.numpy() >= 0.5) == [row.proper_mask for row in rows]
    assert same_label.mean() >= 0.97
    assert iou_xywh(boxes, [row.box_xywh for row in rows]).mean() >= 0.94

    with (learned.run.path / "history.csv").open(newline="") as file:
        losses = [float(row["train_loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < 0.8 * losses[0]
