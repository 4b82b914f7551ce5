import os
import sys
from pathlib import Path
from typing import Any

import pytest

from maskinfer.data.dataset import Sample, list_images, read_folder, split_folder
from maskinfer.errors import DatasetError

LABELLED = "000190__[70, 83, 100, 102]__True.jpg"


def touch(folder: Path, *names: str) -> None:
    """Listing goes by names, so that empty files will do."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_images_are_listed_sorted_with_slashes(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "a/z.PNG", "a/b/c.webp", "B.jpeg", "10.jpg", "9.jpg")

    assert list_images(tmp_path) == ["10.jpg", "9.jpg", "B.jpeg", "a/b/c.webp", "a/z.PNG", "b.jpg"]


def test_folders_inside_are_left_out_on_request(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "a/c.jpg", "folder.jpg/d.jpg")

    assert list_images(tmp_path, recursive=False) == ["b.jpg"]
    assert list_images(tmp_path) == ["a/c.jpg", "b.jpg", "folder.jpg/d.jpg"]


def test_what_is_no_image_is_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "a.txt", "b.jpg.part", "c", "jpg", ".d.jpg", ".hidden/e.jpg", "g.csv", "h.jpg")

    assert list_images(tmp_path) == ["h.jpg"]


def test_images_that_cannot_be_decoded_here_are_listed_all_the_same(tmp_path: Path) -> None:
    touch(tmp_path, "phone.HEIC")

    assert list_images(tmp_path) == ["phone.HEIC"]


@pytest.mark.parametrize(
    "name",
    [" .jpg", "a b.jpg", "ü口罩😷.jpg", "%s{}.jpg", "-rf.jpg", "[1, 2].jpg", "a'b.jpg"],
)
def test_odd_names_are_listed(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name)

    assert list_images(tmp_path) == [name]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
@pytest.mark.parametrize("name", [b"\xff\xfe.jpg", b"a\nb.jpg"])
def test_names_that_are_no_text_are_listed(tmp_path: Path, name: bytes) -> None:
    (tmp_path / os.fsdecode(name)).touch()

    assert [os.fsencode(found) for found in list_images(tmp_path)] == [name]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    touch(tmp_path, "a/b.jpg")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "link.jpg").symlink_to(tmp_path / "a" / "b.jpg")
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "gone.jpg")

    assert list_images(tmp_path) == ["a/b.jpg", "dangling.jpg", "link.jpg"]


@pytest.mark.skipif(sys.platform == "win32", reason="has no named pipes among its files")
def test_links_and_pipes_with_an_image_s_name_are_listed(tmp_path: Path) -> None:
    touch(tmp_path, "a/b.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, target in {
        "circle.jpg": "circle.jpg",
        "dangling.jpg": "gone.jpg",
        "file.jpg": "a/b.jpg",
        "folder.jpg": "a",
        "to pipe.jpg": "pipe.jpg",
        "null.jpg": os.devnull,
    }.items():
        (tmp_path / name).symlink_to(target)

    # Whether it can be read is for the reader to find out.
    links = ["circle.jpg", "dangling.jpg", "file.jpg", "folder.jpg", "null.jpg", "to pipe.jpg"]
    assert list_images(tmp_path) == sorted(["a/b.jpg", "pipe.jpg", *links])


def test_an_empty_folder_holds_no_images(tmp_path: Path) -> None:
    assert list_images(tmp_path) == []


@pytest.mark.parametrize("read", [list_images, read_folder])
def test_what_is_no_folder_is_refused(tmp_path: Path, read: Any) -> None:
    touch(tmp_path, "file.jpg")

    with pytest.raises(DatasetError, match="no such folder"):
        read(tmp_path / "gone")
    with pytest.raises(DatasetError, match="not a folder"):
        read(tmp_path / "file.jpg")


def test_labels_are_read_from_the_names(tmp_path: Path) -> None:
    touch(tmp_path, LABELLED, "more/1__[-1, 2, 3, 4]__False.png")

    assert read_folder(tmp_path).samples == [
        Sample(tmp_path / LABELLED, (70, 83, 100, 102), True),
        Sample(tmp_path / "more/1__[-1, 2, 3, 4]__False.png", (-1, 2, 3, 4), False),
    ]


def test_unlabelled_images_are_listed_with_the_reason(tmp_path: Path) -> None:
    touch(tmp_path, LABELLED, "photo.jpg", "2__[1, 2, 3]__True.jpg")

    folder = read_folder(tmp_path)

    assert len(folder.samples) == 1
    assert list(folder.unlabelled) == ["2__[1, 2, 3]__True.jpg", "photo.jpg"]
    assert "four whole numbers" in folder.unlabelled["2__[1, 2, 3]__True.jpg"]
    assert "no label in the file name" in folder.unlabelled["photo.jpg"]


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no labelled image$"):
        read_folder(tmp_path)
    touch(tmp_path, "photo.jpg")
    with pytest.raises(DatasetError, match=r"the first of 1 images says: 'photo\.jpg'"):
        read_folder(tmp_path)


def test_splits_are_folders(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()

    assert split_folder(tmp_path, "train") == tmp_path / "train"
    with pytest.raises(DatasetError, match="no folder test/"):
        split_folder(tmp_path, "test")
    with pytest.raises(DatasetError, match="no such folder"):
        split_folder(tmp_path / "gone", "train")
