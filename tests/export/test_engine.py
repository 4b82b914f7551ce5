"""TensorRT engines of real exported graphs, built ahead of time where there is no GPU."""

import csv
import json
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from support.cli import RunCli
from support.tiny_model import METADATA

from maskinfer.errors import ExportError, ModelFileError, UsageError
from maskinfer.export import engine, int8
from maskinfer.export.engine import predictor
from maskinfer.export.fp16 import store_in_half, to_half
from maskinfer.export.settings import BatchRange
from maskinfer.runtime import gpu
from maskinfer.runtime.doctor import PROBE
from maskinfer.runtime.engine_file import read_sidecar, sidecar_path, write_engine
from maskinfer.runtime.session import Session
from maskinfer.train.runs.folder import RunFolder

pytestmark = pytest.mark.slow

_CANVAS = 64
_BATCH = BatchRange(1, 8, 32)
needs_rtx = pytest.mark.skipif(
    (sys.platform, platform.machine()) not in (("linux", "x86_64"), ("win32", "AMD64")),
    reason="tensorrt-rtx has no build for this platform",
)
needs_builder = pytest.mark.skipif(
    find_spec("tensorrt") is None
    and torch.cuda.is_available()
    and torch.cuda.get_device_capability() in ((7, 5), (9, 0)),
    reason="needs TensorRT, since TensorRT-RTX does not build for this GPU",
)


@pytest.fixture(autouse=True)
def no_gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Build ahead of time, as on a machine without a GPU."""
    if "gpu" not in request.keywords:
        monkeypatch.setattr(gpu, "has_nvidia_driver", lambda: False)


def _graph(*nodes: onnx.NodeProto, output: onnx.ValueInfoProto) -> bytes:
    """A graph of the contract's input, 8 pixels a side."""
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 8, 8, 3])
    graph = helper.make_graph(nodes, "graph", [images], [output])
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def _cast(output: str, kind: int = TensorProto.FLOAT) -> onnx.NodeProto:
    return helper.make_node("Cast", ["images"], [output], f"to_{output}", to=kind)


def _mean() -> bytes:
    return _graph(
        _cast("pixels"),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], "mean", keepdims=0),
        output=helper.make_tensor_value_info("mean", TensorProto.FLOAT, []),
    )


def _non_zero() -> bytes:
    return _graph(
        _cast("pixels"),
        helper.make_node("NonZero", ["pixels"], ["places"], "find"),
        output=helper.make_tensor_value_info("places", TensorProto.INT64, [4, "M"]),
    )


def _non_maximum_suppression() -> bytes:
    boxes = helper.make_node("Constant", [], ["shape"], "shape", value_ints=[0, 48, 4])
    one = helper.make_node("Constant", [], ["scores_shape"], "scores_shape", value_ints=[0, 1, 48])
    last = helper.make_node("Constant", [], ["last"], "last", value_ints=[-1])
    return _graph(
        *(boxes, one, last, _cast("pixels")),
        helper.make_node("Reshape", ["pixels", "shape"], ["boxes"], "reshape"),
        helper.make_node("ReduceMax", ["boxes", "last"], ["best"], "best", keepdims=0),
        helper.make_node("Reshape", ["best", "scores_shape"], ["scores"], "reshape_scores"),
        helper.make_node("NonMaxSuppression", ["boxes", "scores"], ["kept"], "choose"),
        output=helper.make_tensor_value_info("kept", TensorProto.INT64, ["M", 3]),
    )


def _two_types() -> bytes:
    return _graph(
        _cast("full"),
        _cast("half", TensorProto.FLOAT16),
        helper.make_node("Add", ["full", "half"], ["sum"], "add"),
        output=helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["N", 8, 8, 3]),
    )


@needs_rtx
def test_what_doctor_runs_is_for_tensorrt_too() -> None:
    assert engine.build(PROBE.read_bytes(), 64, _BATCH).plan


