"""Pascal VOC."""

from pathlib import Path
from typing import Any

import pytest
from support.annotations import boxes, photo, read, voc, voc_object, write

from maskinfer.importers.annotations import Skipped


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
    ("data", "reason"),
    [
        ("", "malformed XML"),
        ("<annotation><object>", "malformed XML"),
        (b"\xff\xfe\x00", "malformed XML"),
        ("<?xml version='1.0' encoding='klingon'?><annotation/>", "malformed XML"),
        ("<svg/>", "expected <annotation>"),
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


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("<object><name>with_mask</name></object>", "object 1: <xmin> is 'None'"),
        ("<object><bndbox/></object>", "no <name>"),
        (voc_object(1, 2, "three", 4), "object 1: <xmax> is 'three'"),
        (voc_object(1, 2, "nan", 4), "expected a number"),
        (voc_object(1, 2, "1e300", 4), "expected a number"),
    ],
)
def test_voc_bad_object_is_listed_and_the_rest_is_read(
    tmp_path: Path, bad: str, reason: str
) -> None:
    photo(tmp_path / "a.jpg")
    write(tmp_path / "a.xml", voc(bad, voc_object(10, 20, 40, 60)))

    ((image,), (skipped,)) = read("voc", tmp_path)

    assert boxes(image) == [(10, 20, 30, 40)]
    assert skipped.source == "a.jpg"
    assert reason in skipped.reason


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


def test_deep_xml_is_read(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    write(tmp_path / "a.xml", voc("<a>" * 100_000 + "</a>" * 100_000))

    assert len(read("voc", tmp_path)[0]) == 1
