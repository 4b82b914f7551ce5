import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.cli import RunCli
from support.predictions import read_errors, read_predictions, recorded_names
from support.tiny_model import draw_photo

from maskinfer.errors import MaskinferError
from maskinfer.runtime.session import Session


def truncated(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:2000])


UNREADABLE: dict[str, Callable[[Path], object]] = {
    "truncated.jpg": truncated,
    "text.jpg": lambda path: path.write_text("not an image"),
    "empty.png": lambda path: path.touch(),
    "dangling.jpg": lambda path: path.symlink_to("nowhere"),
    "float.tif": lambda path: Image.fromarray(np.zeros((4, 4), np.float32)).save(path),
    "phone.heic": lambda path: path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(40)),
    "blank.png": lambda path: draw_photo(box_xywh=None).save(path),
}


def test_predict_records_what_failed_and_continues(folder: Path, run_cli: RunCli) -> None:
    for name, make in UNREADABLE.items():
        make(folder / name)
    draw_photo().save(folder / "good.png")
    done = run_cli("predict", folder, "--out", "preds.csv", "--batch-size", 3)
    assert done.code == 3
    assert [row.filename for row in read_predictions(Path("preds.csv"))] == ["good.png"]
    errors = read_errors()
    assert set(errors) == set(UNREADABLE)
    for name, reason in {
        "truncated.jpg": "truncated",
        "text.jpg": "not an image",
        "empty.png": "not an image",
        "dangling.jpg": "No such file or directory",
        "float.tif": "floating-point pixels",
        "phone.heic": "not an image",
        "blank.png": "the model's output is not finite",
    }.items():
        assert reason in errors[name]
        assert "\n" not in errors[name]
    assert "warning: 7 of 8 images failed. Why is in preds.errors.csv" in done.stderr
    assert "Traceback" not in done.stderr


def test_predict_with_nothing_readable_is_exit_1_with_the_reasons(
    folder: Path, run_cli: RunCli
) -> None:
    (folder / "a.jpg").write_text("not an image")
    done = run_cli("predict", folder, "--out", "preds.csv")
    assert done.code == 1
    assert "error: photos: none of 1 image could be predicted" in done.stderr
    assert read_errors() == {"a.jpg": "not an image, or of an unknown format"}
    assert read_predictions(Path("preds.csv")) == []


def test_predict_overwrite_leaves_nothing_of_the_output_before(
    folder: Path, run_cli: RunCli
) -> None:
    (folder / "a.jpg").write_text("not an image")
    run_cli("predict", folder, "--out", "preds.csv")
    (folder / "a.jpg").unlink()
    draw_photo().save(folder / "b.png")
    assert run_cli("predict", folder, "--out", "preds.csv").code == 2
    assert read_errors()
    assert run_cli("predict", folder, "--out", "preds.csv", "--overwrite").code == 0
    assert len(read_predictions(Path("preds.csv"))) == 1
    assert not Path("preds.errors.csv").exists()


def errors_exist(folder: Path) -> None:
    Path("preds.errors.csv").write_text("mine")


def partial_exists(folder: Path) -> None:
    Path("preds.csv.partial").write_text("mine")


