"""Small networks trained for real: do they learn, and does every step after agree with them?"""

import shutil
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
import torch
from support.cli import RunCli
from support.predictions import read_predictions

from maskinfer import MaskDetector
from maskinfer.data.boxes import iou_xywh
from maskinfer.data.dataset import Dataset
from maskinfer.data.geometry import canvas_to_image
from maskinfer.data.labels import Label, Sample, format_name
from maskinfer.export import exporting as job
from maskinfer.export.exporting import export
from maskinfer.export.graph import checkpoint_function
from maskinfer.export.settings import ExportSettings, GraphOptions
from maskinfer.inference.choosing import choose
from maskinfer.train import loop
from maskinfer.train.display import Display
from maskinfer.train.recipes import recipe_settings
from maskinfer.train.runs.checkpoint import Checkpoint
from maskinfer.train.runs.folder import RunFolder
from maskinfer.train.settings import Model
from maskinfer.train.synthetic.person import CoverKind
from maskinfer.train.synthetic.samples import draw_scene, random_scene

pytestmark = pytest.mark.slow


def _draw(folder: Path, count: int, seed: int) -> None:
    """Images that can be read at 64 px: one large face, its mouth and nose both covered or bare."""
    folder.mkdir(parents=True)
    index = drawn = 0
    while drawn < count:
        scene = random_scene(seed, index, 96)
        kind = CoverKind.PROPER if drawn % 2 else CoverKind.NONE
        is_large = scene.face.box_xywh[3] >= 0.45 * max(scene.size_wh)
        if scene.neighbour is None and is_large and scene.person.cover.kind == kind:
            name = format_name(Label(f"{drawn:06d}", scene.face.box_xywh, scene.face.proper_mask))
            draw_scene(scene).save(folder / name, quality=90)
            drawn += 1
        index += 1


