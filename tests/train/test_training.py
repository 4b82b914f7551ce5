import csv
import functools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import get_args

import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from safetensors.torch import load_file
from support.cli import RunCli
from torch.nn import Module
from torch.optim import SGD, Optimizer

from maskinfer.data.dataset import Dataset
from maskinfer.data.labels import Label, format_name
from maskinfer.errors import RunError, TrainingError, UsageError
from maskinfer.records import read_record
from maskinfer.train import loop
from maskinfer.train.data.batches import MeasuredBatches
from maskinfer.train.data.parts import read_samples
from maskinfer.train.display import Display
from maskinfer.train.measuring import measure_samples
from maskinfer.train.recipes import recipe_settings
from maskinfer.train.runs.checkpoint import Checkpoint
from maskinfer.train.runs.folder import RunFolder
from maskinfer.train.settings import Model, TrainSettings, check
from maskinfer.train.synthetic.samples import SynthSettings, write_samples

pytestmark = pytest.mark.slow

NOW = datetime(2026, 1, 2, 3, 4, 5)


def _settings(data: Path, model: Model = "resnet", **changes: object) -> TrainSettings:
    settings = recipe_settings(model, "default", (str(data),), 64)
    backbone = settings.backbone if model == "lite" else "resnet18"
    small = {"backbone": backbone, "weights": "none", "batch_size": 8, "epochs": 2, "workers": 0}
    return replace(settings, **{**small, **changes})  # type: ignore[arg-type]


