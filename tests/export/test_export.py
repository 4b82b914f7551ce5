"""Exporting small networks that were trained a little on drawn images."""

import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import pytest
import torch
from onnxruntime import InferenceSession
from safetensors.torch import load_file, save_file
from support.cli import RunCli

from maskinfer.errors import DatasetError, ExportError, RunError, UsageError
from maskinfer.export import exporting as job
from maskinfer.export import graph
from maskinfer.export.fp16 import to_half
from maskinfer.export.layers import find_layers
from maskinfer.export.matching import match
from maskinfer.export.parity import in_batches
from maskinfer.export.settings import ExportSettings, GraphOptions
from maskinfer.runtime.providers import Provider
from maskinfer.runtime.session import Outputs, Session
from maskinfer.train.runs.checkpoint import Checkpoint
from maskinfer.train.runs.folder import RunFolder
from maskinfer.train.settings import Model

pytestmark = pytest.mark.slow

# Operators whose output's shape depends on the data, or that TensorRT cannot build.
_FORBIDDEN = {"If", "Loop", "Scan", "NonZero", "NonMaxSuppression", "RoiAlign", "Unique"}


@pytest.mark.parametrize("model", get_args(Model))
def test_file_predicts_what_the_checkpoint_predicts_at_any_batch_size(
    canvases: np.ndarray, runs: dict[str, RunFolder], files: dict[str, Path], model: str
) -> None:
    """One file takes any batch, and an image's neighbours do not change its answer."""
    network = Checkpoint.load(runs[model].path).network
    options = GraphOptions.recall(Session(files[model], "cpu").metadata)
    with torch.no_grad():
        found = graph.checkpoint_function(network, options)(torch.from_numpy(canvases))
    alone = _run(files[model], canvases, 1)
    _assert_same_faces(alone, Outputs(*(column.numpy() for column in found)), 0.02, 1e-3)
    for size in (2, 7, 32):
        places = np.arange(max(size, len(canvases))) % len(canvases)
        together = _run(files[model], canvases[places], size)
        expected = Outputs(alone.boxes_xywh[places], alone.proper_mask[places], alone.score[places])
        _assert_same_faces(together, expected, 1e-3, 1e-4)


@pytest.mark.parametrize("model", ["resnet", "fasterrcnn"])
def test_openvino_computes_what_onnxruntime_computes(
    canvases: np.ndarray, files: dict[str, Path], model: str
) -> None:
    pytest.importorskip("openvino")
    ours, theirs = (Session(files[model], p, 5).run(canvases[:5]) for p in ("openvino", "cpu"))
    np.testing.assert_allclose(ours.boxes_xywh[:, 0], theirs.boxes_xywh[:, 0], atol=0.05)
    np.testing.assert_allclose(ours.proper_mask[:, 0], theirs.proper_mask[:, 0], atol=1e-3)


def _assert_same_faces(
    actual: Outputs, expected: Outputs, box_px: float, probability: float
) -> None:
    matches = match(actual, expected)
    assert (matches.unmatched, len(matches.iou) > 0) == (0, True)
    np.testing.assert_allclose(matches.ours[:, :4], matches.theirs[:, :4], atol=box_px)
    np.testing.assert_allclose(matches.ours[:, 4:], matches.theirs[:, 4:], atol=probability)


def _run(file: Path, canvases: np.ndarray, batch_size: int) -> Outputs:
    session = Session(file, "cpu", batch_size)
    return in_batches(session.run, canvases, batch_size)


@pytest.mark.parametrize("model", get_args(Model))
def test_file_keeps_the_contract(drawn: Path, files: dict[str, Path], model: str) -> None:
    proto = onnx.load(files[model], load_external_data=False)
    assert {node.op_type for node in proto.graph.node}.isdisjoint(_FORBIDDEN)
    assert all(not tensor.external_data for tensor in proto.graph.initializer)
    assert [entry.version for entry in proto.opset_import if not entry.domain] == [graph.OPSET]
    shape = proto.graph.input[0].type.tensor_type.shape.dim
    assert shape[0].dim_param
    metadata = Session(files[model], "cpu").metadata
    assert metadata.free_canvas == (model == "lite")
    assert [dim.dim_value for dim in shape[1:]] == [*([0, 0] if model == "lite" else [64, 64]), 3]
    assert metadata.faces == (1 if model == "resnet" else 5)
    assert metadata.network == model
    assert metadata.backbone == ("efficientnet_lite0" if model == "lite" else "resnet18")
    assert metadata.precision == "fp32"
    assert metadata.geometry.canvas == 64
    assert 0 <= metadata.metrics["test_iou"] <= 1
    assert metadata.training["data"]["counts"]["test"]
    # The file reveals neither where the data was nor the source code's paths.
    assert str(drawn).encode() not in files[model].read_bytes()
    assert not any(node.metadata_props or node.doc_string for node in proto.graph.node)


