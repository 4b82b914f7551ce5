"""The files that describe a run: `config.json`, `history.csv`, `cleaning.csv` and `parts.csv`.

They are read and written here without torch, so that a run can be looked at where it is not
installed; weights and what resuming needs are in `folder`.
"""

import csv
import json
import platform
import reprlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self, get_type_hints

from maskinfer.data.cleaning import Decision
from maskinfer.data.labels import Sample
from maskinfer.errors import RunError
from maskinfer.files import replacing, write_text
from maskinfer.records import read_record, read_value
from maskinfer.runtime.default_model import shipped_weights
from maskinfer.text import printable_name
from maskinfer.train.calibration import Calibration
from maskinfer.train.settings import TrainSettings

CONFIG, HISTORY = "config.json", "history.csv"
CLEANING, PARTS, DECODED = "cleaning.csv", "parts.csv", "decoded"
STUDY, TRIAL = "study.db", "trial-{:03}"  # of a search, which has a folder of runs for each trial
WEIGHTS = "best.safetensors"
# What others read of a configuration's `data`.
_DATA: dict[str, Any] = {"names": list[str], "counts": dict[str, dict[str, int]], "digest": str}

_DIVERGED = 1e3  # a loss; those of networks that learn are about 1
_ROUNDING = 1e-6  # of the file's figures
_MOST_MEASURED = 256  # training images


def measured_of_training(training: int, test: int) -> int:
    """How many of its training images a run's figures are of: as many as test images, or 256."""
    return min(_MOST_MEASURED, test, training)


@dataclass(frozen=True)
class EpochRow:
    """One row of `history.csv`. Figures of a part that is not held out, or not measured, are None.

    Epoch 0 is what a run began with, where that was a whole network.

    Accuracy, balanced accuracy and IoU are means in 0..1, measured in evaluation mode against the
    labelled face; those of training on a sample of its images. Figures of the `nearest` face, of
    those known the one that the answer overlaps most, are of networks that learn all faces.
    `train_loss` is the mean over the epoch as it trained, augmentation included.
    """

    epoch: int
    seconds: float
    learning_rate: float
    train_loss: float
    train_accuracy: float
    train_iou: float
    validation_loss: float | None
    validation_accuracy: float | None
    validation_balanced_accuracy: float | None
    validation_iou: float | None
    test_loss: float | None
    test_accuracy: float | None
    test_balanced_accuracy: float | None
    test_iou: float | None
    # Not in the histories of older versions.
    train_balanced_accuracy: float | None = None
    validation_nearest_balanced_accuracy: float | None = None
    validation_nearest_iou: float | None = None
    test_nearest_balanced_accuracy: float | None = None
    test_nearest_iou: float | None = None

    @property
    def chosen_by(self) -> tuple[float, float] | None:
        """Validation IoU and balanced accuracy, of the nearest face where that is measured."""
        iou, balanced = self.validation_nearest_iou, self.validation_nearest_balanced_accuracy
        if iou is None:
            iou, balanced = self.validation_iou, self.validation_balanced_accuracy
        return None if iou is None or balanced is None else (iou, balanced)

    @property
    def score(self) -> float | None:
        """What the best epoch is chosen by: the mean of both."""
        return self.chosen_by and sum(self.chosen_by) / 2

    @property
    def fault(self) -> str:
        """What is wrong with a network of such figures, in words; empty where nothing is."""
        measured = {"test": self.test_loss, "validation": self.validation_loss}
        if self.test_loss is None and self.validation_loss is None:
            measured["train"] = self.train_loss
        for part, loss in measured.items():
            if loss is not None and not loss < _DIVERGED:
                return f"has diverged: its {part} loss is {loss:.3g}. Try a lower --lr"
        parts = ("train", "validation", "test")
        balanced = [getattr(self, f"{part}_balanced_accuracy") for part in parts]
        known = [value for value in balanced if value is not None]
        if len(known) > 1 and all(abs(value - 0.5) < _ROUNDING for value in known):
            return "has collapsed: it gives every face the same label. Try a lower --lr"
        return ""


_DECISION = ["filename", "action", "reason", "box_xywh", "kind"]
_COLUMNS = [field.name for field in fields(EpochRow)]
_OLDEST = _COLUMNS.index("test_iou") + 1  # columns of the first histories
_FIGURES = _COLUMNS[1:]
_MAY_BE_EMPTY = [name for name, hint in get_type_hints(EpochRow).items() if hint == float | None]


@dataclass(frozen=True)
class RunConfig:
    """What `config.json` holds."""

    settings: TrainSettings  # as the run was given them
    initial_weights: str  # what it actually started from
    # `mean` and `std` of the training canvases, three numbers each in 0..255.
    normalisation: dict[str, list[float]]
    data: dict[str, Any]  # `Parts.summary`
    machine: dict[str, Any]  # `device`, `processes` and the `mixed_precision` in force
    versions: dict[str, str]  # of maskinfer, torch and the rest
    # Of the weights that it started from, where they were a whole network.
    initial_calibration: Calibration = Calibration()  # noqa: RUF009 - frozen