class _Recorder(Display):
    """Keeps what was said, and interrupts at the beginning of a given epoch."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        self.lines: list[str] = []
        self.interrupt_at = interrupt_at
        self.epoch = 0

    def say(self, message: str) -> None:
        self.lines.append(message)

    def begin(self, what: str, steps: int) -> None:
        self.epoch += what == "train"
        if self.epoch == self.interrupt_at:
            raise KeyboardInterrupt


def _varied(data: Path, model: Model) -> TrainSettings:
    """All that a resumed run must remember, over the networks."""
    changes: dict[Model, dict[str, object]] = {
        "resnet": {"optimizer": "adam"},
        "fasterrcnn": {"optimizer": "sgd", "workers": 1},
        "lite": {"average": 0.9},
    }
    return _settings(data, model, augment=("crop", "color", "flip"), **changes[model])


@pytest.fixture(scope="module", params=get_args(Model))
def run(
    request: pytest.FixtureRequest, drawn: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """A run of each network, of two epochs."""
    settings = _varied(drawn, request.param)
    return loop.train(settings, tmp_path_factory.mktemp("run") / "runs", NOW, Display())


def test_run_folder_holds_what_the_design_says(drawn: Path, run: RunFolder) -> None:
    names = {path.name for path in run.path.iterdir()}
    assert names == {
        "config.json",
        "history.csv",
        "curves.png",
        "cleaning.csv",
        "parts.csv",
        "best.safetensors",
        "last",
    }
    config = run.read_config()
    model = config.settings.model
    assert run.path.name == f"{model}-20260102-030405"
    assert config.settings == _varied(drawn, model)
    assert config.data["counts"]["test"] == {
        "proper": sum("True" in path.name for path in (drawn / "test").iterdir()),
        "improper": sum("False" in path.name for path in (drawn / "test").iterdir()),
    }
    with (run.path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    for row in rows:
        for part in ("train", "validation", "test"):
            assert float(row[f"{part}_loss"]) > 0
            assert 0 <= float(row[f"{part}_iou"]) <= 1
            assert 0 <= float(row[f"{part}_accuracy"]) <= 1
            assert 0 <= float(row[f"{part}_balanced_accuracy"]) <= 1
        for part in ("validation", "test"):
            # One answer cannot overlap the labelled face more than the nearest.
            nearest = row[f"{part}_nearest_iou"]
            assert (nearest == "") == (model == "resnet")
            assert nearest == "" or float(nearest) >= float(row[f"{part}_iou"])
    with Image.open(run.path / "curves.png") as curves:
        assert curves.format == "PNG"
    best = load_file(run.path / "best.safetensors")
    torch.testing.assert_close(best["mean"].tolist(), config.normalisation["mean"])


def test_resumed_run_ends_as_an_uninterrupted_one(run: RunFolder, tmp_path: Path) -> None:
    settings = run.read_config().settings
    with pytest.raises(KeyboardInterrupt, match=r"after epoch 1\. Continue with: maskinfer train"):
        loop.train(settings, tmp_path / "cut", NOW, _Recorder(interrupt_at=2))
    cut = RunFolder.newest(tmp_path / "cut")
    assert len(cut.read_history()) == 1
    loop.resume(cut, None, Display())

    files = ["last/network.safetensors", "best.safetensors"]
    if settings.average:
        files.append("last/average.safetensors")
    for file in files:
        expected, got = (load_file(one.path / file) for one in (run, cut))
        assert all(torch.equal(expected[name], got[name]) for name in expected)
    figures = [[replace(row, seconds=0.0) for row in one.read_history()] for one in (run, cut)]
    assert figures[0] == figures[1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # tensorboard's own
def test_tensorboard_is_told_of_every_epoch_in_the_run_folder(drawn: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = loop.train(_settings(drawn, epochs=2, log="tensorboard"), tmp_path, NOW, Display())
    (file,) = run.path.glob("maskinfer/events.*")
    events = EventAccumulator(str(file))
    events.Reload()
    told = [(event.step, event.value) for event in events.Scalars("validation_iou")]
    expected = [(row.epoch, row.validation_iou) for row in run.read_history()]
    assert [step for step, _ in told] == [1, 2]
    assert [value for _, value in told] == pytest.approx([iou for _, iou in expected], rel=1e-4)


def test_a_tracker_that_is_not_installed_is_said(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskinfer.train.settings.find_spec", lambda name: None)
    with pytest.raises(
        UsageError, match=r"--log wandb: it is not installed\. Run: pip install wandb"
    ):
        loop.train(_settings(drawn, log="wandb"), tmp_path, NOW, Display())


def test_large_photos_are_decoded_once_and_removed_in_the_end(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskinfer.train.data.decoded._LARGE", 1)
    seen = []

    class Watching(Display):
        def step(self, loss: float) -> None:
            seen.extend(path.name for path in tmp_path.glob("*/decoded/*"))

    for workers in (0, 1):
        seen.clear()
        loop.train(_settings(drawn, epochs=1, workers=workers), tmp_path, NOW, Watching())
        assert "0" in seen
        assert not list(tmp_path.glob("*/decoded"))


def test_an_average_of_the_weights_is_measured_and_kept(drawn: Path, tmp_path: Path) -> None:
    settings = _settings(drawn, "lite", average=0.9, validation=0.0, epochs=1)
    run = loop.train(settings, tmp_path, NOW, Display())
    best, average, trained = (
        load_file(run.path / name)
        for name in ("best.safetensors", "last/average.safetensors", "last/network.safetensors")
    )
    assert all(torch.equal(best[name], average[name]) for name in best)
    assert not torch.equal(best["centre.weight"], trained["centre.weight"])


@pytest.mark.filterwarnings("ignore")  # torch's tracer warns of itself
def test_compiled_network_learns_the_same_and_leaves_the_same_run(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What torch.compile traces; without its C++, which takes minutes to build."""
    traced = functools.partial(torch.compile, backend="aot_eager")
    monkeypatch.setattr(torch, "compile", traced)
    torch._dynamo.reset()
    runs = [
        loop.train(
            _settings(drawn, epochs=1, learning_rate=1e-5, compile=compiled),
            tmp_path / str(compiled),
            NOW,
            Display(),
        )
        for compiled in (False, True)
    ]
    plain, compiled = (run.read_history()[0] for run in runs)
    assert compiled.train_loss == pytest.approx(plain.train_loss, rel=1e-3)
    assert compiled.validation_loss == pytest.approx(plain.validation_loss, rel=1e-2)
    names = [load_file(run.path / "last" / "network.safetensors").keys() for run in runs]
    assert names[0] == names[1]
    loop.resume(runs[1], 2, Display())
    assert len(runs[1].read_history()) == 2


@pytest.mark.filterwarnings("ignore")  # torch's tracer warns of itself
def test_a_network_that_cannot_be_compiled_is_said(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(graph: object, inputs: object) -> None:
        raise ValueError("no compiler")

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=refuse))
    torch._dynamo.reset()
    with pytest.raises(TrainingError, match=r"--compile: torch cannot .*no compiler"):
        loop.train(_settings(drawn, compile=True), tmp_path, NOW, Display())