@needs_rtx
@pytest.mark.parametrize(
    ("network", "precision"),
    [
        ("resnet", "fp32"),
        ("resnet", "fp16"),
        ("resnet", "int8"),
        ("fasterrcnn", "fp32"),
        ("fasterrcnn", "fp16"),
        ("lite", "fp32"),
        ("lite", "fp16"),
        ("lite", "fp16-weights"),
    ],
)
def test_build_needs_no_gpu(
    files: dict[str, Path],
    canvases: np.ndarray,
    network: str,
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    graph = onnx.load(files[network])
    if precision == "fp16":
        to_half(graph, canvases)
    elif precision == "fp16-weights":
        store_in_half(graph)
    elif precision == "int8":
        # An untrained network moves far; here it only has to build.
        monkeypatch.setattr(int8, "ALLOWED", int8.Drift(iou=0, probability=1))
        graph = int8.quantise(graph, canvases, "tensorrt", full_range=True, say=print).model
    capfd.readouterr()
    model = graph.SerializeToString()
    built = engine.build(model, _CANVAS, _BATCH)
    assert len(built.plan) > 0.8 * len(model)  # the weights lie inside
    assert built.built_with["builder"] == "tensorrt-rtx"
    assert built.built_with["version"].startswith("1.")
    assert {"8.0", "8.6", "8.9", "12.0"} <= set(built.built_with["compute_capabilities"])
    assert "7.5" not in built.built_with["compute_capabilities"]
    assert built.built_with["batch"] == {"minimum": 1, "optimum": 8, "maximum": 32}
    assert capfd.readouterr() == ("", "")


@needs_rtx
def test_engine_fixes_the_size_of_a_free_canvas(files: dict[str, Path]) -> None:
    assert engine.build(files["lite"].read_bytes(), 96, _BATCH).plan


@needs_rtx
@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        pytest.param(_non_zero(), r"cannot build operator NonZero \(node 'find'\)", id="parser"),
        pytest.param(
            _non_maximum_suppression(),
            r"cannot build operator NonMaxSuppression \(node 'choose'\): choose_\d+ has no runners",
            id="builder",
        ),
        pytest.param(
            _two_types(),
            r"cannot build operator Add \(node 'add'\): .* are of types Float and Half",
            id="two-types",
        ),
        pytest.param(b"", "cannot build the model: Network must have", id="empty"),
        pytest.param(b"garbage", "cannot read the model: Failed to parse", id="garbage"),
        pytest.param(_mean()[:-20], "cannot read the model: Failed to parse", id="truncated"),
    ],
)
def test_build_refuses_in_one_sentence(
    model: bytes, complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ExportError, match=complaint) as caught:
        engine.build(model, 8, _BATCH)
    message = str(caught.value)
    assert message.startswith("TensorRT-RTX 1.")
    assert "maskinfer export" in message
    assert "\n" not in message
    assert "/_src/" not in message
    assert capfd.readouterr() == ("", "")


@needs_rtx
def test_a_build_does_not_wait_for_an_engine_s_remains(tmp_path: Path) -> None:
    """In a process of its own, which hangs where garbage is collected while TensorRT logs."""
    (tmp_path / "mean.onnx").write_bytes(_mean())
    code = (
        "import gc, pathlib\n"
        "from maskinfer.export import engine\n"
        "from maskinfer.export.settings import BatchRange\n"
        "from maskinfer.runtime import engine as runtime\n"
        "make = runtime._make_logger\n"
        "def collecting(*arguments):\n"
        "    kind = type(make(*arguments))\n"
        "    def log(self, severity, message):\n"
        "        gc.set_threshold(1)\n"
        "        [[] for _ in range(100)]\n"
        "    return type('Collecting', (kind,), {'log': log})()\n"
        "runtime._make_logger = collecting\n"
        "toolkit = engine.find_toolkit()\n"
        "gc.set_threshold(10**6)\n"
        "remains = [toolkit.trt.Builder(toolkit.logger)]\n"
        "gc.set_threshold(10**6)\n"
        "remains.append(remains)\n"
        "del remains\n"
        "engine.build(pathlib.Path('mean.onnx').read_bytes(), 8, BatchRange(1, 8, 32))\n"
    )
    command = [sys.executable, "-c", code]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)


@needs_rtx
def test_build_refuses_another_canvas() -> None:
    with pytest.raises(ExportError, match="cannot build the model"):
        engine.build(_mean(), 16, _BATCH)


