import errno
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cli import RunCli
from support.predictions import predicted, read_predictions, recorded_names
from support.tiny_model import draw_photo

from maskinfer.data.folders import Failure
from maskinfer.data.sources import NamesSource
from maskinfer.errors import MaskinferError, UsageError
from maskinfer.inference.journal import Journal, OutputFiles, check_files
from maskinfer.inference.results import Result

IDENTITY = {"model_sha256": "abc", "provider": "cpu"}
# Names that a CSV and JSON have to quote, and failures, among them the last.
NAMES = ("a,b.jpg", "b\n.jpg", 'c".jpg', "d.jpg", "e/f.jpg", "g.jpg", "h\r.jpg", "i.jpg")
Damage = Callable[[list[bytes]], list[bytes]]
FAILED = {"b\n.jpg", "g.jpg", "i.jpg"}


def result_of(name: str) -> Result:
    if name in FAILED:
        return Failure(name, f"damaged, {name}")
    return predicted(name, (1, 2, 3, len(name)), True, 0.1 + 0.2, probability=1 / 3)


def source(names: tuple[str, ...] = NAMES, *, is_sorted: bool = True) -> NamesSource:
    return replace(NamesSource(Path(), names), sorted=is_sorted)


def open_journal(folder: Path, **identity: Any) -> Journal:
    return Journal(OutputFiles.of(folder / "p.csv"), IDENTITY | identity, {}, labelled=False)


def predict(folder: Path, stop_after: int | None = None, names: tuple[str, ...] = NAMES) -> None:
    """Predict from the beginning, to the end or until it is killed after some results."""
    with open_journal(folder) as journal:
        journal.begin()
        for done, name in enumerate(names):
            if done == stop_after:
                return
            journal.write(result_of(name))
        journal.finish()


def resume(folder: Path, what: NamesSource | None = None) -> tuple[list[str], list[str], Journal]:
    """Resume and finish: what was kept, and what was left to do."""
    kept: list[Result] = []
    todo = []
    with open_journal(folder) as journal:
        for name in resumed(journal, what or source(), kept.append):
            assert isinstance(name, str)
            todo.append(name)
            journal.write(result_of(name))
        journal.finish()
    assert kept == [result_of(result.filename) for result in kept]
    return [result.filename for result in kept], todo, journal


