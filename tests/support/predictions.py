"""The files of a prediction as tests read them."""

import csv
import json
from pathlib import Path

from maskinfer.data.labels import BoxXywh
from maskinfer.evaluation.labelled import LabelledPrediction
from maskinfer.inference.results import (
    COLUMNS,
    LABEL_COLUMNS,
    ImagePrediction,
    Prediction,
    columns,
)


def recorded_names(journal: Path) -> list[str]:
    """The images whose results an unfinished prediction holds, in order."""
    header, *lines = journal.read_bytes().split(b"\n")[:-1]  # without a torn last line
    assert json.loads(header)["schema"] == 3
    return [json.loads(line)["filename"] for line in lines]


def read_errors(path: Path = Path("preds.errors.csv")) -> dict[str, str]:
    """Why images failed, by their names."""
    with path.open(encoding="utf-8", newline="") as stream:
        header, *lines = csv.reader(stream)
    assert header == ["filename", "error"]
    return dict(lines)


def predicted(
    filename: str,
    box_xywh: BoxXywh,
    proper_mask: bool,
    score: float,
    iou: float | None = None,
    correct: bool | None = None,
    probability: float | None = None,
) -> ImagePrediction:
    """The prediction of one face of an image; its probability is sure unless it is given."""
    sure = float(proper_mask) if probability is None else probability
    face = Prediction(box_xywh, proper_mask, sure, score)
    return ImagePrediction(filename, (face,), iou, correct)


def labelled(
    filename: str,
    label_xywh: BoxXywh,
    label_proper: bool,
    box_xywh: BoxXywh,
    probability: float,
    score: float,
    threshold: float = 0.5,
) -> LabelledPrediction:
    """A label beside a predicted face, called by the threshold."""
    face = Prediction(box_xywh, probability >= threshold, probability, score)
    return LabelledPrediction(filename, label_xywh, label_proper, face, threshold)


def read_predictions(path: Path) -> list[ImagePrediction]:
    """The rows of a prediction CSV, which has the contract's columns; one image each."""
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        rows = list(reader)
    labelled = "iou" in (reader.fieldnames or ())
    assert tuple(reader.fieldnames or ()) == columns(labelled=labelled)
    return [_parse_row(row) for row in rows]


def _parse_row(cells: dict[str, str]) -> ImagePrediction:
    truth = {"True": True, "False": False}
    iou, correct = (cells.get(name, "") for name in LABEL_COLUMNS)
    figures = (float(iou) if iou else None, truth[correct] if correct else None)
    if not cells["x"]:
        assert not any(cells[name] for name in COLUMNS[1:])
        return ImagePrediction(cells["filename"], (), *figures)
    x, y, w, h = (int(cells[name]) for name in "xywh")
    proper, probability = truth[cells["proper_mask"]], float(cells["probability"])
    return predicted(
        cells["filename"], (x, y, w, h), proper, float(cells["score"]), *figures, probability
    )
