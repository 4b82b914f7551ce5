import os
from pathlib import Path

import pytest

from maskinfer.files import replacing, replacing_folder


def test_replacing_renames_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    with replacing(path) as beside:
        beside.write_text("new")
        assert path.read_text() == "old"
        assert beside.parent == tmp_path

    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_two_processes_do_not_meet_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    with replacing(path) as first:
        first.write_text("half")
        monkeypatch.setattr(os, "getpid", lambda: 1)
        with replacing(path) as second:
            second.write_text("other")
        assert path.read_text() == "other"
        first.write_text("whole")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("stop", [OSError("disk full"), KeyboardInterrupt()], ids=str)
@pytest.mark.parametrize("written", [False, True], ids=["nothing", "half"])
def test_replacing_keeps_the_old_file_when_the_writing_fails(
    tmp_path: Path, stop: BaseException, written: bool
) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def write() -> None:
        with replacing(path) as beside:
            if written:
                beside.write_text("ne")
            raise stop

    with pytest.raises(type(stop)):
        write()

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_replacing_a_folder_raises_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.mkdir()

    with pytest.raises(OSError, match=r"a\.json"), replacing(path) as beside:
        beside.write_text("new")

    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("stands", [False, True], ids=["none", "older"])
def test_replacing_folder_puts_a_whole_folder_in_place(tmp_path: Path, stands: bool) -> None:
    path = tmp_path / "parent" / "folder"
    if stands:
        path.mkdir(parents=True)
        (path / "old").touch()

    with replacing_folder(path) as beside:
        (beside / "new").touch()

    assert [child.name for child in path.iterdir()] == ["new"]
    assert list(path.parent.iterdir()) == [path]


def test_replacing_folder_keeps_the_old_one_when_the_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").touch()

    def write() -> None:
        with replacing_folder(path) as beside:
            (beside / "new").touch()
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write()

    assert [child.name for child in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]
