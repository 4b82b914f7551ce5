"""The table of results: every network as a file, its figures on labelled images, size and speed.

    python benchmarks/results.py RUN[@CANVAS] ... --data single/test --data left/test

Each RUN is exported as `maskinfer export` does, in FP32 and in INT8 for this CPU, at another canvas
than its own where one is named. Each file is measured on every DATA folder as `maskinfer evaluate`
does, and, in FP32, where the network sees several faces, with `--face left` too; and timed as
`benchmarks/runtimes.py` does in ONNX Runtime. `--model FILE` adds a file as it is, such as the one
that ships.
Prints Markdown; the last line is JSON.
"""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from runtimes import resnet50_file, timed

from maskinfer.evaluation.evaluating import evaluate_folder
from maskinfer.export.exporting import export
from maskinfer.export.settings import ExportSettings, Precision
from maskinfer.inference.choosing import FaceRule
from maskinfer.inference.detector import MaskDetector
from maskinfer.threads import usable_cores
from maskinfer.train.runs.folder import RunFolder

_BATCH = 8
_PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
_REFERENCE = "ResNet-50 classifier, FP32, 224 px"


@dataclass(frozen=True)
class Line:
    """One file of the table."""

    network: str
    canvas: int
    precision: str
    face: str
    minutes: float | None  # of training
    megabytes: float
    images_per_s: float
    figures: dict[str, dict[str, float | None]]  # by data folder


def main(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="RUN[@CANVAS]", help="Run folders.")
    ] = None,
    data: Annotated[list[Path] | None, typer.Option(help="Folders of labelled images.")] = None,
    model: Annotated[list[Path] | None, typer.Option(help="Model files, as they are.")] = None,
) -> None:
    """Export, evaluate, time, print."""
    with tempfile.TemporaryDirectory() as work:
        files: list[tuple[Path, float | None]] = [(file, None) for file in model or []]
        for run in runs or []:
            path, _, canvas = run.partition("@")
            files += _exported(RunFolder(Path(path)), int(canvas) if canvas else None, Path(work))
        reference = resnet50_file(Path(work))
        timings = timed([reference, *(file for file, _ in files)], _BATCH)
        speeds = {file: speed for (file, _), speed in timings.items()}
        lines = [
            _line(file, face, minutes, data or [], speeds[file])
            for file, minutes in files
            for face in _faces(file)
        ]
    print(_table(lines, data or [], speeds[reference]))
    basis = {_REFERENCE: speeds[reference], "cores": usable_cores(), "batch_size": _BATCH}
    print(json.dumps({**basis, "lines": [asdict(line) for line in lines]}))


def _exported(run: RunFolder, canvas: int | None, work: Path) -> Iterator[tuple[Path, float]]:
    """Each file of a run, and the minutes that its training took."""
    minutes = sum(row.seconds for row in run.read_history()) / 60
    for precision in _PRECISIONS:
        out = work / f"{run.path.name}-{precision}.onnx"
        settings = ExportSettings(out=out, precision=precision, canvas=canvas)
        yield export(run.path, settings, lambda _: None).path, minutes


def _faces(file: Path) -> tuple[FaceRule, ...]:
    """The faces that a file is measured with."""
    metadata = MaskDetector(file, "cpu", 1).session.metadata
    return ("main", "left") if metadata.faces > 1 and metadata.precision == "fp32" else ("main",)


def _line(
    file: Path, face: FaceRule, minutes: float | None, data: list[Path], images_per_s: float
) -> Line:
    detector = MaskDetector(file, "cpu", _BATCH, face=face)
    metadata = detector.session.metadata
    figures = {}
    for folder in data:
        metrics = evaluate_folder(detector, folder).metrics
        figures[str(folder)] = {
            "IoU": metrics.mean_iou,
            "accuracy": metrics.accuracy,
            "balanced": metrics.balanced_accuracy,
            "AP50": metrics.ap50,
            "ECE": metrics.calibration_error,
        }
    return Line(
        f"`{metadata.network}`, {metadata.backbone}",
        metadata.geometry.canvas,
        metadata.precision,
        face,
        minutes,
        file.stat().st_size / 1e6,
        images_per_s,
        figures,
    )


def _table(lines: list[Line], data: list[Path], reference: float) -> str:
    names = ("IoU", "accuracy", "balanced", "AP50", "ECE")
    parts = [f"{'/'.join(folder.parts[-2:])}: {' / '.join(names)}" for folder in data]
    heads = ["network", "px", "precision", "face", *parts, "MB", "images/s", "x ResNet-50", "min"]
    rows = [heads, ["---"] * len(heads)]
    for line in lines:
        figures = (
            " / ".join(f"{value:.3f}" for value in of_folder.values())
            for of_folder in line.figures.values()
        )
        rows.append(
            [
                line.network,
                str(line.canvas),
                line.precision,
                line.face,
                *figures,
                f"{line.megabytes:.1f}",
                f"{line.images_per_s:.0f}",
                f"{line.images_per_s / reference:.2f}",
                "" if line.minutes is None else f"{line.minutes:.0f}",
            ]
        )
    note = f"{_REFERENCE}: {reference:.1f} images/s; batches of {_BATCH}, {usable_cores()} cores"
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + f"\n\n{note}"


if __name__ == "__main__":
    typer.run(main)
