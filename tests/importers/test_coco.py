"""COCO."""

from pathlib import Path
from typing import Any

import pytest
from support.annotations import boxes, coco, photo, read, write

from maskinfer.data.side_lists import FaceNote, read_face_notes
from maskinfer.importers.importing import ImportSettings, import_annotations

IMAGE = {"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}


FACE = {"image_id": 1, "category_id": 1, "bbox": [10, 20, 30.5, 40], "iscrowd": 0}


@pytest.mark.parametrize(
    ("annotations", "image", "file_name", "split"),
    [
        ("coco.json", "a.jpg", "a.jpg", None),
        ("coco.json", "images/a.jpg", "a.jpg", None),
        ("train/_annotations.coco.json", "train/a.jpg", "a.jpg", "train"),
        ("annotations/instances_train2017.json", "train2017/a.jpg", "a.jpg", "train"),
        ("annotations/instances_val2017.json", "images/a.jpg", "a.jpg", "val"),
        ("annotations/instances_test.json", "images/x/a.jpg", "x/a.jpg", "test"),
    ],
)
def test_coco_layouts(
    tmp_path: Path, annotations: str, image: str, file_name: str, split: str | None
) -> None:
    photo(tmp_path / image)
    write(tmp_path / annotations, coco([IMAGE | {"file_name": file_name}], [FACE]))

    images, skipped = read("coco", tmp_path)

    assert not skipped
    assert (images[0].source, images[0].split) == (image, split)
    assert boxes(images[0]) == [(10, 20, 30.5, 40)]
    assert images[0].faces[0].class_name == "with_mask"


def test_coco_crowd_is_noted_as_neither_face_nor_background(tmp_path: Path) -> None:
    photo(tmp_path / "src/a.jpg")
    crowd = FACE | {"bbox": [-5, 0, 95, 30], "iscrowd": 1}
    write(tmp_path / "src/a.json", coco([IMAGE], [crowd, FACE]))

    for face in ("left", "each"):
        import_annotations(ImportSettings("coco", tmp_path / "src", tmp_path / face, face=face))  # type: ignore[arg-type]
        (notes,) = read_face_notes(tmp_path / face).values()
        assert notes == {(0, 0, 90, 30): {FaceNote.CROWD}}


def test_coco_same_name_in_two_splits(tmp_path: Path) -> None:
    for split in ("train", "val"):
        photo(tmp_path / f"{split}2017/a.jpg")
        write(tmp_path / f"annotations/instances_{split}2017.json", coco([IMAGE], [FACE]))

    images, skipped = read("coco", tmp_path)

    assert [image.source for image in images] == ["train2017/a.jpg", "val2017/a.jpg"]
    assert not skipped


def test_coco_other_json_files_are_passed_over(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    write(tmp_path / "instances_all.json", coco([IMAGE], [FACE]))
    write(tmp_path / "captions_all.json", "{}")

    images, skipped = read("coco", tmp_path)

    assert len(images) == 1
    assert not skipped


def test_coco_crowds_are_no_faces(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    crowd = FACE | {"iscrowd": 1, "bbox": "none"}
    write(tmp_path / "a.json", coco([IMAGE], [crowd]))

    assert read("coco", tmp_path)[0][0].faces == ()


@pytest.mark.parametrize(
    ("face", "reason"),
    [
        (FACE | {"bbox": [1, 2, 3]}, "expected [x, y, w, h]"),
        (FACE | {"bbox": None}, "expected [x, y, w, h]"),
        (FACE | {"bbox": [1, 2, 3, "x"]}, "annotation 1: bbox is 'x'"),
        (FACE | {"bbox": [1, 2, 3, float("nan")]}, "expected a number"),
        (FACE | {"bbox": [1, 2, 3, 10**400]}, "expected a number"),
        (FACE | {"category_id": 9}, "category 9 is not described"),
    ],
)
def test_coco_bad_face_is_listed_and_the_rest_is_read(
    tmp_path: Path, face: Any, reason: str
) -> None:
    photo(tmp_path / "a.jpg")
    photo(tmp_path / "b.jpg")
    images = [IMAGE | {"id": 2, "file_name": "b.jpg"}, IMAGE]
    write(tmp_path / "a.json", coco(images, [FACE | {"image_id": 2}, face]))

    images, skipped = read("coco", tmp_path)

    assert {image.source: len(image.faces) for image in images} == {"a.jpg": 0, "b.jpg": 1}
    assert [item.source for item in skipped] == ["a.jpg"]
    assert reason in skipped[0].reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "malformed JSON"),
        ("{", "malformed JSON"),
        ("[" * 100_000, "malformed JSON"),
        (b"\xff\xfe\xfd", "malformed JSON"),
        ("[]", "no list of objects 'images'"),
        ("{}", "no list of objects 'images'"),
        (coco([1], []), "no list of objects 'images'"),
        (coco([], {}), "no list of objects 'annotations'"),
        (coco([{"id": 1}], []), "has no file_name"),
    ],
)
def test_coco_bad_file_is_listed(tmp_path: Path, data: Any, reason: str) -> None:
    photo(tmp_path / "a.jpg")
    write(tmp_path / "bad.json", data)

    images, skipped = read("coco", tmp_path)

    assert not images
    assert [item.source for item in skipped] == ["bad.json", "a.jpg"]
    assert reason in skipped[0].reason


def test_coco_missing_doubled_and_unnamed_images_are_listed(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    photo(tmp_path / "alone.jpg")
    images = [IMAGE, IMAGE | {"id": 2}, IMAGE | {"id": 3, "file_name": "gone.jpg"}]
    write(tmp_path / "a.json", coco(images, []))

    found, skipped = read("coco", tmp_path)

    assert [image.source for image in found] == ["a.jpg"]
    assert [item.source for item in skipped] == ["a.jpg", "gone.jpg", "alone.jpg"]
