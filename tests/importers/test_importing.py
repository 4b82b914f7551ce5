"""What an import makes of photos and their faces."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.annotated_folders import (
    MAKERS,
    SIZE,
    TWO_FACES,
    Faces,
    contents,
    make_coco,
    make_voc,
    names,
    save_photo,
    voc_text,
    write,
)
from support.places import nested
from support.tables import rows_of

from maskinfer.data.cleaning import find_fault
from maskinfer.data.dataset import Dataset
from maskinfer.data.images import load_photo
from maskinfer.data.labels import Face, parse_name
from maskinfer.data.side_lists import read_other_faces
from maskinfer.errors import UsageError
from maskinfer.importers.importing import ImportSettings, import_annotations
from maskinfer.importers.source import Source


@pytest.mark.parametrize("layout", MAKERS)
@pytest.mark.parametrize("face", ["left", "largest", "each"])
def test_every_format_gives_the_same_data_set(
    tmp_path: Path, settings: Any, photos: Any, layout: Any, face: str
) -> None:
    other = MAKERS[layout](tmp_path / "other", photos)
    for name in ("train.txt", "test.txt"):
        write(other / name, (settings.src / name).read_text())

    import_annotations(replace(settings, face=face))
    import_annotations(
        replace(settings, face=face, layout=layout, src=other, out=tmp_path / "out2")
    )

    assert contents(tmp_path / "out") == contents(tmp_path / "out2")


def test_left_keeps_the_photo_and_labels_the_left_most_face(settings: Any) -> None:
    report = import_annotations(settings)

    assert names(settings.out) == [
        "face_notes.csv",
        "other_faces.csv",
        "repaired.csv",
        "skipped.csv",
        "sources.csv",
        "test",
        "train",
    ]
    assert names(settings.out / "train") == ["000000__[10, 30, 20, 20]__False.jpg"]
    assert names(settings.out / "test") == ["000001__[120, 20, 60, 60]__True.png"]
    assert dict(report.counts) == {("train", False): 1, ("test", True): 1}
    assert rows_of(settings.out / "sources.csv") == [
        {"filename": "train/000000__[10, 30, 20, 20]__False.jpg", "source": "images/a.jpg"},
        {"filename": "test/000001__[120, 20, 60, 60]__True.png", "source": "images/b.png"},
    ]
    assert rows_of(settings.out / "skipped.csv") == [
        {"source": "images/empty.jpg", "reason": "no face"}
    ]


def test_faces_that_a_name_leaves_out_are_listed(settings: Any) -> None:
    import_annotations(settings)

    assert read_other_faces(settings.out) == {
        "train/000000__[10, 30, 20, 20]__False.jpg": (Face((120, 20, 60, 60), True),)
    }


def test_crop_lists_the_faces_that_reach_into_it(tmp_path: Path, settings: Any) -> None:
    """Where they lie in the crop, cut off or not."""
    faces: Faces = [((60, 40, 40, 40), "with_mask"), ((105, 40, 40, 40), "without_mask")]
    make_voc(settings.src, {"a.jpg": faces})
    import_annotations(replace(settings, face="each"))

    [(name, [other])] = [
        (name, faces)
        for name, faces in read_other_faces(settings.out).items()
        if name.startswith("train/")
    ]
    label = parse_name(Path(name).name)
    assert label.proper_mask
    x, y, w, h = label.box_xywh
    assert other == Face((x + 45, y, w, h), False)
    assert load_photo(settings.out / name).size_wh[0] < x + 45 + w  # it is cut off


def test_largest_labels_the_largest_face(settings: Any) -> None:
    import_annotations(replace(settings, face="largest"))

    assert names(settings.out / "train") == ["000000__[120, 20, 60, 60]__True.jpg"]


def test_upright_photos_are_copied_byte_for_byte(settings: Any) -> None:
    import_annotations(settings)

    for row in rows_of(settings.out / "sources.csv"):
        copy, photo = settings.out / row["filename"], settings.src / row["source"]
        assert copy.read_bytes() == photo.read_bytes()


def test_each_face_becomes_a_crop_with_its_own_label(settings: Any) -> None:
    import_annotations(replace(settings, face="each"))

    crops = sorted(settings.out.glob("*/*.jpg"))
    assert len(crops) == 3
    for crop in crops:
        label, photo = parse_name(crop.name), load_photo(crop)
        x, y, w, h = label.box_xywh
        assert find_fault(label.box_xywh, photo.size_wh) is None
        inside = photo.pixels[y + 3 : y + h - 3, x + 3 : x + w - 3].mean(axis=(0, 1))
        expected = (0, 255, 0) if label.proper_mask else (255, 0, 0)
        np.testing.assert_allclose(inside, expected, atol=5)
    assert len({row["source"] for row in rows_of(settings.out / "sources.csv")}) == 2


def test_small_faces_are_no_crops_and_listed(settings: Any) -> None:
    report = import_annotations(replace(settings, face="each", min_face=21))

    assert sum(report.counts.values()) == 2
    assert {
        "source": "images/a.jpg",
        "reason": "face [10, 30, 20, 20] is smaller than 21 pixels",
    } in rows_of(settings.out / "skipped.csv")


def test_importing_again_gives_the_same(settings: Any) -> None:
    settings = replace(settings, face="each")
    import_annotations(settings)
    before = contents(settings.out)

    import_annotations(replace(settings, overwrite=True))

    assert contents(settings.out) == before
    assert names(settings.out.parent) == ["out", "src"]


# Boxes


def test_boxes_past_the_border_are_clipped_and_listed(tmp_path: Path) -> None:
    photos = {"a.jpg": [((-10, 90, 60.4, 30), "with_mask")], "b.jpg": TWO_FACES}
    settings = ImportSettings("coco", make_coco(tmp_path / "src", photos), tmp_path / "out")

    import_annotations(settings)

    repaired = rows_of(settings.out / "repaired.csv")
    assert [Path(row["filename"]).name for row in repaired] == ["000000__[0, 90, 50, 10]__True.jpg"]
    assert repaired[0]["reason"].startswith("negative value in box [-10, 90, 60, 30]")


def test_faces_wholly_outside_are_listed_and_the_next_is_chosen(tmp_path: Path) -> None:
    photos = {"a.jpg": [((-50, 10, 20, 20), "with_mask"), *TWO_FACES], "b.jpg": TWO_FACES}
    settings = ImportSettings("voc", make_voc(tmp_path / "src", photos), tmp_path / "out")

    report = import_annotations(settings)

    assert sum(report.counts.values()) == 2
    assert [item.source for item in report.skipped] == ["images/a.jpg"]
    assert "nothing of it is in the image" in report.skipped[0].reason


@pytest.mark.parametrize("face", ["left", "largest", "each"])
def test_an_imported_data_set_needs_no_cleaning(tmp_path: Path, face: str) -> None:
    rng = np.random.default_rng(0)
    photos = {
        f"{i}.jpg": [
            ((x, y, w, h), "with_mask") for x, y, w, h in rng.uniform(-20, 120, (5, 4)).tolist()
        ]
        for i in range(20)
    }
    settings = ImportSettings("coco", make_coco(tmp_path / "src", photos), tmp_path / "out", face)

    import_annotations(settings)

    for split in ("train", "test"):
        assert Dataset(settings.out).samples("train", split).decisions == []


# EXIF orientation


@pytest.mark.parametrize("stated", ["stored", "upright"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("face", ["left", "each"])
def test_turned_photos_become_upright_with_their_boxes(
    tmp_path: Path, orientation: int, stated: str, face: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored_box = (20, 10, 60, 30)
    path = tmp_path / "src" / "a.jpg"
    save_photo(path, [(stored_box, "with_mask")], exif=exif, quality=95)
    upright = load_photo(path).pixels
    green = upright[..., 1].astype(int) - upright[..., 0] > 128
    ys, xs = np.flatnonzero(green.any(axis=1)), np.flatnonzero(green.any(axis=0))
    upright_box = tuple(map(int, (xs[0], ys[0], xs[-1] + 1 - xs[0], ys[-1] + 1 - ys[0])))
    box = stored_box if stated == "stored" else upright_box
    size_wh = SIZE if stated == "stored" else SIZE[::-1]
    write(tmp_path / "src" / "a.xml", voc_text("a.jpg", [(box, "with_mask")], size_wh))

    import_annotations(ImportSettings("voc", tmp_path / "src", tmp_path / "out", face))

    (made,) = (tmp_path / "out").glob("*/*.jpg")
    with Image.open(made) as image:
        assert image.getexif().get(0x0112, 1) == 1
        pixels = np.asarray(image)
    x, y, w, h = parse_name(made.name).box_xywh
    assert (w, h) == (30, 60)
    if face == "left":
        assert pixels.shape == (200, 100, 3)
    np.testing.assert_allclose(
        pixels[y + 4 : y + h - 4, x + 4 : x + w - 4].mean(axis=(0, 1)), (0, 255, 0), atol=5
    )


# Splits


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_lists_are_text_whatever_the_names_of_photos(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \r.jpg")
    src = make_voc(tmp_path / "src", {"a.jpg": TWO_FACES, "b.jpg": []})
    (src / "images" / "a.jpg").rename(src / "images" / name)
    (src / "annotations" / "a.xml").rename(src / "annotations" / name.replace("jpg", "xml"))

    import_annotations(ImportSettings("voc", src, tmp_path / "out"))

    assert rows_of(tmp_path / "out" / "sources.csv")[0]["source"] == "images/caf\\xe9 \r.jpg"
    for path in (tmp_path / "out").glob("*.csv"):
        assert b"\r\n" not in path.read_bytes()
    import_annotations(ImportSettings("voc", src, tmp_path / "out", overwrite=True))


def test_folders_nested_deeper_than_python_calls_are_read(tmp_path: Path) -> None:
    with nested(tmp_path, 1200) as folder:
        Path("a.jpg").touch()
        assert Source(tmp_path).images == [f"{folder}a.jpg"]


def test_files_that_no_import_made_are_found_however_deep(tmp_path: Path) -> None:
    src, out = make_coco(tmp_path / "src", {"a.jpg": TWO_FACES}), tmp_path / "out"
    import_annotations(ImportSettings("coco", src, out))
    with nested(out, 1200) as folder:
        Path("mine.txt").touch()
        with pytest.raises(UsageError, match=f"1 files that no import made.*{folder}mine.txt"):
            import_annotations(ImportSettings("coco", src, out, overwrite=True))


def test_names_that_no_file_can_have_are_listed(tmp_path: Path) -> None:
    src = make_coco(tmp_path / "src", {"a.jpg": TWO_FACES})
    listed = json.loads((src / "coco.json").read_text())
    listed["images"].append({"id": "x", "file_name": "\ud83d.jpg"})
    (src / "coco.json").write_text(json.dumps(listed))

    import_annotations(ImportSettings("coco", src, tmp_path / "out"))

    assert r"\ud83d.jpg" in [row["source"] for row in rows_of(tmp_path / "out" / "skipped.csv")]


@pytest.mark.parametrize("name", ["ü 口罩.jpg", "a__[1, 2, 3, 4]__True.jpg", "a,b'.jpg"])
def test_odd_names_of_photos_are_kept_in_the_list(tmp_path: Path, name: str) -> None:
    src = make_coco(tmp_path / "src", {name: TWO_FACES})

    import_annotations(ImportSettings("coco", src, tmp_path / "o ü t"))

    assert rows_of(tmp_path / "o ü t" / "sources.csv")[0]["source"] == f"images/{name}"


# The command
