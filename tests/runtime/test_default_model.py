import os
from pathlib import Path

import pytest

from maskinfer.errors import ModelFileError
from maskinfer.runtime import default_model
from maskinfer.runtime.default_model import resolve_model


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make(name: str, seconds: int) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (seconds, seconds))
    return path


def test_a_named_model_wins_and_is_not_looked_at() -> None:
    make("models/a.onnx", 10)
    assert resolve_model(Path("other.onnx")) == Path("other.onnx")


def test_the_newest_export_is_next_whatever_its_folder() -> None:
    make("models/a.onnx", 10)
    newest = make("models/run/b.onnx", 30)
    make("models/z.onnx", 20)
    make("models/notes.txt", 99)
    assert resolve_model() == newest


def test_what_triton_serves_is_no_default() -> None:
    export = make("models/a.onnx", 10)
    make("models/triton/a/1/model.onnx", 20)
    make("models/triton/.a.half/new/1/model.onnx", 30)
    make("models/.hidden/b.onnx", 40)
    assert resolve_model() == export


def test_the_shipped_model_is_last(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whether one ships yet or not: a file of the package that is certainly there.
    monkeypatch.setattr(default_model, "SHIPPED", "py.typed")
    assert resolve_model() == Path(default_model.__file__).parents[1] / "py.typed"
    monkeypatch.setattr(default_model, "SHIPPED", "not-there.onnx")
    with pytest.raises(ModelFileError, match=r"no model: no \*\.onnx under models/.*--model FILE"):
        resolve_model()