def no_photo(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def out_exists(folder: Path) -> None:
    Path("preds.csv").write_text("mine")


def out_is_folder(folder: Path) -> None:
    Path("preds.csv").mkdir()


def no_model(folder: Path) -> None:
    Path("models/tiny.onnx").rename("models/tiny.txt")


def damaged_model(folder: Path) -> None:
    Path("models/tiny.onnx").write_bytes(b"junk")


def nothing(folder: Path) -> None: ...


@pytest.mark.parametrize(
    ("prepare", "arguments", "code", "words"),
    [
        pytest.param(nothing, ["nowhere", "--out", "p.csv"], 2, "no such folder", id="no folder"),
        pytest.param(no_photo, ["photos", "--out", "p.csv"], 1, "no image in it", id="empty"),
        pytest.param(out_exists, ["photos", "--out", "preds.csv"], 2, "--overwrite", id="exists"),
        pytest.param(
            out_is_folder,
            ["photos", "--out", "preds.csv", "--overwrite"],
            2,
            "a folder, expected a file",
            id="out is a folder",
        ),
        pytest.param(
            errors_exist, ["photos", "--out", "preds.csv"], 2, "--overwrite", id="errors exist"
        ),
        pytest.param(
            partial_exists,
            ["photos", "--out", "preds.csv"],
            2,
            "continue it with --resume, or begin again with --overwrite",
            id="partial exists",
        ),
        pytest.param(nothing, ["--out", "p.csv"], 2, "nothing to predict", id="no images"),
        pytest.param(
            nothing,
            ["photos", "--out", "p.csv", "--batch-size", "100000000000000"],
            2,
            "no memory for so many canvases",
            id="huge batch",
        ),
        pytest.param(nothing, ["photos", "--out", "p.txt"], 2, "ending in .csv", id="format"),
        pytest.param(
            nothing,
            ["photos", "--out", "-", "--resume"],
            2,
            "cannot be resumed",
            id="resume -",
        ),
        pytest.param(
            nothing,
            ["--files-from", os.devnull, "--out", "p.csv"],
            1,
            "no name in this list",
            id="empty list",
        ),
        pytest.param(
            nothing,
            ["--files-from", "gone.txt", "--out", "p.csv"],
            2,
            "gone.txt",
            id="no list",
        ),
        pytest.param(nothing, ["photos", "--out", "no/p.csv"], 2, "mkdir -p no", id="no parent"),
        pytest.param(nothing, ["", "--out", "p.csv"], 2, "an empty argument", id="empty path"),
        pytest.param(nothing, ["photos", "--out="], 2, "an empty argument", id="empty option"),
        pytest.param(
            nothing,
            ["photos", "--out", "p.csv", "--model", "no.onnx"],
            2,
            "no.onnx: no such model file",
            id="no such model",
        ),
        pytest.param(
            damaged_model,
            ["photos", "--out", "p.csv"],
            1,
            "(the newest under models/; choose another with --model FILE)",
            id="model",
        ),
        pytest.param(
            nothing,
            ["photos", "--out", "p.csv", "--batch-size", "0"],
            2,
            "--batch-size",
            id="batch size",
        ),
        pytest.param(
            nothing, ["photos", "--out", "p.csv", "--provider", "gpu"], 2, "gpu", id="provider"
        ),
    ],
)
def test_predict_refuses_before_any_work(
    folder: Path,
    run_cli: RunCli,
    prepare: Callable[[Path], None],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    draw_photo().save(folder / "a.png")
    prepare(folder)
    before = sorted(path.name for path in Path().iterdir())
    done = run_cli("predict", *arguments)
    assert done.code == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert sorted(path.name for path in Path().iterdir()) == before


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_predict_refuses_a_folder_that_cannot_be_written(folder: Path, run_cli: RunCli) -> None:
    draw_photo().save(folder / "a.png")
    Path("locked").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    done = run_cli("predict", folder, "--out", "locked/p.csv")
    assert done.code == 2
    assert "cannot be written" in done.stderr


def test_debug_shows_the_traceback(folder: Path, run_process: RunCli) -> None:
    done = run_process("predict", "nowhere", "--out", "p.csv")
    assert (done.code, done.stderr) == (2, "error: nowhere: no such folder or image\n")
    for arguments in (["--debug", "predict", "nowhere"], ["predict", "--debug", "nowhere"]):
        done = run_process(*arguments, "--out", "p.csv")
        assert done.code == 1
        assert "Traceback" in done.stderr
        assert done.stderr.endswith("UsageError: nowhere: no such folder or image\n")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_predict_prints_names_that_are_not_utf8(folder: Path, run_process: RunCli) -> None:
    draw_photo().save(folder / "a.png")
    (folder / "b.png").write_text("not an image")
    out = os.fsdecode(b"lat\xff")
    Path(out).mkdir()
    done = run_process("predict", folder, "--out", f"{out}/o.csv", env={"LC_ALL": "C.UTF-8"})
    assert done.code == 3, done.stderr
    assert r"lat\xff/o.csv" in done.stdout
    assert r"Why is in lat\xff/o.errors.csv" in done.stderr
    done = run_process("predict", out + "/none", "--out", "p.csv", env={"LC_ALL": "C.UTF-8"})
    assert (done.code, done.stderr) == (2, "error: lat\\xff/none: no such folder or image\n")


def test_predict_says_what_is_kept_when_the_model_fails_on_the_way(
    folder: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        draw_photo().save(folder / f"{name}.png")
    run = Session.run

    def run_whole_batches(self: Session, canvases: Any) -> Any:
        if len(canvases) < 2:
            raise MaskinferError("tiny.onnx: failed on cpu. Try a smaller --batch-size")
        return run(self, canvases)

    monkeypatch.setattr(Session, "run", run_whole_batches)
    done = run_cli("predict", folder, "--out", "preds.csv", "--batch-size", 2)
    assert done.code == 1
    assert done.stderr.splitlines()[-1] == (
        "error: tiny.onnx: failed on cpu. Try a smaller --batch-size; "
        "2 of 3 images are done, kept in preds.csv.partial"
    )
    assert len(recorded_names(Path("preds.csv.partial"))) == 2
    assert not Path("preds.csv").exists()


def test_a_chosen_model_is_not_called_the_newest(folder: Path, run_cli: RunCli) -> None:
    damaged_model(folder)
    draw_photo().save(folder / "a.png")
    done = run_cli("predict", folder, "--out", "p.csv", "--model", "models/tiny.onnx")
    assert done.stderr == (
        "error: models/tiny.onnx: damaged, or not an ONNX file. Run: maskinfer export\n"
    )


def test_spreadsheets_take_no_name_for_a_formula(
    tmp_path: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    names = ["+1.png", "-1.png", "=1+1.png", "@a.png", "a=.png"]
    for name in names[1:]:
        draw_photo().save(tmp_path / name)
    (tmp_path / names[0]).write_text("no image")
    command = ("predict", tmp_path, "--model", tiny_model, "--out")
    assert run_cli(*command, tmp_path / "p.csv").code == 3
    done = run_cli(*command, tmp_path / "s.csv", "--spreadsheet")
    assert done.code == 3, done.stderr
    plain, marked = ((tmp_path / name).read_bytes() for name in ("p.csv", "s.csv"))
    assert marked.startswith("\ufefffilename".encode())
    expected = [names[-1], *(f"'{name}" for name in names[1:-1])]
    rows = marked.decode("utf-8-sig").splitlines()[1:]
    assert sorted(row.partition(",")[0] for row in rows) == sorted(expected)
    assert [row.removeprefix("'") for row in rows] == plain.decode().splitlines()[1:]
    assert b"'+1.png," in (tmp_path / "s.errors.csv").read_bytes()
    done = run_cli(*command, tmp_path / "p.jsonl", "--spreadsheet")
    assert (done.code, "--spreadsheet: only for a CSV file" in done.stderr) == (2, True)


def test_names_are_printed_as_they_are(folder: Path, run_cli: RunCli) -> None:
    (folder / "a :cat: [b].png").write_bytes(b"junk")
    draw_photo().save(folder / "b.png")
    done = run_cli("predict", folder, "--out", "-")
    assert done.stderr.splitlines()[1].startswith("failed: a :cat: [b].png: ")
