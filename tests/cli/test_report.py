import html
import json
import os
import re
import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from support.cli import RunCli
from support.reported import Reported
from support.written_run import DATA, ROWS, row, write_run

from maskinfer.data.cleaning import Decision, FaultKind
from maskinfer.train import loop
from maskinfer.train.display import Display
from maskinfer.train.recipes import recipe_settings

NOT_HELD_OUT = (row(1, None), row(2, None), row(3, None))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_report_of_one_run_holds_its_figures_and_all_its_settings(
    folder: Path, run_cli: RunCli
) -> None:
    run = write_run(folder / "runs" / "resnet-1", optimizer="sgd", learning_rate=0.0125)
    done = run_cli("report", run, "--out", "r")
    assert done.code == 0
    assert "report: r/report.html" in done.stderr
    line = next(text for text in done.stdout.splitlines() if text.startswith("resnet-1"))
    assert " ".join(line.split()) == "resnet-1 resnet 3/3 2 0.750 0.700 0.850 0.800 0.790 1.5"

    report = Reported(Path("r"))
    assert report.row("resnet-1") == {
        "run": "resnet-1",
        "network": "resnet",
        "backbone": "resnet50",
        "canvas, px": "128",
        "batch": "32",
        "rate": "0.0125",
        "optimizer": "sgd, momentum 0.9",
        "epochs": "3 of 3",
        "best epoch": "2",
        "train IoU": "0.750",
        "test IoU": "0.700",
        "train accuracy": "0.850",
        "train balanced accuracy": "0.840",
        "test accuracy": "0.800",
        "test balanced accuracy": "0.790",
        "validation IoU": "0.800",
        "validation balanced accuracy": "0.800",
        "training images measured": "40",
        "minutes": "1.500",
    }
    assert report.warnings == []
    settings = dict(cells for cells in report.table("Settings")[1:])
    assert settings["learning rate"] == "0.0125"
    assert settings["patience"] == "none"
    assert settings["balance"] == "yes"
    assert settings["geometry"] == "letterbox"
    assert settings["initial weights"] == "imagenet"
    assert settings["data"] == "faces"
    assert settings["train images"] == "60 proper, 40 improper"
    assert settings["mixed precision"] == "auto"
    assert settings["mixed precision used"] == "no"
    assert report.alts == [
        "Loss over the epochs. resnet-1, 3 epochs: test ends at 1.750, lowest 1.750 in epoch 1; "
        "train ends at 1.500, lowest 1.500 in epoch 1; validation ends at 1.600, lowest 1.600 in "
        "epoch 1.",
        "Accuracy over the epochs. resnet-1, 3 epochs: test ends at 0.800, highest 0.800 in epoch "
        "1; train ends at 0.850, highest 0.850 in epoch 1; validation ends at 0.700, highest 0.800 "
        "in epoch 2.",
        "IoU over the epochs. resnet-1, 3 epochs: test ends at 0.700, highest 0.700 in epoch 1; "
        "train ends at 0.750, highest 0.750 in epoch 1; validation ends at 0.700, highest 0.800 in "
        "epoch 2.",
    ]
    assert "small copies" not in report.page


def test_report_facts_are_complete(folder: Path, run_cli: RunCli) -> None:
    run = write_run(folder / "a", decisions=[Decision.unreadable("x", "cut")])
    assert run_cli("report", run, "--out", "r").code == 0
    facts = Reported(Path("r")).facts
    (run_facts,) = facts["runs"]
    assert run_facts["config"] == json.loads((run / "config.json").read_text())
    assert [one["epoch"] for one in run_facts["history"]] == [1, 2, 3]
    assert run_facts["history"][1] == run_facts["best"]
    assert run_facts["best"]["validation_iou"] == 0.8
    assert (run_facts["name"], run_facts["epochs_done"], run_facts["minutes"]) == ("a", 3, 1.5)
    assert run_facts["dropped_or_repaired"] == [
        {"action": "dropped", "kind": "unreadable image", "images": 1}
    ]
    assert set(facts) == {"runs", "differing", "same", "warnings"}


def test_report_tells_settings_that_differ_from_those_that_do_not(
    folder: Path, run_cli: RunCli
) -> None:
    write_run(folder / "a")
    write_run(folder / "b", seed=4, clip_norm=None, weights="none")
    assert run_cli("report", "a", "b", "--out", "r").code == 0
    report = Reported(Path("r"))
    assert report.table("Settings that differ") == [
        ["setting", "a", "b"],
        ["clip norm", "2", "none"],
        ["seed", "0", "4"],
        ["initial weights", "imagenet", "none"],
    ]
    assert "The same in all: model resnet; data faces;" in report.page
    assert report.facts["differing"]["seed"] == ["0", "4"]
    assert "seed" not in report.facts["same"]
    assert report.warnings == []


