"""A TensorRT engine as a session, with a stand-in for the package: none has run on a GPU yet."""

import ctypes
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from support.cli import RunCli
from support.tiny_model import METADATA

from maskinfer.errors import MaskinferError, ModelFileError, UsageError
from maskinfer.runtime import gpu, session
from maskinfer.runtime.engine import Engine
from maskinfer.runtime.engine_file import sidecar_path, write_engine
from maskinfer.runtime.session import Session

_SIDE, _FACES = METADATA.geometry.canvas, METADATA.faces
BUILT_WITH = {
    "builder": "tensorrt",
    "version": "10.9",
    "compute_capabilities": ["8.6"],
    "batch": {"minimum": 1, "optimum": 4, "maximum": 8},
}


class _Context:
    """Computes a box at the canvas's first pixel's red, whose score says how many canvases came."""

    fails = False

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = ()
        self.shapes_set = 0
        self.addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert name == "images"
        self.shape, self.shapes_set = shape, self.shapes_set + 1
        return True

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        count = self.shape[0]
        images = self._array("images", np.uint8, self.shape)
        self._array("boxes", np.float32, (count, _FACES, 4))[:] = images[:, :1, 0, :1]
        self._array("proper_mask", np.float32, (count, _FACES))[:] = 0.75
        self._array("score", np.float32, (count, _FACES))[:] = 1 / count
        return not self.fails and stream == 0

    def _array(self, name: str, kind: Any, shape: tuple[int, ...]) -> np.ndarray:
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        memory = (ctypes.c_char * size).from_address(self.addresses[name])
        return np.frombuffer(memory, kind).reshape(shape)


def _stand_in(monkeypatch: pytest.MonkeyPatch, *, loads: bool = True) -> _Context:
    """A package `tensorrt` whose engines run in the CPU's memory, and a driver."""
    context = _Context()

    class Logger:
        ERROR = 1

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self.logger = logger

        def deserialize_cuda_engine(self, plan: bytes) -> object:
            if not loads or plan != b"plan":
                self.logger.log(1, "Error Code 6: API Usage Error (The engine is for another GPU)")
                return None
            return SimpleNamespace(
                create_execution_context=lambda: context,
                get_tensor_shape=lambda name: (-1, _FACES),
            )

    module = ModuleType("tensorrt")
    vars(module).update(ILogger=Logger, Runtime=Runtime, __version__="10.9")
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setattr(gpu, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(session, "Engine", lambda *given: Engine(*given, device="cpu"))
    return context


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    path = tmp_path / "model.engine"
    write_engine(b"plan", METADATA, BUILT_WITH, path)
    return path


def _canvases(count: int) -> np.ndarray:
    reds = np.arange(count, dtype=np.uint8)[:, None, None, None]
    return np.broadcast_to(reds, (count, _SIDE, _SIDE, 3)).copy()


def test_an_engine_is_a_session(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = _stand_in(monkeypatch)
    loaded = Session(engine, batch_size=4)
    assert (loaded.provider, loaded.streams, loaded.note) == ("tensorrt", 1, "")
    assert loaded.metadata == METADATA
    assert loaded.sha256 == json.loads(sidecar_path(engine).read_text())["engine"]["sha256"]
    outputs = loaded.run(_canvases(3))
    assert outputs.boxes_xywh.shape == (3, _FACES, 4)
    assert outputs.boxes_xywh[:, 0, 0].tolist() == [0, 1, 2]
    assert outputs.score[:, 0].tolist() == [0.25] * 3  # filled up to a whole batch
    loaded.run(_canvases(4))
    assert context.shapes_set == 1  # so its memory was set aside once


def test_predict_takes_an_engine(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli: RunCli
) -> None:
    _stand_in(monkeypatch)
    out = tmp_path / "preds.csv"
    done = run_cli(
        *("predict", "sample_images/test", "--model", engine, "--out", out)
    )  # in batches of 8, since it is built for no more
    assert done.code == 0, done.stderr
    assert "model.engine" in done.stderr
    assert "on tensorrt" in done.stderr
    assert len(out.read_text().splitlines()) == 33


def test_an_engine_that_fails_says_so(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _stand_in(monkeypatch).fails = True
    with pytest.raises(MaskinferError, match=r"failed on tensorrt with a batch of 4") as caught:
        Session(engine, batch_size=4).run(_canvases(4))
    assert "--provider cpu" not in str(caught.value)


def test_an_engine_of_another_gpu_is_refused(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _stand_in(monkeypatch, loads=False)
    words = "cannot load it: The engine is for another GPU. It needs an NVIDIA GPU .* 8.6. The ONNX"
    with pytest.raises(UsageError, match=words):
        Session(engine, batch_size=4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"provider": "cpu"}, "--provider cpu: .*model.engine is a TensorRT engine"),
        ({"batch_size": 9}, "--batch-size: got 9, expected 1 to 8"),
        ({"batch_size": 8, "canvas": 64}, "reads canvases of 32 px only"),
    ],
)
def test_what_an_engine_cannot_do_is_refused(
    engine: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], words: str
) -> None:
    _stand_in(monkeypatch)
    with pytest.raises(UsageError, match=words):
        Session(engine, **options)


@pytest.mark.skipif(gpu.has_nvidia_driver(), reason="is about machines without a GPU")
def test_an_engine_without_a_gpu_is_refused_in_a_line(
    engine: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    done = run_cli("predict", "sample_images/test", "--model", engine, "--out", tmp_path / "o.csv")
    assert done.code == 2
    assert "the engine needs an NVIDIA GPU, and no driver was found. The ONNX" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_package_is_named(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "has_nvidia_driver", lambda: True)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(UsageError, match=r"needs tensorrt 10\.9, which built it, and that cannot"):
        Session(engine, batch_size=4)


def test_a_sidecar_without_a_batch_range_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stand_in(monkeypatch)
    path = tmp_path / "model.engine"
    write_engine(b"plan", METADATA, {"builder": "tensorrt", "version": "10.9"}, path)
    with pytest.raises(ModelFileError, match="damaged, 'batch' of the engine is missing"):
        Session(path)
    many = BUILT_WITH | {"batch": {"minimum": 1, "optimum": 4, "maximum": "many"}}
    write_engine(b"plan", METADATA, many, path)
    with pytest.raises(ModelFileError, match=r"damaged, invalid literal .* 'many'"):
        Session(path)


def test_memory_on_the_cpu_stands_in_for_that_of_a_gpu() -> None:
    value = onnxruntime.OrtValue.ortvalue_from_shape_and_type((2, 3), np.float32, "cpu")
    (ctypes.c_float * 6).from_address(value.data_ptr())[5] = 2.5
    assert value.numpy()[1, 2] == 2.5
