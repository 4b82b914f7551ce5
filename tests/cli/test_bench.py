import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.cli import RunCli
from support.tiny_model import draw_photo

import maskinfer
from maskinfer.inference.bench import BenchSettings
from maskinfer.inference.speed import Setup, time_session
from maskinfer.runtime.providers import Provider
from maskinfer.runtime.session import Session
from maskinfer.threads import decode_threads

QUICK = ("--seconds", "0.3", "--provider", "cpu")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> Path:
    """Photos and a model under `models/`, in the current folder; lines that do not wrap."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("models").mkdir()
    shutil.copy(tiny_model, "models/tiny.onnx")
    folder = Path("photos")
    folder.mkdir()
    for i in range(5):
        draw_photo((640, 480), (160, 80, 240, 320)).save(folder / f"{i}.png")
    return folder


def test_bench_measures_a_line_for_each_combination(photos: Path, run_cli: RunCli) -> None:
    sizes = ("--batch-size", 1, "--batch-size", 4)
    done = run_cli("bench", photos, *sizes, "--threads", 1, *QUICK, "--json", "bench.json")
    assert done.code == 0, done.stderr
    assert done.stderr == ""
    written = json.loads(Path("bench.json").read_text())
    assert written.keys() == {"machine", "model", "images", "seconds", "lines"}
    assert written["machine"]["cores"] >= 1
    assert written["machine"]["versions"]["maskinfer"] == maskinfer.__version__
    assert written["machine"]["versions"].keys() == {
        "maskinfer",
        "onnxruntime",
        "openvino",
        "numpy",
        "pillow",
        "python",
    }
    assert written["model"]["path"] == "models/tiny.onnx"
    assert written["model"]["words"] == "tiny fp32"
    assert len(written["model"]["sha256"]) == 64
    assert written["images"] == {"folder": "photos", "count": 5}
    assert written["seconds"] == 0.3
    assert [line["batch_size"] for line in written["lines"]] == [1, 4]
    for line in written["lines"]:
        assert (line["provider"], line["ran_on"], line["threads"]) == ("cpu", "cpu", 1)
        assert line["error"] is None
        assert line["unreadable"] == []
        assert line["images"] >= 3 * line["batch_size"]
        assert 0 < line["images_per_s"] < 1e5
        assert 0 < line["session_images_per_s"] < 1e7
        assert line["ratio"] == pytest.approx(line["images_per_s"] / line["session_images_per_s"])
        assert 0 < line["latency_p50_ms"] <= line["latency_p95_ms"] < 1000
        # The tiny network does next to nothing; a PNG has to be decoded.
        assert 0.3 < line["decode_share"] <= 1.05
        assert 20 < line["peak_memory_mb"] < 2000
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["model", "models/tiny.onnx", "[tiny", "fp32]"] in lines
    assert any(line[:1] == ["machine"] for line in lines)
    assert any(line[:3] == ["versions", "maskinfer", f"{maskinfer.__version__},"] for line in lines)
    assert [line[:3] for line in lines[-2:]] == [["cpu", "1", "1"], ["cpu", "1", "4"]]


def test_bench_continues_after_a_provider_that_does_not_start(
    photos: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    options = ("--provider", "cuda", *QUICK, "--batch-size", 1, "--threads", 1)
    done = run_cli("bench", photos, *options, "--json", "-")
    assert done.code == 3
    cuda, cpu = json.loads(done.stdout)["lines"]
    assert cuda["error"]
    assert "\n" not in cuda["error"]
    assert cpu["error"] is None
    assert cpu["images_per_s"] > 0
    assert f"failed: --provider cuda --threads 1 --batch-size 1: {cuda['error']}\n" in done.stderr
    assert any(line.split() == ["cuda", "1", "1", "failed"] for line in done.stderr.splitlines())


def test_bench_fails_where_no_line_can_be_measured(photos: Path, run_cli: RunCli) -> None:
    for path in photos.iterdir():
        path.write_text("no image")
    done = run_cli("bench", photos, *QUICK, "--batch-size", 1, "--threads", 1)
    assert done.code == 1
    failed, error = done.stderr.splitlines()
    assert failed == (
        "failed: --provider cpu --threads 1 --batch-size 1: photos: no image "
        "that can be read; the first: not an image, or of an unknown format"
    )
    assert error == "error: nothing could be measured"


def test_bench_counts_unreadable_images_and_says_so(photos: Path, run_cli: RunCli) -> None:
    (photos / "2.png").write_text("no image")
    (photos / "0.png").write_text("no image")
    done = run_cli(
        "bench", photos, *QUICK, "--batch-size", 2, "--threads", 2, "--json", "bench.json"
    )
    assert done.code == 3
    assert done.stderr.splitlines() == [
        "warning: 2 images could not be read and do not count; the first: 0.png: "
        "not an image, or of an unknown format"
    ]
    (line,) = json.loads(Path("bench.json").read_text())["lines"]
    assert line["unreadable"] == ["0.png", "2.png"]
    assert line["images"] > 0


def test_bench_takes_the_sample_images_by_default(photos: Path, run_cli: RunCli) -> None:
    done = run_cli("bench", *QUICK)
    assert done.code == 2
    assert done.stderr == (
        "error: no data set named, and no sample_images/ in this folder. "
        "Name one: maskinfer bench IMAGES\n"
    )
    photos.rename("sample_images")
    done = run_cli("bench", *QUICK, "--batch-size", 1)
    assert done.code == 0, done.stderr
    assert "5 in sample_images" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nowhere",), 2, "error: nowhere: no such folder or image"),
        (("photos/*",), 2, "error: photos/*: no such folder or image"),
        (("models",), 1, "error: models: no image in it"),
        (("photos", "--model", "no.onnx"), 2, "error: no.onnx: no such model file"),
        (("photos", "--json", "photos"), 2, "error: photos: a folder, expected a file to write"),
        (("photos", "--batch-size", "0"), 2, "--batch-size: got '0', expected at least 1"),
        (("photos", "--threads", "0"), 2, "--threads: got '0', expected at least 1"),
        (("photos", "--seconds", "0"), 2, "--seconds: got '0', expected at least 0.1"),
        (("photos", "--provider", "gpu"), 2, "--provider: got 'gpu', expected one of auto"),
    ],
    ids=["folder", "pattern", "empty", "model", "json", "batch", "threads", "seconds", "provider"],
)
@pytest.mark.usefixtures("photos")
def test_bench_refuses_what_it_cannot_do(
    run_cli: RunCli, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = run_cli("bench", *arguments)
    assert done.code == code
    assert done.stdout == ""
    assert words in done.stderr


@pytest.mark.parametrize(
    ("settings", "setups"),
    [
        (
            BenchSettings(batch_sizes=(8, 1), threads=(2,)),
            [(Provider.AUTO, 2, 8), (Provider.AUTO, 2, 1)],
        ),
        (
            BenchSettings(batch_sizes=(1,)),
            [(Provider.AUTO, decode_threads(), 1)],
        ),
        (
            BenchSettings(
                batch_sizes=(1, 1), threads=(1, 2), providers=(Provider.CPU, Provider.CUDA)
            ),
            [
                (Provider.CPU, 1, 1),
                (Provider.CPU, 2, 1),
                (Provider.CUDA, 1, 1),
                (Provider.CUDA, 2, 1),
            ],
        ),
    ],
    ids=["in order", "threads by default", "each once"],
)
def test_setups_are_all_combinations(
    settings: BenchSettings, setups: list[tuple[Provider, int, int]]
) -> None:
    assert settings.setups == [Setup(*setup) for setup in setups]


def test_bench_measures_without_and_with_a_providers_options(photos: Path, run_cli: RunCli) -> None:
    setup = ("--batch-size", 1, "--threads", 1, "--seconds", "0.3", "--provider", "auto")
    option = ("--provider-option", "prefer=[/b]")
    done = run_cli("bench", photos, *setup, "--provider", "cpu", *option, "--json", "a.json")
    assert done.code == 3  # this machine has no provider with that option
    assert "--provider auto --provider-option prefer=[/b]" in done.stderr
    lines = json.loads(Path("a.json").read_text())["lines"]
    asked = [(line["provider"], line["provider_options"]) for line in lines]
    assert asked == [("auto", {}), ("auto", {"prefer": "[/b]"}), ("cpu", {})]
    assert [line["error"] is None for line in lines] == [True, False, True]


def test_bench_refuses_an_option_without_a_value(photos: Path, run_cli: RunCli) -> None:
    done = run_cli("bench", photos, *QUICK, "--provider-option", "prefer_nhwc")
    assert done.code == 2
    assert "--provider-option: got 'prefer_nhwc', expected NAME=VALUE" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_ctrl_c_ends_a_bench_with_one_line(photos: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "maskinfer", "bench", str(photos), "--provider", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("images"):  # of the heading, printed first
        pass
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (130, "stopped\n")


def test_a_network_that_fails_ends_the_measuring(tiny_model: Path) -> None:
    """And is not waited for."""
    session = Session(tiny_model, "cpu", 4, streams=2)
    with pytest.raises(ValueError, match="5 canvases"):
        time_session(session, np.zeros((5, 32, 32, 3), np.uint8), seconds=1)
