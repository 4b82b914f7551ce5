"""Small trained networks and their exported files, shared by the tests of exporting.

Tracing Faster R-CNN takes half a minute, so it happens once.
"""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import pytest

from maskinfer import MaskDetector
from maskinfer.data.dataset import Dataset
from maskinfer.export import exporting as job
from maskinfer.export.faster_rcnn import BatchedFasterRCNN
from maskinfer.export.settings import ExportSettings
from maskinfer.train import loop
from maskinfer.train.display import Display
from maskinfer.train.networks.faster_rcnn import FasterRCNNDetector
from maskinfer.train.networks.lite import LiteDetector
from maskinfer.train.networks.resnet import ResNetDetector
from maskinfer.train.recipes import recipe_settings
from maskinfer.train.runs.checkpoint import Checkpoint
from maskinfer.train.runs.folder import RunFolder
from maskinfer.train.settings import Model

# Every proposal there is at 64 px, so that the files and torchvision see the same ones.
_ASKED: dict[str, dict[str, int]] = {
    "resnet": {},
    "fasterrcnn": {"faces": 5, "proposals": 400},
    "lite": {"faces": 5},
}


def _train(model: Model, data: Path, runs: Path) -> RunFolder:
    default = recipe_settings(model, "default", (str(data),), 64)
    settings = replace(
        default,
        backbone=default.backbone if model == "lite" else "resnet18",
        weights="none",
        batch_size=8,
        epochs=1,
        workers=0,
    )
    return loop.train(settings, runs, datetime(2026, 1, 2, 3, 4, 5), Display())


@pytest.fixture(scope="session")
def runs(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    """A run of each network, at 64 px."""
    folder = tmp_path_factory.mktemp("runs")
    return {model: _train(model, drawn, folder) for model in get_args(Model)}


@pytest.fixture(scope="session")
def files(runs: dict[str, RunFolder], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each run exported as it is `asked` for."""
    folder = tmp_path_factory.mktemp("models")
    return {
        model: job.export(
            run.path, ExportSettings(folder / f"{model}.onnx", **_ASKED[model]), print
        ).path
        for model, run in runs.items()
    }


@pytest.fixture(scope="session")
def asked() -> dict[str, dict[str, int]]:
    """What `files` were asked for, by network."""
    return _ASKED


@pytest.fixture
def traced_once(
    runs: dict[str, RunFolder], files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let exports of these runs' weights take the graph that was traced for `files`."""
    trace = job.to_onnx

    def known(module: Any, canvas: int, *, free_canvas: bool) -> onnx.ModelProto:
        names = {FasterRCNNDetector: "fasterrcnn", LiteDetector: "lite", ResNetDetector: "resnet"}
        network = module.network
        if isinstance(network, BatchedFasterRCNN):
            network = network.network
        name = names[type(network)]
        own = Checkpoint.load(runs[name].path).network.state_dict()
        if all(value.equal(own[key]) for key, value in network.state_dict().items()):
            return onnx.load(files[name])
        return trace(module, canvas, free_canvas=free_canvas)

    monkeypatch.setattr(job, "to_onnx", known)


@pytest.fixture(scope="session")
def canvases(drawn: Path, files: dict[str, Path]) -> np.ndarray:
    """The drawn test images, (11, 64, 64, 3)."""
    detector = MaskDetector(files["resnet"], "cpu")
    samples = Dataset(drawn / "test").samples("test").samples
    return np.stack([detector.make_canvas(sample.path)[0] for sample in samples])
