"""`predict --retry-failed`: what failed in a finished command is predicted again."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.cli import RunCli
from support.predictions import read_errors, read_predictions, recorded_names
from support.tiny_model import draw_photo

from maskinfer.errors import MaskinferError
from maskinfer.inference.journal import Journal
from maskinfer.inference.pipeline import predict_images
from maskinfer.inference.results import Result
from maskinfer.text import original_name, recorded_name

BROKEN = ("01.png", "05.png", "sub/11.png", "x,\n\xe9.png")


@pytest.fixture
def broken(folder: Path) -> Path:
    """Fourteen photos, of which the network sees each as another one; four cannot be read."""
    (folder / "sub").mkdir()
    names = [f"{i:02}.png" for i in range(10)] + ["sub/10.png", "sub/11.png", "x,\n\xe9.png"]
    if sys.platform == "linux":
        names.append(os.fsdecode(b"y\xff.png"))
    for index, name in enumerate(names):
        draw_photo(blue=120 + index).save(folder / name)
    shutil.copytree(folder, "whole")
    for name in BROKEN:
        (folder / name).write_bytes(b"junk")
    return folder


def mend(folder: Path, *names: str) -> None:
    for name in names or BROKEN:
        shutil.copy(Path("whole", name), folder / name)


def outputs(stem: str) -> dict[str, bytes]:
    """The outputs by what follows their name, without what says which folder and when."""
    files = {p.name.removeprefix(stem): p.read_bytes() for p in Path().glob(f"{stem}.*")}
    return {name: data for name, data in files.items() if not name.endswith((".meta.json", "nal"))}


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("face", ["main", "all"])
def test_what_failed_is_predicted_again_and_all_else_stays(
    broken: Path, run_cli: RunCli, suffix: str, face: str
) -> None:
    options = ("--face", face, "--batch-size", 3)
    assert run_cli("predict", broken, "--out", f"p.{suffix}", *options).code == 3
    assert run_cli("predict", "whole", "--out", f"w.{suffix}", *options).code == 0
    mend(broken, *BROKEN[:2])
    done = run_cli("predict", broken, "--out", f"p.{suffix}", *options, "--retry-failed")
    assert done.code == 3, done.stderr
    errors = Path("p.errors.csv")
    assert list(read_errors(errors)) == list(BROKEN[2:])
    assert "predicted earlier" in done.stdout
    mend(broken)
    (broken / "00.png").unlink()  # rows of photos that have vanished stay
    draw_photo().save(broken / "00new.png")  # and new photos are no failures
    done = run_cli("predict", broken, "--out", f"p.{suffix}", *options, "--retry-failed")
    assert done.code == 0, done.stderr
    assert outputs("p") == outputs("w")
    assert not Path(f"p.{suffix}.journal").exists()
    done = run_cli("predict", broken, "--out", f"p.{suffix}", *options, "--retry-failed")
    assert (done.code, "already complete" in done.stderr) == (0, True)


def test_a_retry_that_is_stopped_goes_on_where_it_was(
    broken: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("predict", broken, "--out", "p.csv")
    assert run_cli(*command).code == 3
    assert run_cli("predict", "whole", "--out", "w.csv").code == 0
    before = outputs("p")
    mend(broken)
    write = Journal.write

    def write_some(self: Journal, result: Result) -> None:
        if result.filename == "sub/10.png":
            raise MaskinferError("the disk is full")
        write(self, result)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", write_some)
        done = run_cli(*command, "--retry-failed")
    assert done.code == 1
    assert "10 of 14 images are done, kept in p.csv.partial" in done.stderr
    assert outputs("p").items() > before.items()
    asked: list[str] = []

    def predict(detector: Any, image: Any, names: Any, *rest: Any, **more: Any) -> Any:
        kept = list(names)
        asked.extend(name for name in kept if isinstance(name, str))
        return predict_images(detector, image, kept, *rest, **more)

    monkeypatch.setattr("maskinfer.inference.predicting.predict_images", predict)
    done = run_cli(*command, "--retry-failed")
    assert done.code == 0, done.stderr
    assert asked == list(BROKEN[2:])
    assert outputs("p") == outputs("w")


def test_an_interrupted_retry_can_be_resumed_as_any_other(
    broken: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("predict", broken, "--out", "p.csv")
    assert run_cli(*command).code == 3
    assert run_cli("predict", "whole", "--out", "w.csv").code == 0
    mend(broken)

    def fail(self: Journal) -> None:
        raise MaskinferError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "finish", fail)
        assert run_cli(*command, "--retry-failed").code == 1
    assert len(recorded_names(Path("p.csv.partial"))) == 14
    done = run_cli(*command, "--resume")
    assert done.code == 0, done.stderr
    assert outputs("p") == outputs("w")


def test_a_list_is_retried_in_its_order(broken: Path, run_cli: RunCli) -> None:
    names = ["07.png", "05.png", "01.png", "05.png", "02.png"]
    Path("list").write_text("\n".join(names))
    command = ("predict", broken, "--files-from", "list", "--out", "p.csv")
    assert run_cli(*command).code == 3
    mend(broken)
    assert run_cli(*command, "--retry-failed").code == 0
    assert [row.filename for row in read_predictions(Path("p.csv"))] == names


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may list any folder")
def test_a_folder_that_could_not_be_listed_is_listed_again(broken: Path, run_cli: RunCli) -> None:
    (broken / "sub").chmod(0)
    assert run_cli("predict", broken, "--out", "p.csv").code == 3
    (broken / "sub").chmod(0o755)
    mend(broken)
    assert run_cli("predict", broken, "--out", "p.csv", "--retry-failed").code == 0
    assert run_cli("predict", "whole", "--out", "w.csv").code == 0
    assert outputs("p") == outputs("w")


def test_pictures_are_made_of_what_failed_alone(broken: Path, run_cli: RunCli) -> None:
    command = ("predict", broken, "--out", "p.csv", "--annotate", "drawn")
    assert run_cli(*command).code == 3
    shutil.rmtree("drawn")
    mend(broken)
    assert run_cli(*command, "--retry-failed").code == 0
    assert len([path for path in Path("drawn").rglob("*") if path.is_file()]) == len(BROKEN)


def damaged(command: tuple[object, ...], run_cli: RunCli) -> None:
    run_cli(*command)
    lines = Path("p.csv.journal").read_bytes().splitlines(keepends=True)
    Path("p.csv.journal").write_bytes(b"".join([*lines[:3], *lines[4:]]))


def gone(command: tuple[object, ...], run_cli: RunCli) -> None:
    run_cli(*command)
    Path("p.csv.journal").unlink()


def nothing(command: tuple[object, ...], run_cli: RunCli) -> None: ...


def not_ours(command: tuple[object, ...], run_cli: RunCli) -> None:
    Path("p.csv.journal").write_text("mine\n")


def whole(command: tuple[object, ...], run_cli: RunCli) -> None:
    run_cli(*command)


@pytest.mark.parametrize(
    ("prepare", "options", "code", "words"),
    [
        (nothing, (), 2, "p.csv.journal: missing, so that what failed cannot be"),
        (gone, (), 2, "p.csv.journal: missing, so that what failed cannot be"),
        (damaged, (), 1, "p.csv.journal: damaged; begin again with --overwrite"),
        (not_ours, (), 1, "p.csv.journal: damaged, its first line is not ours"),
        (whole, ("--min-score", 0.7), 2, "was begun with min score"),
        (whole, ("--overwrite",), 2, "expected one of them"),
        (whole, ("--out", "-"), 2, "standard output cannot be resumed"),
    ],
)
def test_what_cannot_be_retried_is_refused(
    broken: Path,
    run_cli: RunCli,
    prepare: Callable[[tuple[object, ...], RunCli], None],
    options: tuple[object, ...],
    code: int,
    words: str,
) -> None:
    command = ("predict", broken, "--out", "p.csv")
    prepare(command, run_cli)
    before = {path.name: path.read_bytes() for path in Path().glob("p.*")}
    done = run_cli(*command, "--retry-failed", *options)
    assert (done.code, words in done.stderr) == (code, True), done.stderr
    after = {path.name: path.read_bytes() for path in Path().glob("p.*")}
    assert {name: after.get(name) for name in before} == before


@pytest.mark.parametrize(
    "name",
    ["a", "é", "a\\b", r"a\xff", r"\\xff", os.fsdecode(b"\xff\\"), os.fsdecode(b"\\x41\xc3")],
)
def test_recorded_names_can_be_read_back(name: str) -> None:
    assert original_name(recorded_name(name)) == name
