"""Runs compared, read from their folders: figures, differing settings, warnings."""

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maskinfer.text import printable_name, strict_json

from .files import EpochRow, RunConfig, RunFiles, best_row, measured_of_training

# Below either a network has learned next to nothing; a box at random overlaps a face's by 0.05.
_CHANCE_IOU, _CHANCE_ACCURACY = 0.1, 0.55
# A balanced accuracy this far below that of training shows that images were memorised. On a few
# hundred test images, the usual number here, chance alone moves it by half as much.
_OVERFIT = 0.1


@dataclass(frozen=True)
class ReportSettings:
    """What `maskinfer report` is given."""

    runs: list[Path] | None = None  # their folders; None for the newest under `runs/`
    out: Path | None = None  # the report's folder; None for a new one under `reports/`
    overwrite: bool = False  # whether an existing report is replaced


@dataclass(frozen=True)
class RunRecord:
    """One run."""

    name: str  # its folder's, with as many parent folders as distinguish it from the others
    path: Path  # its folder
    config: RunConfig
    history: Sequence[EpochRow]
    decisions: Mapping[tuple[str, str], int] | None  # as `RunFiles` counts them

    @property
    def best(self) -> EpochRow | None:
        """The epoch whose weights are kept; None before there is one."""
        return best_row(self.history)

    @property
    def epochs_done(self) -> int:
        """Whole epochs."""
        return self.history[-1].epoch if self.history else 0

    @property
    def minutes(self) -> float:
        """What all epochs took."""
        return sum(row.seconds for row in self.history) / 60

    @property
    def measured(self) -> dict[str, int]:
        """How many images the figures of each part are of."""
        counts = {part: sum(of.values()) for part, of in self.config.data["counts"].items()}
        training, test = counts.get("train", 0), counts.get("test", 0)
        few = measured_of_training(training, test)
        return {"validation": 0, "test": 0} | counts | {"train": few}

    def settings(self) -> dict[str, str]:
        """Its settings, data, machine and versions, in words by name; no path of the data."""
        config = self.config
        own = asdict(config.settings) | {"data": config.data["names"]}
        geometry = own.pop("geometry")
        values = {
            **own,
            "geometry": geometry.pop("kind"),
            **geometry,
            "initial weights": config.initial_weights,
            **{f"{part} images": count for part, count in config.data["counts"].items()},
            "data digest": config.data["digest"][:12],
            # `mixed_precision` is a setting, too, and may be `auto` there.
            **{f"{name} used": value for name, value in config.machine.items()},
            **{f"version of {name}": version for name, version in config.versions.items()},
        }
        return {name.replace("_", " "): _words(value) for name, value in values.items()}


@dataclass(frozen=True)
class RunComparison:
    """One run or several."""

    runs: Sequence[RunRecord]  # in the order they were named, each once

    def differing(self) -> dict[str, list[str | None]]:
        """Settings that differ between runs: each run's value, None where it has none."""
        settings = [run.settings() for run in self.runs]
        names = dict.fromkeys(name for words in settings for name in words)
        rows = {name: [words.get(name) for words in settings] for name in names}
        return {name: values for name, values in rows.items() if len(set(values)) > 1}

    def same(self) -> dict[str, str]:
        """Settings that are the same in all runs."""
        differing = self.differing()
        return {n: words for n, words in self.runs[0].settings().items() if n not in differing}

    def warnings(self) -> list[str]:
        """What a reader should not miss, one line each."""
        lines = [*_test_warnings(self.runs)]
        for run in self.runs:
            lines += _warnings(run)
        without = [run for run in self.runs if run.history and run.history[-1].score is None]
        if without:
            lines.append(
                "No validation part was held out, so the best epoch is simply the last: "
                f"{_listed(without)}"
            )
        return lines

    def to_dict(self) -> dict[str, Any]:
        """All of it as strict JSON: NaN and infinity become None."""
        facts = {
            "runs": [_facts(run) for run in self.runs],
            "differing": self.differing(),
            "same": self.same(),
            "warnings": self.warnings(),
        }
        return dict(strict_json(facts))


def compare_runs(paths: Iterable[Path]) -> RunComparison:
    """Read runs from their folders, at least one; one that is named twice counts once.

    A `RunError` where one is no run, or damaged.
    """
    folders: dict[Path, RunFiles] = {}
    for path in paths:
        folders.setdefault(path.resolve(), RunFiles(path))
    return RunComparison(
        [
            RunRecord(name, run.path, run.read_config(), run.read_history(), run.count_decisions())
            for name, run in zip(_names(list(folders)), folders.values(), strict=True)
        ]
    )


