import io
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.places import nested

from maskinfer.data.folders import Failure, list_images, scan_folder
from maskinfer.data.sources import FolderSource, ListSource, Survey, open_source, survey
from maskinfer.errors import DatasetError, UsageError
from maskinfer.text import printable_name


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

    assert [os.fsencode(listed) for listed in list_images(tmp_path)] == [name]


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


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "file.jpg")

    with pytest.raises(DatasetError, match="no such folder"):
        list_images(tmp_path / "gone")
    with pytest.raises(DatasetError, match="not a folder"):
        list_images(tmp_path / "file.jpg")


def test_names_come_in_the_order_of_their_characters(tmp_path: Path) -> None:
    # A folder sorts with its slash: before "a.jpg", behind "a b.jpg" and "a-.jpg".
    names = ["a b.jpg", "a-.jpg", "a/z.png", "a.jpg", "a0/1.jpg", "ab.jpg", "é.jpg"]
    touch(tmp_path, *names)
    listed = list(scan_folder(tmp_path))
    assert listed == sorted(names)
    assert list(FolderSource(tmp_path)) == listed
    assert list(FolderSource(tmp_path, recursive=False)) == [n for n in listed if "/" not in n]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_names_that_are_no_text_sort_as_they_are_printed(tmp_path: Path) -> None:
    for name in (b"a\xff.jpg", b"a\xc3\xa9.jpg", b"aZ.jpg", b"a~.jpg"):
        (tmp_path / os.fsdecode(name)).touch()
    listed = [printable_name(str(name)) for name in scan_folder(tmp_path)]
    assert listed == ["aZ.jpg", r"a\xff.jpg", "a~.jpg", "aé.jpg"] == sorted(listed)


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes among files there")
def test_what_only_has_an_images_name_is_listed_to_be_reported(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.jpg").symlink_to("folder")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    (tmp_path / "link").symlink_to("folder")
    assert list(scan_folder(tmp_path)) == ["link.jpg", "pipe.jpg", "self.jpg"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may list anything")
def test_a_folder_that_cannot_be_listed_is_a_failure(tmp_path: Path) -> None:
    touch(tmp_path, "a/b.jpg", "c.jpg")
    (tmp_path / "a").chmod(0)
    assert list(scan_folder(tmp_path)) == [
        Failure("a/", "cannot be listed, Permission denied"),
        "c.jpg",
    ]
    (tmp_path / "a").chmod(0o700)


def test_folders_nested_deeper_than_python_calls_are_walked(tmp_path: Path) -> None:
    with nested(tmp_path, 1200) as folder:
        Path("a.jpg").touch()
        assert list_images(tmp_path) == [f"{folder}a.jpg"]


def test_a_folder_that_vanishes_on_the_way_is_a_failure(tmp_path: Path) -> None:
    touch(tmp_path, "0.jpg", "a/b.jpg", "c.jpg")
    names = scan_folder(tmp_path)
    assert next(names) == "0.jpg"
    (tmp_path / "a" / "b.jpg").unlink()
    (tmp_path / "a").rmdir()
    assert list(names) == [Failure("a/", "cannot be listed, No such file or directory"), "c.jpg"]
    with pytest.raises(DatasetError, match="cannot be listed"):
        list(scan_folder(tmp_path / "a"))


def list_of(data: bytes) -> ListSource:
    return ListSource(FolderSource(Path()), io.BytesIO(data))


@pytest.mark.parametrize(
    ("data", "names"),
    [
        pytest.param(b"", [], id="empty"),
        pytest.param(b"\n\n", [], id="blank lines"),
        pytest.param(b"a.jpg", ["a.jpg"], id="one without an end"),
        pytest.param(b"b.jpg\na.jpg\nb.jpg\n", ["b.jpg", "a.jpg", "b.jpg"], id="order stays"),
        pytest.param(b"a.jpg\r\nb c.jpg\r\n", ["a.jpg", "b c.jpg"], id="windows"),
        pytest.param(b"a\n.jpg\0b.jpg\0", ["a\n.jpg", "b.jpg"], id="nul"),
        pytest.param(b"\xff.jpg\n", ["\udcff.jpg"], id="not text"),
    ],
)
def test_a_list_holds_a_name_a_line_or_between_nuls(data: bytes, names: list[str]) -> None:
    source = list_of(data)
    assert list(source) == names
    assert list(source) == names  # again
    assert survey(source) == Survey(len(names), False)


@given(st.lists(st.text(st.characters(exclude_characters="\n\r\0", codec="utf-8"), min_size=1)))
def test_any_list_comes_back(names: list[str]) -> None:
    assert list(list_of("\n".join(names).encode())) == names
    assert list(list_of("".join(f"{name}\0" for name in names).encode())) == names


def test_a_long_list_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskinfer.data.sources._CHUNK", 7)
    names = [f"{'x' * (i % 11)}{i}.jpg" for i in range(200)]
    source = list_of("\n".join(names).encode())
    first, second = iter(source), iter(source)
    assert [next(first) for _ in range(50)] == [next(second) for _ in range(50)] == names[:50]
    assert [*first] == [*second] == names[50:]


def test_open_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "t/a__[1, 2, 3, 4]__True.jpg", "t/b.jpg")
    assert survey(open_source(Path("t"))) == Survey(2, True)
    one = open_source(Path("t/b.jpg"))
    assert (one.folder, list(one)) == (Path("t"), ["b.jpg"])
    assert survey(one) == Survey(1, False)
    listed = open_source(None, io.BytesIO(b"t/b.jpg\n"))
    assert (listed.place.folder, list(listed)) == (Path(), ["t/b.jpg"])
    with pytest.raises(UsageError, match=r"nowhere: no such folder or image$"):
        open_source(Path("nowhere"))
    with pytest.raises(UsageError, match="nothing to predict"):
        open_source(None)
    with pytest.raises(UsageError, match="nowhere: no such folder, which names of --files-from"):
        open_source(Path("nowhere"), io.BytesIO(b"a.jpg"))