@pytest.mark.usefixtures("traced_once")
def test_each_way_to_export_has_its_own_place(
    runs: dict[str, RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ways = (ExportSettings(), ExportSettings(precision="fp16"))
    made = [job.export(runs["resnet"].path, way, print).path.name for way in ways]
    name = runs["resnet"].path.name
    assert made == [f"{name}.onnx", f"{name}-fp16.onnx"]
    with pytest.raises(
        UsageError, match=rf"models/{name}.onnx: exists\. To replace it, add --over"
    ):
        job.export(runs["resnet"].path, ExportSettings(), print)
    job.export(runs["resnet"].path, ExportSettings(overwrite=True), print)


@pytest.mark.parametrize(
    ("place", "size"),
    [
        pytest.param(1, 1e5, id="weight"),
        pytest.param(2, 1e5, id="bias"),
        # A CPU computes it right, with FP32's range; a GPU does not.
        pytest.param(1, 1e4, id="what-it-computes"),
    ],
)
def test_layer_that_fp16_cannot_hold_stays_in_fp32(
    files: dict[str, Path], place: int, size: float
) -> None:
    proto = onnx.load(files["resnet"])
    canvases = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    unchanged = to_half(onnx.load(files["resnet"]), canvases)
    assert unchanged["layers_in_fp32"] == []
    assert 0 < unchanged["largest_value"] < 65504 / 4

    layers = find_layers(proto.graph)
    first, layer = layers[0], layers[3]
    name = next(n for n in proto.graph.node if n.name == layer.nodes[0]).input[place]
    tensor = next(t for t in proto.graph.initializer if t.name == name)
    values = onnx.numpy_helper.to_array(tensor).copy()
    values[0] = size
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, name))

    lowered = to_half(proto, canvases)
    assert layer.weight in lowered["layers_in_fp32"]
    assert first.weight not in lowered["layers_in_fp32"]
    assert lowered["largest_value"] < 65504 / 4
    kept = {t.name for t in proto.graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
    assert name in kept
    assert first.weight not in kept
    onnx.checker.check_model(proto)
    outputs = InferenceSession(proto.SerializeToString()).run(None, {"images": canvases})
    assert all(np.isfinite(output).all() for output in outputs)


@pytest.mark.usefixtures("traced_once")
def test_metrics_are_of_the_epoch_whose_weights_were_exported(
    runs: dict[str, RunFolder], files: dict[str, Path], tmp_path: Path
) -> None:
    """Also where the training that wrote them has continued meanwhile."""
    run = RunFolder(tmp_path / "run")
    shutil.copytree(runs["resnet"].path, run.path)
    rows = run.read_history()

    def train_on(words: str) -> None:
        run.write_history([*rows, replace(rows[0], epoch=2, test_iou=0.999)])
        state = run.path / "last" / "state.json"
        state.write_text(state.read_text().replace('"best_epoch": 1', '"best_epoch": 2'))

    out = tmp_path / "model.onnx"
    job.export(run.path, ExportSettings(out=out), train_on)
    metrics = Session(out, "cpu").metadata.metrics
    assert (metrics["epoch"], metrics["test_iou"]) == (1, pytest.approx(rows[0].test_iou, abs=1e-5))


def _kinds(file: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(file).graph.node)


@pytest.mark.usefixtures("traced_once")
@pytest.mark.parametrize("model", get_args(Model))
def test_fp16_computes_its_layers_in_half_and_keeps_the_contract(
    runs: dict[str, RunFolder],
    files: dict[str, Path],
    asked: dict[str, dict[str, int]],
    tmp_path: Path,
    model: str,
) -> None:
    half = tmp_path / "half.onnx"
    settings = ExportSettings(out=half, precision="fp16", **asked[model])
    done = job.export(runs[model].path, settings, print)
    assert Session(half, "cpu").metadata.precision == "fp16"
    assert half.stat().st_size < 0.55 * files[model].stat().st_size
    kinds = {tensor.name: tensor.data_type for tensor in onnx.load(half).graph.initializer}
    for node in onnx.load(half).graph.node:
        if node.op_type == "Conv":
            assert kinds[node.input[1]] == onnx.TensorProto.FLOAT16
    # One cast into the layers, and one out where box arithmetic begins, not one around each node.
    layers = _kinds(half)["Conv"] + _kinds(half)["Gemm"]
    assert _kinds(half)["Cast"] - _kinds(files[model])["Cast"] < layers
    assert done.parity.comparisons[0].box_px < 1


@pytest.mark.usefixtures("traced_once")
def test_weights_stored_in_fp16_halve_a_file_that_computes_in_fp32(
    runs: dict[str, RunFolder],
    files: dict[str, Path],
    asked: dict[str, dict[str, int]],
    tmp_path: Path,
) -> None:
    half = tmp_path / "half.onnx"
    settings = ExportSettings(out=half, precision="fp16-weights", **asked["lite"])
    done = job.export(runs["lite"].path, settings, print)
    assert Session(half, "cpu").metadata.precision == "fp16-weights"
    assert half.stat().st_size < 0.55 * files["lite"].stat().st_size
    graph = onnx.shape_inference.infer_shapes(onnx.load(half)).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    computed = {kinds[name] for n in graph.node if n.op_type == "Conv" for name in n.output}
    assert computed == {onnx.TensorProto.FLOAT}
    stored = {t.name for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT16}
    assert stored == {
        f"{layer.weight}.fp16" for layer in find_layers(onnx.load(files["lite"]).graph)
    }
    assert done.parity.comparisons[0].box_px < 1


@pytest.mark.usefixtures("traced_once")
def test_int8_is_calibrated_on_the_images_given(
    drawn: Path, runs: dict[str, RunFolder], tmp_path: Path
) -> None:
    """Photos without labels do, as those of whoever deploys the model."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for index, image in enumerate(sorted((drawn / "train").glob("*.jpg"))):
        shutil.copy(image, photos / f"{index}.jpg")
    out = tmp_path / "int8.onnx"
    job.export(
        runs["resnet"].path, ExportSettings(out=out, precision="int8", calibrate=photos), print
    )
    metadata = Session(out, "cpu").metadata
    assert metadata.precision == "int8"
    assert metadata.export["int8"]["target"] == "cpu"
    assert metadata.export["int8"]["calibration_images"] == 16  # of 24; the others judge
    assert _kinds(out)["QuantizeLinear"] > _kinds(out)["Conv"] / 2


@pytest.mark.usefixtures("traced_once")
@pytest.mark.parametrize("model", get_args(Model))
def test_broken_export_is_caught_and_the_old_file_stays(
    runs: dict[str, RunFolder],
    asked: dict[str, dict[str, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
) -> None:
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
        job.export(runs[model].path, ExportSettings(out=out, overwrite=True, **asked[model]), print)
    assert out.read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.usefixtures("traced_once")
def test_calibration_on_one_image_is_refused(
    drawn: Path, runs: dict[str, RunFolder], tmp_path: Path, run_cli: RunCli
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(min((drawn / "train").glob("*.jpg")), photos)
    out = tmp_path / "int8.onnx"
    options = ("--precision", "int8", "--calibrate", photos, "--out", out)
    done = run_cli("export", runs["resnet"].path, *options)
    assert done.code == 2
    assert "--calibrate: got 1 readable image, expected at least 2" in done.stderr
    assert not out.exists()


@pytest.mark.parametrize("network", ["resnet", "fasterrcnn"])
def test_chain_of_the_four_commands_after_one_epoch(
    network: str, drawn: Path, tmp_path: Path, run_process: RunCli
) -> None:
    """Each with what the one before left; on the sample images where that takes no minutes."""
    samples = Path("sample_images").resolve() if network == "resnet" else drawn
    train = ["train", "--network", network, "--data", samples, "--epochs", 1, "--canvas", 64]
    train += ["--weights", "none", "--backbone", "resnet18"]
    for command in (train, ["export"], ["predict", samples, "--out", "preds.csv"]):
        done = run_process(*command, cwd=tmp_path)
        assert done.code == 0, done.stderr
        assert "Traceback" not in done.stderr
    images = len(list(samples.rglob("*.jpg")))
    assert (tmp_path / "preds.csv").read_text().count("\n") == 1 + images

    done = run_process("evaluate", samples, "--json", "figures.json", cwd=tmp_path)
    assert done.code == 0, done.stderr
    run = RunFolder.newest(tmp_path / "runs")
    assert f"models/{run.path.name}.onnx" in done.stderr


@pytest.mark.usefixtures("traced_once")
def test_proposals_rise_until_the_file_agrees(
    runs: dict[str, RunFolder],
    asked: dict[str, dict[str, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job, "PROPOSALS", (16, asked["fasterrcnn"]["proposals"]))
    said: list[str] = []
    out = tmp_path / "model.onnx"
    settings = ExportSettings(out=out, faces=asked["fasterrcnn"]["faces"])
    done = job.export(runs["fasterrcnn"].path, settings, said.append)
    cost = re.search(r"it needs 400 proposals, in torch ([\d.]+) x the time of 16", done.note)
    assert cost is not None
    assert float(cost[1]) > 2
    assert [line for line in said if "With 16 proposals it disagrees" in line]
    assert said.count("Tracing the network") == 1  # which takes minutes
    assert Session(out, Provider.CPU, 1).metadata.export["proposals"] == 341  # all there are


@pytest.mark.usefixtures("traced_once")
def test_weights_of_a_run_go_into_one_file_that_is_exported_again(
    drawn: Path,
    runs: dict[str, RunFolder],
    asked: dict[str, dict[str, int]],
    tmp_path: Path,
    run_cli: RunCli,
) -> None:
    first, weights = tmp_path / "first.onnx", tmp_path / "mine.safetensors"
    faces = ("--faces", asked["lite"]["faces"])
    done = run_cli("export", runs["lite"].path, "--out", first, "--weights", weights, *faces)
    assert done.code == 0, done.stderr
    again = tmp_path / "again.onnx"
    options = ["--canvas", 96, "--data", drawn]
    done = run_cli("export", weights, "--out", again, *options, *faces)
    assert done.code == 0, done.stderr
    ours, theirs = (Session(file, "cpu").metadata for file in (again, first))
    assert (ours.one_face, ours.all_faces) == (theirs.one_face, theirs.all_faces)
    assert ours.metrics["epoch"] == theirs.metrics["epoch"]
    assert ours.geometry.canvas == 96
    done = run_cli("verify", again, "--against", weights)  # on drawn images, as it names no data
    assert done.code == 0, done.stderr

    for place, complaint in {
        tmp_path / "nowhere" / "w.safetensors": "nowhere",
        tmp_path / "w.onnx": "expected a file name that ends in .safetensors",
    }.items():
        done = run_cli("export", weights, "--out", tmp_path / "new.onnx", "--weights", place)
        assert done.code == 2
        assert complaint in done.stderr
        assert not (tmp_path / "new.onnx").exists()

    done = run_cli("export", weights, "--out", again, "--overwrite", "--precision", "int8")
    assert done.code == 2
    assert "names no training images to measure its ranges on; give --calibrate DIR" in done.stderr


def test_evaluate_measures_what_training_measured(
    drawn: Path, runs: dict[str, RunFolder], files: dict[str, Path], run_cli: RunCli
) -> None:
    import json

    for model, file in files.items():
        done = run_cli("evaluate", drawn, "--model", file, "--face", "best", "--json", "-")
        assert done.code == 0, done.stderr
        measured = json.loads(done.stdout)["metrics"]
        stated = Session(file, "cpu").metadata.metrics
        assert measured["accuracy"] == pytest.approx(stated["test_accuracy"], abs=1e-5), model
        # The CSV's boxes are whole pixels, training's are not.
        assert measured["mean_iou"] == pytest.approx(stated["test_iou"], abs=0.03), model


def test_newest_run_is_exported_where_none_is_named(
    runs: dict[str, RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(runs["resnet"].path, tmp_path / "runs" / "older")
    shutil.copytree(runs["resnet"].path, tmp_path / "runs" / "newer")
    (tmp_path / "runs" / "newer" / "best.safetensors").touch()
    assert RunFolder.newest(Path("runs"), with_weights=True).path.name == "newer"


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
def test_damaged_run_is_refused(
    runs: dict[str, RunFolder], tmp_path: Path, damage: Any, complaint: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs["resnet"].path, run)
    damage(run)
    out = tmp_path / "model.onnx"
    out.write_bytes(b"older")
    with pytest.raises(RunError, match=complaint) as caught:
        job.export(RunFolder(run).path, ExportSettings(out=out), print)
    assert "\n" not in str(caught.value)
    assert out.read_bytes() == b"older"
    assert {path.name for path in tmp_path.iterdir()} == {"run", "model.onnx"}


def test_destination_that_cannot_be_written_is_refused(
    runs: dict[str, RunFolder], tmp_path: Path
) -> None:
    for out, complaint in (
        (tmp_path / "model.bin", "ends in .onnx"),
        (tmp_path / "nowhere" / "model.onnx", "no folder"),
        (tmp_path, "expected a file name"),
    ):
        with pytest.raises(UsageError, match=complaint):
            job.export(runs["resnet"].path, ExportSettings(out=out), print)


def test_missing_data_is_refused(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    settings = ExportSettings(out=tmp_path / "m.onnx", data=tmp_path / "gone")
    with pytest.raises(DatasetError, match="name some with --data DIR"):
        job.export(runs["resnet"].path, settings, print)


@pytest.mark.usefixtures("traced_once")
def test_unreadable_test_image_does_not_block_an_export(
    drawn: Path, runs: dict[str, RunFolder], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(drawn, data)
    truncated = min((data / "test").glob("*.jpg"))
    truncated.write_bytes(truncated.read_bytes()[:-200])
    settings = ExportSettings(out=tmp_path / "model.onnx", data=data)
    done = job.export(runs["resnet"].path, settings, print)
    assert done.parity.images == 10


def test_models_folder_that_is_a_file_is_one_line(
    runs: dict[str, RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli: RunCli
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").write_text("not a folder")
    done = run_cli("export", runs["resnet"].path)
    assert done.code in (1, 2)
    assert done.stderr.strip().startswith("error: ")
    assert "Traceback" not in done.stderr


def test_unknown_run_is_refused(
    tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_cli("export", tmp_path / "nothing")
    assert done.code == 1
    assert "not a run folder" in done.stderr
    done = run_cli("export")
    assert done.code == 1
    assert "To make one: maskinfer train" in done.stderr


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.usefixtures("traced_once")
def test_triton_repository_holds_the_verified_file(
    runs: dict[str, RunFolder], tmp_path: Path
) -> None:
    out = tmp_path / "mask"
    job.export(runs["resnet"].path, ExportSettings(out=out, format="triton"), print)
    assert _names(tmp_path) == {"mask", "mask/config.pbtxt", "mask/1", "mask/1/model.onnx"}
    assert Session(out / "1" / "model.onnx", "cpu").metadata.verification["images"] == 11


@pytest.mark.usefixtures("traced_once")
def test_settings_that_contradict_each_other_are_refused(
    runs: dict[str, RunFolder], tmp_path: Path, run_cli: RunCli
) -> None:
    for options, complaint in (
        (("--calibrate", tmp_path), "--calibrate: only for --precision int8"),
        (("--target", "tensorrt"), "--target tensorrt: only for --precision int8"),
        (("--batch", 1, 2, 4), "--batch: an ONNX file takes any batch"),
        (
            ("--format", "engine", "--precision", "int8", "--target", "cpu"),
            "--target cpu: TensorRT cannot build",
        ),
        (("--proposals", 64), "--proposals 64: only for fasterrcnn, got a resnet run"),
        (("--format", "engine", "--batch", 4, 2, 8), "--batch: got 4 2 8, expected 1 <= MIN"),
        (("--format", "engine", "--out", tmp_path / "m.onnx"), "ends in .engine"),
    ):
        done = run_cli("export", runs["resnet"].path, *options)
        assert done.code == 2, options
        assert complaint in done.stderr
        assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
