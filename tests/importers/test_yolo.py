"""YOLO, and its lists of class names."""

import os
from pathlib import Path

import pytest
from support.annotations import boxes, photo, read, write

from maskinfer.errors import AnnotationError
from maskinfer.importers.data_yaml import read_class_names
from maskinfer.importers.source import Source


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
        ("0 0.5 0.5 0.1 0.1 1.9", "got 6 numbers"),
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

    assert {i.source: len(i.faces) for i in images} == {"images/a.jpg": 1, "images/b.jpg": 1}
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

    assert read_class_names(Source(tmp_path)) == NAMES


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
        read_class_names(Source(tmp_path))


@pytest.mark.parametrize("name", ["classes.txt", "labels/classes.txt", "obj.names"])
def test_yolo_class_names_from_a_list(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, "with_mask\nwithout mask\n\n")

    assert read_class_names(Source(tmp_path)) == NAMES


def test_yolo_without_class_names(tmp_path: Path) -> None:
    write(tmp_path / "data.yaml", "nc: 2")

    assert read_class_names(Source(tmp_path)) == {}


@pytest.mark.parametrize("name", ["data.yaml", "classes.txt"])
def test_class_names_too_large_are_refused_unread(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, "")
    os.truncate(tmp_path / name, 16 * 10**6 + 1)

    with pytest.raises(AnnotationError, match=rf"{name}: larger than 16 MB"):
        read_class_names(Source(tmp_path))


def test_class_numbers_beyond_sense_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "data.yaml", f"names: {{{'9' * 5000}: a}}")

    with pytest.raises(AnnotationError, match="class names cannot be read"):
        read_class_names(Source(tmp_path))


@pytest.mark.parametrize("opening", ["[", "{"])
def test_long_lists_of_class_names_are_read_soon(tmp_path: Path, opening: str) -> None:
    names = [f"{i}: n{i}" if opening == "{" else f"n{i}" for i in range(200_000)]
    closing = {"[": "]", "{": "}"}[opening]
    write(tmp_path / "data.yaml", f"names: {opening}{' , '.join(names)} ,  {closing}\n")

    assert read_class_names(Source(tmp_path)) == {i: f"n{i}" for i in range(200_000)}
