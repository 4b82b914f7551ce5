"""OpenVINO against ONNX Runtime, on the model that ships."""

import platform
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from support.cli import RunCli
from support.tiny_model import draw_photo

from maskinfer import MaskDetector
from maskinfer.data.dataset import sample_images
from maskinfer.errors import UsageError
from maskinfer.runtime import cpu, gpu, openvino
from maskinfer.runtime import session as module
from maskinfer.runtime.default_model import shipped_model
from maskinfer.runtime.openvino import is_suited
from maskinfer.runtime.providers import Provider
from maskinfer.runtime.session import Session

pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def photos() -> list[Path]:
    return sorted((sample_images("") / "test").glob("*.jpg"))[:24]


@pytest.fixture
def _fast_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "has_nvidia_driver", lambda: False)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(cpu, "has_int8_dot_products", lambda: True)
    monkeypatch.setattr(module, "is_suited", is_suited)


@pytest.mark.usefixtures("_fast_cpu")
@pytest.mark.parametrize(
    ("place", "name", "value", "is_taken"),
    [
        (cpu, "has_int8_dot_products", True, True),
        (cpu, "has_int8_dot_products", False, False),
        (platform, "machine", "aarch64", False),
        (openvino, "find_spec", None, False),
    ],
    ids=["fast", "without INT8 instructions", "not x86", "not installed"],
)
def test_auto_takes_it_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, place: object, name: str, value: object, is_taken: bool
) -> None:
    monkeypatch.setattr(place, name, lambda *_: value)
    session = Session(shipped_model())
    assert session.provider is (Provider.OPENVINO if is_taken else Provider.CPU)
    assert session.path == shipped_model()
    assert not is_suited("fasterrcnn")  # whose memory it triples


@pytest.mark.usefixtures("_fast_cpu")
def test_auto_goes_on_without_a_package_that_does_not_work(
    monkeypatch: pytest.MonkeyPatch, photos: list[Path]
) -> None:
    monkeypatch.setattr(openvino, "is_installed", lambda: True)
    monkeypatch.setitem(sys.modules, "openvino", ModuleType("openvino"))  # another, or too old
    detector = MaskDetector()
    assert detector.session.provider is Provider.CPU
    assert "; no OpenVINO: cannot be imported (" in detector.session.note
    assert detector(photos[0]) is not None


def test_answers_do_not_depend_on_batches_or_threads(photos: list[Path]) -> None:
    answers = []
    for batch_size, streams, threads in ((16, 1, 1), (1, 1, 2), (5, 3, 2)):
        detector = MaskDetector(None, "openvino", batch_size, streams=streams, threads=threads)
        assert detector.session.streams == streams
        answers.append(detector(photos))
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("canvas", [224, 320])
def test_answers_agree_with_onnxruntime(photos: list[Path], canvas: int) -> None:
    detectors = [MaskDetector(None, provider, canvas=canvas) for provider in ("openvino", "cpu")]
    threshold = detectors[0].choice.threshold
    differing = 0
    for one, other in zip(*(detector(photos) for detector in detectors), strict=True):
        assert one is not None
        assert other is not None
        if one.proper_mask != other.proper_mask:
            differing += 1
            assert one.probability == pytest.approx(threshold, abs=0.1)
        np.testing.assert_allclose(one.box_xywh, other.box_xywh, atol=3)  # whole pixels, INT8
        assert one.probability == pytest.approx(other.probability, abs=0.1)
    assert differing <= 1


def _in_a_process(script: str) -> str:
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_signals_are_handled_after_two_models_have_gone() -> None:
    script = """
import signal
from maskinfer.runtime.default_model import shipped_model
from maskinfer.runtime.session import Session
one, two = Session(shipped_model(), "openvino"), Session(shipped_model(), "openvino")
del one
del two
signal.signal(signal.SIGINT, lambda number, frame: print("handled"))
signal.raise_signal(signal.SIGINT)
"""
    assert _in_a_process(script) == "handled\n"


def test_first_batches_of_several_threads_end() -> None:
    """Of two that prepared the library at once, each waited for the other."""
    script = """
import sys, threading
import numpy as np
from maskinfer.runtime.default_model import shipped_model
from maskinfer.runtime.session import Session
session = Session(shipped_model(), "openvino", streams=8)
canvases, begun = np.zeros((1, 224, 224, 3), np.uint8), []
sys.setswitchinterval(1e-6)
def compute():
    while not begun:
        pass
    session.run(canvases)
threads = [threading.Thread(target=compute) for _ in range(8)]
for thread in threads:
    thread.start()
begun.append(True)
for thread in threads:
    thread.join()
print("ended")
"""
    assert _in_a_process(script) == "ended\n"


def test_compiled_models_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Session(shipped_model(), "openvino")
    assert list((tmp_path / "cache" / "maskinfer" / "openvino").glob("*.blob"))


def test_options_are_openvinos_own(photos: list[Path]) -> None:
    detector = MaskDetector(None, "openvino", provider_options={"PERFORMANCE_HINT": "THROUGHPUT"})
    assert detector(photos[0]) is not None
    with pytest.raises(UsageError, match=r"--provider-option NO_SUCH=1: OpenVINO refuses it, .*"):
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
    for other in (["cpu"], ["openvino", "--provider-option", "PERFORMANCE_HINT=THROUGHPUT"]):
        done = run_cli(*command, "--provider", *other, "--retry-failed")
        assert done.code == 2
        assert "was begun with provider 'openvino', now it is" in done.stderr


def test_doctor_mends_a_package_that_does_not_work(
    monkeypatch: pytest.MonkeyPatch, run_cli: RunCli
) -> None:
    monkeypatch.setattr(openvino, "is_installed", lambda: True)
    monkeypatch.setitem(sys.modules, "openvino", ModuleType("openvino"))
    done = run_cli("doctor")
    words = " ".join(done.stdout.split())
    assert "openvino installed, does not run: cannot be imported" in words
    assert "pip install --force-reinstall openvino" in done.stdout
    assert "models run on the CPU" in done.stdout or "with the provider cuda" in done.stdout
