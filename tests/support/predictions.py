"""The files of a prediction as tests read them."""

import csv
import json
from pathlib import Path

from maskinfer.inference.results import LABEL_COLUMNS, Row, columns


def recorded_names(journal: Path) -> list[str]:
    """The images whose results an unfinished prediction holds, in order."""
    header, *lines = journal.read_bytes().split(b"\n")[:-1]  # without a torn last line
    assert json.loads(header)["schema"] == 2
    return [json.loads(line)["filename"] for line in lines]


def read_errors(path: Path = Path("preds.errors.csv")) -> dict[str, str]:
    """Why images failed, by their names."""
    with path.open(encoding="utf-8", newline="") as stream:
        header, *lines = csv.reader(stream)
    assert header == ["filename", "error"]
    return dict(lines)


def read_predictions(path: Path) -> list[Row]:
    """The rows of a prediction CSV, which has the contract's columns."""
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        rows = list(reader)
    labelled = "iou" in (reader.fieldnames or ())
    assert tuple(reader.fieldnames or ()) == columns(labelled=labelled)
    return [_parse_row(row) for row in rows]


def _parse_row(cells: dict[str, str]) -> Row:
    truth = {"True": True, "False": False}
    iou, correct = (cells.get(name, "") for name in LABEL_COLUMNS)
    x, y, w, h = (int(cells[name]) for name in "xywh")
    return Row(
        cells["filename"],
        (x, y, w, h),
        truth[cells["proper_mask"]],
        float(cells["score"]),
        float(iou) if iou else None,
        truth[correct] if correct else None,
    )
