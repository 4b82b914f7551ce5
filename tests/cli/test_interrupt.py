import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_model import draw_photo

from maskinfer.results import read_predictions

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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_ctrl_c_keeps_what_is_done_and_says_so(folder: Path, tiny_model: Path) -> None:
    out = folder.parent / "preds.csv"
    out.write_text("mine")
    partial = folder.parent / "preds.csv.partial"
    command = [sys.executable, "-m", "maskinfer", "predict", str(folder), "--out", str(out)]
    process = subprocess.Popen(
        [*command, "--overwrite", "--model", str(tiny_model), "--provider", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What runs the tests in the background has its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    limit = time.monotonic() + 30
    while not (partial.exists() and partial.stat().st_size > 1000) and time.monotonic() < limit:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stdout == ""
    model, stopped = stderr.splitlines()
    assert model.startswith("model: ")
    rows = read_predictions(partial)
    assert 0 < len(rows) < IMAGES
    assert stopped == f"stopped: {len(rows)} of {IMAGES} images are done, kept in {partial}"
    assert [row.filename for row in rows] == [f"{i:04}.png" for i in range(len(rows))]
    assert out.read_text() == "mine"