def test_report_marks_the_row_of_the_best_run_and_takes_report_for_out(
    folder: Path, run_cli: RunCli
) -> None:
    worse = write_run(folder / "runs" / "a", rows=[row(1, 0.5)])
    better = write_run(folder / "runs" / "b", rows=[row(1, 0.9)])
    assert run_cli("report", worse, better, "--report", "r").code == 0
    page = Path("r/report.html").read_text(encoding="utf-8")
    (marked,) = re.findall(r'<tr class="best">(.*?)</tr>', page, re.DOTALL)
    assert re.sub("<[^>]*>", " ", marked).split()[0] == "b"
    assert run_cli("report", better, "--report", "alone").code == 0
    assert 'class="best"' not in Path("alone/report.html").read_text(encoding="utf-8")


def test_report_says_where_settings_are_the_same(folder: Path, run_cli: RunCli) -> None:
    runs = [write_run(folder / name) for name in ("a", "b")]
    assert run_cli("report", *runs, "--out", "r").code == 0
    report = Reported(Path("r"))
    assert "settings are the same" in report.page
    assert "Settings that differ" not in report.page


@pytest.mark.parametrize(
    ("rows", "settings", "expected"),
    [
        pytest.param(ROWS, {}, [], id="nothing"),
        pytest.param(
            (row(1, 0.6), row(2, 0.8, train_balanced_accuracy=0.99), row(3, 0.7)),
            {},
            [
                r"a: overfitting; in epoch 2 the balanced accuracy of test, 0\.790, is 0\.200 "
                r"below .*, 0\.990"
            ],
            id="overfitting",
        ),
        pytest.param(
            (
                row(1, 0.6, train_balanced_accuracy=1.0),
                row(2, 0.8, train_accuracy=0.99, train_balanced_accuracy=0.89),
                row(3, 0.7),
            ),
            {},
            [],
            id="overfitting elsewhere than in the best epoch, and a usual gap",
        ),
        pytest.param(
            (row(1, 0.6), row(2, 0.7), row(3, 0.8)),
            {},
            ["a: the best epoch, 3, is the last; .* maskinfer train --resume a --epochs 6$"],
            id="best is last",
        ),
        pytest.param(
            (row(1, 0.6), row(2, 0.8, test_balanced_accuracy=0.54, test_iou=0.02), row(3, 0.7)),
            {},
            [
                r"a: hardly better than chance; test IoU 0\.020, balanced accuracy 0\.540\. Train",
                "a: overfitting",
            ],
            id="chance",
        ),
        pytest.param(
            ROWS,
            {"epochs": 8},
            ["a: stopped after 3 of 8 epochs, or still .* maskinfer train --resume a$"],
            id="stopped",
        ),
        pytest.param(
            ROWS,
            {"epochs": 8, "patience": 1},
            ["a: stopped early, after 3 of 8 epochs: no better validation score in 1$"],
            id="patience",
        ),
        pytest.param(
            (row(1, 0.6), row(2, 0.8, test_loss=1e12), row(3, 0.7)),
            {},
            [r"a: the network has diverged: its test loss is 1e\+12\. Try a lower --lr$"],
            id="diverged",
        ),
        pytest.param(
            (row(1, 0.6), row(2, 0.8), row(3, 0.7, test_loss=1e12)),
            {},
            [r"a: after its best epoch, the network has diverged: its test loss is 1e\+12\."],
            id="diverged later",
        ),
        pytest.param(
            NOT_HELD_OUT,
            {"validation": 0.0},
            ["No validation part was held out, so the best epoch is simply the last: a$"],
            id="no validation part",
        ),
        pytest.param(
            (*ROWS[:2], row(3, 0.7, test_loss=float("nan"), train_loss=float("inf"))),
            {},
            ["a: train_loss, test_loss of epoch 3 is not a finite number"],
            id="no number",
        ),
        pytest.param(
            (row(1, float("nan")),),
            {"epochs": 1},
            ["is not a finite number", "no epoch has a validation score that is a number"],
            id="no best epoch",
        ),
        pytest.param((), {}, ["a: no whole epoch yet"], id="no epoch"),
    ],
)
def test_report_warns(
    folder: Path, run_cli: RunCli, rows: Any, settings: dict[str, Any], expected: list[str]
) -> None:
    write_run(folder / "a", rows, **settings)
    done = run_cli("report", "a", "--out", "r")
    assert done.code == 0
    warnings = Reported(Path("r")).warnings
    assert len(warnings) == len(expected)
    assert all(re.search(one, line) for one, line in zip(expected, warnings, strict=True))
    assert all(f"- {line}" in done.stdout for line in warnings)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param({}, None, id="same"),
        pytest.param({"names": ["moved"]}, None, id="same under another name"),
        pytest.param(
            {"digest": "fedc", "names": ["other"]},
            "do not compare: a on 20 proper, 20 improper of faces; b on .* of other$",
            id="names",
        ),
        pytest.param(
            {
                "digest": "fedc",
                "counts": {**DATA["counts"], "test": {"proper": 9, "improper": 8}},
            },
            "do not compare: a on 20 proper, 20 improper of faces; b on 9 proper, 8 improper",
            id="counts",
        ),
        pytest.param({"digest": "fedc"}, "a, b: the data is not the same", id="digest alone"),
    ],
)
def test_report_says_whether_runs_were_measured_on_the_same_images(
    folder: Path, run_cli: RunCli, data: dict[str, Any], expected: str | None
) -> None:
    write_run(folder / "a")
    write_run(folder / "b", data=data)
    assert run_cli("report", "a", "b", "--out", "r").code == 0
    warnings = Reported(Path("r")).warnings
    if expected is None:
        assert warnings == []
    else:
        (warning,) = warnings
        assert re.search(expected, warning)


