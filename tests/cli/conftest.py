"""Fixtures that tests of several commands share."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> Path:
    """An empty folder of photos beside a model under `models/`, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    shutil.copy(tiny_model, tmp_path / "models" / "tiny.onnx")
    (tmp_path / "photos").mkdir()
    return Path("photos")
