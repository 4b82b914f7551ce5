import json
import os
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskinfer.data.folders import Failure
from maskinfer.data.sources import NamesSource
from maskinfer.errors import MaskinferError, UsageError
from maskinfer.inference.journal import Journal, Places, check_places
from maskinfer.inference.results import Row, read_predictions

IDENTITY = {"model_sha256": "abc", "provider": "cpu"}
# Names that a CSV has to quote, and failures, among them the last.
NAMES = ("a,b.jpg", "b\n.jpg", 'c".jpg', "d.jpg", "e/f.jpg", "g.jpg", "h\r.jpg", "i.jpg")
FAILED = {"b\n.jpg", "g.jpg", "i.jpg"}


def result_of(name: str) -> Row | Failure:
    if name in FAILED:
        return Failure(name, f"damaged, {name}")
    return Row(name, (1, 2, 3, len(name)), True, 0.5)


def source(names: tuple[str, ...] = NAMES, *, is_sorted: bool = True) -> NamesSource:
    return replace(NamesSource(Path(), names), sorted=is_sorted)


def open_journal(folder: Path, **identity: Any) -> Journal:
    return Journal(Places.of(folder / "p.csv"), IDENTITY | identity, {}, labelled=False)


def run(folder: Path, stop_after: int | None = None, names: tuple[str, ...] = NAMES) -> None:
    """A run from the beginning, or one that is killed after some results."""
    with open_journal(folder) as journal:
        journal.begin()
        for done, name in enumerate(names):
            if done == stop_after:
                return
            journal.write(result_of(name))
        journal.finish()