def test_report_of_a_run_without_an_epoch_is_a_row_without_figures(
    folder: Path, run_cli: RunCli
) -> None:
    write_run(folder / "a")
    write_run(folder / "b", ())
    done = run_cli("report", "a", "b", "--out", "r")
    assert done.code == 0
    report = Reported(Path("r"))
    row = report.row("b")
    assert row["epochs"] == "0 of 3"
    assert [name for name, cell in row.items() if cell == "–"] == [
        *("test IoU", "test accuracy", "test balanced accuracy"),
        *("train IoU", "train accuracy", "train balanced accuracy"),
        *("best epoch", "validation IoU", "validation balanced accuracy", "minutes"),
    ]
    assert report.facts["runs"][1]["best"] is None
    assert "a, 3 epochs" in report.alts[0]
    assert "b" not in re.findall(r"\w+", report.alts[0])
    assert run_cli("report", "b", "--out", "s").code == 0
    assert "No run has a whole epoch yet." in Reported(Path("s")).page


def test_report_counts_what_was_dropped_or_repaired_by_kind(folder: Path, run_cli: RunCli) -> None:
    decisions = [
        Decision("1", "dropped", FaultKind.NEGATIVE, "negative value in box [-1, 2, 3, 4]"),
        Decision("2", "dropped", FaultKind.NEGATIVE, "negative value in box [-9, 2, 3, 4]"),
        Decision("3", "repaired", FaultKind.OUTSIDE, "past the image, 64 x 64", (1, 2, 3, 4)),
    ]
    write_run(folder / "a", decisions=decisions)
    (write_run(folder / "b") / "cleaning.csv").unlink()
    assert run_cli("report", "a", "b", "--out", "r").code == 0
    assert Reported(Path("r")).table("Samples by what was done and why")[1:] == [
        ["a", "dropped", "negative value in box", "2"],
        ["a", "repaired", "box reaches past the image", "1"],
        ["b", "not known: no cleaning.csv", "–", "–"],
    ]


def test_report_takes_each_run_once_and_tells_equal_names_apart(
    folder: Path, run_cli: RunCli
) -> None:
    write_run(folder / "x" / "k" / "same")
    write_run(folder / "y" / "k" / "same")
    write_run(folder / "one")
    (folder / "link").symlink_to(folder / "one")
    done = run_cli("report", "x/k/same", "y/k/same", "one", "one/", "link", "--out", "r")
    assert done.code == 0
    report = Reported(Path("r"))
    names = ["x/k/same", "y/k/same", "one"]
    assert [cells[0] for cells in report.table("Runs at their best epoch")[1:]] == names
    assert [run["name"] for run in report.facts["runs"]] == names
    assert 'href="../x/k/same"' in report.page


def test_report_takes_the_newest_run_by_default(folder: Path, run_cli: RunCli) -> None:
    done = run_cli("report")
    assert done.code == 1
    assert done.stderr == "error: runs: no run in it. To make one: maskinfer train\n"
    assert not Path("reports").exists()
    for age, name in enumerate(("new", "old")):
        for file in write_run(folder / "runs" / name).iterdir():
            os.utime(file, (1e9 - age, 1e9 - age))
    assert run_cli("report").code == 0
    (path,) = Path("reports").iterdir()
    assert path.name.startswith("report-2")
    assert [run["name"] for run in Reported(path).facts["runs"]] == ["new"]


