import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from support.predictions import recorded_names
from support.tiny_model import draw_photo

import maskinfer.__main__

IMAGES = 4000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos enough to be interrupted in: one file under many names."""
    folder = tmp_path / "photos"
    folder.mkdir()
    draw_photo((640, 640), (160, 80, 240, 320)).save(folder / "0000.png")
    for i in range(1, IMAGES):
        (folder / f"{i:04}.png").hardlink_to(folder / "0000.png")
    return folder


def start(folder: Path, model: Path, *options: str) -> subprocess.Popen[str]:
    out = folder.parent / "preds.csv"
    command = [sys.executable, "-m", "maskinfer", "predict", str(folder), "--out", str(out)]
    return subprocess.Popen(
        [*command, *options, "--model", str(model), "--provider", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests are started in the background, their children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for_rows(folder: Path, size: int = 1000) -> None:
    partial = folder.parent / "preds.csv.partial"
    limit = time.monotonic() + 30
    while not (partial.exists() and partial.stat().st_size > size) and time.monotonic() < limit:
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
def test_a_signal_keeps_what_is_done_and_says_how_to_resume(
    folder: Path, tiny_model: Path, number: int, code: int
) -> None:
    out, partial = folder.parent / "preds.csv", folder.parent / "preds.csv.partial"
    out.write_text("mine")
    process = start(folder, tiny_model, "--overwrite")
    wait_for_rows(folder)
    sent = time.monotonic()
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert time.monotonic() - sent < 2
    assert process.returncode == code
    assert stdout == ""
    model, stopped = stderr.splitlines()
    assert model.startswith("model: ")
    names = recorded_names(partial)
    assert 0 < len(names) < IMAGES
    kept, command = stopped.split(". Resume with: ")
    # The last row may have been written and not yet counted.
    assert kept in [
        f"stopped: {count} of {IMAGES} images are done, kept in {partial}"
        for count in (len(names), len(names) - 1)
    ]
    assert command == (
        f"maskinfer predict --resume {folder} --out {out} --model {tiny_model} --provider cpu"
    )
    assert names == [f"{i:04}.png" for i in range(len(names))]
    assert out.read_text() == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
def test_a_slow_decode_does_not_hold_the_end_back(folder: Path, tiny_model: Path) -> None:
    """Neither a thread that decodes nor one that predicts is waited for."""
    Image.new("L", (15_000, 15_000), 77).save(folder / "0100.png.tmp", "PNG", compress_level=1)
    for i in range(100, 110):
        (folder / f"{i:04}.png").unlink()
        (folder / f"{i:04}.png").hardlink_to(folder / "0100.png.tmp")
    process = start(folder, tiny_model, "--threads", "1")
    wait_for_rows(folder)
    time.sleep(0.5)
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert time.monotonic() - sent < 2
    assert process.returncode == 130


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
def test_a_killed_command_is_resumed(folder: Path, tiny_model: Path) -> None:
    for name in ("0003", "0500", "2000"):
        (folder / f"{name}.png").unlink()
        (folder / f"{name}.png").write_bytes(b"junk")
    draw_photo().save(folder / "small.tmp", "PNG")
    for path in sorted(folder.glob("*.png")):
        if path.stat().st_nlink > 1:
            path.unlink()
            path.hardlink_to(folder / "small.tmp")
    out, errors = folder.parent / "preds.csv", folder.parent / "preds.errors.csv"
    process = start(folder, tiny_model)
    process.communicate(timeout=60)
    expected = out.read_bytes(), errors.read_bytes()
    out.unlink()
    errors.unlink()
    for size in (1000, 30_000, 60_000):
        process = start(folder, tiny_model, "--resume")
        wait_for_rows(folder, size)
        process.kill()
        process.communicate(timeout=30)
    process = start(folder, tiny_model, "--resume")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 3, stderr
    assert (out.read_bytes(), errors.read_bytes()) == expected


def test_ctrl_c_while_the_command_line_is_imported_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupt:
        def find_spec(self, name: str, *rest: object) -> None:
            if name == "maskinfer.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "maskinfer.cli")
    monkeypatch.setattr(sys, "meta_path", [Interrupt(), *sys.meta_path])
    with pytest.raises(SystemExit) as stop:
        maskinfer.__main__.main()
    assert (stop.value.code, capsys.readouterr().err) == (130, "stopped\n")
