import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.cli import RunCli
from support.predictions import read_errors, read_predictions
from support.tiny_model import draw_photo, write_model

from maskinfer.errors import MaskinferError
from maskinfer.inference.journal import Journal
from maskinfer.runtime.model_file import WorkingPoint
from maskinfer.runtime.session import Session

BOX = (16, 8, 24, 32)


def test_predict_writes_the_csv_and_prints_a_summary(folder: Path, run_cli: RunCli) -> None:
    (folder / "sub").mkdir()
    draw_photo(blue=204).save(folder / "b.png")
    draw_photo(proper=False, blue=204).save(folder / "sub" / "a.png")
    done = run_cli("predict", folder, "--out", "preds.csv", "--provider", "cpu")
    assert done.code == 0, done.stderr
    assert Path("preds.csv").read_text() == (
        "filename,x,y,w,h,proper_mask,probability,score\n"
        "b.png,16,8,24,32,True,1.0000,0.8000\n"
        "sub/a.png,16,8,24,32,False,0.0000,0.8000\n"
    )
    assert done.stderr == "model: models/tiny.onnx [tiny fp32] on cpu\n"
    figures = dict(re.split(r"  +", line.strip()) for line in done.stdout.splitlines())
    assert figures.pop("images/s")
    assert figures == {
        "images": "2",
        "mask proper": "1",
        "mask improper": "1",
        "no face": "0",
        "failed": "0",
        "model": "models/tiny.onnx [tiny fp32]",
        "provider": "cpu",
        "written to": "preds.csv",
    }
    assert not Path("preds.errors.csv").exists()
    assert not list(Path().glob("*.partial"))


def test_predict_compares_with_labels_where_there_are_some(folder: Path, run_cli: RunCli) -> None:
    draw_photo().save(folder / "1__[16, 8, 24, 32]__True.png")
    draw_photo().save(folder / "2__[16, 8, 24, 16]__False.png")
    draw_photo().save(folder / "3.png")
    done = run_cli("predict", folder, "--out", "preds.csv")
    assert done.code == 0, done.stderr
    assert [(row.iou, row.correct) for row in read_predictions(Path("preds.csv"))] == [
        (1.0, True),
        (0.5, False),
        (None, None),
    ]
    assert "0.750 (of 2 labelled)" in done.stdout
    assert "50.0 % (of 2 labelled)" in done.stdout


def test_predict_one_image(folder: Path, run_cli: RunCli) -> None:
    draw_photo().save(folder / "a.png")
    assert run_cli("predict", folder / "a.png", "--out", "preds.csv").code == 0
    assert [row.filename for row in read_predictions(Path("preds.csv"))] == ["a.png"]


def test_predict_no_recursive_stays_in_the_folder(folder: Path, run_cli: RunCli) -> None:
    (folder / "sub").mkdir()
    draw_photo().save(folder / "a.png")
    draw_photo().save(folder / "sub" / "b.png")
    assert run_cli("predict", folder, "--out", "preds.csv", "--no-recursive").code == 0
    assert [row.filename for row in read_predictions(Path("preds.csv"))] == ["a.png"]