def test_report_replaces_another_only_when_told(folder: Path, run_cli: RunCli) -> None:
    write_run(folder / "a")
    assert run_cli("report", "a", "--out", "r").code == 0
    done = run_cli("report", "a", "--out", "r")
    assert done.code == 2
    assert "not empty" in done.stderr
    assert run_cli("report", "a", "--out", "r", "--overwrite").code == 0


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        pytest.param(None, "", "not a run folder, there is no such folder", id="nothing"),
        pytest.param("photo.jpg", "x", "not a run folder, there is no config.json", id="no run"),
        pytest.param("config.json", "{", "config.json: damaged", id="config"),
        pytest.param("history.csv", "epoch\n1\n", "history.csv: damaged", id="history"),
        pytest.param("cleaning.csv", "a\nb\n", "cleaning.csv: damaged", id="cleaning"),
    ],
)
def test_report_of_what_is_no_run_is_refused_in_a_line(
    folder: Path, run_cli: RunCli, name: str | None, content: str, complaint: str
) -> None:
    if name == "photo.jpg":
        (folder / "a").mkdir()
    elif name is not None:
        write_run(folder / "a")
    if name is not None:
        (folder / "a" / name).write_text(content)
    write_run(folder / "sound")
    done = run_cli("report", "sound", "a", "--out", "r")
    assert done.code == 1
    assert done.stderr.startswith("error: a")
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1
    assert not Path("r").exists()


HOSTILE = [
    "<script>alert(1)<script>",
    "<img src=x onerror=alert(1)>",
    "$x_$",
    "_leading",
    "[bold]markup[",
    '"&amp;',
    "口罩 😷",
    "back\\slash",
    "line\nfeed",
    os.fsdecode(b"caf\xe9"),
    "long-" * 40 + "1",
    "long-" * 40 + "2",
]


def test_report_of_names_that_mean_something_elsewhere(folder: Path, run_cli: RunCli) -> None:
    for name in HOSTILE:
        write_run(folder / "runs" / name)
    done = run_cli("report", *(f"runs/{name}" for name in HOSTILE), "--out", "r")
    assert (done.code, "Traceback" in done.stderr) == (0, False)
    report = Reported(Path("r"))
    assert "<script>alert" not in report.page
    assert "<img" not in report.page
    shown = [name.replace("\udce9", "\\xe9") for name in HOSTILE]
    assert [run["name"] for run in report.facts["runs"]] == shown
    legend = [
        html.unescape(text) for text in re.findall(r"<text [^>]*>([^<]*)</text>", report.page)
    ]
    for name in ("<script>alert(1)<script>", "$x_$", "_leading", "back\\slash", "caf\\xe9"):
        assert any(name in text for text in legend), name
    assert "caf\\xe9" in done.stdout
    assert "[bold]markup[" in done.stdout


def test_report_of_huge_figures_is_strict_json_and_a_chart(folder: Path, run_cli: RunCli) -> None:
    huge = row(1, 0.6, test_loss=1e308, train_loss=float("inf"))
    unknown = row(2, 0.8, test_loss=2e9, validation_loss=float("nan"))
    write_run(folder / "a", (huge, unknown, row(3, 0.7, test_loss=0.0)))
    assert run_cli("report", "a", "--out", "r").code == 0
    report = Reported(Path("r"))
    losses = [one["test_loss"] for one in report.facts["runs"][0]["history"]]
    assert losses == [1e308, 2e9, 0.0]
    assert report.facts["runs"][0]["history"][0]["train_loss"] is None
    assert "test ends at 0.000, lowest 0.000 in epoch 3" in report.alts[0]


def test_report_of_a_real_training(drawn: Path, folder: Path, run_cli: RunCli) -> None:
    usual = recipe_settings("resnet", "default", (str(drawn),), 64)
    small: dict[str, Any] = {"backbone": "resnet18", "batch_size": 8, "epochs": 2, "workers": 0}
    settings = replace(usual, weights="none", **small)
    run = loop.train(settings, Path("runs"), datetime(2026, 1, 2, 3, 4, 5), Display())
    with safe_open(run.path / "best.safetensors", framework="pt") as file:
        best = str(file.metadata()["epoch"])
    shutil.rmtree(run.path / "last")
    (run.path / "best.safetensors").unlink()
    assert run_cli("report", "--out", "r").code == 0
    report = Reported(Path("r"))
    line = report.row("resnet-20260102-030405")
    assert (line["epochs"], line["best epoch"], line["canvas, px"]) == ("2 of 2", best, "64")
    assert report.facts["runs"][0]["best"]["epoch"] == int(best)
    assert len(report.alts) == 3
