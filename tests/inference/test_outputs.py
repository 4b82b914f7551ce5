import json
from pathlib import Path

import pyarrow.parquet
import pytest
from support.predictions import predicted

from maskinfer.errors import UsageError
from maskinfer.inference.journal import Journal, OutputFiles
from maskinfer.inference.results import ImagePrediction, Prediction, check_format

PREDICTIONS = [
    predicted("a.jpg", (1, 2, 3, 4), True, 2 / 3, 0.12344, False, 0.98765),
    predicted('b/"c\n.jpg', (0, 0, 1, 1), False, 1.0),
    ImagePrediction("none.jpg", (), 0.0, correct=False),
    ImagePrediction(
        "two.jpg",
        (Prediction((1, 2, 3, 4), True, 0.9, 0.8), Prediction((5, 6, 7, 8), False, 0.1, 0.7)),
    ),
]


def write(out: Path, *, labelled: bool, predictions: list[ImagePrediction]) -> Path:
    with Journal(OutputFiles.of(out), {}, {}, labelled=labelled) as journal:
        journal.begin()
        for prediction in predictions:
            journal.write(prediction)
        journal.finish()
    assert sorted(path.name for path in out.parent.iterdir()) == sorted(
        [f"{out.stem}.meta.json", out.name]
    )
    return out


def face_values(face: Prediction) -> dict[str, object]:
    """What every format holds of a face: as many decimals as the CSV."""
    x, y, w, h = face.box_xywh
    figures = {"probability": face.probability, "score": face.score}
    return {"x": x, "y": y, "w": w, "h": h, "proper_mask": face.proper_mask} | {
        name: float(f"{figure:.4f}") for name, figure in figures.items()
    }


def label_values(prediction: ImagePrediction, *, labelled: bool) -> dict[str, object]:
    iou = None if prediction.iou is None else float(f"{prediction.iou:.4f}")
    return {"iou": iou, "correct": prediction.correct} if labelled else {}


def rows(prediction: ImagePrediction, *, labelled: bool) -> list[dict[str, object]]:
    """A row a face; one of empty cells without."""
    empty = dict.fromkeys(["x", "y", "w", "h", "proper_mask", "probability", "score"])
    label = label_values(prediction, labelled=labelled)
    faces = [face_values(face) for face in prediction.faces] or [empty]
    return [{"filename": prediction.filename} | face | label for face in faces]


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_json_lines_say_what_the_csv_says(tmp_path: Path, labelled: bool, count: int) -> None:
    out = write(tmp_path / "p.jsonl", labelled=labelled, predictions=PREDICTIONS[:count])
    lines = out.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"filename": prediction.filename, "faces": list(map(face_values, prediction.faces))}
        | label_values(prediction, labelled=labelled)
        for prediction in PREDICTIONS[:count]
    ]


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_parquet_says_what_the_csv_says(
    tmp_path: Path, labelled: bool, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskinfer.inference.results._GROUP_ROWS", 1)
    out = write(tmp_path / "p.parquet", labelled=labelled, predictions=PREDICTIONS[:count])
    table = pyarrow.parquet.read_table(out)
    assert table.column_names == list(rows(PREDICTIONS[0], labelled=labelled)[0])
    assert str(table.schema.field("x").type) == "int32"
    assert table.to_pylist() == [
        row for prediction in PREDICTIONS[:count] for row in rows(prediction, labelled=labelled)
    ]


@pytest.mark.parametrize("out", ["p", "p.txt", "p.CSV.gz", ".csv"])
def test_endings_that_name_no_format_are_refused(out: str) -> None:
    with pytest.raises(UsageError, match=r"--out .*: expected a file ending in \.csv, \.jsonl"):
        check_format(Path(out))


def test_parquet_without_pyarrow_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    check_format(Path("p.csv"))
    with pytest.raises(UsageError, match=r"pyarrow is not installed.*'\.\[parquet\]'"):
        check_format(Path("p.parquet"))