def test_resume_loads_the_optimizer_after_it_is_placed(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else Adam's step counts are moved to a GPU, and reading each of them stops it."""
    run = loop.train(_settings(drawn, epochs=1), tmp_path, NOW, Display())
    prepare, placed = Accelerator.prepare, []

    def watched(self: Accelerator, network: Module, optimizer: Optimizer) -> object:
        placed.append(len(optimizer.state))
        return prepare(self, network, optimizer)

    monkeypatch.setattr(Accelerator, "prepare", watched)
    loop.resume(run, 2, Display())
    assert placed == [0]


def test_two_accumulated_steps_are_one_of_both_batches(drawn: Path, tmp_path: Path) -> None:
    weights = loop.train(_settings(drawn, epochs=1), tmp_path / "weights", NOW, Display())
    changes = {
        "weights": str(weights.path),
        "freeze_statistics": True,  # which would be those of a batch
        "validation": 0.0,
        "epochs": 1,
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "schedule": "constant",
    }
    trained = [
        loop.train(_settings(drawn, **changes, **batches), tmp_path / name, NOW, Display())
        for name, batches in {
            "whole": {"batch_size": 8},
            "halves": {"batch_size": 4, "accumulate": 2},
        }.items()
    ]
    whole, halves = (load_file(run.path / "best.safetensors") for run in trained)
    begun = load_file(weights.path / "best.safetensors")
    moved = 0.0
    for name, tensor in whole.items():
        torch.testing.assert_close(halves[name], tensor, rtol=1e-3, atol=1e-5)
        moved = max(moved, float((tensor - begun[name]).abs().max()))
    assert moved > 1e-3


def test_steps_are_accumulated_anew_in_each_epoch(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of seven steps an epoch and groups of four, the last has three."""
    happened: list[str] = []
    backward, step = Accelerator.backward, SGD.step

    def pass_back(self: Accelerator, loss: torch.Tensor) -> None:
        happened.append("backward")
        backward(self, loss)

    def update(self: SGD, *arguments: object) -> object:
        happened.append("step")
        return step(self, *arguments)

    monkeypatch.setattr(Accelerator, "backward", pass_back)
    monkeypatch.setattr(SGD, "step", update)
    settings = _settings(
        drawn, epochs=2, batch_size=4, accumulate=4, optimizer="sgd", validation=0.0
    )
    loop.train(settings, tmp_path, NOW, Display())
    words = " ".join(happened).split("step")
    groups = [len(group.split()) for group in words if group.split()]
    steps = len(happened) - happened.count("step")
    each = steps // 2
    assert each % 4
    assert groups == 2 * [*[4] * (each // 4), each % 4]


def test_resume_with_more_epochs_goes_on_and_without_says_it_is_done(
    drawn: Path, tmp_path: Path
) -> None:
    run = loop.train(_settings(drawn, epochs=1), tmp_path, NOW, Display())
    recorder = _Recorder()
    loop.resume(run, None, recorder)
    assert "all 1 epochs are done" in recorder.lines[-1]
    loop.resume(run, 2, Display())
    assert len(run.read_history()) == 2
    assert run.read_config().settings.epochs == 2


def test_resume_refuses_changed_data(tmp_path: Path, drawn: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(drawn, data)
    run = loop.train(_settings(data, epochs=1), tmp_path, NOW, Display())
    listed = data / "train" / "other_faces.csv"
    before = listed.read_text()
    image = min((data / "train").glob("*.jpg"))
    listed.write_text(before + f'"{image.name}",1,2,9,9,True\n')
    with pytest.raises(RunError, match="the data has changed"):
        loop.resume(run, 2, Display())
    listed.write_text(before)
    image.unlink()
    with pytest.raises(RunError, match="the data has changed"):
        loop.resume(run, 2, Display())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("config.json", "{", id="config"),
        pytest.param("config.json", '{"settings": {"model": "vgg"}}', id="model"),
        pytest.param("history.csv", "epoch\nx\n", id="history"),
        pytest.param("last/state.json", "[]", id="state"),
        pytest.param("last/network.safetensors", "short", id="network"),
    ],
)
def test_resume_of_a_damaged_run_is_refused(
    drawn: Path, tmp_path: Path, name: str, content: str
) -> None:
    run = loop.train(_settings(drawn, epochs=1), tmp_path, NOW, Display())
    (run.path / name).write_text(content)
    with pytest.raises(RunError, match="damaged"):
        loop.resume(run, 2, Display())


def test_impossible_boxes_are_dropped_in_training_repaired_in_testing_and_listed(
    tmp_path: Path,
) -> None:
    for split in ("train", "test"):
        folder = tmp_path / "data" / split
        folder.mkdir(parents=True)
        for index, box in enumerate([(5, 5, 20, 20)] * 8 + [(-3, 5, 20, 20), (50, 5, 20, 20)]):
            name = format_name(Label(f"{index}", box, index % 2 == 0), ".png")
            Image.effect_noise((64, 64), 50).convert("RGB").save(folder / name)
    settings = _settings(tmp_path / "data", epochs=1, validation=0.0, patience=None)
    run = loop.train(settings, tmp_path / "runs", NOW, Display())

    counts = run.read_config().data["counts"]
    assert sum(counts["train"].values()) == 8
    assert sum(counts["test"].values()) == 10
    with (run.path / "cleaning.csv").open(newline="") as file:
        actions = [row["action"] for row in csv.DictReader(file)]
    assert actions == ["dropped", "dropped", "repaired", "repaired"]


def test_images_that_cannot_be_used_are_listed_and_the_rest_trains(
    drawn: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(drawn, data)
    for split in ("train", "test"):
        truncated = min((data / split).glob("*.jpg"))
        truncated.write_bytes(truncated.read_bytes()[:-200])
        (data / split / "no label.jpg").write_bytes(b"")
        (data / split / "7__[1, 2, 3]__True.jpg").write_bytes(b"")
    run = loop.train(_settings(data, epochs=1, workers=1), tmp_path / "runs", NOW, Display())

    with (run.path / "cleaning.csv").open(newline="") as file:
        rows = [(row["filename"], row["action"], row["reason"]) for row in csv.DictReader(file)]
    assert len(rows) == 6
    for split in ("train", "test"):
        assert (f"{split}/no label.jpg", "dropped") in [row[:2] for row in rows]
        assert any(row[0].startswith(f"{split}/000000__") and "truncated" in row[2] for row in rows)


def test_run_on_names_that_are_no_text(drawn: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(drawn, data)
    odd = os.fsencode(data / "train") + b"/x\xff__[500, 5, 5, 5]__True.jpg"
    Path(os.fsdecode(odd)).write_bytes(min((data / "train").glob("*.jpg")).read_bytes())
    run = loop.train(_settings(data, epochs=1), tmp_path / "runs", NOW, Display())
    assert "x\\xff__" in (run.path / "cleaning.csv").read_text(encoding="utf-8")


def test_without_validation_the_last_epoch_is_kept(drawn: Path, tmp_path: Path) -> None:
    """Also where the recipe would stop early, by a part that there is not."""
    settings = _settings(drawn, validation=0.0, patience=1)
    run = loop.train(settings, tmp_path, NOW, Display())
    best, last = (
        load_file(run.path / name) for name in ("best.safetensors", "last/network.safetensors")
    )
    assert all(torch.equal(best[name], last[name]) for name in best)


def test_one_label_alone_is_said_before_training_begins(drawn: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / "data" / split).mkdir(parents=True)
        for image in (drawn / split).glob("*False.jpg"):
            shutil.copy(image, tmp_path / "data" / split)
    recorder = _Recorder(interrupt_at=1)
    with pytest.raises(KeyboardInterrupt):
        loop.train(_settings(tmp_path / "data"), tmp_path, NOW, recorder)
    assert recorder.lines[-1].startswith("Every training image is labelled False")


def test_patience_stops_early(drawn: Path, tmp_path: Path) -> None:
    recorder = _Recorder()
    settings = _settings(drawn, epochs=20, patience=1, learning_rate=1e-9)
    run = loop.train(settings, tmp_path, NOW, recorder)
    assert len(run.read_history()) < 20
    assert recorder.lines[-1].startswith("Stopped early")


def test_loss_that_is_not_a_number_names_the_images(drawn: Path, tmp_path: Path) -> None:
    settings = _settings(
        drawn, epochs=5, learning_rate=1e30, schedule="constant", clip_norm=None, optimizer="sgd"
    )
    with pytest.raises(TrainingError, match=r"the loss is not a number.*\.jpg"):
        loop.train(settings, tmp_path, NOW, Display())


@pytest.mark.parametrize("model", ["resnet", "fasterrcnn"])
def test_report_recipe_trains(tmp_path: Path, model: Model) -> None:
    data = tmp_path / "data"
    write_samples(data / "train", SynthSettings(count=8, seed=1, size_px=96))
    write_samples(data / "test", SynthSettings(count=4, seed=2, size_px=96))
    report = recipe_settings(model, "report", (str(data),))
    assert report.batch_size == 32
    assert report.optimizer == "adam"
    assert report.geometry.canvas == 224
    if model == "resnet":
        assert (report.learning_rate, report.geometry.resize) == (0.02, 256)
    else:
        assert (report.learning_rate, report.clip_norm) == (0.001, 2.0)
    small = recipe_settings(model, "report", (str(data),), 64)
    small = replace(small, backbone="resnet18", weights="none", epochs=1, workers=0)
    assert len(loop.train(small, tmp_path, NOW, Display()).read_history()) == 1


def test_unreachable_imagenet_weights_are_said_or_refused(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli: RunCli
) -> None:
    """Behind a proxy that nobody answers at, so on every machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    command = ["train", "--data", drawn, "--canvas", 64, "--backbone", "resnet18"]
    command += ["--epochs", 1, "--workers", 0]
    for extra, code in ([], 0), (["--weights", "imagenet"], 1):
        done = run_cli(*command, *extra)
        assert done.code == code, done.stderr
        assert "cannot be fetched" in done.stderr
        assert "Traceback" not in done.stderr


def test_two_processes_train_one_run(drawn: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    command += ["-m", "maskinfer", "train", "--data", str(drawn), "--canvas", "64"]
    command += ["--backbone", "resnet18", "--weights", "none", "--epochs", "2", "--workers", "0"]
    command += ["--batch-size", "8"]
    done = subprocess.run(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    runs = list((tmp_path / "runs").iterdir())
    assert len(runs) == 1
    run = RunFolder(runs[0])
    assert len(run.read_history()) == 2
    assert done.stderr.count("Done:") == 1

    # What the two measured together is what the weights that were kept measure in one process.
    _, config, network, _, row = Checkpoint.load(run.path)
    settings = config.settings
    samples, _ = read_samples(Dataset(drawn), "test", "test")
    batches = MeasuredBatches(samples, settings)
    figures = measure_samples(network, batches, Accelerator(cpu=True), lambda _: None)
    assert row.test_loss == pytest.approx(figures.loss, abs=1e-5)
    assert row.test_iou == pytest.approx(figures.metrics.mean_iou, abs=1e-5)

    with pytest.raises(RunError, match="was trained by 2 processes, got 1"):
        loop.resume(run, 3, Display())


def test_resume_refuses_other_options_by_their_names(
    drawn: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    done = run_cli("train", "--resume", tmp_path, "--model", "fasterrcnn", "--lr", 1, "--epochs", 2)
    assert done.code == 2
    assert "got --network, --lr, expected no other option than --epochs" in done.stderr


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        pytest.param({"epochs": 0}, "--epochs: got 0", id="epochs"),
        pytest.param({"batch_size": 1}, "--batch-size: got 1", id="batch"),
        pytest.param({"learning_rate": -1.0}, "--lr: got -1.0", id="lr"),
        pytest.param({"learning_rate": float("inf")}, "--lr: got inf", id="lr-infinite"),
        pytest.param({"momentum": -3.0}, "--momentum: got -3.0", id="momentum"),
        pytest.param({"seed": -1}, "--seed: got -1", id="seed"),
        pytest.param({"seed": 10**20}, "--seed: got 1000", id="seed-large"),
        pytest.param({"patience": 0}, "--patience: got 0", id="patience"),
        pytest.param({"augment": ("mosaic",)}, "not for resnet", id="mosaic"),
        pytest.param({"canvases": (64, 96)}, "only for lite", id="canvases"),
        pytest.param({"model": "lite", "canvases": (65,)}, "canvases: got", id="canvas-of-several"),
        pytest.param({"validation": 0.95}, "--validation: got 0.95", id="validation"),
        pytest.param({"model": "fasterrcnn", "loss": "ce"}, "only for --network resnet", id="loss"),
        pytest.param({"weights": "nowhere.pt"}, "--weights: got 'nowhere.pt'", id="weights"),
        pytest.param({"weights": "coco"}, "--weights coco: only for --network faster", id="coco"),
        pytest.param(
            {"model": "lite", "backbone": "resnet18"}, "not for --network lite", id="backbone"
        ),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    tmp_path: Path, changes: dict[str, object], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        check(_settings(tmp_path, **changes))


def test_settings_survive_json(drawn: Path) -> None:
    settings = _settings(drawn, augment=("flip",))
    assert read_record(TrainSettings, json.loads(json.dumps(asdict(settings)))) == settings


def test_one_process_trains_in_one_precision_after_the_other(drawn: Path, tmp_path: Path) -> None:
    for precision in ("bf16", "no"):
        run = loop.train(
            _settings(drawn, epochs=1, mixed_precision=precision), tmp_path, NOW, Display()
        )
        assert run.read_config().machine["mixed_precision"] == precision


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("model", get_args(Model))
def test_training_on_cuda_is_resumed(
    drawn: Path, tmp_path: Path, model: Model, precision: str
) -> None:
    settings = _settings(drawn, model, mixed_precision=precision, workers=1)
    with pytest.raises(KeyboardInterrupt):
        loop.train(settings, tmp_path, NOW, _Recorder(interrupt_at=2))
    run = RunFolder.newest(tmp_path)
    loop.resume(run, None, Display())
    assert [row.epoch for row in run.read_history()] == [1, 2]
    assert run.read_config().machine["device"] == "cuda"
