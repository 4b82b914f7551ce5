"""`maskinfer import`."""

from pathlib import Path
from typing import Any

import pytest
from support.annotated_folders import (
    make_coco,
    make_voc,
    names,
    write,
)
from support.cli import RunCli
from support.tables import rows_of


def test_command_says_what_it_made(run_cli: RunCli, settings: Any) -> None:
    done = run_cli("import", "voc", settings.src, "--out", settings.out, "--face", "left")

    assert (done.code, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        f"{settings.out}/train: 1 images, 0 True, 1 False",
        f"{settings.out}/test: 1 images, 1 True, 0 False",
        f"{settings.out}/skipped.csv: 1 photos or faces left out",
    ]


def test_command_says_what_it_repaired_and_held_out(run_cli: RunCli, tmp_path: Path) -> None:
    photos = {f"{i}.jpg": [((-5, 5, 20, 20), "with_mask")] for i in range(3)}
    src = make_voc(tmp_path / "src", photos)

    done = run_cli("import", "voc", src, "--out", tmp_path / "out", "--test-fraction", "0.5")

    assert "held out 50% by photo" in done.stderr
    assert "repaired.csv: 3 boxes mended" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"{tmp_path / 'out'}: every label is True; ")
    assert done.code == 3


@pytest.mark.parametrize("damage", [b"words", None], ids=["header", "pixels"])
@pytest.mark.parametrize("face", ["left", "each"])
def test_command_goes_on_past_an_unreadable_photo(
    run_cli: RunCli, settings: Any, damage: bytes | None, face: str
) -> None:
    bad = settings.src / "images" / "a.jpg"
    bad.write_bytes(bad.read_bytes()[:-600] if damage is None else damage)

    done = run_cli("import", "voc", settings.src, "--out", settings.out, "--face", face)

    assert done.code == 3
    assert "1 of them unreadable photos" in done.stderr
    listed = {row["source"]: row["reason"] for row in rows_of(settings.out / "skipped.csv")}
    assert listed["images/a.jpg"].startswith("unreadable image: ")
    assert len(rows_of(settings.out / "sources.csv")) == 1


def test_command_says_last_that_a_split_is_empty(run_cli: RunCli, tmp_path: Path) -> None:
    src = make_voc(tmp_path / "src", {"a.jpg": [((10, 10, 20, 20), "with_mask")]})

    done = run_cli("import", "voc", src, "--out", tmp_path / "out")

    assert done.code == 3
    assert done.stderr.splitlines()[-1] == (
        f"{tmp_path / 'out'}: test/ is empty, every label is True; both splits need photos, of "
        "both labels"
    )


def test_command_fails_where_nothing_could_be_imported(run_cli: RunCli, tmp_path: Path) -> None:
    src = make_voc(tmp_path / "src", {"a.jpg": []})

    done = run_cli("import", "voc", src, "--out", tmp_path / "out")

    assert done.code == 1
    assert len(done.stderr.splitlines()) == 1
    assert "images/a.jpg: no face" in done.stderr
    assert names(tmp_path) == ["src"]


def test_command_fails_where_no_photo_is_annotated(run_cli: RunCli, tmp_path: Path) -> None:
    src = make_coco(tmp_path / "src", {})

    done = run_cli("import", "coco", src, "--out", tmp_path / "out")

    assert (done.code, len(done.stderr.splitlines())) == (1, 1)
    assert "name no photo" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["voc", "gone", "--out", "new"], "gone: no such folder"),
        (["voc", "src", "--out", "full"], "full: not empty"),
        (["voc", "src", "--out", "new", "--test-fraction", "1"], "test fraction: got 1.0"),
        (["pdf", "src", "--out", "new"], "pdf"),
        (["voc", "src"], "--out"),
        (["voc", "src", "--out", "new", "--face", "right"], "right"),
    ],
)
def test_command_wrong_usage(
    run_cli: RunCli,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    write(settings.src.parent / "full" / "a.txt", "")
    monkeypatch.chdir(settings.src.parent)

    done = run_cli("import", *arguments)

    assert done.code == 2
    assert message in done.stderr
    assert not Path("new").exists()
