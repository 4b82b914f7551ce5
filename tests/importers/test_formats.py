"""Formats that are told by their files, and the commands that convert those we do not read."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.annotated_folders import MAKERS, TWO_FACES, save_photo, write
from support.cli import RunCli
from support.tables import rows_of

from maskinfer.importers.formats import recognise
from maskinfer.importers.source import Source

LABELME = {
    "version": "5.2.1",
    "shapes": [{"label": "with_mask", "points": [[10, 20], [40, 60]], "shape_type": "rectangle"}],
    "imagePath": "a.jpg",
}
SHAPE = {"name": "rect", "x": 10, "y": 20, "width": 30, "height": 40}
VIA = {
    "a.jpg123": {
        "filename": "a.jpg",
        "size": 123,
        "regions": [{"shape_attributes": SHAPE, "region_attributes": {"class": "with_mask"}}],
    }
}
CREATE_ML = [
    {
        "image": "a.jpg",
        "annotations": [
            {
                "label": "with_mask",
                "coordinates": {"x": 25, "y": 40, "width": 30, "height": 40},
            }
        ],
    }
]
HUGGING_FACE = {
    "file_name": "a.jpg",
    "objects": {"bbox": [[10, 20, 30, 40]], "categories": ["with_mask"]},
}
OTHERS: dict[str, tuple[str, str]] = {
    "LabelMe": ("a.json", json.dumps(LABELME)),
    "VGG Image Annotator (VIA)": ("via.json", json.dumps(VIA)),
    "CreateML": ("_annotations.createml.json", json.dumps(CREATE_ML)),
    "Hugging Face's metadata.jsonl": ("metadata.jsonl", json.dumps(HUGGING_FACE)),
    "darknet's _annotations.txt": ("_annotations.txt", "a.jpg 10,20,40,60,0\n"),
    "WIDER FACE": ("wider_face_train_bbx_gt.txt", "0--x/a.jpg\n1\n10 20 30 40 0 0 0 0 0 0\n"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_formats_are_named_with_a_command_that_works(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    name, text = OTHERS[kind]
    src = tmp_path / "s r c"
    save_photo(src / "a.jpg")
    write(src / name, text)

    done = run_cli("import", "auto", src, "--out", tmp_path / "out")

    assert (done.code, len(done.stderr.splitlines())) == (1, 1)
    assert f"It looks like {kind}, which is converted by: " in done.stderr
    convert, _, then = done.stderr.partition("converted by: ")[2].partition("; maskinfer ")
    if shutil.which(convert.split()[0]) is None:
        pytest.skip(f"no {convert.split()[0]} here")
    monkeypatch.chdir(tmp_path)
    subprocess.run(convert, shell=True, check=True)
    proper = ["--proper", "0"] if kind == "darknet's _annotations.txt" else ["--proper", "1"]
    done = run_cli(*shlex.split(then), *proper)
    assert done.code == 3  # a single photo
    (row,) = rows_of(tmp_path / "DIR" / "sources.csv")
    assert row["filename"] == "train/000000__[10, 20, 30, 40]__True.jpg"


@pytest.mark.parametrize("layout", MAKERS)
def test_formats_of_ours_are_told(run_cli: RunCli, tmp_path: Path, layout: str) -> None:
    src = MAKERS[layout](tmp_path / "src", {"a.jpg": TWO_FACES, "b.png": TWO_FACES[:1]})

    assert list(recognise(Source(src))) == [layout]
    done = run_cli("import", "auto", src, "--out", tmp_path / "out")
    assert f"{src}: read as {layout}" in done.stderr
    other = "voc" if layout != "voc" else "coco"
    done = run_cli("import", other, src, "--out", tmp_path / "out2")
    assert done.code == 1
    assert f"It looks like {layout}: maskinfer import {layout} " in done.stderr


def test_a_folder_of_two_formats_is_for_the_user_to_tell(run_cli: RunCli, tmp_path: Path) -> None:
    photos: Any = {"a.jpg": TWO_FACES}
    for layout in ("voc", "coco"):
        MAKERS[layout](tmp_path / "src", photos)

    done = run_cli("import", "auto", tmp_path / "src", "--out", tmp_path / "out")

    assert done.code == 1
    assert "It looks like voc and coco: maskinfer import voc" in done.stderr


def test_a_folder_of_no_format_is_said_to_be_none(run_cli: RunCli, tmp_path: Path) -> None:
    save_photo(tmp_path / "src/a.jpg")

    done = run_cli("import", "auto", tmp_path / "src", "--out", tmp_path / "out")

    assert done.code == 1
    assert "no annotations that maskinfer knows: voc, yolo, coco, csv" in done.stderr
