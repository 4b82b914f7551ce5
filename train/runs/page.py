"""The page of a report of runs: figures, curves, settings, and samples dropped or repaired."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from maskinfer.report.blocks import Block, Cell, Chart, Link, Notes, Page, Section, Table
from maskinfer.report.figures import COLORS, line_chart
from maskinfer.report.folder import ReportFolder

from .comparison import ReportSettings, RunComparison, RunRecord, compare_runs
from .files import CONFIG, STUDY, RunFiles, best_row

# Columns of the best epoch's figures, by their headings.
_OF_BEST = {
    "test IoU": "test_iou",
    "test accuracy": "test_accuracy",
    "test balanced accuracy": "test_balanced_accuracy",
    "test IoU, nearest face": "test_nearest_iou",
    "test balanced accuracy, nearest face": "test_nearest_balanced_accuracy",
    "train IoU": "train_iou",
    "train accuracy": "train_accuracy",
    "train balanced accuracy": "train_balanced_accuracy",
    "best epoch": "epoch",
    "validation IoU": "validation_iou",
    "validation balanced accuracy": "validation_balanced_accuracy",
    "validation IoU, nearest face": "validation_nearest_iou",
    "validation balanced accuracy, nearest face": "validation_nearest_balanced_accuracy",
}
_RUNS = Path("runs")
_LINES = {"test": "-", "train": "--", "validation": ":"}
_MARKERS = ("o", "s", "^", "D", "v")  # of the best epoch, for colour-blind readers
_FIGURES = {"loss": "Loss", "accuracy": "Accuracy", "iou": "IoU"}
_LONGEST_NAME = 34  # letters in a legend
_MOST_DRAWN = 1e100  # beyond it the chart's own sums overflow


def report_runs(settings: ReportSettings) -> tuple[RunComparison, Path]:
    """Compare runs and write the report; returns the comparison and the report's page.

    A `RunError` where one is no run, or damaged, a `UsageError` where the folder cannot be used.
    """
    folders = settings.runs or [RunFiles.newest(_RUNS).path]
    comparison = compare_runs(run for folder in folders for run in _runs_of(folder))
    folder = ReportFolder.choose(settings.out, "report", overwrite=settings.overwrite)
    folder.write(runs_page(comparison))
    return comparison, folder.page


def _runs_of(folder: Path) -> list[Path]:
    """A run, or those of all trials of a search, the best first."""
    if not (folder / STUDY).is_file():
        return [folder]
    runs = sorted(path.parent for path in folder.glob(f"trial-*/*/{CONFIG}"))

    def score(run: Path) -> float:
        best = best_row(RunFiles(run).read_history())
        return 0.0 if best is None or best.score is None else best.score

    return sorted(runs, key=score, reverse=True)


def runs_page(comparison: RunComparison) -> Page:
    """Make the page."""
    runs, warnings = comparison.runs, Notes(comparison.warnings(), "warning")
    colours = "" if len(runs) == 1 else "Each run has a colour. "
    rows = [_result(run) for run in runs]
    shown = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    cells = [tuple(row[name] for name in shown) for row in rows]
    best = _best_run(runs)
    stands_out = None if best is None or len(runs) == 1 else runs.index(best)
    results = Table("Runs at their best epoch", tuple(shown), cells, best=stands_out)
    trained = [run for run in runs if run.history]
    curves: list[Block] = [Notes(["No run has a whole epoch yet."])]
    if trained:
        curves = [_chart(figure, heading, trained) for figure, heading in _FIGURES.items()]
    title, subtitle = f"{len(runs)} training runs", ", ".join(run.name for run in runs)
    if len(runs) == 1:
        title, subtitle = f"Training run {runs[0].name}", str(runs[0].path)
    return Page(
        title,
        subtitle,
        [
            Section("Results", _RESULTS_INTRO, [warnings, results]),
            Section("Curves", colours + _CURVES_INTRO, curves),
            Section("Settings", "", list(_settings(comparison))),
            Section("Dropped or repaired", _DECISIONS_INTRO, [_decisions(runs)]),
        ],
        comparison.to_dict(),
        *_verdict(runs, best),
    )


def _best_run(runs: Sequence[RunRecord]) -> RunRecord | None:
    """The run of the highest validation score; None before a whole epoch."""
    learned = ((run.best.score or -math.inf, run) for run in runs if run.best is not None)
    return max(learned, key=lambda pair: pair[0], default=(0.0, None))[1]


def _verdict(runs: Sequence[RunRecord], run: RunRecord | None) -> tuple[str, dict[str, Cell]]:
    """Which run's network is best, in a sentence, and its figures."""
    if run is None or (best := run.best) is None:
        return "No run has a whole epoch yet.", {}
    which = "" if len(runs) == 1 else f" of {len(runs)} runs, by its validation score,"
    figures = {name: getattr(best, field) for name, field in list(_OF_BEST.items())[:3]}
    figures["epochs"] = f"{run.epochs_done} of {run.config.settings.epochs}"
    return f"Best{which} is epoch {best.epoch} of {run.name}.", figures


