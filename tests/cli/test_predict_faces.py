"""`predict` of photos with several faces, one or none."""

import csv
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.cli import RunCli
from support.predictions import recorded_names
from support.tiny_model import draw_photo, write_model

from maskinfer.errors import MaskinferError
from maskinfer.inference.journal import Journal

FIRST, SECOND = (16, 8, 24, 32), (2, 44, 12, 16)
HEADER = "filename,x,y,w,h,proper_mask,probability,score\n"
# Scores of 0.8 and 0.4, and one of 115 / 255 = 0.451.
BOTH = "both.png,16,8,24,32,True,1.0000,0.8000\nboth.png,2,44,12,16,False,0.1255,0.4000\n"


def fill(folder: Path) -> None:
    """A photo of two faces, one not properly masked; one of one face; one of nobody."""
    draw_photo(blue=204, second_xywh=SECOND).save(folder / "both.png")
    draw_photo(blue=115).save(folder / "nobody.png")
    draw_photo(blue=204).save(folder / "one.png")


def figures(printed: str) -> dict[str, str]:
    lines = (re.split(r"  +", line.strip(), maxsplit=1) for line in printed.splitlines())
    return {name: value for name, value in lines if name not in ("images/s", "model")}


def test_every_face_has_a_row_and_nobody_empty_cells(folder: Path, run_cli: RunCli) -> None:
    fill(folder)
    options = ("--face", "all", "--min-score", 0.4)
    done = run_cli("predict", folder, "--out", "preds.csv", *options)
    assert done.code == 0, done.stderr
    assert Path("preds.csv").read_text() == (
        HEADER
        + BOTH
        + "nobody.png,16,8,24,32,True,1.0000,0.4510\n"
        + "one.png,16,8,24,32,True,1.0000,0.8000\n"
    )
    done = run_cli("predict", folder, "--out", "preds.csv", "--overwrite", "--min-score", 0.5)
    assert Path("preds.csv").read_text() == (
        HEADER
        + BOTH.splitlines(keepends=True)[0]
        + "nobody.png,,,,,,,\n"
        + "one.png,16,8,24,32,True,1.0000,0.8000\n"
    )


def test_the_summary_counts_photos_and_faces(folder: Path, run_cli: RunCli) -> None:
    fill(folder)
    (folder / "x.png").write_text("not an image")
    common = {"failed": "1", "provider": "cpu", "written to": "standard output"}
    done = run_cli("predict", folder, "--out", "-", "--face", "all", "--min-score", 0.4)
    shown = done.stderr.split("unknown format\n")[1].split("warning")[0]
    assert figures(shown) == common | {
        "photos": "4",
        "faces": "4",
        "mask proper": "3 faces",
        "mask improper": "1 face, in 1 photo",
        "no face": "0 photos",
    }
    done = run_cli("predict", folder, "--out", "-", "--min-score", 0.5)
    shown = done.stderr.split("unknown format\n")[1].split("warning")[0]
    assert figures(shown) == common | {
        "images": "4",
        "mask proper": "2",
        "mask improper": "0",
        "no face": "1",
    }


def test_a_labelled_photo_without_a_face_is_wrong(folder: Path, run_cli: RunCli) -> None:
    draw_photo(blue=115).save(folder / "1__[16, 8, 24, 32]__True.png")
    draw_photo(blue=204).save(folder / "2__[16, 8, 24, 32]__True.png")
    done = run_cli("predict", folder, "--out", "preds.csv", "--min-score", 0.5)
    first = Path("preds.csv").read_text().splitlines()[1]
    assert first == '"1__[16, 8, 24, 32]__True.png",,,,,,,,0.0000,False'
    assert "0.500 (of 2 labelled)" in done.stdout
    options = ("--overwrite", "--face", "all")
    assert run_cli("predict", folder, "--out", "preds.csv", *options).code == 0
    assert Path("preds.csv").read_text().startswith(HEADER)


