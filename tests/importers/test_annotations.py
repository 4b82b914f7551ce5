"""What holds for annotations of every format, and the lists beside images."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from support.annotations import READERS, boxes, coco, photo, read, voc, voc_object, write

from maskinfer.data.side_lists import read_other_faces, read_sources
from maskinfer.errors import AnnotationError, DatasetError
from maskinfer.importers.annotations import Skipped
from maskinfer.importers.importing import ImportSettings, import_annotations


@pytest.mark.parametrize("layout", READERS)
def test_a_folder_without_annotations_is_refused(tmp_path: Path, layout: Any) -> None:
    photo(tmp_path / "a.jpg")

    with pytest.raises(AnnotationError, match=r"no \.(xml|txt|json|csv) file"):
        read(layout, tmp_path)
    with pytest.raises(DatasetError, match="no such folder"):
        read(layout, tmp_path / "gone")


@pytest.mark.parametrize(
    "name", ["../out.jpg", "/etc/out.jpg", "C:\\out.jpg", "..\\out.jpg", "images/../../out.jpg"]
)
@pytest.mark.parametrize("layout", ["voc", "coco"])
def test_file_names_cannot_lead_out_of_the_folder(tmp_path: Path, name: str, layout: str) -> None:
    photo(tmp_path / "out.jpg")
    photo(tmp_path / "src/images/a.jpg")
    write(tmp_path / "src/out.xml", voc(filename=name))
    write(tmp_path / "src/a.json", coco([{"id": 1, "file_name": name}], []))

    images, skipped = read(layout, tmp_path / "src")

    assert not images
    assert "no image is named" in skipped[0].reason


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


def test_split_lists_too_large_are_refused_unread(tmp_path: Path) -> None:
    photo(tmp_path / "src/a.jpg")
    write(tmp_path / "src/a.xml", voc(voc_object(1, 1, 5, 5)))
    write(tmp_path / "src/train.txt", "")
    os.truncate(tmp_path / "src/train.txt", 256 * 10**6 + 1)

    with pytest.raises(AnnotationError, match=r"train\.txt: larger than 256 MB"):
        import_annotations(ImportSettings("voc", tmp_path / "src", tmp_path / "out"))


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