def resumed(journal: Journal, what: NamesSource, on_kept: Callable[[Result], object]) -> Any:
    return journal.resume(iter(what), on_kept, is_sorted=what.sorted)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    """The files of an uninterrupted prediction."""
    folder = tmp_path / "whole"
    folder.mkdir()
    predict(folder)
    return contents(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a prediction is interrupted and resumed."""
    (tmp_path / "resumed").mkdir()
    return tmp_path / "resumed"


def test_a_prediction_leaves_rows_failures_and_what_made_them(whole: dict[str, bytes]) -> None:
    assert sorted(whole) == ["p.csv", "p.csv.journal", "p.errors.csv", "p.meta.json"]
    meta = json.loads(whole["p.meta.json"])
    assert (meta["status"], meta["predicted"], meta["failed"]) == ("done", 5, 3)
    assert meta.items() > IDENTITY.items()


@pytest.mark.parametrize("done", range(len(NAMES)))
def test_resuming_ends_in_the_bytes_of_an_uninterrupted_prediction(
    folder: Path, whole: dict[str, bytes], done: int
) -> None:
    predict(folder, stop_after=done)
    kept, todo, journal = resume(folder)
    assert (kept, todo) == (list(NAMES[:done]), list(NAMES[done:]))
    assert journal.dropped == 0
    assert contents(folder) == whole


@given(size=st.integers(0, 2000))
def test_a_journal_torn_anywhere_is_mended(
    tmp_path_factory: pytest.TempPathFactory, size: int
) -> None:
    """As after a crash of the machine, which may lose any end of the file."""
    folder = tmp_path_factory.mktemp("torn")
    predict(folder)
    expected = contents(folder)
    for path in folder.iterdir():
        path.unlink()
    predict(folder, stop_after=len(NAMES) - 1)
    journal = OutputFiles.of(folder / "p.csv").journal
    assert journal.stat().st_size < 2000
    os.truncate(journal, min(size, journal.stat().st_size))
    kept, todo, _ = resume(folder)
    assert kept + todo == list(NAMES)
    assert contents(folder) == expected


@pytest.mark.parametrize("step", range(4))
def test_a_prediction_that_is_killed_while_it_finishes_is_finished(
    folder: Path, whole: dict[str, bytes], step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "p.errors.csv").write_text("of an older prediction\n")
    steps = 0

    def stop_at(name: str) -> Any:
        original = getattr(Path, name)

        def perhaps(self: Path, *args: Any, **kwargs: Any) -> Any:
            nonlocal steps
            if "p." in self.name and armed:
                steps += 1
                if steps > step:  # the process is gone: nothing is tidied up either
                    raise KeyboardInterrupt
            return original(self, *args, **kwargs)

        return perhaps

    armed = False
    monkeypatch.setattr(Path, "replace", stop_at("replace"))
    monkeypatch.setattr(Path, "unlink", stop_at("unlink"))
    with suppress(KeyboardInterrupt), open_journal(folder) as journal:
        journal.begin()
        for name in NAMES:
            journal.write(result_of(name))
        armed = True
        journal.finish()
    armed = False
    assert not open_journal(folder).complete()
    kept, todo, _ = resume(folder)
    assert (kept, todo) == (list(NAMES), [])
    assert contents(folder) == whole
    assert open_journal(folder).complete()


def test_without_failures_the_errors_of_an_older_prediction_go(folder: Path) -> None:
    (folder / "p.errors.csv").write_text("of an older prediction\n")
    predict(folder, names=("a.jpg", "d.jpg"))
    assert sorted(contents(folder)) == ["p.csv", "p.meta.json"]


def test_resuming_nothing_begins(folder: Path, whole: dict[str, bytes]) -> None:
    assert resume(folder)[:2] == ([], list(NAMES))
    assert contents(folder) == whole


def test_a_folder_that_could_not_be_listed_is_retried_with_what_it_holds(folder: Path) -> None:
    with open_journal(folder) as journal:
        journal.begin()
        journal.write(result_of("d.jpg"))
        journal.write(Failure("e/", "cannot be listed, Permission denied"))
        journal.write(Failure("g/", "cannot be listed, Permission denied"))
        journal.finish()
    names = ("c.jpg", "d.jpg", "e/1.jpg", "e/f.jpg", Failure("g/", "cannot be listed"))
    left = list(open_journal(folder).retry(replace(source(), names=names)))
    assert [type(image).__name__ for image in left] == ["KeptPrediction", "str", "str", "Failure"]
    assert left[1:3] == ["e/1.jpg", "e/f.jpg"]


def test_images_that_vanished_keep_their_rows(folder: Path, whole: dict[str, bytes]) -> None:
    predict(folder, stop_after=6)
    left = tuple(name for name in NAMES if name not in (NAMES[0], NAMES[1], NAMES[3]))
    kept, todo, _ = resume(folder, source(left))
    assert (kept, todo) == (list(NAMES[:6]), list(NAMES[6:]))
    assert contents(folder) == whole


def test_images_that_vanished_at_the_end_keep_their_rows(folder: Path) -> None:
    predict(folder, stop_after=6)
    kept, todo, journal = resume(folder, source(NAMES[:3]))
    assert (kept, todo, journal.dropped) == (list(NAMES[:6]), [], 0)


def test_an_image_that_is_new_is_predicted_and_those_behind_it_again(folder: Path) -> None:
    predict(folder, stop_after=6)
    names = (*NAMES[:3], "cc.jpg", *NAMES[3:])
    kept, todo, journal = resume(folder, source(names))
    assert (kept, todo) == (list(NAMES[:3]), list(names[3:]))
    assert journal.dropped == 3
    rows = [row.filename for row in read_predictions(folder / "p.csv")]
    assert rows == [name for name in names if name not in FAILED]


def test_a_list_in_another_order_is_predicted_from_where_it_differs(folder: Path) -> None:
    predict(folder, stop_after=6)
    names = (*NAMES[:2], NAMES[7], *NAMES[2:7])
    kept, todo, _ = resume(folder, source(names, is_sorted=False))
    assert (kept, todo) == (list(names[:2]), list(names[2:]))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("model_sha256", "def", "was begun with model sha256 'abc', now it is 'def'"),
        ("provider", "cuda", "was begun with provider 'cpu', now it is 'cuda'"),
    ],
)
def test_resuming_with_another_model_or_otherwise_is_refused(
    folder: Path, name: str, value: str, words: str
) -> None:
    predict(folder, stop_after=3)
    before = contents(folder)
    with (
        pytest.raises(UsageError, match=words),
        open_journal(folder, **{name: value}) as journal,
    ):
        list(resumed(journal, source(), print))
    assert contents(folder) == before
    predict(folder)
    with pytest.raises(UsageError, match=words):
        open_journal(folder, **{name: value}).complete()
    assert open_journal(folder).complete()


HAND_EDITED = '{"schema": 2, "predicted": "x", "failed": 0, "status": "done"}'


EDITED = '{"schema": 2, "predicted": 1, "failed": 0, "output": %s, "status": "done"}'


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[1]", "{", "\udcff", HAND_EDITED, HAND_EDITED.replace('"x"', "-1")),
        *(EDITED % output for output in ("5", "null", '""', '"."', '"a/b"')),
    ],
)
def test_a_damaged_meta_file_is_named_and_nothing_is_lost(
    folder: Path, text: str, tiny_model: Path, run_cli: RunCli
) -> None:
    predict(folder)
    before = (folder / "p.csv").read_bytes()
    (folder / "p.meta.json").write_bytes(os.fsencode(text))
    draw_photo().save(folder / "a.png")
    out = ("--out", folder / "p.csv", "--resume", "--model", tiny_model)
    done = run_cli("predict", folder / "a.png", *out)
    assert done.code == 2
    assert "p.meta.json: damaged, or of another version" in done.stderr
    assert "choose another --out" in done.stderr
    assert "--overwrite" not in done.stderr
    assert (folder / "p.csv").read_bytes() == before


def test_without_its_meta_file_no_output_is_called_complete(folder: Path) -> None:
    predict(folder)
    (folder / "p.meta.json").unlink()
    with pytest.raises(UsageError, match=r"p\.meta\.json: missing, .* another --out"):
        open_journal(folder).complete()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_no_link_is_written_through(
    folder: Path, link: Callable[[Path, Path], None], tiny_model: Path, run_cli: RunCli
) -> None:
    victim, photo = folder / "victim", folder / "a.png"
    victim.write_text("mine")
    draw_photo().save(photo)
    command = ("predict", photo, "--out", folder / "p.csv", "--model", tiny_model)
    link(victim, folder / "p.csv.partial")
    for option in ([], ["--resume"], ["--overwrite"]):
        done = run_cli(*command, *option)
        assert done.code == 2
        assert "p.csv.partial: a link, which is not written through" in done.stderr
    (folder / "p.csv.partial").unlink()
    link(victim, folder / "p.csv.finishing.partial")
    assert run_cli(*command).code == 0
    assert victim.read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("something else\n", "its first line is not ours"),
        ("[1]\n", "its first line is not ours"),
        ('{"schema": 3}\n', "its first line is not ours"),
        ('{"schema": 2}\n', "another version of maskinfer began"),
        ("[" * 200_000 + "\n", "its first line is not ours"),
    ],
)
def test_a_journal_of_another_origin_is_one_line(folder: Path, text: str, words: str) -> None:
    (folder / "p.csv.partial").write_text(text, encoding="latin-1")
    with pytest.raises(MaskinferError, match=words):
        resume(folder, source(("a,b.jpg", "\xff")))
    assert (folder / "p.csv.partial").read_text(encoding="latin-1") == text


def _insert(index: int, what: bytes) -> Damage:
    return lambda lines: [*lines[:index], what, *lines[index:]]


DAMAGES: dict[str, Damage] = {
    "NUL bytes before a row": lambda lines: [*lines[:3], b"\0\0" + lines[3], *lines[4:]],
    "an empty line": _insert(3, b"\n"),
    "a row twice": lambda lines: [*lines[:3], lines[2], *lines[3:]],
    "a row less": lambda lines: [*lines[:3], *lines[4:]],
    "rows in another order": lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]],
    "a row of a failure too": _insert(3, b'{"filename": "d.jpg", "error": "x", "stamp": null}\n'),
    "a score that is no number": lambda lines: [
        line.replace(b"0.30000000000000004", b"NaN") if n > 2 else line
        for n, line in enumerate(lines)
    ],
    "a box outside": lambda lines: [
        line.replace(b"[1, 2,", b"[1, 99,") if n > 2 else line for n, line in enumerate(lines)
    ],
    "Windows' line ends": lambda lines: [
        line.replace(b"\n", b"\r\n") if n > 2 else line for n, line in enumerate(lines)
    ],
    "other JSON": _insert(3, b"[1]\n"),
    "deep JSON": _insert(3, b"[" * 10_000 + b"\n"),
    "no text": _insert(3, b"\xff\xfe\n"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_journal_is_cut_from_the_first_damaged_line_on(
    folder: Path, whole: dict[str, bytes], damage: Damage
) -> None:
    predict(folder, stop_after=6)
    path = folder / "p.csv.partial"
    path.write_bytes(b"".join(damage(path.read_bytes().splitlines(keepends=True))))
    kept, todo, journal = resume(folder)
    assert 2 <= len(kept) <= 3
    assert kept + todo == list(NAMES)
    assert journal.dropped
    assert contents(folder) == whole


def test_a_photo_that_changed_and_those_behind_it_are_predicted_again(folder: Path) -> None:
    stamps = dict.fromkeys(NAMES, 1)
    journal = replace(open_journal(folder), stamp=stamps.get)
    with journal:
        journal.begin()
        for name in NAMES[:5]:
            journal.write(result_of(name))
    stamps[NAMES[3]] = 2
    kept: list[Result] = []
    with replace(open_journal(folder), stamp=stamps.get) as journal:
        assert list(resumed(journal, source(), kept.append)) == list(NAMES[3:])
    assert [result.filename for result in kept] == list(NAMES[:3])
    assert journal.dropped == 2


def test_labels_that_came_later_get_their_columns(folder: Path) -> None:
    predict(folder, stop_after=3)
    with replace(open_journal(folder), labelled=True) as journal:
        list(resumed(journal, source(NAMES[:3]), print))
        journal.finish()
    assert (folder / "p.csv").read_text().splitlines()[0].endswith(",iou,correct")


def test_an_exception_leaves_the_output_alone_and_keeps_what_was_written(folder: Path) -> None:
    predict(folder, names=("d.jpg",))
    before = (folder / "p.csv").read_bytes()

    with suppress(KeyboardInterrupt), open_journal(folder) as journal:
        journal.begin()
        journal.write(result_of("a,b.jpg"))
        raise KeyboardInterrupt
    assert (folder / "p.csv").read_bytes() == before
    assert recorded_names(folder / "p.csv.partial") == ["a,b.jpg"]


def test_an_exception_before_the_first_result_leaves_nothing(folder: Path) -> None:
    with suppress(RuntimeError), open_journal(folder) as journal:
        journal.begin()
        raise RuntimeError
    assert contents(folder) == {}


@pytest.mark.skipif(sys.platform == "win32", reason="locks are the system's own there")
def test_two_commands_do_not_write_the_same_output(folder: Path) -> None:
    files = OutputFiles.of(folder / "p.csv")
    with open_journal(folder) as journal:
        journal.begin()
        journal.write(result_of("d.jpg"))
        for overwrite in (True, False):
            with pytest.raises(UsageError, match=r"p\.csv: another command is writing it now"):
                check_files(files, overwrite=overwrite, resume=not overwrite)
        # Begun at the same moment, both have passed that.
        with open_journal(folder) as other:
            with pytest.raises(UsageError, match=r"p\.csv: another command is writing it now"):
                other.begin()
            with pytest.raises(UsageError, match=r"p\.csv: another command is writing it now"):
                resumed(other, source(), print)
        journal.finish()
    assert [row.filename for row in read_predictions(folder / "p.csv")] == ["d.jpg"]
    check_files(files, overwrite=True, resume=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_line_and_resuming_continues(
    folder: Path, whole: dict[str, bytes]
) -> None:
    with open_journal(folder) as journal:
        journal.begin()
        for name in NAMES[:3]:
            journal.write(result_of(name))
        assert journal._stream is not None
        journal._stream.close()
        journal._stream = Path("/dev/full").open("ab")  # noqa: SIM115
        with pytest.raises(MaskinferError, match=r"p\.csv: cannot be written, No space left"):
            journal.write(result_of("d.jpg"))
    assert resume(folder)[:2] == (list(NAMES[:3]), list(NAMES[3:]))
    assert contents(folder) == whole


@pytest.mark.parametrize("written", range(3), ids=["p.csv", "p.errors.csv", "p.meta.json"])
def test_a_disk_that_is_full_when_finishing_keeps_the_journal(
    folder: Path, whole: dict[str, bytes], written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = count()

    def fsync(file: int) -> None:
        if next(called) == written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(MaskinferError, match=r"p\.csv: cannot be written, No space left"):
        predict(folder)
    assert recorded_names(folder / "p.csv.partial") == list(NAMES)
    assert resume(folder)[:2] == (list(NAMES), [])
    assert contents(folder) == whole


@pytest.mark.parametrize(
    ("out", "errors", "meta"),
    [
        ("preds.csv", "preds.errors.csv", "preds.meta.json"),
        ("a.b.csv", "a.b.errors.csv", "a.b.meta.json"),
        ("a.parquet", "a.errors.csv", "a.meta.json"),
    ],
)
def test_files_of_a_prediction_stand_beside_its_output(out: str, errors: str, meta: str) -> None:
    files = OutputFiles.of(Path("x") / out)
    assert (files.errors, files.meta) == (Path("x") / errors, Path("x") / meta)
    assert files.journal == Path("x") / f"{out}.partial"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("p.csv", r"p\.csv: exists\. To replace it, add --overwrite"),
        ("p.errors.csv", r"p\.errors\.csv: exists\. To replace it, add --overwrite"),
        ("p.meta.json", r"p\.meta\.json: exists\. To replace it, add --overwrite"),
        ("p.csv.partial", r"results of an interrupted prediction; continue it with --resume, or"),
    ],
)
def test_check_files_refuses_to_lose_what_is_there(tmp_path: Path, name: str, words: str) -> None:
    files = OutputFiles.of(tmp_path / "p.csv")
    check_files(files, overwrite=False, resume=False)
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=words):
        check_files(files, overwrite=False, resume=False)
    check_files(files, overwrite=True, resume=False)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match="a folder, expected a file"):
        check_files(files, overwrite=True, resume=False)


def test_an_interrupted_command_of_another_version_is_refused(
    folder: Path, whole: dict[str, bytes]
) -> None:
    files = OutputFiles.of(folder / "p.csv")
    files.journal.write_text('{"schema": 2}\n')
    for resuming in (False, True):
        with pytest.raises(UsageError, match=r"partial: .* another version .* with --overwrite"):
            check_files(files, overwrite=False, resume=resuming)
    check_files(files, overwrite=True, resume=False)
    predict(folder)
    assert contents(folder) == whole
