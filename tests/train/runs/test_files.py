import csv
import json
import os
import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from support.written_run import ROWS, SETTINGS, row, write_run

from maskinfer.data.cleaning import Decision, FaultKind, find_fault
from maskinfer.data.labels import parse_name
from maskinfer.errors import LabelError, RunError
from maskinfer.train.runs.curves import draw_curves
from maskinfer.train.runs.files import EpochRow, RunFiles, best_row

NAN = float("nan")


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        pytest.param([], None, id="none"),
        pytest.param([0.5], 1, id="one"),
        pytest.param([0.5, 0.7, 0.6], 2, id="highest"),
        pytest.param([0.5, 0.7, 0.7], 2, id="first of equals"),
        pytest.param([None, None], 2, id="no validation part: the last"),
        pytest.param([NAN, 0.3, NAN], 2, id="no number is never the best"),
        pytest.param([NAN], None, id="no number at all"),
    ],
)
def test_best_row_is_the_one_whose_weights_a_run_keeps(
    scores: list[float | None], best: int | None
) -> None:
    found = best_row([row(epoch, score) for epoch, score in enumerate(scores, start=1)])
    assert (found and found.epoch) == best


def test_best_row_weighs_iou_and_balanced_accuracy_alike() -> None:
    rows = [row(1, validation_iou=0.9, validation_balanced_accuracy=0.5), row(2, 0.71)]
    assert best_row(rows) is rows[1]


def test_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [*ROWS, row(4, None, test_loss=1e300, train_loss=float("inf"))]
    RunFiles(tmp_path).write_history(rows)
    assert RunFiles(tmp_path).read_history() == rows
    RunFiles(tmp_path).write_history([])
    assert RunFiles(tmp_path).read_history() == []


def _history(tmp_path: Path, **changes: str) -> list[list[str]]:
    RunFiles(tmp_path).write_history(ROWS)
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[1] |= changes
    return [list(rows[0]), *(list(cells.values()) for cells in rows)]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        pytest.param(b"", "columns are", id="empty"),
        pytest.param(b"epoch,iou\n1,2\n", "columns are 'epoch,iou'", id="columns"),
        pytest.param(b"\xff\xfe", "can't decode", id="no text"),
        pytest.param(b'"epoch', "unexpected end", id="quote"),
    ],
)
def test_history_that_is_none_is_refused_in_a_line(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    (tmp_path / "history.csv").write_bytes(content)
    with pytest.raises(RunError, match=f"history.csv: damaged.*{complaint}"):
        RunFiles(tmp_path).read_history()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        pytest.param({"epoch": "two"}, "'two'", id="epoch"),
        pytest.param({"train_iou": ""}, "train_iou is ''", id="figure missing"),
        pytest.param({"train_loss": "high"}, "train_loss is 'high'", id="no number"),
    ],
)
def test_history_of_a_damaged_row_is_refused(
    tmp_path: Path, changes: dict[str, str], complaint: str
) -> None:
    lines = _history(tmp_path, **changes)
    (tmp_path / "history.csv").write_text("".join(",".join(cells) + "\n" for cells in lines))
    with pytest.raises(RunError, match=complaint):
        RunFiles(tmp_path).read_history()


def test_history_of_a_torn_row_is_refused(tmp_path: Path) -> None:
    lines = _history(tmp_path)
    (tmp_path / "history.csv").write_text(f"{','.join(lines[0])}\n1,30.0,0.001\n")
    with pytest.raises(RunError, match="row 1: 3 cells, expected 19"):
        RunFiles(tmp_path).read_history()


def test_history_of_an_older_version_is_read(tmp_path: Path) -> None:
    lines = [cells[:14] for cells in _history(tmp_path)]
    assert lines[0][-1] == "test_iou"
    (tmp_path / "history.csv").write_text("".join(",".join(cells) + "\n" for cells in lines))
    only = RunFiles(tmp_path).read_history()[0]
    assert only.train_balanced_accuracy is None
    assert only.chosen_by == (only.validation_iou, only.validation_balanced_accuracy)


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({}, ""),
        ({"test_balanced_accuracy": 0.5}, ""),  # by chance, while training knows better
        ({"test_loss": 1e12}, r"has diverged: its test loss is 1e\+12"),
        ({"test_loss": float("nan")}, "has diverged"),
        ({"test_loss": None, "train_loss": 2e4}, "has diverged: its train loss is 2e"),
        (
            {"train_balanced_accuracy": 0.5, "test_balanced_accuracy": 0.5},
            "has collapsed: it gives every face the same label",
        ),
    ],
)
def test_a_network_that_learned_nothing_is_told_by_its_figures(
    figures: dict[str, float], words: str
) -> None:
    usual = {"train_balanced_accuracy": 0.8}
    fault = row(1, None, **usual | figures).fault
    assert re.match(words, fault)
    assert bool(words) == bool(fault)


def test_the_best_epoch_is_chosen_by_the_nearest_face_where_that_is_measured() -> None:
    nearest = {"validation_nearest_iou": 0.4, "validation_nearest_balanced_accuracy": 0.8}
    assert row(1, 0.7).score == pytest.approx(0.7)
    assert row(1, 0.7, **nearest).score == pytest.approx(0.6)
    assert row(1, None).score is None