@needs_rtx
def test_build_takes_tensorrt_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT-RTX stands in for TensorRT, which has the same API and cannot start here."""
    monkeypatch.setitem(sys.modules, "tensorrt", pytest.importorskip("tensorrt_rtx_bindings"))
    monkeypatch.setattr(gpu, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    built_with = engine.build(_mean(), 8, _BATCH).built_with
    assert (built_with["builder"], built_with["gpu"]) == ("tensorrt", "a GPU")
    assert built_with["compute_capabilities"] == ["9.0"]
    assert not built_with["later_gpus"]


@pytest.mark.parametrize(
    ("has_gpu", "complaint"),
    [
        pytest.param(False, "there is no NVIDIA GPU for tensorrt", id="no-gpu"),
        pytest.param(True, "tensorrt is not installed", id="gpu"),
    ],
)
def test_build_without_a_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, has_gpu: bool, complaint: str
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx_bindings", None)
    monkeypatch.setattr(gpu, "has_nvidia_driver", lambda: has_gpu)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    with pytest.raises(ExportError, match=complaint) as caught:
        engine.build(b"", 8, _BATCH)
    assert str(caught.value).endswith("pip install '.[tensorrt]'")


def _write(path: Path, plan: bytes = b"plan") -> None:
    write_engine(plan, METADATA, {"builder": "tensorrt-rtx", "version": "1.7"}, path)


def test_engine_that_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.engine"
    _write(path)
    assert path.read_bytes() == b"plan"
    assert {child.name for child in tmp_path.iterdir()} == {"model.engine", "model.engine.json"}
    metadata, built_with = read_sidecar(path)
    assert metadata == METADATA
    assert built_with["builder"] == "tensorrt-rtx"
    assert (built_with["bytes"], len(built_with["sha256"])) == (4, 64)


@pytest.mark.parametrize("blocked", ["model.engine", "model.engine.json"])
def test_failed_write_leaves_the_older_files(tmp_path: Path, blocked: str) -> None:
    path = tmp_path / "model.engine"
    _write(path)
    (tmp_path / f"{blocked}.{os.getpid()}.{threading.get_ident()}.partial").mkdir()
    with pytest.raises(OSError, match="partial"):
        _write(path, b"newer")
    assert path.read_bytes() == b"plan"
    read_sidecar(path)


def _change_plan(path: Path) -> None:
    path.write_bytes(b"plan of another day")


def _change_sidecar(**values: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        sidecar = sidecar_path(path)
        sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | values))

    return change


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        pytest.param(_change_plan, "not the engine that model.engine.json", id="other-plan"),
        pytest.param(lambda p: sidecar_path(p).unlink(), "is missing. Copy it", id="no-sidecar"),
        pytest.param(lambda p: sidecar_path(p).write_bytes(b"\xff"), "damaged", id="no-text"),
        pytest.param(lambda p: sidecar_path(p).write_text("[]"), "damaged", id="list"),
        pytest.param(_change_sidecar(engine="?"), "damaged", id="no-engine"),
        pytest.param(_change_sidecar(maskinfer=None), "damaged", id="no-metadata"),
        pytest.param(_change_sidecar(maskinfer={"schema": 99}), "newer", id="newer-schema"),
    ],
)
def test_damaged_engine_is_refused(
    tmp_path: Path, damage: Callable[[Path], None], complaint: str
) -> None:
    path = tmp_path / "model.engine"
    _write(path)
    damage(path)
    with pytest.raises(ModelFileError, match=complaint) as caught:
        read_sidecar(path)
    assert "\n" not in str(caught.value)


def test_engine_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such engine"):
        read_sidecar(tmp_path / "model.engine")


@needs_rtx
@pytest.mark.skipif(gpu.has_nvidia_driver(), reason="is about machines without a GPU")
def test_engine_does_not_run_without_a_gpu(capfd: pytest.CaptureFixture[str]) -> None:
    built = engine.build(_mean(), 8, _BATCH)
    with pytest.raises(ExportError, match=r"CUDA driver .* needs an NVIDIA GPU of .* 8\.6, 8\.9"):
        predictor(built)
    assert capfd.readouterr() == ("", "")


@needs_rtx
@pytest.mark.usefixtures("traced_once")
def test_export_writes_a_verified_engine(
    runs: dict[str, RunFolder], tmp_path: Path, run_cli: RunCli
) -> None:
    out = tmp_path / "mask.engine"
    done = run_cli(
        *("export", runs["resnet"].path, "--format", "engine", "--out", out),
        *("--precision", "fp16", "--batch", 1, 4, 16),
    )
    assert done.code == 0, done.stderr
    metadata, built_with = read_sidecar(out)
    assert metadata.precision == "fp16"
    assert metadata.verification["images"] == 11
    assert metadata.verification["of"] == "the ONNX graph, not the engine"
    assert "has not run; the figures are those of the graph it was built from" in done.stderr
    assert built_with["batch"] == {"minimum": 1, "optimum": 4, "maximum": 16}
    assert {path.name for path in tmp_path.iterdir()} == {"mask.engine", "mask.engine.json"}


@pytest.mark.gpu
@needs_builder
@pytest.mark.parametrize("network", ["resnet", "fasterrcnn", "lite"])
def test_engine_predicts_what_the_graph_predicts(
    files: dict[str, Path], canvases: np.ndarray, network: str
) -> None:
    session = Session(files[network], "cpu", len(canvases))
    on_gpu = predictor(engine.build(files[network].read_bytes(), _CANVAS, _BATCH))
    expected, actual = session.run(canvases), on_gpu(canvases, len(canvases))
    np.testing.assert_allclose(actual.proper_mask, expected.proper_mask, atol=1e-2)
    np.testing.assert_allclose(actual.score, expected.score, atol=1e-2)


@pytest.mark.gpu
@needs_builder
@pytest.mark.usefixtures("traced_once")
def test_engine_from_export_to_predictions(
    runs: dict[str, RunFolder], drawn: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    tables = []
    for kind in ("onnx", "engine"):
        model, out = tmp_path / f"mask.{kind}", tmp_path / f"{kind}.csv"
        done = run_cli("export", runs["resnet"].path, "--format", kind, "--out", model)
        assert done.code == 0, done.stderr
        done = run_cli("predict", drawn / "test", "--model", model, "--out", out)
        assert done.code == 0, done.stderr
        with out.open(newline="") as file:
            tables.append(list(csv.DictReader(file)))
    for expected, actual in zip(*tables, strict=True):
        assert actual["filename"] == expected["filename"]
        assert float(actual["probability"]) == pytest.approx(
            float(expected["probability"]), abs=1e-2
        )