def test_json_lines_hold_an_object_a_photo(folder: Path, run_cli: RunCli) -> None:
    fill(folder)
    options = ("--face", "all", "--min-score", 0.5)
    assert run_cli("predict", folder, "--out", "preds.jsonl", *options).code == 0
    both, nobody, one = map(json.loads, Path("preds.jsonl").read_text().splitlines())
    assert both == {
        "filename": "both.png",
        "faces": [
            {"x": 16, "y": 8, "w": 24, "h": 32, "proper_mask": True, "probability": 1, "score": 0.8}
        ],
    }
    assert nobody == {"filename": "nobody.png", "faces": []}
    assert len(one["faces"]) == 1


def test_parquet_holds_the_rows_of_the_csv(folder: Path, run_cli: RunCli) -> None:
    fill(folder)
    for suffix in ("parquet", "csv"):
        options = ("--face", "all", "--min-score", 0.4)
        assert run_cli("predict", folder, "--out", f"{suffix}.{suffix}", *options).code == 0
    assert run_cli("predict", folder, "--out", "nobody.parquet", "--min-score", 0.5).code == 0
    rows = pq.read_table("parquet.parquet").to_pylist()
    with Path("csv.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    for row, line in zip(rows, lines, strict=True):
        assert {name: row[name] for name in ("filename", "x", "w")} == {
            "filename": line["filename"],
            "x": int(line["x"]),
            "w": int(line["w"]),
        }
        assert row["probability"] == float(line["probability"])
    assert [row["x"] for row in pq.read_table("nobody.parquet").to_pylist()] == [16, None, 16]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--threshold", "2"), "--threshold"),
        (("--min-score", "nan"), "--min-score"),
        (("--face", "most"), "--face"),
        (("--only", "proper", "--annotate", "look"), "--only"),
        (("--only", "unsure"), "expected with --annotate or --crops"),
        (("--canvas", "64"), "canvas"),
        (("--crops", "photos/crops"), "choose a folder beside it"),
        (("--annotate", "look", "--crops", "look"), "where names could clash"),
        (("--annotate", "look", "--crops", "look/faces"), "where names could clash"),
        (("--annotate", "look/photos", "--crops", "look"), "where names could clash"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(
    folder: Path, run_cli: RunCli, options: tuple[str, ...], words: str
) -> None:
    fill(folder)
    done = run_cli("predict", folder, "--out", "preds.csv", *options)
    assert done.code == 2, done.stdout
    assert words in done.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["models", "photos"]


def test_every_face_of_a_model_that_finds_one_is_refused(folder: Path, run_cli: RunCli) -> None:
    fill(folder)
    write_model(Path("models/one.onnx"), faces=1)
    done = run_cli(
        "predict", folder, "--out", "p.csv", "--face", "all", "--model", "models/one.onnx"
    )
    assert done.code == 2
    assert "--face all: this tiny finds one face a photo" in done.stderr


def test_pictures_of_faces_are_saved(folder: Path, run_cli: RunCli) -> None:
    (folder / "sub").mkdir()
    fill(folder / "sub")
    arguments: tuple[object, ...] = (
        "predict",
        folder,
        "--out",
        "preds.csv",
        "--face",
        "all",
        "--min-score",
        0.46,
    )
    arguments = (*arguments, "--crops", "crops", "--annotate", "look")
    done = run_cli(*arguments, "--only", "no-face", "--threshold", 0.9)
    assert done.code == 0, done.stderr
    assert [path.as_posix() for path in Path("look").rglob("*.jpg")] == ["look/sub/nobody.jpg"]
    assert not Path("crops").exists()
    assert run_cli(*arguments, "--overwrite").code == 0
    assert sorted(path.as_posix() for path in Path("crops").rglob("*.jpg")) == [
        "crops/sub/both-1.jpg",
        "crops/sub/one-1.jpg",
    ]
    assert len(list(Path("look").rglob("*.jpg"))) == 3
    done = run_cli("predict", folder, "--out", "more.csv", "--crops", "crops")
    assert (done.code, "not empty" in done.stderr) == (2, True)


def test_pictures_never_go_among_the_photos_of_an_address(folder: Path, run_cli: RunCli) -> None:
    fill(folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for option in ("--annotate", "--crops"):
        options: tuple[object, ...] = ("--out", "p.csv", option, folder, "--overwrite")
        done = run_cli("predict", folder.resolve().as_uri(), *options)
        assert (done.code, "would be predicted too" in done.stderr) == (2, True)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    options = ("--out", "p.csv", "--annotate", "look", "--crops", "crops")
    assert run_cli("predict", folder.resolve().as_uri(), *options).code == 0
    assert len(list(Path("look").iterdir())) == len(list(Path("crops").iterdir())) == 3


@pytest.fixture
def many(folder: Path) -> Path:
    """Photos with two faces, one or none, and files that cannot be read."""
    for i in range(23):
        path = folder / f"{i % 5}" / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        if i % 7 == 3:
            path.write_bytes(b"junk")
        else:
            second = (2, 44, 2 * (1 + i % 6), 16) if i % 3 else None
            photo = draw_photo(
                blue=233 + i if i else 115, second_xywh=second, second_proper=i % 2 == 0
            )
            photo.save(path)
    return folder


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_the_bytes_do_not_depend_on_batches_and_threads(
    many: Path, run_cli: RunCli, suffix: str
) -> None:
    written = set()
    for batch_size in (1, 3, 8):
        for threads in (1, 4):
            out = Path(f"{batch_size}-{threads}.{suffix}")
            options: tuple[object, ...] = ("--face", "all", "--min-score", 0.455)
            options = (*options, "--batch-size", batch_size, "--threads", threads)
            assert run_cli("predict", many, "--out", out, *options).code == 3
            written.add(out.read_bytes())
    (text,) = written
    rows = text.decode().splitlines()
    assert len(rows) == (34 if suffix == "csv" else 20)
    nobody = ".png,,,,,,," if suffix == "csv" else '"faces": []}'
    assert sum(row.endswith(nobody) for row in rows) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_killed_command_is_resumed(folder: Path, tiny_model: Path, suffix: str) -> None:
    draw_photo(blue=204, second_xywh=SECOND).save(folder / "0000.png")
    draw_photo(blue=115).save(folder / "0001.png")
    for i in range(2, 1500):
        (folder / f"{i:04}.png").hardlink_to(folder / f"{i % 2:04}.png")
    out, partial = Path(f"preds.{suffix}"), Path(f"preds.{suffix}.partial")
    command = [sys.executable, "-m", "maskinfer", "predict", str(folder), "--out", str(out)]
    command += ["--model", str(tiny_model), "--provider", "cpu", "--face", "all"]
    command += ["--min-score", "0.4", "--threshold", "0.3", "--report", "report"]
    subprocess.run(command, check=True, capture_output=True)
    expected = out.read_bytes(), json.loads(Path("report/facts.json").read_text())
    out.unlink()
    Path("report/facts.json").unlink()
    Path("report/report.html").unlink()
    names = 0
    for size in (1000, 60_000):
        process = subprocess.Popen([*command, "--resume"], stdout=subprocess.DEVNULL)
        limit = time.monotonic() + 30
        while time.monotonic() < limit and process.poll() is None:
            if partial.exists() and partial.stat().st_size > size:
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        assert len(recorded_names(partial)) > names
        names = len(recorded_names(partial))
    assert names < 1500
    done = subprocess.run([*command, "--resume"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (out.read_bytes(), json.loads(Path("report/facts.json").read_text())) == expected
    assert expected[1]["counts"]["faces"] == 750 * 2 + 750


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--crops", "crops", "--only", "unsure"), "was begun with only"),
        (("--crops", "crops", "--only", "not-proper", "--face", "all"), "was begun with face"),
        (("--annotate", "look", "--only", "not-proper"), "was begun with annotate"),
        (("--crops", "crops", "--only", "not-proper", "--min-score", "0.3"), "with min score"),
        (("--crops", "crops", "--only", "not-proper", "--threshold", "0.3"), "with threshold"),
        (("--crops", "crops", "--only", "not-proper"), ""),
    ],
)
def test_only_the_same_is_resumed(
    folder: Path,
    run_cli: RunCli,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    words: str,
) -> None:
    def fail(self: Journal) -> None:
        raise MaskinferError("the disk is full")

    fill(folder)
    arguments = ("predict", folder, "--out", "p.csv")
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "finish", fail)
        assert run_cli(*arguments, "--crops", "crops", "--only", "not-proper").code == 1
    done = run_cli(*arguments, "--resume", *options)
    assert (done.code, words in done.stderr) == (2 if words else 0, True)