def test_curves_of_an_early_loss_of_20000_are_drawn_on_a_logarithmic_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scales: list[list[str]] = []
    save = Figure.savefig

    def watched(figure: Figure, *given: object, **options: object) -> None:
        scales.append([axes.get_yscale() for axes in figure.axes])
        legend = figure.axes[-1].get_legend()
        assert legend is not None
        texts = [text.get_text() for text in legend.get_texts()]
        assert texts[:2] == ["train, 256 images", "validation, 40 images"]
        save(figure, *given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Figure, "savefig", watched)
    measured = {"train": 256, "validation": 40, "test": 60}
    for first in (2.0, 20_000.0):
        history = [row(1, train_loss=first), row(2)]
        draw_curves(history, 2, measured, "run", tmp_path / "curves.png")
    assert scales == [["linear"] * 3, ["log", "linear", "linear"]]


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        pytest.param(["settings", "epochs"], "8", id="epochs"),
        pytest.param(["settings", "learning_rate"], None, id="rate"),
        pytest.param(["settings", "balance"], 1, id="balance"),
        pytest.param(["settings", "data"], [1], id="data"),
        pytest.param(["settings", "backbone"], "vgg", id="backbone"),
        pytest.param(["initial_weights"], {}, id="weights"),
        pytest.param(["data", "counts"], [], id="counts"),
        pytest.param(["data", "counts", "test", "proper"], "many", id="count"),
        pytest.param(["data"], {}, id="data without a digest"),
        pytest.param(["versions"], None, id="versions"),
        pytest.param(["further"], 1, id="unknown key"),
    ],
)
def test_config_of_other_values_than_are_read_later_is_refused(
    tmp_path: Path, keys: list[str], value: object
) -> None:
    run = write_run(tmp_path / "run")
    values = inner = json.loads((run / "config.json").read_text())
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    (run / "config.json").write_text(json.dumps(values))
    with pytest.raises(RunError, match=r"config\.json: damaged"):
        RunFiles(run).read_config()


def test_config_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", clip_norm=None, workers=3, augment=("flip",))
    config = RunFiles(run).read_config()
    assert config.settings.workers == 3
    assert config.settings.data == SETTINGS.data
    assert config.initial_weights == "imagenet"
    (run / "config.json").write_text("[" * 100_000)
    with pytest.raises(RunError, match="damaged"):
        RunFiles(run).read_config()


def test_newest_run_is_the_one_written_last(tmp_path: Path) -> None:
    for age, name in enumerate(("b", "c", "a")):
        run = write_run(tmp_path / name)
        for file in run.iterdir():
            os.utime(file, (1e9 - age, 1e9 - age))
    (tmp_path / "z").mkdir()
    assert RunFiles.newest(tmp_path).path == tmp_path / "b"
    os.utime(tmp_path / "a" / "history.csv")  # an older run that was gone on with
    assert RunFiles.newest(tmp_path).path == tmp_path / "a"


def why_unlabelled(name: str) -> str:
    with pytest.raises(LabelError) as refused:
        parse_name(name)
    return str(refused.value)


def test_decisions_are_counted_by_kind(tmp_path: Path) -> None:
    boxes = [(-1, 2, 3, 4), (-2, 2, 3, 4), (1, 2, 0, 4), (1, 2, 90, 4)]
    faults = [find_fault(box, (64, 48)) for box in boxes]
    names = ["a.jpg", "x__[1, 2]__True.jpg", "'__[1, 2, 3, 4]__Maybe.jpg"]
    run = write_run(
        tmp_path / "run",
        decisions=[
            Decision.unreadable("a", "truncated (3 bytes)"),
            Decision.unreadable("b", "truncated (9 bytes)"),
            *(Decision("c", "repaired", *fault, (1, 2, 1, 4)) for fault in faults if fault),
            *(
                Decision(name, "dropped", FaultKind.NO_LABEL, why_unlabelled(name))
                for name in names
            ),
        ],
    )
    counted = {
        ("dropped", "unreadable image"): 2,
        ("repaired", "negative value in box"): 2,
        ("repaired", "box has no area"): 1,
        ("repaired", "box reaches past the image"): 1,
        ("dropped", "no label in the file name"): 3,
    }
    assert RunFiles(run).count_decisions() == counted
    (run / "cleaning.csv").unlink()
    assert RunFiles(run).count_decisions() is None


def test_epoch_row_has_a_score_only_with_a_validation_part() -> None:
    rows: list[EpochRow] = [row(1, None), row(2, 0.5)]
    assert [one.score for one in rows] == [None, 0.5]


@pytest.mark.parametrize("number", ["1" + 400 * "0", "NaN", "-Infinity"])
def test_config_of_a_number_that_no_run_writes_is_refused(tmp_path: Path, number: str) -> None:
    run = write_run(tmp_path / "run", learning_rate=0.0125)
    text = (run / "config.json").read_text().replace("0.0125", number)
    (run / "config.json").write_text(text)
    with pytest.raises(RunError, match=r"config\.json: damaged"):
        RunFiles(run).read_config()


def test_config_that_nests_too_deeply_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    values = json.loads((run / "config.json").read_text())
    values["data"]["more"] = "DEEP"
    text = json.dumps(values).replace('"DEEP"', 900 * "[" + 900 * "]")
    (run / "config.json").write_text(text)
    with pytest.raises(RunError, match=r"config\.json: damaged"):
        RunFiles(run).read_config()


def test_history_whose_epochs_do_not_count_up_is_refused(tmp_path: Path) -> None:
    RunFiles(tmp_path).write_history([row(1), row(3)])
    with pytest.raises(RunError, match="epochs do not count from 0 or 1"):
        RunFiles(tmp_path).read_history()


def test_a_folder_of_runs_says_to_name_those(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "a")
    with pytest.raises(RunError, match=r"there is no config.json; it holds some, name those: "):
        RunFiles(tmp_path / "runs").read_config()
    with pytest.raises(RunError, match=r"config.json: not a run folder, a file"):
        RunFiles(tmp_path / "runs" / "a" / "config.json").read_config()
