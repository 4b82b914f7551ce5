import csv
import errno
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from support.predictions import predicted, read_predictions

from maskinfer.data.folders import Failure
from maskinfer.errors import MaskinferError, UsageError
from maskinfer.files import check_file, write_text
from maskinfer.inference.journal import Journal, OutputFiles
from maskinfer.inference.results import ImagePrediction, Result
from maskinfer.text import printable_name

ROWS = [
    predicted("a.jpg", (1, 2, 3, 4), True, 0.5, 0.1234, False),
    predicted("b/c.jpg", (0, 0, 1, 1), False, 1.0, probability=0.25),
    ImagePrediction("nobody.jpg", (), 0.0, correct=False),
]


def write(out: Path, results: Iterable[Result], labelled: bool = True) -> Path:
    with Journal(OutputFiles.of(out), {}, {}, labelled=labelled) as journal:
        journal.begin()
        for result in results:
            journal.write(result)
        journal.finish()
    return out


@pytest.mark.parametrize(
    ("rows", "labelled", "expected"),
    [
        pytest.param([], False, "filename,x,y,w,h,proper_mask,probability,score\n", id="empty"),
        pytest.param(
            ROWS[1:2],
            False,
            "filename,x,y,w,h,proper_mask,probability,score\nb/c.jpg,0,0,1,1,False,0.2500,1.0000\n",
            id="no label",
        ),
        pytest.param(
            ROWS,
            True,
            "filename,x,y,w,h,proper_mask,probability,score,iou,correct\n"
            "a.jpg,1,2,3,4,True,1.0000,0.5000,0.1234,False\n"
            "b/c.jpg,0,0,1,1,False,0.2500,1.0000,,\n"
            "nobody.jpg,,,,,,,,0.0000,False\n",
            id="some labels",
        ),
    ],
)
def test_csv_has_the_contract_s_columns(
    tmp_path: Path, rows: list[Result], labelled: bool, expected: str
) -> None:
    out = write(tmp_path / "p.csv", rows, labelled)
    assert out.read_bytes().decode() == expected
    assert read_predictions(out) == rows
    assert not OutputFiles.of(out).errors.exists()


@pytest.mark.parametrize(
    "name",
    [
        "a, b.jpg",
        'say "x".jpg',
        "two\nlines.jpg",
        "return\rcarriage.jpg",
        "both\r\n.jpg",
        "größe 口罩 😷.jpg",
        " spaced .jpg",
        "'.jpg",
    ],
)
def test_csv_gives_back_any_file_name(tmp_path: Path, name: str) -> None:
    row = predicted(name, (0, 0, 1, 1), True, 0.0)
    out = write(tmp_path / "p.csv", [row, Failure(name, "why, and\nwhere")], labelled=False)
    assert read_predictions(out) == [row]
    with OutputFiles.of(out).errors.open(encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream)) == [["filename", "error"], [name, "why, and\nwhere"]]


def test_csv_stays_utf8_where_a_file_name_is_not(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    out = write(tmp_path / "p.csv", [predicted(name, (0, 0, 1, 1), True, 0.0)], labelled=False)
    assert read_predictions(out)[0].filename == r"caf\xe9.jpg" == printable_name(name)


@pytest.mark.parametrize(
    ("name", "printable"),
    [
        ("", ""),
        ("größe 口罩.jpg", "größe 口罩.jpg"),
        ("caf\udce9.jpg", r"caf\xe9.jpg"),
        ("half \ud83d.jpg", r"half \ud83d.jpg"),
    ],
    ids=["empty", "text", "bytes", "half a pair"],
)
def test_printable_name_can_always_be_printed(name: str, printable: str) -> None:
    assert printable_name(name) == printable
    printable_name(name).encode()


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, text: str, encoding: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(MaskinferError, match=r"r\.json: cannot be written, No space left"):
        write_text(tmp_path / "r.json", "text")
    assert not (tmp_path / "r.json").exists()


def test_check_file_refuses_what_cannot_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("x")
    check_file(tmp_path / "new.csv", overwrite=False)
    check_file(tmp_path / "old.csv", overwrite=True)
    for out, overwrite, words in (
        (tmp_path, True, "a folder, expected a file"),
        (tmp_path / "no" / "p.csv", True, "no folder"),
        (tmp_path / "old.csv", False, "exists. To replace it, add --overwrite"),
        (Path(os.devnull), True, "not a regular file"),
    ):
        with pytest.raises(UsageError, match=words):
            check_file(out, overwrite=overwrite)


def test_check_file_is_about_one_file(tmp_path: Path) -> None:
    (tmp_path / "p.errors.csv").write_text("mine")
    (tmp_path / "p.csv.partial").write_text("mine")
    check_file(tmp_path / "p.csv", overwrite=False)
    with pytest.raises(UsageError, match="exists"):
        check_file(tmp_path / "p.errors.csv", overwrite=False)


def test_check_file_gives_a_command_that_a_shell_takes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Make it with: mkdir -p '.*/no dir'$"):
        check_file(tmp_path / "no dir" / "p.csv", overwrite=False)
