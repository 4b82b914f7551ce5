"""The three readers, over small data sets written as the tools write them."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from maskinfer.data.side_lists import read_other_faces, read_sources
from maskinfer.errors import AnnotationError, DatasetError
from maskinfer.importers.annotations import AnnotatedImage, Skipped, read_split_lists
from maskinfer.importers.coco import read_coco
from maskinfer.importers.voc import read_voc
from maskinfer.importers.yolo import read_class_names, read_yolo

READERS = {"voc": read_voc, "yolo": read_yolo, "coco": read_coco}


def photo(path: Path, size_wh: tuple[int, int] = (100, 80), orientation: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size_wh, "grey").save(path, exif=exif)


def write(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def voc(*objects: str, filename: str = "a.jpg", size: str = "") -> str:
    return f"<annotation><filename>{filename}</filename>{size}{''.join(objects)}</annotation>"


def voc_object(x1: object, y1: object, x2: object, y2: object, name: str = "with_mask") -> str:
    box = f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
    return f"<object><name>{name}</name><bndbox>{box}</bndbox></object>"


def coco(images: object, annotations: object, categories: object = None) -> str:
    categories = [{"id": 1, "name": "with_mask"}] if categories is None else categories
    return json.dumps({"images": images, "annotations": annotations, "categories": categories})


def read(layout: str, src: Path) -> tuple[list[AnnotatedImage], list[Skipped]]:
    items = list(READERS[layout](src))
    skipped = [item for item in items if isinstance(item, Skipped)]
    assert all(len(item.reason.splitlines()) == 1 for item in skipped)
    return [item for item in items if isinstance(item, AnnotatedImage)], skipped


def boxes(image: AnnotatedImage) -> list[tuple[float, ...]]:
    return [face.box_xywh for face in image.faces]


@pytest.mark.parametrize("layout", READERS)
def test_a_folder_without_annotations_is_refused(tmp_path: Path, layout: Any) -> None:
    photo(tmp_path / "a.jpg")

    with pytest.raises(AnnotationError, match=r"no \.(xml|txt|json) file"):
        read(layout, tmp_path)
    with pytest.raises(DatasetError, match="no such folder"):
        read(layout, tmp_path / "gone")


# Pascal VOC


@pytest.mark.parametrize(
    ("xml", "image"),
    [
        ("annotations/a.xml", "images/a.jpg"),
        ("Annotations/a.xml", "JPEGImages/a.jpg"),
        ("a.xml", "a.jpg"),
        ("a.xml", "a.png"),
        ("deep/er/a.xml", "deep/er/a.jpg"),
    ],
)
def test_voc_layouts(tmp_path: Path, xml: str, image: str) -> None:
    photo(tmp_path / image)
    write(tmp_path / xml, voc(voc_object(10, 20, 40, 60)))

    images, skipped = read("voc", tmp_path)

    assert not skipped
    assert (images[0].source, images[0].path) == (image, tmp_path / image)
    assert (images[0].size_wh, images[0].orientation, images[0].split) == ((100, 80), 1, None)
    assert images[0].faces[0].class_name == "with_mask"
    assert boxes(images[0]) == [(10, 20, 30, 40)]


def test_voc_image_is_found_by_file_name_then_by_the_name_of_the_xml(tmp_path: Path) -> None:
    photo(tmp_path / "images/a.jpg")
    photo(tmp_path / "images/b.jpg")
    write(tmp_path / "xml/1.xml", voc(filename="a.jpg"))
    write(tmp_path / "xml/b.xml", voc(filename="stale.jpg"))
    write(tmp_path / "xml/c.xml", voc(filename="stale.jpg"))

    images, skipped = read("voc", tmp_path)

    assert [image.source for image in images] == ["images/a.jpg", "images/b.jpg"]
    assert skipped == [Skipped("xml/c.xml", "no image is named 'stale.jpg' or 'c'")]


def test_voc_image_of_the_same_split_is_meant(tmp_path: Path) -> None:
    for split in ("train", "test"):
        photo(tmp_path / split / "a.jpg")
        write(tmp_path / split / "a.xml", voc())

    images, _ = read("voc", tmp_path)

    assert [(i.source, i.split) for i in images] == [
        ("test/a.jpg", "test"),
        ("train/a.jpg", "train"),
    ]


def test_voc_image_that_could_be_either_is_skipped(tmp_path: Path) -> None:
    photo(tmp_path / "x/a.jpg")
    photo(tmp_path / "y/a.jpg")
    write(tmp_path / "xml/a.xml", voc())

    images, skipped = read("voc", tmp_path)

    assert not images
    assert skipped[0] == Skipped("xml/a.xml", "2 images are named 'a.jpg'")


@pytest.mark.parametrize(
    "name", ["../out.jpg", "/etc/out.jpg", "C:\\out.jpg", "..\\out.jpg", "images/../../out.jpg"]
)
@pytest.mark.parametrize("layout", ["voc", "coco"])
def test_file_names_cannot_lead_out_of_the_folder(tmp_path: Path, name: str, layout: str) -> None:
    photo(tmp_path / "out.jpg")
    photo(tmp_path / "src/images/out.jpg")
    write(tmp_path / "src/out.xml", voc(filename=name))
    write(tmp_path / "src/a.json", coco([{"id": 1, "file_name": name}], []))

    images, skipped = read(layout, tmp_path / "src")

    assert not images
    assert "leads out of the folder" in skipped[0].reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "malformed XML"),
        ("<annotation><object>", "malformed XML"),
        (b"\xff\xfe\x00", "malformed XML"),
        ("<?xml version='1.0' encoding='klingon'?><annotation/>", "malformed XML"),
        ("<svg/>", "expected <annotation>"),
        (voc("<object><name>with_mask</name></object>"), "<xmin> of object 1 is 'None'"),
        (voc("<object><bndbox/></object>"), "no <name>"),
        (voc(voc_object(1, 2, "three", 4)), "<xmax> of object 1 is 'three'"),
        (voc(voc_object(1, 2, 5, 6), voc_object(1, 2, "nan", 4)), "object 2"),
        (voc(voc_object(1, 2, "inf", 4)), "expected a number"),
        (voc(voc_object(1, 2, "1e300", 4)), "expected a number"),
        ("<!DOCTYPE a><annotation/>", "DOCTYPE"),
        (
            "<!DOCTYPE a [<!ENTITY b 'bb'><!ENTITY c '&b;&b;'>]>"
            "<annotation><filename>&c;</filename></annotation>",
            "DOCTYPE",
        ),
        ("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><annotation/>".encode("utf-16"), "DOCTYPE"),
    ],
)
def test_voc_bad_file_is_listed_and_the_rest_is_read(
    tmp_path: Path, data: Any, reason: str
) -> None:
    photo(tmp_path / "bad.jpg")
    photo(tmp_path / "good.jpg")
    write(tmp_path / "bad.xml", data)
    write(tmp_path / "good.xml", voc(filename="good.jpg"))

    images, skipped = read("voc", tmp_path)

    assert [image.source for image in images] == ["good.jpg"]
    assert [item.source for item in skipped] == ["bad.xml", "bad.jpg"]
    assert reason in skipped[0].reason


def test_voc_second_file_of_an_image_is_listed(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    write(tmp_path / "a.xml", voc())
    write(tmp_path / "b.xml", voc())

    images, skipped = read("voc", tmp_path)

    assert len(images) == 1
    assert skipped == [Skipped("b.xml", "a.jpg is annotated by another file already")]


def test_voc_unreadable_and_missing_images_are_listed(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", "words")
    photo(tmp_path / "alone.jpg")
    write(tmp_path / "a.xml", voc())

    _, skipped = read("voc", tmp_path)

    assert [(item.source, item.unreadable) for item in skipped] == [
        ("a.jpg", True),
        ("alone.jpg", False),
    ]


STORED_BOX = (10, 20, 40, 60)  # xmin, ymin, xmax, ymax in stored pixels, 100 x 80


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (5, (20, 10, 40, 30)),
        (6, (20, 10, 40, 30)),
        (7, (20, 60, 40, 30)),
        (8, (20, 60, 40, 30)),
    ],
)
def test_boxes_on_stored_pixels_are_turned_upright(
    tmp_path: Path, orientation: int, upright: tuple[int, int, int, int]
) -> None:
    photo(tmp_path / "a.jpg", (100, 80), orientation)
    size = "<size><width>100</width><height>80</height></size>"
    write(tmp_path / "a.xml", voc(voc_object(*STORED_BOX), size=size))

    images, _ = read("voc", tmp_path)

    assert images[0].size_wh == (80, 100)
    assert boxes(images[0]) == [upright]


@pytest.mark.parametrize("size", [(80, 100), (0, 0), None])
def test_boxes_on_upright_pixels_stay(tmp_path: Path, size: tuple[int, int] | None) -> None:
    photo(tmp_path / "a.jpg", (100, 80), 6)
    image = {"id": 1, "file_name": "a.jpg"}
    image |= {"width": size[0], "height": size[1]} if size else {}
    face = {"image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40]}
    write(tmp_path / "a.json", coco([image], [face]))

    images, _ = read("coco", tmp_path)

    assert boxes(images[0]) == [(10, 20, 30, 40)]


@pytest.mark.parametrize("stated", [(80, 100), (50, 40)], ids=["turned", "half"])
def test_an_annotation_of_another_size_is_listed(tmp_path: Path, stated: tuple[int, int]) -> None:
    photo(tmp_path / "a.jpg", (100, 80))
    size = f"<size><width>{stated[0]}</width><height>{stated[1]}</height></size>"
    write(tmp_path / "a.xml", voc(size=size))

    images, skipped = read("voc", tmp_path)

    assert not images
    assert skipped[0].reason == (
        f"annotated as {stated[0]} x {stated[1]} pixels, the image has 100 x 80"
    )


# YOLO


@pytest.mark.parametrize(
    ("image", "label", "split"),
    [
        ("images/a.jpg", "labels/a.txt", None),
        ("images/train/a.jpg", "labels/train/a.txt", "train"),
        ("train/images/a.jpg", "train/labels/a.txt", "train"),
        ("valid/images/a.jpg", "valid/labels/a.txt", "val"),
        ("images/val2017/a.jpg", "labels/val2017/a.txt", "val"),
        ("a.jpg", "a.txt", None),
        ("test/a.b.jpg", "test/a.b.txt", "test"),
    ],
)
def test_yolo_layouts(tmp_path: Path, image: str, label: str, split: str | None) -> None:
    photo(tmp_path / image)
    write(tmp_path / label, "0 0.25 0.5 0.3 0.5\n")

    images, skipped = read("yolo", tmp_path)

    assert not skipped
    assert (images[0].source, images[0].split) == (image, split)
    assert boxes(images[0]) == [pytest.approx((10, 20, 30, 40))]
    assert images[0].faces[0].class_name == "0"


def test_yolo_boxes_refer_to_the_upright_photo(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg", (100, 80), 6)
    write(tmp_path / "a.txt", "0 0.5 0.5 1 1")

    images, _ = read("yolo", tmp_path)

    assert boxes(images[0]) == [(0, 0, 80, 100)]


def test_yolo_polygons_become_the_box_around_them(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    write(tmp_path / "a.txt", "0 0.1 0.5 0.4 0.25 0.2 0.75\n\n0 0 0 1 0 1 1 0 1\n")

    images, _ = read("yolo", tmp_path)

    assert boxes(images[0]) == [pytest.approx((10, 20, 30, 40)), (0, 0, 100, 80)]


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_yolo_blank_file_means_no_face(tmp_path: Path, text: str) -> None:
    photo(tmp_path / "a.jpg")
    write(tmp_path / "a.txt", text)

    images, skipped = read("yolo", tmp_path)

    assert images[0].faces == ()
    assert not skipped


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0.1", "got 4 numbers"),
        ("0 0.5 0.5 0.1 0.1 0.9", "got 6 numbers"),
        ("0 0.5 0.5 0.1 0.1 0.9 0.9 0.9", "got 8 numbers"),
        ("mask 0.5 0.5 0.1 0.1", "expected numbers"),
        ("0 50 50 10 10", "fractions"),
        ("0 nan 0.5 0.1 0.1", "fractions"),
        ("-1 0.5 0.5 0.1 0.1", "whole number"),
        ("0.5 0.5 0.5 0.1 0.1", "whole number"),
        ("7 0.5 0.5 0.1 0.1", "class is 7"),
    ],
)
def test_yolo_bad_line_is_listed_with_its_number(tmp_path: Path, line: str, reason: str) -> None:
    write(tmp_path / "classes.txt", "with_mask\n")
    photo(tmp_path / "images/a.jpg")
    photo(tmp_path / "images/b.jpg")
    write(tmp_path / "labels/a.txt", f"0 0.5 0.5 0.1 0.1\n{line}\n")
    write(tmp_path / "labels/b.txt", "0 0.5 0.5 0.1 0.1")

    images, skipped = read("yolo", tmp_path)

    assert [image.source for image in images] == ["images/b.jpg"]
    assert skipped[0].source == "images/a.jpg"
    assert skipped[0].reason.startswith("labels/a.txt:2: ")
    assert reason in skipped[0].reason


def test_yolo_leftovers_are_listed(tmp_path: Path) -> None:
    photo(tmp_path / "images/a.jpg")
    photo(tmp_path / "images/alone.jpg")
    write(tmp_path / "images/broken.jpg", "words")
    for name in ("a", "broken", "orphan"):
        write(tmp_path / f"labels/{name}.txt", "")
    write(tmp_path / "labels/b.txt", b"\xff\xff")
    photo(tmp_path / "images/b.jpg")

    _, skipped = read("yolo", tmp_path)

    assert [(item.source, item.unreadable) for item in skipped] == [
        ("images/alone.jpg", False),
        ("images/b.jpg", False),
        ("images/broken.jpg", True),
        ("labels/orphan.txt", False),
    ]


NAMES = {0: "with_mask", 1: "without mask"}


@pytest.mark.parametrize(
    "text",
    [
        "names: ['with_mask', \"without mask\"]",
        "path: x\nnames: [with_mask, without mask]  # two\nnc: 2",
        "names:\n- with_mask\n- without mask\nnc: 2",
        "names:\n  - 'with_mask'\n\n  - without mask # no\n",
        "train: a\nnames:\n  0: with_mask\n  1: without mask\nnc: 2",
        "names:\n  1: without mask\n  0: with_mask\n",
        "names: {0: with_mask, 1: 'without mask'}",
        "names: [\n  with_mask,\n  without mask,\n]\nnc: 2",
        "names:\n  # first\n  '0': with_mask\n  '1': without mask\n",
    ],
)
def test_yolo_class_names_from_yaml(tmp_path: Path, text: str) -> None:
    write(tmp_path / "data.yaml", text.replace("\n", "\r\n"))
    write(tmp_path / "classes.txt", "other")

    assert read_class_names(tmp_path) == NAMES


@pytest.mark.parametrize(
    "text",
    [
        "names:",
        "names: []",
        "names: with_mask",
        "names: *anchor",
        "names: [a, b",
        "names: [a, , b]",
        "names: [a, [b]]",
        "names: {0: a, 0: b}",
        "names:\n  a: 0\n",
        "names:\n  - a\n  0: b\n",
        "names: !!python/object/apply:os.system [ls]",
        "names: |\n  a\n  b",
    ],
)
def test_yolo_class_names_are_refused_where_unclear(tmp_path: Path, text: str) -> None:
    write(tmp_path / "data.yaml", "nc: 2\n" + text)

    with pytest.raises(AnnotationError, match=r"data\.yaml:2: .*classes\.txt"):
        read_class_names(tmp_path)


@pytest.mark.parametrize("name", ["classes.txt", "labels/classes.txt", "obj.names"])
def test_yolo_class_names_from_a_list(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, "with_mask\nwithout mask\n\n")

    assert read_class_names(tmp_path) == NAMES


def test_yolo_without_class_names(tmp_path: Path) -> None:
    write(tmp_path / "data.yaml", "nc: 2")

    assert read_class_names(tmp_path) == {}


# COCO


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
        (FACE | {"bbox": [1, 2, 3, "x"]}, "bbox of annotation 1 is 'x'"),
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

    assert [image.source for image in images] == ["b.jpg"]
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
        (coco([{"file_name": "a.jpg"}], []), "id is 'None'"),
        (coco([IMAGE], [{"image_id": [1]}]), "image_id is '[1]'"),
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


# Lists of splits


@pytest.mark.parametrize("folder", [".", "ImageSets/Main"])
def test_split_lists_are_read(tmp_path: Path, folder: Path) -> None:
    write(tmp_path / folder / "train.txt", "a\nb.jpg\n./images/c.png\n\n")
    write(tmp_path / folder / "val.txt", "d d\r\n")
    write(tmp_path / folder / "test.txt", "e.v2\nb\n")

    assert read_split_lists(tmp_path) == {
        "a": "train",
        "b": "test",
        "c": "train",
        "d d": "val",
        "e.v2": "test",
    }


def test_no_split_lists(tmp_path: Path) -> None:
    assert read_split_lists(tmp_path) == {}


@pytest.mark.skipif(sys.platform == "win32", reason="has no named pipes among its files")
@pytest.mark.parametrize(
    ("layout", "name"),
    [("voc", "x.xml"), ("yolo", "x.txt"), ("yolo", "x.yaml"), ("coco", "x.json")],
)
def test_what_is_no_file_is_no_annotation(tmp_path: Path, layout: str, name: str) -> None:
    photo(tmp_path / "a.jpg")
    write(tmp_path / "a.xml", voc(voc_object(1, 1, 5, 5)))
    write(tmp_path / "a.txt", "0 0.5 0.5 0.1 0.1")
    write(tmp_path / "a.json", coco([{"id": 1, "file_name": "a.jpg"}], []))
    os.mkfifo(tmp_path / name)
    (tmp_path / name).with_stem("folder").mkdir()

    images, skipped = read(layout, tmp_path)

    assert [image.source for image in images] == ["a.jpg"]
    assert skipped == []


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_boxes_stay_where_the_size_cannot_tell_how_they_lie(
    tmp_path: Path, orientation: int
) -> None:
    photo(tmp_path / "a.jpg", orientation=orientation)
    size = "<size><width>100</width><height>80</height></size>"
    write(tmp_path / "a.xml", voc(voc_object(10, 20, 30, 60), size=size))

    ((image,), _) = read("voc", tmp_path)

    assert boxes(image) == [(10, 20, 20, 40)]


# Foreign text: whatever it holds, it is read, or listed with a reason, and no more


@pytest.mark.parametrize(
    ("layout", "name", "size", "reason"),
    [
        ("voc", "a.xml", 16 * 10**6, "larger than 16 MB"),
        ("yolo", "a.txt", 16 * 10**6, "a.txt: larger than 16 MB"),
        ("coco", "a.json", 2 * 10**9, "larger than 2000 MB"),
    ],
)
def test_files_too_large_are_listed_unread(
    tmp_path: Path, layout: str, name: str, size: int, reason: str
) -> None:
    photo(tmp_path / "a.jpg")
    write(tmp_path / name, "")
    os.truncate(tmp_path / name, size + 1)  # a hole, which takes no room

    images, skipped = read(layout, tmp_path)

    assert not images
    assert skipped[0].reason == reason


@pytest.mark.parametrize("name", ["data.yaml", "classes.txt"])
def test_class_names_too_large_are_refused_unread(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, "")
    os.truncate(tmp_path / name, 16 * 10**6 + 1)

    with pytest.raises(AnnotationError, match=rf"{name}: larger than 16 MB"):
        read_class_names(tmp_path)


def test_split_lists_too_large_are_refused_unread(tmp_path: Path) -> None:
    write(tmp_path / "train.txt", "")
    os.truncate(tmp_path / "train.txt", 256 * 10**6 + 1)

    with pytest.raises(AnnotationError, match=r"train\.txt: larger than 256 MB"):
        read_split_lists(tmp_path)


def test_class_numbers_beyond_sense_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "data.yaml", f"names: {{{'9' * 5000}: a}}")

    with pytest.raises(AnnotationError, match="class names cannot be read"):
        read_class_names(tmp_path)


@pytest.mark.parametrize("opening", ["[", "{"])
def test_long_lists_of_class_names_are_read_soon(tmp_path: Path, opening: str) -> None:
    names = [f"{i}: n{i}" if opening == "{" else f"n{i}" for i in range(200_000)]
    closing = {"[": "]", "{": "}"}[opening]
    write(tmp_path / "data.yaml", f"names: {opening}{' , '.join(names)} ,  {closing}\n")

    assert read_class_names(tmp_path) == {i: f"n{i}" for i in range(200_000)}


def test_deep_xml_is_read(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    write(tmp_path / "a.xml", voc("<a>" * 100_000 + "</a>" * 100_000))

    assert len(read("voc", tmp_path)[0]) == 1


def test_reasons_are_one_line_of_bounded_length() -> None:
    reason = Skipped("a", "two\nlines\u2028and more" + "x" * 10_000).reason

    assert reason.startswith("two lines and morexx")
    assert len(reason) < 600
    assert len(reason.splitlines()) == 1


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ('"a\nb.jpg",1,2,3,1234567890,True', "1234567890 of a b.jpg"),
        ('"a\r\nb.jpg",1,2,3,4,1', "'1' of a b.jpg"),
        ("x" * 200_000, "cannot be read"),
    ],
    ids=["number beyond sense", "two lines", "long field"],
)
def test_other_faces_that_make_no_sense_are_one_line(
    tmp_path: Path, row: str, complaint: str
) -> None:
    write(tmp_path / "other_faces.csv", f"filename,x,y,w,h,proper_mask\n{row}\n")

    with pytest.raises(DatasetError, match=complaint) as caught:
        read_other_faces(tmp_path)

    assert len(str(caught.value).splitlines()) == 1


def test_lists_beside_images_too_large_are_refused_unread(tmp_path: Path) -> None:
    write(tmp_path / "sources.csv", "")
    os.truncate(tmp_path / "sources.csv", 10**9 + 1)

    with pytest.raises(DatasetError, match=r"sources\.csv: larger than 1000 MB"):
        read_sources(tmp_path)


YOLO_NAMES = "names:\n  0: with_mask\n  1: 'without mask'\n"
VALID = {
    "a.xml": [
        voc(
            voc_object(10, 20, 30, 60),
            voc_object(1.5, 2, "1e1", 7, "without_mask"),
            size="<size><width>100</width><height>80</height></size>",
        ),
        "<?xml version='1.0' encoding='utf-16'?>" + voc(voc_object(10, 20, 30, 60)),
    ],
    "a.txt": ["0 0.5 0.5 0.25 0.5\n", "1 0.1 0.1 0.9 0.1 0.5 0.5\n0 0.5 0.5 1 1\r\n"],
    "a.json": [
        coco(
            [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}],
            [{"image_id": 1, "category_id": 1, "bbox": [10, 20, 30.5, 40], "iscrowd": 0}],
        )
    ],
    "data.yaml": [YOLO_NAMES, "names: [with_mask, 'no mask',]\n", 'names: {0: a, 1: "b" }\n'],
    "other_faces.csv": ["filename,x,y,w,h,proper_mask\na.jpg,1,2,3,4,True\n"],
    "train.txt": ["a\nimages/b.jpg\n"],
}
LAYOUTS = {"a.xml": "voc", "a.txt": "yolo", "a.json": "coco"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzzed")
    photo(folder / "a.jpg")
    return folder


@st.composite
def mutated(draw: st.DrawFn, texts: list[str]) -> bytes:
    """A valid text with characters changed, cut out or put in, or with junk behind it."""
    data = bytearray(draw(st.sampled_from(texts)).encode())
    junk = st.sampled_from(
        [b"-1", b"1e999", b"nan", b"9" * 5000, b"null", b"[]", b"{}", b'"', b"<", b"\n", b"../"]
    )
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(data)))
        data[start : start + draw(st.integers(0, 12))] = draw(junk | st.binary(max_size=8))
    return bytes(data)


def read_what_there_is(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    messages: list[str] = []
    try:
        if name in LAYOUTS:
            messages = [item.reason for item in read(LAYOUTS[name], folder)[1]]
        else:
            read_class_names(folder)
            read_split_lists(folder)
            read_other_faces(folder)
    except (AnnotationError, DatasetError) as error:
        messages = [str(error)]
    finally:
        (folder / name).unlink()
    assert all(len(message.splitlines()) == 1 for message in messages)


@pytest.mark.parametrize("name", VALID)
@given(st.data())
def test_damaged_annotations_raise_nothing_but_our_errors(
    folder: Path, name: Any, data: Any
) -> None:
    read_what_there_is(folder, name, data.draw(mutated(VALID[name])))


@pytest.mark.parametrize("name", VALID)
@given(st.binary(max_size=100) | st.text(max_size=50).map(lambda text: text.encode("utf-8")))
def test_random_annotations_raise_nothing_but_our_errors(
    folder: Path, name: Any, data: Any
) -> None:
    read_what_there_is(folder, name, data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def objects(*keys: str) -> st.SearchStrategy[object]:
    values = JSON | st.sampled_from([1, "1", "a.jpg", [1, 2, 3, 4]])
    return st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(keys, values)) | JSON)


@given(
    objects("id", "file_name", "width", "height"),
    objects("image_id", "category_id", "bbox", "iscrowd"),
    objects("id", "name"),
)
def test_coco_of_any_values_raises_nothing_but_our_errors(
    folder: Path, images: Any, faces: Any, categories: Any
) -> None:
    read_what_there_is(folder, "a.json", coco(images, faces, categories).encode())
