import json
from pathlib import Path

import pyarrow.parquet
import pytest

from maskinfer.errors import UsageError
from maskinfer.inference.journal import Journal, OutputFiles
from maskinfer.inference.outputs import check_format
from maskinfer.inference.results import Row

ROWS = [
    Row("a.jpg", (1, 2, 3, 4), True, 2 / 3, 0.12344, False, 0.9),
    Row('b/"c\n.jpg', (0, 0, 1, 1), False, 1.0, None, None),
]


def write(out: Path, *, labelled: bool = True, rows: list[Row] = ROWS) -> Path:
    with Journal(OutputFiles.of(out), {}, {}, labelled=labelled) as journal:
        journal.begin()
        for row in rows:
            journal.write(row)
        journal.finish()
    assert sorted(path.name for path in out.parent.iterdir()) == sorted(
        [out.name, f"{out.name}.meta.json"]
    )
    return out


def values(row: Row, *, labelled: bool) -> dict[str, object]:
    """What every format holds of a row: as many decimals as the CSV."""
    x, y, w, h = row.box_xywh
    columns = {"filename": row.filename, "x": x, "y": y, "w": w, "h": h}
    columns |= {"proper_mask": row.proper_mask, "score": float(f"{row.score:.4f}")}
    iou = None if row.iou is None else float(f"{row.iou:.4f}")
    return columns | ({"iou": iou, "correct": row.correct} if labelled else {})


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_json_lines_say_what_the_csv_says(tmp_path: Path, labelled: bool, count: int) -> None:
    out = write(tmp_path / "p.jsonl", labelled=labelled, rows=ROWS[:count])
    lines = out.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        values(row, labelled=labelled) for row in ROWS[:count]
    ]


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_parquet_says_what_the_csv_says(
    tmp_path: Path, labelled: bool, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskinfer.inference.outputs._GROUP_ROWS", 1)
    out = write(tmp_path / "p.parquet", labelled=labelled, rows=ROWS[:count])
    table = pyarrow.parquet.read_table(out)
    assert table.column_names == list(values(ROWS[0], labelled=labelled))
    assert str(table.schema.field("x").type) == "int32"
    assert table.to_pylist() == [values(row, labelled=labelled) for row in ROWS[:count]]


@pytest.mark.parametrize("out", ["p", "p.txt", "p.CSV.gz", ".csv"])
def test_endings_that_name_no_format_are_refused(out: str) -> None:
    with pytest.raises(UsageError, match=r"--out .*: expected a file ending in \.csv, \.jsonl"):
        check_format(Path(out))


def test_parquet_without_pyarrow_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    check_format(Path("p.csv"))
    with pytest.raises(UsageError, match=r"pyarrow is not installed.*'\.\[parquet\]'"):
        check_format(Path("p.parquet"))
