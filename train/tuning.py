"""A search for the settings of a training: trials, each a run, judged by their validation part."""

import shlex
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from maskinfer.errors import RunError, TrainingError
from maskinfer.records import read_record

from . import loop
from .calibration import Calibration
from .data.parts import read_parts
from .display import Display, TerminalDisplay
from .measuring import batches_to_measure, measure_parts
from .optimization import build_accelerator
from .runs.checkpoint import Checkpoint
from .runs.files import STUDY, TRIAL, EpochRow
from .runs.folder import RunFolder
from .settings import TrainSettings

_STUDY = "tune"
_LEAST_TRIALS = 4  # finished ones, before any is stopped early
_WARM_UP = 0.2  # share of its epochs that every trial may have

# What trials differ in, by setting: a range, as its two ends, or all values to choose from.
Space = Mapping[str, Iterable[Any]]


class Search:
    """A search in a folder: Optuna's study, and the run of each trial."""

    def __init__(self, folder: Path, study: optuna.Study, console: Console) -> None:
        self.folder = folder
        self._study = study
        self._console, self._say = console, TerminalDisplay(console).say
        self._base = read_record(TrainSettings, study.user_attrs["settings"])
        self._space: dict[str, list[Any]] = study.user_attrs["space"]
        self._trials: int = study.user_attrs["trials"]
        # Not the first draws again where a search goes on.
        study.sampler = optuna.samplers.TPESampler(seed=self._base.seed + len(study.trials))
        warm_up = round(_WARM_UP * self._base.epochs)
        study.pruner = optuna.pruners.MedianPruner(_LEAST_TRIALS, warm_up)

    @classmethod
    def begin(
        cls, folder: Path, base: TrainSettings, space: Space, trials: int, console: Console
    ) -> "Search":
        """A new search, whose trials have the settings `base` but for those of the space."""
        folder.mkdir(parents=True)
        study = _open(folder)
        values = {name: list(these) for name, these in space.items()}
        settings = asdict(replace(base, measure_test=False))
        facts = {"settings": settings, "space": values, "trials": trials}
        for name, value in facts.items():
            study.set_user_attr(name, value)
        return cls(folder, study, console)

    @classmethod
    def resume(cls, folder: Path, trials: int | None, console: Console) -> "Search":
        """Go on with a search, perhaps to another number of trials; a `RunError` for none."""
        if not (folder / STUDY).is_file():
            raise RunError(f"{folder}: no search to resume, there is no {STUDY}")
        study = _open(folder)
        if trials is not None:
            study.set_user_attr("trials", trials)
        return cls(folder, study, console)

    def run(self) -> tuple[Path, EpochRow] | None:
        """Train until all trials are done, and measure the best on the test part.

        Returns its run and the figures of its best epoch, None where no trial was finished. A
        `KeyboardInterrupt` says what continues the search.
        """
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        try:
            for frozen in running:  # of a search that was stopped
                self._try(optuna.Trial(self._study, frozen._trial_id))
            while len(self._study.trials) < self._trials:
                self._try(self._study.ask())
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(
                f"in trial {len(self._study.trials)} of {self._trials}. Continue with: maskinfer "
                f"tune --resume {shlex.quote(str(self.folder))}"
            ) from stop
        done = self.finished
        return self._tested(RunFolder.newest(self._runs(done[0]))) if done else None

    @property
    def finished(self) -> list[FrozenTrial]:
        """Trials that were trained to the end, the best first."""
        done = self._study.get_trials(states=(TrialState.COMPLETE,))
        return sorted(done, key=lambda trial: -(trial.value or 0.0))

    def _try(self, trial: optuna.Trial) -> None:
        settings = replace(self._base, **self._suggest(trial))
        runs = self._runs(trial)
        words = ", ".join(
            f"{k} {v:.3g}" if k == "learning_rate" else f"{k} {v}" for k, v in trial.params.items()
        )
        self._say(f"Trial {trial.number + 1} of {self._trials}: {words}")
        display = _TrialDisplay(self._console, trial)
        try:
            if runs.is_dir() and RunFolder.newest(runs).can_be_resumed:
                run = loop.resume(RunFolder.newest(runs), None, display)
            else:
                shutil.rmtree(runs, ignore_errors=True)  # of a trial without a whole epoch
                run = loop.train(settings, runs, datetime.now(), display)
        except optuna.TrialPruned:
            self._study.tell(trial, state=TrialState.PRUNED)
            self._say("  stopped early: others were better by then")
        except TrainingError as error:
            self._study.tell(trial, state=TrialState.FAIL)
            self._say(f"  failed: {error}")
        else:
            self._study.tell(trial, max(row.score or 0.0 for row in run.read_history()))

    def _suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        return {
            name: trial.suggest_float(name, min(values), max(values), log=True)
            if name == "learning_rate"
            else trial.suggest_categorical(name, values)
            for name, values in self._space.items()
        }

    def _runs(self, trial: optuna.Trial | FrozenTrial) -> Path:
        return self.folder / TRIAL.format(trial.number)

    def _tested(self, run: RunFolder) -> tuple[Path, EpochRow]:
        """A run, its history with figures of the test part, and those of its best epoch."""
        settings, checkpoint = self._base, Checkpoint.load(run.path)
        best = checkpoint.figures
        if best.test_loss is None:
            parts = read_parts(settings.data, settings.validation, settings.seed)
            accelerator = build_accelerator(settings)
            network = checkpoint.network.to(accelerator.device)
            measured = batches_to_measure(parts, replace(settings, measure_test=True), accelerator)
            test = {"test": measured["test"]}
            found, _ = measure_parts(network, test, accelerator, Display(), Calibration())
            figures = {name: v for name, v in found.items() if name.startswith("test")}
            was, best = best, replace(best, **figures)
            run.write_history(best if row == was else row for row in run.read_history())
        return run.path, best


class _TrialDisplay(TerminalDisplay):
    """Shows the validation score alone, and stops a trial that falls behind."""

    def __init__(self, console: Console, trial: optuna.Trial) -> None:
        super().__init__(console)
        self._trial, self._best = trial, 0.0

    def say(self, message: str) -> None:
        """Only what `end_epoch` says: the others are each run's own."""

    def end_epoch(self, row: EpochRow, is_best: bool) -> None:
        super().end_epoch(row, is_best)
        self._best = max(self._best, row.score or 0.0)
        super().say(f"  epoch {row.epoch} of {self.epochs}: validation {row.score:.3f}")
        self._trial.report(self._best, row.epoch)
        if row.epoch < self.epochs and self._trial.should_prune():
            raise optuna.TrialPruned


def _open(folder: Path) -> optuna.Study:
    """The study of a search, which is made where there is none."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{(folder / STUDY).resolve()}")
    return optuna.create_study(
        study_name=_STUDY, storage=storage, direction="maximize", load_if_exists=True
    )
