"""A search for settings: trials, an interruption, what the best is."""

from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from rich.console import Console
from support.cli import RunCli

from maskinfer.data.geometry import Geometry
from maskinfer.errors import RunError
from maskinfer.train import loop
from maskinfer.train.runs.files import RunFiles, best_row
from maskinfer.train.settings import TrainSettings
from maskinfer.train.tuning import Search

SPACE = {"learning_rate": [1e-4, 1e-2], "optimizer": ["adam", "sgd"]}


@pytest.fixture
def base(drawn: Path) -> TrainSettings:
    return TrainSettings(
        "resnet",
        (str(drawn),),
        "test",
        Geometry.letterbox(64),
        backbone="resnet18",
        weights="none",
        epochs=2,
        batch_size=4,
        head="pooled",
        validation=0.3,
        workers=0,
    )


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    with (tmp_path / "said").open("w") as file:
        yield Console(file=file, width=200)


@pytest.mark.slow
def test_six_trials_are_resumed_once_and_the_best_of_validation_is_named(
    base: TrainSettings,
    console: Console,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_cli: RunCli,
) -> None:
    begun = 0
    once = loop.train_one_epoch

    def stopped(trainer: loop.Trainer, epoch: int) -> tuple[float, float]:
        nonlocal begun
        begun += 1
        if begun == 6:  # the second epoch of the third trial
            raise KeyboardInterrupt
        return once(trainer, epoch)

    monkeypatch.setattr(loop, "train_one_epoch", stopped)
    folder = tmp_path / "a search"
    with pytest.raises(KeyboardInterrupt, match=r"in trial 3 of 6\. Continue with: maskinfer tune"):
        Search.begin(folder, base, SPACE, 6, console).run()
    search = Search.resume(folder, None, console)
    found = search.run()
    assert found is not None
    best, row = found

    runs = sorted(path.parent for path in folder.glob("trial-*/*/config.json"))
    assert len(runs) == 6
    assert begun <= 13  # the third trial went on with its second epoch
    drawn = [RunFiles(run).read_config().settings for run in runs]
    assert len({settings.learning_rate for settings in drawn}) == 6
    assert all(1e-4 <= settings.learning_rate <= 1e-2 for settings in drawn)
    assert {settings.optimizer for settings in drawn} == {"adam", "sgd"}
    score = {
        run: row.score
        for run in runs
        if len(history := RunFiles(run).read_history()) == 2 and (row := best_row(history))
    }
    assert best == max(score, key=lambda run: score[run] or 0)
    assert search.finished[0].value == score[best]
    tested = {run: [r.test_iou for r in RunFiles(run).read_history()] for run in runs}
    assert [run for run in runs if any(iou is not None for iou in tested[run])] == [best]
    assert [iou for iou in tested[best] if iou is not None] == [pytest.approx(row.test_iou)]

    done = run_cli("report", folder, "--out", tmp_path / "page")
    assert done.code == 0, done.stderr
    assert done.stdout.count("resnet-") >= 6


def test_a_trial_that_falls_behind_is_stopped_and_one_that_fails_is_passed_over(
    base: TrainSettings, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = iter([1e-3, 1e30, 1e-9])
    monkeypatch.setattr(Search, "_suggest", lambda self, trial: {"learning_rate": next(rates)})
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda trial: trial.number == 2)
    search = Search.begin(tmp_path / "search", base, SPACE, 3, console)
    search.run()
    assert [trial.number for trial in search.finished] == [0]
    console.file.flush()
    said = (tmp_path / "said").read_text()
    assert "failed: the loss is not a number" in said
    assert said.endswith("stopped early: others were better by then\n")


def test_a_folder_without_a_search_is_no_search(tmp_path: Path, console: Console) -> None:
    with pytest.raises(RunError, match=r"no search to resume, there is no study\.db"):
        Search.resume(tmp_path, None, console)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--lr", "fast"), "--lr: got 'fast', expected LOW..HIGH"),
        (("--lr", "1e-2..1e-4"), "--lr: got '1e-2..1e-4', expected LOW..HIGH"),
        (("--lr", "-1..1"), "--lr: got '-1..1'"),
        (("--optimizer", "adam,adamw"), "--optimizer: got 'adam,adamw'"),
        (("--batch-size", "4,many"), "--batch-size: got '4,many'"),
        (("--batch-size", "1"), "--batch-size: got 1, expected at least 2"),
        (("--resume", "."), "no search to resume"),
        (("--resume", ".", "--lr", "1"), "got --lr, expected no other option than --trials"),
    ],
)
def test_wrong_options_are_one_line(
    drawn: Path, run_cli: RunCli, options: tuple[str, ...], complaint: str
) -> None:
    data = () if "--resume" in options else ("--data", drawn)
    done = run_cli("tune", *data, *options)
    assert done.code != 0
    assert complaint in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
