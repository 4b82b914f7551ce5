import json
import os
import pickle
import sys
from pathlib import Path

import pytest
from support.cli import RunCli
from support.places import in_memory
from support.tiny_model import draw_photo

from maskinfer.data.remote import RemoteSource, is_address
from maskinfer.data.sources import FolderSource
from maskinfer.errors import DatasetError, ImageError, MaskinferError, UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images whose order depends on how a folder sorts, and what is no image."""
    for name in ("sub", "sub/deep", ".hidden", "sub/empty"):
        (tmp_path / name).mkdir()
    for name in ("b.png", "a b.JPG", "sub.png", "sub-x.png", "sub/deep/1.png", "ä.webp"):
        (tmp_path / name).write_bytes(b"")
    for name in (".b.png", "b.txt", ".hidden/1.png", "png"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("recursive", [True, False])
def test_remote_source_lists_as_a_folder_is_scanned(folder: Path, recursive: bool) -> None:
    source = RemoteSource(folder.as_uri(), recursive)
    assert list(source) == list(FolderSource(folder, recursive))
    assert list(source) == list(source)


def test_remote_source_reads_whole_files(folder: Path) -> None:
    draw_photo().save(folder / "sub" / "photo.png")
    source = RemoteSource(folder.as_uri() + "/")
    expected = (folder / "sub" / "photo.png").read_bytes()
    assert source.image("sub/photo.png") == expected
    assert pickle.loads(pickle.dumps(source)).image("sub/photo.png") == expected


def test_remote_source_reads_what_only_fsspec_knows() -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/few photos/a/1.png", b"one")
    memory.pipe("/few photos/2.png", b"two")
    source = RemoteSource("memory://few photos")
    assert list(source) == ["2.png", "a/1.png"]
    assert source.image("a/1.png") == b"one"


def test_remote_source_says_why_a_file_cannot_be_read(folder: Path) -> None:
    source = RemoteSource(folder.as_uri())
    with pytest.raises(ImageError, match=r"^No such file or directory$"):
        source.image("gone.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_remote_source_reports_a_folder_that_cannot_be_listed(folder: Path) -> None:
    (folder / "sub").chmod(0)
    try:
        assert list(RemoteSource(folder.as_uri())) == list(FolderSource(folder))
    finally:
        (folder / "sub").chmod(0o700)


@pytest.mark.parametrize(
    ("address", "kind", "words"),
    [
        ("file:///there/is/none", DatasetError, "cannot be listed, No such file or directory"),
        ("memory://none", DatasetError, "cannot be listed, No such file or directory"),
        ("teapot://a/b", UsageError, "teapot"),
    ],
)
def test_remote_source_refuses_in_a_line(
    address: str, kind: type[MaskinferError], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        list(RemoteSource(address))
    assert str(caught.value).startswith(f"{address}: ")
    assert "\n" not in str(caught.value)


def test_predict_takes_names_below_an_address(
    tmp_path: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        draw_photo().save(photos / name)
    address = in_memory(photos)
    (tmp_path / "names").write_text("c.png\na.png\ngone.png\n")
    options = ("--files-from", tmp_path / "names", "--out", tmp_path / "p.csv")
    done = run_cli("predict", address, *options, "--model", tiny_model)
    assert done.code == 3, done.stderr
    rows = (tmp_path / "p.csv").read_text().splitlines()[1:]
    assert [row.partition(",")[0] for row in rows] == ["c.png", "a.png"]
    assert "No such file" in (tmp_path / "p.errors.csv").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="names there are text")
def test_predict_reads_names_that_are_no_text_at_a_file_address(
    tmp_path: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    photos = tmp_path / "my photos"
    photos.mkdir()
    draw_photo().save(photos / os.fsdecode(b"\xff.png"))
    done = run_cli("predict", photos.as_uri(), "--out", tmp_path / "p.csv", "--model", tiny_model)
    assert done.code == 0, done.stderr
    assert r"\xff.png" in (tmp_path / "p.csv").read_text()


def test_predict_reads_an_address_as_it_reads_a_folder(
    tmp_path: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    photos = tmp_path / "photos"
    (photos / "sub").mkdir(parents=True)
    draw_photo().save(photos / "a.png")
    draw_photo().save(photos / "sub" / "1__[16, 8, 24, 32]__True.png")
    (photos / "b.png").write_bytes(b"junk")
    for images, out in ((photos, "local"), (in_memory(photos), "remote")):
        options = ("--out", tmp_path / f"{out}.csv", "--annotate", tmp_path / out)
        done = run_cli("predict", images, *options, "--model", tiny_model)
        assert done.code == 3, done.stderr
    for name in ("csv", "errors.csv"):
        local, remote = (tmp_path / f"{kind}.{name}" for kind in ("local", "remote"))
        assert remote.read_bytes() == local.read_bytes()
    assert (tmp_path / "remote" / "a.jpg").is_file()
    meta = json.loads((tmp_path / "remote.meta.json").read_text())
    assert meta["images"] == "memory://photos"


def test_an_address_without_pyarrow_is_one_line(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = run_cli("predict", "s3://bucket", "--out", tmp_path / "p.csv")
    assert (done.code, done.stderr.count("\n")) == (2, 1)
    assert "pyarrow is not installed" in done.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/photos", True),
        ("file:///photos", True),
        ("abfs+x://y", True),
        ("photos", False),
        ("", False),
        ("C:/photos", False),
        ("./s3://odd", False),
    ],
)
def test_is_address_knows_a_scheme(text: str, expected: bool) -> None:
    assert is_address(text) is expected
