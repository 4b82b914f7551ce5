import os
import subprocess
import sys
from pathlib import Path

import pytest

from maskinfer.errors import UsageError
from maskinfer.files import (
    check_file,
    check_folder,
    find_folder,
    refuse_inside,
    replacing,
    replacing_folder,
)


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


@pytest.mark.parametrize("kill_at", ["filling", "first rename", "second rename", "cleaning"])
@pytest.mark.parametrize("stands", [False, True], ids=["none", "older"])
def test_replacing_folder_survives_a_kill_at_any_step(
    tmp_path: Path, kill_at: str, stands: bool
) -> None:
    path = tmp_path / "folder"
    if stands:
        path.mkdir()
        (path / "old").touch()
    code = (
        "import os, shutil, sys\n"
        "from pathlib import Path\n"
        "from maskinfer.files import replacing_folder\n"
        "path, kill_at = Path(sys.argv[1]), sys.argv[2]\n"
        "def kill(*_): os._exit(9)\n"
        "rename = Path.rename\n"
        "def renaming(self, target):\n"
        "    if kill_at == ('second rename' if self.name == 'new' else 'first rename'): kill()\n"
        "    return rename(self, target)\n"
        "Path.rename = renaming\n"
        "with replacing_folder(path) as fresh:\n"
        "    (fresh / 'new').touch()\n"
        "    if kill_at == 'filling': kill()\n"
        "    if kill_at == 'cleaning': shutil.rmtree = kill\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path), kill_at], check=False)

    left = find_folder(path)
    files = None if left is None else [child.name for child in left.iterdir()]
    assert files in ((["old"], ["new"]) if stands else (None, ["new"]))

    with replacing_folder(path) as fresh:
        assert list(fresh.iterdir()) == []
        (fresh / "newest").touch()

    assert [child.name for child in path.iterdir()] == ["newest"]
    assert list(tmp_path.iterdir()) == [path]


def test_replacing_folder_touches_nothing_of_another_origin(tmp_path: Path) -> None:
    mine = tmp_path / ".folder.replacing" / "mine"
    mine.mkdir(parents=True)

    with pytest.raises(FileExistsError), replacing_folder(tmp_path / "folder"):
        pass

    assert mine.is_dir()


def test_replacing_folder_of_the_longest_name(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    with replacing_folder(path) as fresh:
        (fresh / "new").touch()
    assert list(tmp_path.iterdir()) == [path]


def test_check_folder(tmp_path: Path) -> None:
    full, file, broken = tmp_path / "full", tmp_path / "file", tmp_path / "broken"
    (full / "in").mkdir(parents=True)
    file.touch()
    broken.symlink_to("nowhere")

    check_folder(tmp_path / "new" / "deeper", overwrite=False)
    check_folder(full / "in", overwrite=False)
    check_folder(full, overwrite=True)
    for path, complaint in [
        (full, "full: not empty"),
        (file, "file: not a folder"),
        (file / "in", r"in: .*file is not a folder"),
        (broken, "broken: a broken link"),
    ]:
        with pytest.raises(UsageError, match=complaint):
            check_folder(path, overwrite=False)


def test_check_file(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    check_file(tmp_path / "new", overwrite=False)
    check_file(tmp_path / "old", overwrite=True)
    for path, complaint in [
        (tmp_path / "old", "exists. To replace it, add --overwrite"),
        (tmp_path, "a folder, expected a file"),
        (tmp_path / "no" / "new", "mkdir -p"),
    ]:
        with pytest.raises(UsageError, match=complaint):
            check_file(path, overwrite=False)


def test_refuse_inside_follows_links(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    refuse_inside(tmp_path / "data-2", tmp_path / "data", "never")
    for inner in (tmp_path / "data", tmp_path / "link" / "a", tmp_path / "x" / ".." / "data"):
        with pytest.raises(UsageError, match=r"lies in .*data, which is not changed"):
            refuse_inside(inner, tmp_path / "data", "which is not changed")