def _names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of paths that tell them apart."""
    names = []
    for place, folder in enumerate(folders):
        for length in range(1, len(folder.parts) + 1):
            endings = [printable_name("/".join(path.parts[-length:])) for path in folders]
            name = endings[place]
            if endings.count(name) == 1:
                break
        names.append(name)
    return names


def _warnings(run: RunRecord) -> Iterable[str]:
    best, done, settings = run.best, run.epochs_done, run.config.settings
    patience = math.inf if settings.patience is None else settings.patience
    if not run.history:
        yield f"{run.name}: no whole epoch yet, so it has no figures"
        return
    for row in run.history:
        odd = [n for n, v in asdict(row).items() if v is not None and not math.isfinite(v)]
        if odd:
            yield f"{run.name}: {', '.join(odd)} of epoch {row.epoch} is not a finite number"
            break
    if best is not None and best.fault:
        yield f"{run.name}: the network {best.fault}"
    elif not odd and (fault := run.history[-1].fault):
        yield f"{run.name}: after its best epoch, the network {fault}"
    part = "validation" if best is not None and best.test_iou is None else "test"
    iou, balanced = (getattr(best, f"{part}_{name}", None) for name in ("iou", "balanced_accuracy"))
    if best is not None and iou is not None and balanced is not None:
        if not best.fault and (iou < _CHANCE_IOU or balanced < _CHANCE_ACCURACY):
            yield (
                f"{run.name}: hardly better than chance; {part} IoU {iou:.3f}, balanced accuracy "
                f"{balanced:.3f}. Train for longer, or with another --lr"
            )
        trained = best.train_balanced_accuracy
        if trained and trained - balanced >= _OVERFIT:
            how = "More images" if settings.augment else "More images, or --augment,"
            yield (
                f"{run.name}: overfitting; in epoch {best.epoch} the balanced accuracy of {part}, "
                f"{balanced:.3f}, is {trained - balanced:.3f} below that of training, "
                f"{trained:.3f}. {how} may help"
            )
    resume = f"maskinfer train --resume {shlex.quote(printable_name(str(run.path)))}"
    stuck = best is not None and best.score is not None and done - best.epoch >= patience
    if done < settings.epochs and stuck:
        yield (
            f"{run.name}: stopped early, after {done} of {settings.epochs} epochs: no better "
            f"validation score in {settings.patience}"
        )
    elif done < settings.epochs:
        yield (
            f"{run.name}: stopped after {done} of {settings.epochs} epochs, or still training. "
            f"To continue: {resume}"
        )
    if best is None:
        yield f"{run.name}: no epoch has a validation score that is a number, so none is the best"
    elif best.score is not None and best.epoch == done:
        how = "" if done < settings.epochs else f": {resume} --epochs {2 * done}"
        yield f"{run.name}: the best epoch, {done}, is the last; training on may help{how}"


def _test_warnings(runs: Sequence[RunRecord]) -> Iterable[str]:
    """Whether test figures compare; digests of all parts differ by a validation share alone too."""
    if len({run.config.data["digest"] for run in runs}) == 1:
        return
    groups: dict[str, list[RunRecord]] = {}
    for run in runs:
        data = run.config.data
        part = f"{_words(data['counts'].get('test', {}))} of {_words(data['names'])}"
        groups.setdefault(part, []).append(run)
    if len(groups) > 1:
        each = (f"{_listed(group)} on {part}" for part, group in groups.items())
        yield (
            "The runs were measured on different test images, so their test figures do not "
            f"compare: {'; '.join(each)}"
        )
    for part, group in groups.items():
        if len({run.config.data["digest"] for run in group}) > 1:
            yield (
                f"{_listed(group)}: the data is not the same (its digests differ), though each was "
                f"tested on {part}. Test figures compare only if nothing but the training and "
                "validation images changed"
            )


def _listed(runs: Iterable[RunRecord]) -> str:
    return ", ".join(run.name for run in runs)


def _facts(run: RunRecord) -> dict[str, Any]:
    decisions = None
    if run.decisions is not None:
        counts = run.decisions.items()
        decisions = [{"action": act, "kind": kind, "images": n} for (act, kind), n in counts]
    return {
        "name": run.name,
        "path": str(run.path),
        "config": asdict(run.config),
        "images_measured": run.measured,
        "epochs_done": run.epochs_done,
        "minutes": run.minutes,
        "best": None if run.best is None else asdict(run.best),
        "history": [asdict(row) for row in run.history],
        "dropped_or_repaired": decisions,
    }


def _words(value: object) -> str:
    if value is None or value in ((), []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{_words(item)} {name}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    return printable_name(str(value))