class Learned(NamedTuple):
    model: Model
    data: Path
    run: RunFolder
    file: Path


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set that all networks learn from, some of them from its first images only."""
    folder = tmp_path_factory.mktemp("drawings")
    _draw(folder / "train", 480, 21)
    _draw(folder / "test", 40, 22)
    return folder


def _few(folder: Path, count: int, out: Path) -> Path:
    out.mkdir(parents=True)
    for path in sorted(folder.iterdir())[:count]:
        shutil.copy(path, out)
    return out


# Every proposal there is at 64 px: what fewer would do is `tests/export`'s.
_PROPOSALS = {"resnet": None, "lite": None, "fasterrcnn": 400}


def _export(model: Model, run: RunFolder, out: Path, data: Path, **rest: Any) -> None:
    """Export, verified on some of the test images."""
    images = _few(data / "test", 8, out.with_suffix(""))
    settings = ExportSettings(out=out, data=images, proposals=_PROPOSALS[model], **rest)
    export(run.path, settings, print)


def _learn(
    folder: Path, drawings: Path, images: int, model: Model, weights: str, epochs: int, **rest: Any
) -> Learned:
    data = folder / "drawn"
    _few(drawings / "train", images, data / "train")
    shutil.copytree(drawings / "test", data / "test")
    default = recipe_settings(model, "default", (str(data),), 64)
    settings = replace(
        default,
        backbone=default.backbone if model == "lite" else "resnet18",
        weights=weights,
        epochs=epochs,
        augment=("crop", "color"),
        **rest,
    )
    run = loop.train(settings, folder / "runs", datetime(2026, 1, 2, 3, 4, 5), Display())
    file = folder / f"{model}.onnx"
    _export(model, run, file, data)
    return Learned(model, data, run, file)


@pytest.fixture(scope="module")
def resnet(drawings: Path, tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """About a minute of one core, from random weights."""
    folder = tmp_path_factory.mktemp("resnet")
    return _learn(folder, drawings, 480, "resnet", "none", 6, batch_size=16)


@pytest.fixture(scope="module")
def faster_rcnn(
    resnet: Learned, drawings: Path, tmp_path_factory: pytest.TempPathFactory
) -> Learned:
    """Two minutes of one core, from the trunk that `resnet` learned.

    In BF16, which is 1.4 times as fast on CPUs that have it.
    """
    weights = str(resnet.run.path / "best.safetensors")
    folder = tmp_path_factory.mktemp("fasterrcnn")
    rest = {"batch_size": 4, "learning_rate": 5e-4, "mixed_precision": "bf16"}
    return _learn(folder, drawings, 160, "fasterrcnn", weights, 5, measure_test=False, **rest)


@pytest.fixture(scope="module")
def lite(drawings: Path, tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """Half a minute of one core, from ImageNet weights."""
    folder = tmp_path_factory.mktemp("lite")
    return _learn(folder, drawings, 300, "lite", "imagenet", 4, batch_size=16)


@pytest.fixture(params=["resnet", "faster_rcnn", "lite"])
def learned(request: pytest.FixtureRequest) -> Learned:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Learned)
    return found


def _guess_iou(train: list[Sample], test: list[Sample]) -> float:
    """Mean IoU of the one box, always the same, that suits the training images best."""
    boxes = np.array([sample.box_xywh for sample in train], float)
    candidates = np.concatenate([boxes[::3], np.median(boxes, axis=0)[None]])
    best = max(candidates, key=lambda box: iou_xywh(box[None], boxes).mean())
    return float(iou_xywh(best[None], [sample.box_xywh for sample in test]).mean())


@cache
def _figures(file: Path, folder: Path) -> tuple[float, float]:
    """Mean IoU and accuracy, of the main face whatever its score."""
    samples = Dataset(folder).samples("test").samples
    found = MaskDetector(file, "cpu", min_score=0)([sample.path for sample in samples])
    iou = iou_xywh([f.box_xywh for f in found], [sample.box_xywh for sample in samples])
    right = [f.proper_mask == s.proper_mask for f, s in zip(found, samples, strict=True)]
    return float(iou.mean()), float(np.mean(right))


def test_networks_do_far_better_than_a_constant_guess(learned: Learned) -> None:
    train, test = (Dataset(learned.data).samples("test", s).samples for s in ("train", "test"))
    iou, right = _figures(learned.file, learned.data / "test")
    proper = np.mean([sample.proper_mask for sample in test])
    assert iou > _guess_iou(train, test) + 0.1
    assert right > max(proper, 1 - proper) + 0.15


def test_int8_keeps_what_was_learned(
    learned: Learned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "to_onnx", lambda module, canvas, **_: onnx.load(learned.file))
    out = tmp_path / "int8.onnx"
    calibrate = _few(learned.data / "train", 30, tmp_path / "calibrate")
    _export(learned.model, learned.run, out, learned.data, precision="int8", calibrate=calibrate)
    assert out.stat().st_size < 0.35 * learned.file.stat().st_size
    iou, accuracy = _figures(learned.file, learned.data / "test")
    int8_iou, int8_accuracy = _figures(out, learned.data / "test")
    assert int8_iou > iou - 0.03
    assert int8_accuracy > accuracy - 0.04


def test_csv_agrees_with_torch(learned: Learned, tmp_path: Path, run_cli: RunCli) -> None:
    """The whole chain against the checkpoint in torch: decode, place, detect, carry back."""
    out = tmp_path / "preds.csv"
    done = run_cli(
        *("predict", learned.data / "test", "--out", out, "--model", learned.file),
        *("--provider", "cpu", "--min-score", "0"),
    )
    assert done.code == 0, done.stderr
    rows = read_predictions(out)
    detector = MaskDetector(learned.file, "cpu", min_score=0)
    assert detector.session.metadata.faces == (1 if learned.model == "resnet" else 64)
    canvases, placements = zip(
        *(detector.make_canvas(learned.data / "test" / row.filename) for row in rows), strict=True
    )
    checkpoint = Checkpoint.load(learned.run.path)
    options = GraphOptions.recall(detector.session.metadata)
    with torch.no_grad():
        own = checkpoint_function(checkpoint.network, options)(torch.from_numpy(np.stack(canvases)))
    chosen = [
        int(choose(boxes, score, detector.choice, canvases[0].shape[0])[0])
        for boxes, score in zip(own.boxes_xywh.numpy(), own.score.numpy(), strict=True)
    ]
    each = range(len(rows))
    boxes = canvas_to_image(own.boxes_xywh.numpy()[each, chosen], placements)
    probabilities = own.proper_mask.numpy()[each, chosen]
    faces = [row.faces[0] for row in rows]
    same_label = (probabilities >= detector.choice.threshold) == [f.proper_mask for f in faces]
    assert same_label.mean() >= 0.97
    assert iou_xywh(boxes, [face.box_xywh for face in faces]).mean() >= 0.94

    losses = [row.train_loss for row in learned.run.read_history()]
    assert losses[-1] < 0.8 * losses[0]
