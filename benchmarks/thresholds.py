"""How the threshold and the temperature should be chosen, by cross-validation.

    python benchmarks/thresholds.py RUN... --data each --data left

Asks each run, of `folds.py`, about the photos that it did not learn: crops of each face at 224
pixels (the first data set), and every face of whole photos at 640 (the second). Half of the photos,
drawn at random, choose a threshold by each rule and the temperatures; the other half measures them.
No test part is read. Prints means over the runs and 50 halvings; the last line of the output is
JSON.

Rules: `half`, a fixed 0.5; `nearest`, of the thresholds with the best balanced accuracy the nearest
to 0.5, which is what `maskinfer train` does; `middle`, the middle of those thresholds; `share`, the
share of proper masks among those that choose, where calibrated probabilities expect the best
balanced accuracy. All on calibrated probabilities.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from folds import DEVICE, LEAST_SIDE, Answer, answers, main_face
from materials import report
from numpy.typing import NDArray
from rich.table import Table

from maskinfer.data.boxes import iou_xywh
from maskinfer.data.dataset import Dataset
from maskinfer.evaluation.metrics import expected_calibration_error
from maskinfer.export.graph import ContractModule
from maskinfer.export.settings import GraphOptions
from maskinfer.train.calibration import LEAST_PROBABILITY, Calibration, calibrate
from maskinfer.train.data.parts import read_parts
from maskinfer.train.runs.checkpoint import Checkpoint
from maskinfer.train.runs.files import PARTS

_HALVINGS = 50
_SAME_FACE_IOU = 0.5
_MIN_SCORE = 0.4


class Faces(NamedTuple):
    """Faces that a run did not learn."""

    photos: NDArray[np.str_]  # (N,) that they are in
    probability: NDArray[np.float64]  # (N,) of properly worn masks, not calibrated
    proper: NDArray[np.bool_]  # (N,)
    wrongly: NDArray[np.bool_]  # (N,) of masks worn incorrectly


def main(
    runs: list[Path],
    data: Annotated[list[Path], typer.Option(help="Crops of each face, then whole photos.")],
) -> None:
    """Ask, choose, measure and print."""
    rules = Table("run", "rule", "balanced accuracy", "proper right", "incorrectly right")
    errors = Table("run", "faces of", "raw", "crops' temperature", "photos' temperature")
    rows: list[dict[str, object]] = []
    for run in runs:
        crops, whole = _ask(run, data)
        for rule, values in _by_rule(crops).items():
            rows.append({"run": run.name, "rule": rule, "figures": values.tolist()})
            rules.add_row(run.name, rule, *(f"{value:.4f}" for value in values))
        for kind, values in _errors(crops, whole).items():
            rows.append({"run": run.name, "calibration error of": kind, "figures": values.tolist()})
            errors.add_row(run.name, kind, *(f"{value:.4f}" for value in values))
        print(run, flush=True)
    report(rules)
    report(errors, rows=rows)


def _ask(run: Path, data: Sequence[Path]) -> tuple[Faces, Faces]:
    with (run / PARTS).open(newline="", encoding="utf-8") as file:
        learned = {row["file"] for row in csv.DictReader(file) if row["part"] == "train"}
    options = GraphOptions(faces=64, temperature=1.0, proposals=1)
    module = ContractModule(Checkpoint.load(run).network, options).to(DEVICE)
    asked = []
    for folder, canvas in zip(data, (224, 640), strict=True):
        dataset = Dataset(folder.resolve())
        samples = read_parts((str(dataset.path),), 0.0, 0).train
        held = [s for s in samples if str(s.path) not in learned]
        if canvas == 224:
            held = [s for s in held if min(s.box_xywh[2:]) >= LEAST_SIDE]
        rows = [
            (dataset.photo_of(answer.sample.path), *face)
            for answer in answers(module, held, canvas)
            for face in (_matched(answer) if canvas == 640 else _labelled(answer))
        ]
        photos, probability, proper, wrongly = map(np.array, zip(*rows, strict=True))
        clipped = np.clip(probability.astype(float), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
        asked.append(Faces(photos, clipped, proper, wrongly))
    return asked[0], asked[1]


def _labelled(answer: Answer) -> Iterator[tuple[float, bool, bool]]:
    """The main face of a crop: its probability, and what the label says."""
    if (index := main_face(answer)) is not None:
        sample = answer.sample
        yield answer.proper_mask[index], sample.proper_mask, sample.worn_incorrectly is True


def _matched(answer: Answer) -> Iterator[tuple[float, bool, bool]]:
    """The faces of a photo that an annotated one overlaps."""
    for index in np.flatnonzero(answer.score >= _MIN_SCORE):
        faces = answer.sample.faces
        overlap = [iou_xywh(answer.boxes_xywh[index], face.box_xywh) for face in faces]
        face = faces[int(np.argmax(overlap))]
        if max(overlap) >= _SAME_FACE_IOU:
            yield answer.proper_mask[index], face.proper_mask, face.worn_incorrectly is True


def _halves(*all_faces: Faces) -> Iterator[list[tuple[Faces, Faces]]]:
    """Faces of half of the photos, and of the others, the same photos for all."""
    photos = np.unique(np.concatenate([faces.photos for faces in all_faces]))
    rng = np.random.default_rng(0)
    for _ in range(_HALVINGS):
        chosen = rng.permutation(photos)[: len(photos) // 2]
        parts = []
        for faces in all_faces:
            is_chosen = np.isin(faces.photos, chosen)
            choosing, measured = (
                Faces(*(column[mask] for column in faces)) for mask in (is_chosen, ~is_chosen)
            )
            parts.append((choosing, measured))
        yield parts


def _by_rule(crops: Faces) -> dict[str, NDArray[np.float64]]:
    """Balanced accuracy, share right of proper masks and of those worn incorrectly, by rule."""
    found: dict[str, list[tuple[float, ...]]] = {}
    for ((choosing, measured),) in _halves(crops):
        known = calibrate(choosing.probability, choosing.proper, Calibration())
        calibrated = _divided(choosing, known.temperature)
        tried = np.linspace(0.005, 0.995, 199)
        called = calibrated >= tried[:, None]
        balanced = called[:, choosing.proper].mean(1) + (~called)[:, ~choosing.proper].mean(1)
        best = tried[balanced >= balanced.max() - 1e-9]
        thresholds = {
            "half": 0.5,
            "nearest": known.threshold,
            "middle": float(np.median(best)),
            "share": float(choosing.proper.mean()),
        }
        asked = _divided(measured, known.temperature)
        for rule, threshold in thresholds.items():
            proper = float((asked[measured.proper] >= threshold).mean())
            improper = float((asked[~measured.proper] < threshold).mean())
            called = asked[measured.wrongly] < threshold
            wrongly = float(called.mean()) if called.size else float("nan")
            found.setdefault(rule, []).append(((proper + improper) / 2, proper, wrongly))
    return {rule: np.nanmean(values, axis=0) for rule, values in found.items()}


def _errors(crops: Faces, whole: Faces) -> dict[str, NDArray[np.float64]]:
    """Calibration errors of crops and of whole photos: raw, and with either's temperature."""
    found: dict[str, list[list[float]]] = {}
    for parts in _halves(crops, whole):
        temperatures = [1.0] + [
            calibrate(choosing.probability, choosing.proper, Calibration()).temperature
            for choosing, _ in parts
        ]
        for kind, (_, measured) in zip(("crops", "whole photos"), parts, strict=True):
            errors = [
                expected_calibration_error(_divided(measured, temperature), measured.proper)
                for temperature in temperatures
            ]
            found.setdefault(kind, []).append(errors)
    return {kind: np.mean(values, axis=0) for kind, values in found.items()}


def _divided(faces: Faces, temperature: float) -> NDArray[np.float64]:
    logits = np.log(faces.probability) - np.log1p(-faces.probability)
    return np.asarray(1 / (1 + np.exp(-logits / temperature)))


if __name__ == "__main__":
    typer.run(main)
