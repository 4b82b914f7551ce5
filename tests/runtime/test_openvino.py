"""OpenVINO against ONNX Runtime, on the model that ships."""

import sys
from pathlib import Path

import numpy as np
import pytest
from support.cli import RunCli
from support.tiny_model import draw_photo

from maskinfer import MaskDetector
from maskinfer.data.dataset import sample_images
from maskinfer.errors import ModelFileError, UsageError
from maskinfer.runtime import gpu, openvino
from maskinfer.runtime.default_model import shipped_model
from maskinfer.runtime.providers import Provider
from maskinfer.runtime.session import Session

pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def photos() -> list[Path]:
    return sorted((sample_images("") / "test").glob("*.jpg"))[:24]


@pytest.mark.parametrize("installed", [True, False])
def test_auto_takes_it_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    monkeypatch.setattr(gpu, "has_nvidia_driver", lambda: False)
    monkeypatch.setattr(openvino, "find_spec", lambda name: installed or None)
    session = Session(shipped_model())
    assert session.provider is (Provider.OPENVINO if installed else Provider.CPU)
    assert session.path == shipped_model()


def test_answers_do_not_depend_on_batches_or_threads(photos: list[Path]) -> None:
    answers = []
    for batch_size, streams, threads in ((16, 1, 1), (1, 1, 2), (5, 3, 2)):
        detector = MaskDetector(None, "openvino", batch_size, streams=streams, threads=threads)
        assert detector.session.streams == streams
        answers.append(detector(photos))
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("canvas", [224, 320])
def test_answers_agree_with_onnxruntime(photos: list[Path], canvas: int) -> None:
    ours, theirs = (
        MaskDetector(None, provider, canvas=canvas)(photos) for provider in ("openvino", "cpu")
    )
    for one, other in zip(ours, theirs, strict=True):
        assert one is not None
        assert other is not None
        assert one.proper_mask == other.proper_mask
        np.testing.assert_allclose(one.box_xywh, other.box_xywh, atol=3)  # whole pixels, INT8
        assert one.probability == pytest.approx(other.probability, abs=0.1)


def test_compiled_models_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Session(shipped_model(), "openvino")
    assert list((tmp_path / "cache" / "maskinfer" / "openvino").glob("*.blob"))


def test_options_are_openvinos_own(photos: list[Path]) -> None:
    detector = MaskDetector(None, "openvino", provider_options={"PERFORMANCE_HINT": "THROUGHPUT"})
    assert detector(photos[0]) is not None
    with pytest.raises(ModelFileError, match=r"OpenVINO cannot compute it \(.*NO_SUCH"):
        Session(shipped_model(), "openvino", provider_options={"NO_SUCH": "1"})


def test_without_the_package_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UsageError, match=r"--provider openvino: cannot be .*pip install"):
        Session(shipped_model(), "openvino")


def test_a_prediction_is_resumed_on_its_provider_alone(tmp_path: Path, run_cli: RunCli) -> None:
    folder, out = tmp_path / "photos", tmp_path / "p.csv"
    folder.mkdir()
    for index in range(3):
        draw_photo(blue=120 + index).save(folder / f"{index}.png")
    (folder / "0.png").write_bytes(b"junk")
    command = ("predict", folder, "--out", out)
    assert run_cli(*command, "--provider", "openvino").code == 3
    done = run_cli(*command, "--provider", "cpu", "--retry-failed")
    assert done.code == 2
    assert "provider" in done.stderr