def test_predict_names_of_a_list(folder: Path, run_cli: RunCli, monkeypatch: Any) -> None:
    for name in "abc":
        draw_photo().save(folder / f"{name}.png")
    Path("list.txt").write_text("photos/c.png\nphotos/a.png\nphotos/gone.png\nphotos\n")
    done = run_cli("predict", "--files-from", "list.txt", "--out", "preds.csv")
    assert done.code == 3, done.stderr
    rows = read_predictions(Path("preds.csv"))
    assert [row.filename for row in rows] == ["photos/c.png", "photos/a.png"]
    assert read_errors() == {
        "photos/gone.png": "No such file or directory",
        "photos": "Is a directory",
    }
    Path("list.txt").write_bytes(b"b.png\0a.png\0")
    done = run_cli("predict", folder, "--files-from", "list.txt", "--out", "more.csv")
    assert [row.filename for row in read_predictions(Path("more.csv"))] == ["b.png", "a.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="no find there")
def test_predict_names_from_standard_input_to_standard_output(folder: Path) -> None:
    for name in "ab":
        draw_photo(blue=204).save(folder / f"{name}.png")
    (folder / "c.png").write_text("not an image")
    done = subprocess.run(
        f"find photos -name '*.png' -print0 | sort -z | {sys.executable} -m maskinfer predict "
        "--files-from - --out -",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stdout == (
        "filename,x,y,w,h,proper_mask,probability,score\n"
        "photos/a.png,16,8,24,32,True,1.0000,0.8000\n"
        "photos/b.png,16,8,24,32,True,1.0000,0.8000\n"
    )
    assert "failed: photos/c.png: not an image, or of an unknown format" in done.stderr
    assert "warning: 1 of 3 images failed\n" in done.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["models", "photos"]


@pytest.mark.skipif(sys.platform == "win32", reason="no head there")
def test_predict_ends_quietly_when_nobody_reads_its_output(folder: Path) -> None:
    for i in range(300):
        draw_photo().save(folder / f"{i}.png")
    command = [sys.executable, "-m", "maskinfer", "predict", "photos", "--out", "-"]
    process = subprocess.Popen(
        [*command, "--batch-size", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read().count("\n") == 1  # the model
    assert process.wait(30) == 141
    process.stderr.close()


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_predict_writes_what_the_ending_says(folder: Path, run_cli: RunCli, suffix: str) -> None:
    draw_photo(blue=204).save(folder / "a.png")
    done = run_cli("predict", folder, "--out", f"preds.{suffix}")
    assert done.code == 0, done.stderr
    assert sorted(path.name for path in Path().glob("preds*")) == sorted(
        [f"preds.{suffix}", "preds.meta.json"]
    )
    if suffix == "jsonl":
        face = {"x": 16, "y": 8, "w": 24, "h": 32, "proper_mask": True}
        face |= {"probability": 1.0, "score": 0.8}
        assert json.loads(Path("preds.jsonl").read_text()) == {"filename": "a.png", "faces": [face]}


def test_predict_draws_on_the_photos(folder: Path, run_cli: RunCli) -> None:
    (folder / "sub").mkdir()
    draw_photo().save(folder / "a.png")
    draw_photo().save(folder / "sub" / "b.jpg")
    (folder / "c.jpg").write_text("not an image")
    arguments = ("predict", folder, "--out", "preds.csv", "--annotate", "drawn")
    assert run_cli(*arguments).code == 3
    assert len(read_predictions(Path("preds.csv"))) == 2
    drawn = sorted(path.as_posix() for path in Path("drawn").rglob("*.jpg"))
    assert drawn == ["drawn/a.jpg", "drawn/sub/b.jpg"]
    done = run_cli("predict", folder, "--out", "more.csv", "--annotate", "drawn")
    assert (done.code, "not empty" in done.stderr) == (2, True)
    assert run_cli(*arguments, "--overwrite").code == 3
    done = run_cli("predict", folder, "--out", "more.csv", "--annotate", folder / "drawn")
    assert (done.code, "choose a folder beside it" in done.stderr) == (2, True)
    before = (folder / "sub" / "b.jpg").read_bytes()
    options = ("--out", "more.csv", "--annotate", folder / "sub", "--overwrite")
    done = run_cli("predict", folder / "sub" / "b.jpg", *options)
    assert (done.code, "is the photo itself" in done.stderr) == (1, True)
    assert (folder / "sub" / "b.jpg").read_bytes() == before


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_predict_writes_the_same_bytes_whatever_the_batch_and_the_threads(
    folder: Path, run_cli: RunCli, batch_size: int, threads: int
) -> None:
    for i in range(23):
        path = folder / f"{i % 5}" / f"{i}__[{2 * (i % 20)}, 8, 24, 32]__{i % 2 == 0}.png"
        path.parent.mkdir(exist_ok=True)
        if i % 7 == 3:
            path.write_bytes(b"junk")
        else:
            draw_photo(box_xywh=(2 * (i % 20), 8, 24, 32), blue=120 + i).save(path)
    assert run_cli("predict", folder, "--out", "expected.csv").code == 3
    options = ("--batch-size", batch_size, "--threads", threads)
    assert run_cli("predict", folder, "--out", "preds.csv", *options).code == 3
    for name in ("csv", "errors.csv"):
        assert Path(f"preds.{name}").read_bytes() == Path(f"expected.{name}").read_bytes()


def test_predict_leaves_images_above_the_limit(folder: Path, run_cli: RunCli) -> None:
    draw_photo((64, 64)).save(folder / "a.png")
    draw_photo((128, 64)).save(folder / "b.png")
    options = ("--max-pixels", 64 * 64)
    assert run_cli("predict", folder, "--out", "preds.csv", *options).code == 3
    assert list(read_errors()) == ["b.png"]


def test_predict_resumes_where_it_was_stopped(
    folder: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(20):
        if i % 6 == 1:
            (folder / f"{i:02}.png").write_bytes(b"junk")
        else:
            draw_photo(blue=120 + i).save(folder / f"{i:02}.png")
    assert run_cli("predict", folder, "--out", "expected.csv").code == 3
    run = Session.run

    def run_first_two(self: Session, canvases: Any) -> Any:
        if canvases[..., 2].max() >= 120 + 8:  # batches may run at the same time, in any order
            raise MaskinferError("out of memory")
        return run(self, canvases)

    monkeypatch.setattr(Session, "run", run_first_two)
    arguments = ("predict", folder, "--out", "preds.csv", "--batch-size", 4)
    assert run_cli(*arguments).code == 1
    monkeypatch.setattr(Session, "run", run)
    done = run_cli(*arguments)
    assert (done.code, "--resume" in done.stderr) == (2, True)
    done = run_cli(*arguments, "--resume", "--overwrite")
    assert (done.code, "expected one of them" in done.stderr) == (2, True)
    Path("other.onnx").write_bytes(
        write_model(Path("other/a.onnx"), one_face=WorkingPoint(threshold=0.4)).read_bytes()
    )
    done = run_cli(*arguments, "--resume", "--model", "other.onnx")
    assert (done.code, "was begun with model sha256" in done.stderr) == (2, True)
    done = run_cli(*arguments, "--resume")
    assert done.code == 3, done.stderr
    assert "kept           8 predicted earlier" in done.stdout
    for name in ("csv", "errors.csv"):
        assert Path(f"preds.{name}").read_bytes() == Path(f"expected.{name}").read_bytes()
    done = run_cli(*arguments, "--resume")
    assert (done.code, "already complete" in done.stderr) == (3, True)


def test_predict_says_what_is_predicted_again(
    folder: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Journal) -> None:
        raise MaskinferError("the disk is full")

    for name in "ac":
        draw_photo().save(folder / f"{name}.png")
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "finish", fail)
        assert run_cli("predict", folder, "--out", "preds.csv").code == 1
    draw_photo().save(folder / "b.png")
    done = run_cli("predict", folder, "--out", "preds.csv", "--resume")
    assert "note: discarded 1 earlier result," in done.stderr
    assert [row.filename for row in read_predictions(Path("preds.csv"))] == [
        "a.png",
        "b.png",
        "c.png",
    ]


def save_as(mode: str, **options: Any) -> Callable[[Path], None]:
    return lambda path: draw_photo().convert(mode).save(path, **options)


def with_alpha(path: Path) -> None:
    photo = draw_photo()
    photo.putalpha(255)
    photo.save(path)


def sixteen_bit(path: Path) -> None:
    grey = np.asarray(draw_photo().getchannel("R")).astype(np.uint16) * 257
    Image.fromarray(grey).save(path)


def rotated(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    draw_photo().transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)


@pytest.mark.parametrize(
    ("name", "save"),
    [
        pytest.param("a.jpg", save_as("RGB", quality=95), id="jpeg"),
        pytest.param("a.jpg", save_as("CMYK", quality=95), id="cmyk"),
        pytest.param("a.png", save_as("P"), id="palette"),
        pytest.param("a.gif", save_as("P"), id="gif"),
        pytest.param("a.png", with_alpha, id="alpha"),
        pytest.param("a.png", sixteen_bit, id="16-bit"),
        pytest.param("a.jpg", rotated, id="exif-rotated"),
        pytest.param("a.bmp", save_as("RGB"), id="bmp"),
        pytest.param("a.webp", save_as("RGB", lossless=True), id="webp"),
        pytest.param("a.tif", save_as("RGB"), id="tiff"),
        pytest.param("a.JPEG", save_as("RGB", quality=95), id="capitals"),
        pytest.param("a.jpg", save_as("RGB", format="PNG"), id="png named jpg"),
        pytest.param("a, b.png", save_as("RGB"), id="comma"),
        pytest.param('"a".png', save_as("RGB"), id="quotes"),
        pytest.param("a\nb.png", save_as("RGB"), id="newline"),
        pytest.param("a\rb.png", save_as("RGB"), id="carriage return"),
        pytest.param("größe 口罩 😷.png", save_as("RGB"), id="non-ascii"),
        pytest.param("[red]a.png", save_as("RGB"), id="markup"),
    ],
)
def test_predict_finds_the_face_in_any_kind_of_image(
    folder: Path, run_cli: RunCli, name: str, save: Callable[[Path], None]
) -> None:
    save(folder / name)
    done = run_cli("predict", folder, "--out", "preds.csv")
    assert done.code == 0, done.stderr
    (row,) = read_predictions(Path("preds.csv"))
    assert (row.filename, [face.box_xywh for face in row.faces]) == (name, [BOX])


def test_predict_a_file_name_that_is_not_utf8(folder: Path, run_cli: RunCli) -> None:
    draw_photo().save(os.fsencode(folder) + b"/caf\xe9.png", "PNG")
    assert run_cli("predict", folder, "--out", "preds.csv").code == 0
    assert [row.filename for row in read_predictions(Path("preds.csv"))] == [r"caf\xe9.png"]