def weights_path(name: str) -> Path:
    """The file of weights that `shipped`, a run's folder or the file itself names."""
    path = Path(name)
    if name == "shipped" and not path.exists():
        return shipped_weights()
    is_file = path.is_file() or path.suffix == Path(WEIGHTS).suffix
    return path if is_file else path / WEIGHTS


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a run's numbers depend on."""
    packages = ("maskinfer", "torch", "torchvision", "numpy", "pillow", "accelerate")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def best_row(history: Iterable[EpochRow]) -> EpochRow | None:
    """The epoch that a run keeps: of the highest score, the first of equals.

    Without a validation part it is the last one; None where no epoch has a score that is a number.
    """
    best, highest = None, float("-inf")
    for row in history:
        if row.score is None or row.score > highest:
            best, highest = row, highest if row.score is None else row.score
    return best


class RunFiles:
    """The files of a run's folder that torch is not needed for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def newest(cls, runs: Path, *, with_weights: bool = False) -> Self:
        """The run under `runs` last written to, of all or those with weights, or a `RunError`."""
        name, adjective = (WEIGHTS, "finished ") if with_weights else (CONFIG, "")
        folders = [path.parent for path in runs.glob(f"*/{name}") if path.is_file()]
        if not folders:
            raise RunError(f"{runs}: no {adjective}run in it. To make one: maskinfer train")
        return cls(max(folders, key=lambda run: (_written_ns(run), str(run))))

    def write_config(self, config: RunConfig) -> None:
        """Write `config.json`."""
        write_text(self.path / CONFIG, json.dumps(asdict(config), indent=2) + "\n")

    def read_config(self) -> RunConfig:
        """Read `config.json`, or raise a `RunError` of a folder that is no run, or damage."""
        path = self.path / CONFIG
        with _damage_named(path):
            try:
                values = json.loads(path.read_text(encoding="utf-8"))
            except (FileNotFoundError, NotADirectoryError) as error:
                why = _why_no_run(self.path)
                raise RunError(f"{self.path}: not a run folder, {why}") from error
            config = read_record(RunConfig, values)
            for name, hint in _DATA.items():
                read_value(hint, config.data[name], f"data.{name}")
            asdict(config)  # fails where it is nested too deeply
            return config

    def write_history(self, rows: Iterable[EpochRow]) -> None:
        """Write `history.csv`, figures with six decimals."""
        shown = (
            {name: round(v, 6) if isinstance(v, float) else v for name, v in asdict(row).items()}
            for row in rows
        )
        _write_rows(self.path / HISTORY, _COLUMNS, shown)

    def read_history(self) -> list[EpochRow]:
        """Rows written so far, none before the first epoch; a `RunError` of a damaged file."""
        path = self.path / HISTORY
        if not path.exists():
            return []
        with _damage_named(path):
            rows = []
            for cells in _read_rows(path, _COLUMNS, _OLDEST):
                figures = [_figure(name, cells[name]) for name in _FIGURES if name in cells]
                rows.append(EpochRow(int(cells["epoch"]), *figures))  # type: ignore[arg-type]
            first = rows[0].epoch if rows else 1
            if first not in (0, 1) or [r.epoch for r in rows] != [*range(first, first + len(rows))]:
                raise ValueError("its epochs do not count from 0 or 1")
            return rows

    def write_decisions(self, decisions: Iterable[Decision]) -> None:
        """Write `cleaning.csv`."""
        _write_rows(self.path / CLEANING, _DECISION, map(asdict, decisions))

    def write_parts(self, parts: Mapping[str, Iterable[Sample]]) -> None:
        """Write `parts.csv`: the file of each sample, and the part that it is in."""
        rows = (
            {"file": printable_name(str(sample.path)), "part": part}
            for part, samples in parts.items()
            for sample in samples
        )
        _write_rows(self.path / PARTS, ("file", "part"), rows)

    def count_decisions(self) -> dict[tuple[str, str], int] | None:
        """Samples that were dropped or repaired, by action and kind; None without a list."""
        path = self.path / CLEANING
        if not path.exists():
            return None
        with _damage_named(path):
            return Counter((row["action"], row["kind"]) for row in _read_rows(path, _DECISION))


def _written_ns(run: Path) -> int:
    files = (run / name for name in (CONFIG, HISTORY, WEIGHTS))
    return max(file.stat().st_mtime_ns for file in files if file.exists())


def _why_no_run(path: Path) -> str:
    why = "there is no such folder"
    if path.exists():
        why = f"there is no {CONFIG}" if path.is_dir() else "a file"
    return f"{why}; it holds some, name those: {path}/*" if any(path.glob(f"*/{CONFIG}")) else why


def _figure(name: str, cell: str) -> float | None:
    if cell == "" and name in _MAY_BE_EMPTY:
        return None
    try:
        return float(cell)
    except ValueError:
        raise ValueError(f"{name} is {reprlib.repr(cell)}, expected a number") from None


def _write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _read_rows(
    path: Path, columns: Sequence[str], least: int | None = None
) -> Iterator[dict[str, str]]:
    """The rows below a header of these columns, or at least of the first so many of them."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file, strict=True)
        header = next(reader, [])
        if header != columns[: max(len(header), least or len(columns))]:
            raise ValueError(f"columns are {reprlib.repr(','.join(header))}")
        for number, cells in enumerate(reader, start=1):
            if len(cells) != len(header):
                raise ValueError(f"row {number}: {len(cells)} cells, expected {len(header)}")
            yield dict(zip(header, cells, strict=True))


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Turn what a damaged file makes the block raise into a `RunError` of one line."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{path}: cannot be read, {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
        raise RunError(f"{path}: damaged ({type(error).__name__}: {error})") from error