def go_on(folder: Path, what: NamesSource | None = None) -> tuple[list[str], list[str], Journal]:
    """Resume and finish: what was kept, and what was left to do."""
    kept: list[Row | Failure] = []
    todo = []
    with open_journal(folder) as journal:
        for name in journal.resume(what or source(), kept.append):
            assert isinstance(name, str)
            todo.append(name)
            journal.write(result_of(name))
        journal.finish()
    assert kept == [result_of(result.filename) for result in kept]
    return [result.filename for result in kept], todo, journal


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    """The files of an uninterrupted run."""
    folder = tmp_path / "whole"
    folder.mkdir()
    run(folder)
    return contents(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a run is interrupted and gone on with."""
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def test_a_run_leaves_rows_failures_and_what_made_them(whole: dict[str, bytes]) -> None:
    assert sorted(whole) == ["p.csv", "p.errors.csv", "p.meta.json"]
    meta = json.loads(whole["p.meta.json"])
    assert (meta["status"], meta["rows"], meta["failed"]) == ("done", 5, 3)
    assert meta.items() > IDENTITY.items()


@pytest.mark.parametrize("done", range(len(NAMES)))
def test_resuming_ends_in_the_bytes_of_an_uninterrupted_run(
    folder: Path, whole: dict[str, bytes], done: int
) -> None:
    run(folder, stop_after=done)
    kept, todo, journal = go_on(folder)
    assert (kept, todo) == (list(NAMES[:done]), list(NAMES[done:]))
    assert journal.dropped == 0
    assert contents(folder) == whole


@given(rows=st.integers(0, 500), errors=st.integers(0, 500))
def test_files_torn_anywhere_are_mended(
    tmp_path_factory: pytest.TempPathFactory, rows: int, errors: int
) -> None:
    """As after a crash of the machine, which may lose any end of either file."""
    folder = tmp_path_factory.mktemp("torn")
    run(folder)
    expected = contents(folder)
    for path in folder.iterdir():
        path.unlink()
    run(folder, stop_after=len(NAMES) - 1)
    partial = Places.of(folder / "p.csv")
    os.truncate(partial.rows_partial, min(rows, partial.rows_partial.stat().st_size))
    os.truncate(partial.errors_partial, min(errors, partial.errors_partial.stat().st_size))
    kept, todo, _ = go_on(folder)
    assert kept + todo == list(NAMES)
    assert contents(folder) == expected


@pytest.mark.parametrize("step", range(5))
def test_a_run_that_is_stopped_while_it_finishes_is_finished(
    folder: Path, whole: dict[str, bytes], step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "p.errors.csv").write_text("of an older run\n")
    steps = 0

    def stop_at(name: str) -> Any:
        original = getattr(Path, name)

        def perhaps(self: Path, *args: Any, **kwargs: Any) -> Any:
            nonlocal steps
            if "p." in self.name and armed:
                steps += 1
                if steps > step:
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
    if open_journal(folder).is_whole():
        return
    kept, todo, _ = go_on(folder)
    assert (kept, todo) == (list(NAMES), [])
    assert contents(folder) == whole


def test_without_failures_the_errors_of_an_older_run_go(folder: Path) -> None:
    (folder / "p.errors.csv").write_text("of an older run\n")
    run(folder, names=("a.jpg", "d.jpg"))
    assert sorted(contents(folder)) == ["p.csv", "p.meta.json"]


def test_resuming_nothing_begins(folder: Path, whole: dict[str, bytes]) -> None:
    assert go_on(folder)[:2] == ([], list(NAMES))
    assert contents(folder) == whole


def test_images_that_vanished_keep_their_rows(folder: Path, whole: dict[str, bytes]) -> None:
    run(folder, stop_after=6)
    left = tuple(name for name in NAMES if name not in (NAMES[0], NAMES[1], NAMES[3]))
    kept, todo, _ = go_on(folder, source(left))
    assert (kept, todo) == (list(NAMES[:6]), list(NAMES[6:]))
    assert contents(folder) == whole


def test_images_that_vanished_at_the_end_keep_their_rows(folder: Path) -> None:
    run(folder, stop_after=6)
    kept, todo, journal = go_on(folder, source(NAMES[:3]))
    assert (kept, todo, journal.dropped) == (list(NAMES[:6]), [], 0)


def test_an_image_that_is_new_is_predicted_and_those_behind_it_again(folder: Path) -> None:
    run(folder, stop_after=6)
    names = (*NAMES[:3], "cc.jpg", *NAMES[3:])
    kept, todo, journal = go_on(folder, source(names))
    assert (kept, todo) == (list(NAMES[:3]), list(names[3:]))
    assert journal.dropped == 3
    rows = [row.filename for row in read_predictions(folder / "p.csv")]
    assert rows == [name for name in names if name not in FAILED]


def test_a_list_in_another_order_is_predicted_from_where_it_differs(folder: Path) -> None:
    run(folder, stop_after=6)
    names = (*NAMES[:2], NAMES[7], *NAMES[2:7])
    kept, todo, _ = go_on(folder, source(names, is_sorted=False))
    assert (kept, todo) == (list(names[:2]), list(names[2:]))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("model_sha256", "def", "was begun with model sha256 'abc', now it is 'def'"),
        ("provider", "cuda", "was begun with provider 'cpu', now it is 'cuda'"),
    ],
)
def test_a_run_with_another_model_or_otherwise_is_refused(
    folder: Path, name: str, value: str, words: str
) -> None:
    run(folder, stop_after=3)
    before = contents(folder)
    with (
        pytest.raises(UsageError, match=words),
        open_journal(folder, **{name: value}) as journal,
    ):
        list(journal.resume(source(), lambda result: None))
    assert contents(folder) == before
    run(folder)
    with pytest.raises(UsageError, match=words):
        open_journal(folder, **{name: value}).is_whole()
    assert open_journal(folder).is_whole()


@pytest.mark.parametrize("text", [None, "", "{}", "[1]", "{", "\udcff"])
def test_without_its_meta_file_nothing_is_resumed(folder: Path, text: str | None) -> None:
    run(folder, stop_after=3)
    meta = folder / "p.meta.json"
    if text is None:
        meta.unlink()
    else:
        meta.write_bytes(os.fsencode(text))
    with pytest.raises(UsageError, match=r"p\.meta\.json: missing or damaged"):
        go_on(folder)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("something else\n", "its first line is not ours"),
        ("filename,x,y,w,h,proper_mask,score\n\n", "an empty line"),
        ('filename,x,y,w,h,proper_mask,score\n"a,b.jpg",1,2\n', r"a,b\.jpg: 3 cells"),
        ("filename,x,y,w,h,proper_mask,score\n\xff\n", "3 cells|codec|1 cells"),
    ],
)
def test_a_damaged_file_is_one_line(folder: Path, text: str, words: str) -> None:
    run(folder, stop_after=3)
    (folder / "p.csv.partial").write_text(text, encoding="latin-1")
    with pytest.raises(MaskinferError, match=words):
        go_on(folder, source(("a,b.jpg", "\xff")))


def test_an_exception_leaves_the_output_alone_and_keeps_what_was_written(folder: Path) -> None:
    run(folder, names=("d.jpg",))
    before = (folder / "p.csv").read_bytes()

    with suppress(KeyboardInterrupt), open_journal(folder) as journal:
        journal.begin()
        journal.write(result_of("a,b.jpg"))
        raise KeyboardInterrupt
    assert (folder / "p.csv").read_bytes() == before
    assert [row.filename for row in read_predictions(folder / "p.csv.partial")] == ["a,b.jpg"]


def test_an_exception_before_the_first_result_leaves_nothing(folder: Path) -> None:
    with suppress(RuntimeError), open_journal(folder) as journal:
        journal.begin()
        raise RuntimeError
    assert contents(folder) == {}


@pytest.mark.skipif(sys.platform == "win32", reason="locks are the system's own there")
def test_two_runs_do_not_write_the_same_output(folder: Path) -> None:
    places = Places.of(folder / "p.csv")
    with open_journal(folder) as journal:
        journal.begin()
        journal.write(result_of("d.jpg"))
        for overwrite in (True, False):
            with pytest.raises(UsageError, match=r"p\.csv: another run is writing it now"):
                check_places(places, overwrite=overwrite, resume=not overwrite)
        # Begun at the same moment, both have passed that.
        with open_journal(folder) as other:
            with pytest.raises(UsageError, match=r"p\.csv: another run is writing it now"):
                other.begin()
            with pytest.raises(UsageError, match=r"p\.csv: another run is writing it now"):
                other.resume(source(), print)
        journal.finish()
    assert [row.filename for row in read_predictions(folder / "p.csv")] == ["d.jpg"]
    check_places(places, overwrite=True, resume=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_line_and_resuming_goes_on(
    folder: Path, whole: dict[str, bytes]
) -> None:
    with open_journal(folder) as journal:
        journal.begin()
        for name in NAMES[:3]:
            journal.write(result_of(name))
        assert journal._rows is not None
        journal._rows.close()
        journal._rows = Path("/dev/full").open("ab")  # noqa: SIM115
        with pytest.raises(MaskinferError, match=r"p\.csv: cannot be written, No space left"):
            journal.write(result_of("d.jpg"))
    assert go_on(folder)[:2] == (list(NAMES[:3]), list(NAMES[3:]))
    assert contents(folder) == whole


@pytest.mark.parametrize(
    ("out", "errors", "meta"),
    [
        ("preds.csv", "preds.errors.csv", "preds.meta.json"),
        ("a.b.csv", "a.b.errors.csv", "a.b.meta.json"),
        ("a.parquet", "a.parquet.errors.csv", "a.parquet.meta.json"),
    ],
)
def test_files_of_a_run_stand_beside_its_output(out: str, errors: str, meta: str) -> None:
    places = Places.of(Path("x") / out)
    assert (places.errors, places.meta) == (Path("x") / errors, Path("x") / meta)
    assert places.rows_partial == Path("x") / f"{out}.partial"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("p.csv", r"p\.csv: exists\. To replace it, add --overwrite"),
        ("p.errors.csv", r"p\.errors\.csv: exists\. To replace it, add --overwrite"),
        ("p.meta.json", r"p\.meta\.json: exists\. To replace it, add --overwrite"),
        ("p.csv.partial", r"rows of an interrupted run; go on with --resume, or begin again"),
        ("p.errors.csv.partial", r"rows of an interrupted run; go on with --resume"),
    ],
)
def test_check_places_refuses_to_lose_what_stands_there(
    tmp_path: Path, name: str, words: str
) -> None:
    places = Places.of(tmp_path / "p.csv")
    check_places(places, overwrite=False, resume=False)
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=words):
        check_places(places, overwrite=False, resume=False)
    check_places(places, overwrite=True, resume=False)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match="a folder, expected a file"):
        check_places(places, overwrite=True, resume=False)