_RESULTS_INTRO = (
    "Each figure is of the best epoch: the one of the highest mean of validation IoU and balanced "
    "accuracy, of the nearest face where that is measured: the known one that the answer overlaps "
    "most. Without a validation part it is the last. Test images chose nothing; of training images "
    "a sample is measured."
)
_CURVES_INTRO = (
    "Solid lines are of the test images, dashed ones of training, dotted ones of validation. "
    "Marked is the best epoch. The loss of training is the mean over the epoch as it learned, "
    "augmentation included; all other figures are measured after it."
)
_DECISIONS_INTRO = (
    "Impossible boxes are dropped from training and repaired for testing; images that cannot be "
    "read, or whose name carries no label, are dropped. Each is in its run's cleaning.csv."
)


def _result(run: RunRecord) -> dict[str, Any]:
    """A row by its headings; the scores come first, so that nobody scrolls for them."""
    settings, best = run.config.settings, run.best
    momentum = f", momentum {settings.momentum:g}" if settings.optimizer == "sgd" else ""
    return {
        "run": Link(run.path, run.name),
        **{heading: best and getattr(best, name) for heading, name in _OF_BEST.items()},
        "training images measured": run.measured["train"],
        "network": settings.model,
        "batch": settings.batch_size,
        "rate": f"{settings.learning_rate:g}",
        "optimizer": settings.optimizer + momentum,
        "epochs": f"{run.epochs_done} of {settings.epochs}",
        "minutes": run.minutes if run.history else None,
        "backbone": settings.backbone,
        "canvas, px": settings.geometry.canvas,
    }


def _chart(figure: str, title: str, runs: Sequence[RunRecord]) -> Chart:
    """One figure of all runs and parts over the epochs."""
    names = _legend_names([run.name for run in runs])
    series: dict[str, tuple[list[int], list[float]]] = {}
    styles: dict[str, dict[str, Any]] = {}
    for place, run in enumerate(runs):
        epochs = [row.epoch for row in run.history]
        for number, (part, line) in enumerate(_LINES.items()):
            values = _values(run, part, figure)
            if not any(map(math.isfinite, values)):
                continue
            key = f"{place} {part}"
            series[key] = (epochs, [v if abs(v) < _MOST_DRAWN else math.nan for v in values])
            styles[key] = {
                "linestyle": line,
                "color": COLORS[place % len(COLORS)],
                "marker": _MARKERS[place % len(_MARKERS)],
                "markevery": [epochs.index(run.best.epoch)] if run.best else [],
                "label": names[place] if part == "test" else None,
            }
            if len(runs) == 1:
                label = f"{part}, {run.measured[part]} images"
                styles[key] |= {"label": label, "color": COLORS[number]}
    return line_chart(
        title,
        series,
        "epoch",
        title if figure == "iou" else figure,
        _alt(figure, title, runs),
        shares=figure != "loss",
        whole_x=True,
        styles=styles,
    )


def _values(run: RunRecord, part: str, figure: str) -> list[float]:
    values = (getattr(row, f"{part}_{figure}") for row in run.history)
    return [math.nan if value is None else value for value in values]


def _alt(figure: str, title: str, runs: Sequence[RunRecord]) -> str:
    """Describe the curves in words: where each ends, and where it was best."""
    word, best_of = ("lowest", min) if figure == "loss" else ("highest", max)
    lines = [f"{title} over the epochs."]
    for run in runs:
        parts = []
        for part in _LINES:
            values = _values(run, part, figure)
            if numbers := [value for value in values if math.isfinite(value)]:
                best, last = best_of(numbers), values[-1]
                epoch = run.history[values.index(best)].epoch
                parts.append(
                    f"{part} ends at {_short(last)}, {word} {_short(best)} in epoch {epoch}"
                )
        lines.append(f"{run.name}, {run.epochs_done} epochs: {'; '.join(parts)}.")
    return " ".join(lines)


def _short(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.3g}"


def _legend_names(names: Sequence[str]) -> list[str]:
    """Names that leave room for the chart, numbered where only their middles differ."""
    half = _LONGEST_NAME // 2
    short = [n if len(n) <= _LONGEST_NAME else f"{n[:half]}…{n[-half:]}" for n in names]
    if len(set(short)) == len(short):
        return short
    return [f"{number}: {name}" for number, name in enumerate(short, start=1)]


def _settings(comparison: RunComparison) -> Iterable[Block]:
    same, differing = comparison.same(), comparison.differing()
    if len(comparison.runs) == 1:
        yield Table("Settings", ("setting", "value"), list(same.items()))
        return
    if not differing:
        yield Notes(["The runs' settings are the same"])
    else:
        headings = ("setting", *(run.name for run in comparison.runs))
        yield Table("Settings that differ", headings, [(n, *v) for n, v in differing.items()])
    yield Notes([f"The same in all: {'; '.join(f'{n} {words}' for n, words in same.items())}"])


def _decisions(runs: Sequence[RunRecord]) -> Block:
    rows: list[tuple[str, str, str | None, int | None]] = []
    for run in runs:
        if run.decisions is None:
            rows.append((run.name, "not known: no cleaning.csv", None, None))
        else:
            rows += [(run.name, *kind, count) for kind, count in sorted(run.decisions.items())]
    if not rows:
        return Notes(["Nothing was."], "good")
    return Table("Samples by what was done and why", ("run", "done", "why", "images"), rows)
