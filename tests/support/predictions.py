"""The files of a prediction as tests read them."""

import csv
import json
from pathlib import Path


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
