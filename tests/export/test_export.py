"""Exporting small networks that were trained a little on drawn images."""

import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

from maskinfer import MaskDetector
from maskinfer.dataset import read_folder
from maskinfer.errors import DatasetError, ExportError, RunError, UsageError
from maskinfer.export import graph, job
from maskinfer.export.settings import ExportSettings
from maskinfer.runtime import Session
from maskinfer.train import loop
from maskinfer.train.display import Silent
from maskinfer.train.networks import build
from maskinfer.train.run_folder import RunFolder
from maskinfer.train.settings import Model, recipe_settings

# Operators whose output's shape hangs on the data, or that TensorRT cannot build.
_FORBIDDEN = {"If", "Loop", "Scan", "NonZero", "NonMaxSuppression", "RoiAlign", "Unique"}


def _train(model: Model, data: Path, runs: Path) -> RunFolder:
    settings = replace(
        recipe_settings(model, "default", (str(data),), 64),
        backbone="resnet18",
        weights="none",
        batch_size=8,
        epochs=1,
        workers=0,
    )
    return loop.train(settings, runs, datetime(2026, 1, 2, 3, 4, 5), Silent())


@pytest.fixture(scope="module")
def runs(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    folder = tmp_path_factory.mktemp("runs")
    return {model: _train(model, drawn, folder) for model in ("resnet", "fasterrcnn")}  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def files(runs: dict[str, RunFolder], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each run exported, at 64 px with every proposal there is."""
    folder = tmp_path_factory.mktemp("models")
    settings = ExportSettings(proposals=400)
    return {
        model: job.export(run, replace(settings, out=folder / f"{model}.onnx")).path
        for model, run in runs.items()
    }


def _canvases(drawn: Path, file: Path) -> np.ndarray:
    detector = MaskDetector(file, "cpu")
    samples = read_folder(drawn / "test").samples
    return np.stack([detector.make_canvas(sample.path)[0] for sample in samples])


@pytest.mark.parametrize("model", ["resnet", "fasterrcnn"])
def test_file_predicts_what_the_checkpoint_predicts_at_any_batch_size(
    drawn: Path, runs: dict[str, RunFolder], files: dict[str, Path], model: str
):
    canvases = _canvases(drawn, files[model])
    network = build(runs[model].read_config().settings).eval()
    runs[model].read_best(network)
    with torch.no_grad():
        boxes, proper, score = (t.numpy() for t in network.detect(torch.from_numpy(canvases)))
    for size in (1, 2, 7, 11):
        session = Session(files[model], "cpu", size)
        for start in range(0, len(canvases), size):
            part = slice(start, start + size)
            found = session.run(canvases[part])
            np.testing.assert_allclose(found.boxes_xywh, boxes[part], atol=0.02)
            np.testing.assert_allclose(found.proper_mask, proper[part], atol=1e-3)
            np.testing.assert_allclose(found.score, score[part], atol=1e-3)


@pytest.mark.parametrize("model", ["resnet", "fasterrcnn"])
def test_file_keeps_the_contract(drawn: Path, files: dict[str, Path], model: str):
    proto = onnx.load(files[model], load_external_data=False)
    assert {node.op_type for node in proto.graph.node}.isdisjoint(_FORBIDDEN)
    assert all(not tensor.external_data for tensor in proto.graph.initializer)
    assert [entry.version for entry in proto.opset_import if not entry.domain] == [graph.OPSET]
    shape = proto.graph.input[0].type.tensor_type.shape.dim
    assert shape[0].dim_param
    assert [dim.dim_value for dim in shape[1:]] == [64, 64, 3]

    metadata = Session(files[model], "cpu").metadata
    assert (metadata.network, metadata.backbone) == (model, "resnet18")
    assert metadata.precision == "fp32"
    assert metadata.geometry.canvas == 64
    assert 0 <= metadata.metrics["test_iou"] <= 1
    assert metadata.training["data"]["counts"]["test"]
    # Where the data lay and the source of the code are nobody's business.
    assert str(drawn).encode() not in files[model].read_bytes()
    assert not any(node.metadata_props or node.doc_string for node in proto.graph.node)


def test_file_stored_in_fp16_is_half_the_size_and_agrees(
    runs: dict[str, RunFolder], files: dict[str, Path], tmp_path: Path
):
    half = tmp_path / "half.onnx"
    job.export(runs["resnet"], ExportSettings(out=half, storage="fp16"))
    assert half.stat().st_size < 0.55 * files["resnet"].stat().st_size
    assert Session(half, "cpu").metadata.precision == "fp32, weights stored as fp16"


@pytest.mark.parametrize("model", ["resnet", "fasterrcnn"])
def test_broken_export_is_caught_and_the_old_file_stays(
    runs: dict[str, RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
):
    """A weight that changes between tracing and writing, as a faulty pass over the graph would."""
    write = graph.write_onnx

    def write_broken(proto: onnx.ModelProto, *rest: object) -> None:
        tensor = max(proto.graph.initializer, key=lambda t: len(t.raw_data))
        values = onnx.numpy_helper.to_array(tensor) * 1.5
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        write(proto, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(job, "write_onnx", write_broken)
    out = tmp_path / "model.onnx"
    out.write_bytes(b"older")
    with pytest.raises(ExportError, match="not written, the file disagrees"):
        job.export(runs[model], ExportSettings(out=out, proposals=400))
    assert out.read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_chain_of_the_four_commands(drawn: Path, tmp_path: Path, run_process):
    """train, export, predict and evaluate, each with what the one before left."""
    train = ["train", "--data", drawn, "--canvas", 64, "--backbone", "resnet18", "--epochs", 1]
    train += ["--weights", "none", "--batch-size", 8]
    for command in (train, ["export"], ["predict", drawn, "--out", "preds.csv"]):
        done = run_process(*command, cwd=tmp_path)
        assert done.code == 0, done.stderr
        assert "Traceback" not in done.stderr
    assert (tmp_path / "preds.csv").read_text().count("\n") == 1 + 24 + 11

    done = run_process("evaluate", drawn, "--json", "figures.json", cwd=tmp_path)
    assert done.code == 0, done.stderr
    run = RunFolder.newest(tmp_path / "runs")
    assert f"models/{run.path.name}.onnx" in done.stderr


def test_evaluate_measures_what_training_measured(
    drawn: Path, runs: dict[str, RunFolder], files: dict[str, Path], run_cli
):
    import json

    for model, file in files.items():
        done = run_cli("evaluate", drawn, "--model", file, "--provider", "cpu", "--json", "-")
        assert done.code == 0, done.stderr
        found = json.loads(done.stdout)["metrics"]
        stated = Session(file, "cpu").metadata.metrics
        assert found["accuracy"] == pytest.approx(stated["test_accuracy"], abs=1e-5), model
        # The CSV's boxes are whole pixels, training's are not.
        assert found["mean_iou"] == pytest.approx(stated["test_iou"], abs=0.03), model


def test_newest_run_is_exported_where_none_is_named(
    runs: dict[str, RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(runs["resnet"].path, tmp_path / "runs" / "older")
    shutil.copytree(runs["resnet"].path, tmp_path / "runs" / "newer")
    (tmp_path / "runs" / "newer" / "best.safetensors").touch()
    assert RunFolder.newest(Path("runs")).path.name == "newer"


def _without_best(run: Path) -> None:
    (run / "best.safetensors").unlink()


def _truncated(run: Path) -> None:
    path = run / "best.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def _other_backbone(run: Path) -> None:
    text = (run / "config.json").read_text()
    (run / "config.json").write_text(text.replace("resnet18", "resnet34"))


def _one_tensor(run: Path) -> None:
    state = load_file(run / "best.safetensors")
    save_file({"mean": state["mean"]}, run / "best.safetensors")


def _no_config(run: Path) -> None:
    (run / "config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        pytest.param(_without_best, "missing", id="no-weights"),
        pytest.param(_truncated, "damaged", id="truncated"),
        pytest.param(_other_backbone, "weights of another network", id="other-backbone"),
        pytest.param(_one_tensor, "weights of another network", id="one-tensor"),
        pytest.param(_no_config, "not a run folder", id="no-config"),
    ],
)
def test_damaged_run_is_refused(runs: dict[str, RunFolder], tmp_path: Path, damage, complaint: str):
    run = tmp_path / "run"
    shutil.copytree(runs["resnet"].path, run)
    damage(run)
    with pytest.raises(RunError, match=complaint) as caught:
        job.export(RunFolder(run), ExportSettings(out=tmp_path / "model.onnx"))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.onnx"))


def test_destination_that_cannot_be_written_is_refused(runs: dict[str, RunFolder], tmp_path: Path):
    for out, complaint in (
        (tmp_path / "model.bin", "ends in .onnx"),
        (tmp_path / "nowhere" / "model.onnx", "is no folder"),
        (tmp_path, "expected a file name"),
    ):
        with pytest.raises(UsageError, match=complaint):
            job.export(runs["resnet"], ExportSettings(out=out))


def test_data_that_has_gone_is_said(runs: dict[str, RunFolder], tmp_path: Path):
    with pytest.raises(DatasetError, match="name some with --data DIR"):
        job.export(runs["resnet"], ExportSettings(out=tmp_path / "m.onnx", data=tmp_path / "gone"))


def test_unreadable_test_image_does_not_block_an_export(
    drawn: Path, runs: dict[str, RunFolder], tmp_path: Path
):
    data = tmp_path / "data"
    shutil.copytree(drawn, data)
    truncated = min((data / "test").iterdir())
    truncated.write_bytes(truncated.read_bytes()[:-200])
    done = job.export(runs["resnet"], ExportSettings(out=tmp_path / "model.onnx", data=data))
    assert done.parity.images == 10


def test_models_folder_that_is_a_file_is_one_line(
    runs: dict[str, RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").write_text("not a folder")
    done = run_cli("export", runs["resnet"].path)
    assert done.code in (1, 2)
    assert done.stderr.strip().startswith("error: ")
    assert "Traceback" not in done.stderr


def test_unknown_run_is_refused(tmp_path: Path, run_cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    done = run_cli("export", tmp_path / "nothing")
    assert done.code == 1
    assert "not a run folder" in done.stderr
    done = run_cli("export")
    assert done.code == 1
    assert "Run: maskinfer train" in done.stderr
