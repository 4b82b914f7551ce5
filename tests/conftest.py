"""Fixtures that all tests share."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch
from PIL import Image
from support.cli import Finished, RunCli
from support.tiny_model import write_model
from xdist.scheduler import LoadFileScheduling

from maskinfer.cli import main
from maskinfer.train.synthetic.samples import SynthSettings, write_samples

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

# Files and folders of tests that take minutes, in the order in which they begin.
_LONGEST = {"export": 0, "test_learning": 1, "test_training": 2, "test_ray_engine": 3}


def pytest_configure(config: pytest.Config) -> None:
    """Share the cores among the processes that test."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    torch.set_num_threads(max(1, torch.get_num_threads() // processes))


class _Scheduling(LoadFileScheduling):
    """A file's tests run in one process, and those of exporting, which share trained networks."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(super()._split_scope(nodeid))
        return str(file.parent if file.parent.name == "export" else file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _Scheduling:
    return _Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; skip what needs a GPU where there is none."""
    last = len(_LONGEST)
    items.sort(
        key=lambda item: (
            "slow" not in item.keywords,
            _LONGEST.get(item.path.stem, _LONGEST.get(item.path.parent.name, last)),
        )
    )
    if torch.cuda.is_available():
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """On Linux nothing is kept in the home of whoever runs the tests, by processes neither."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _auto_is_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a CPU that OpenVINO is not faster on; the tests of `auto` with it undo this."""
    monkeypatch.setattr("maskinfer.runtime.session.is_suited", lambda network: False)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model file of `tiny_model.py`, letterbox, canvas 32."""
    return write_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 24 training and 11 test images."""
    folder = tmp_path_factory.mktemp("drawn data")
    write_samples(folder / "train", SynthSettings(count=24, seed=1, size_px=96))
    write_samples(folder / "test", SynthSettings(count=11, seed=2, size_px=96))
    return folder


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> RunCli:
    """Run the command line as a user would, in this process: exit code, stdout, stderr."""

    def run(*arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", ["maskinfer", *map(str, arguments)])
        # The command line raises Pillow's limit for its process; the tests go on in this one.
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capfd.readouterr()
        return Finished(int(stop.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def run_process() -> RunCli:
    """Run `python -m maskinfer` in a process of its own."""

    def run(
        *arguments: object, cwd: Path | None = None, env: dict[str, str] | None = None
    ) -> Finished:
        done = subprocess.run(
            [sys.executable, "-m", "maskinfer", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd,
            env=os.environ | (env or {}),
            timeout=300,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run
