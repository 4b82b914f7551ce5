"""A model against a labelled folder: the figures, and everything that was decided on the way."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .cleaning import Decision, clean
from .dataset import SAMPLE_IMAGES, read_folder
from .detector import MaskDetector
from .errors import DatasetError, UsageError
from .metrics import Metrics, measure
from .pipeline import predict_images
from .results import Failure, Row, printable_name
from .runtime import Provider
from .version import __version__


@dataclass(frozen=True)
class EvaluateSettings:
    """What `maskinfer evaluate` does.

    Attributes:
        data: a data set, or a folder of labelled images; None for the sample images.
        model: the model file; None for the newest export, else the one that ships.
        provider: what computes.
        batch_size: images a run.
        json: where all figures are written; None for nowhere.
        overwrite: whether an existing `json` is replaced.
    """

    data: Path | None = None
    model: Path | None = None
    provider: Provider = Provider.AUTO
    batch_size: int = 16
    json: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Evaluation:
    """What came of evaluating a model.

    Attributes:
        folder: where the images are.
        metrics: over the labelled images that could be read.
        decisions: each repaired box, and each image dropped before it was decoded, with a reason.
        unlabelled: one line for each image without a label that can be read; not measured.
        failures: images that could not be decoded or predicted; not measured.
        seconds: wall-clock time of decoding and predicting.
    """

    folder: Path
    metrics: Metrics
    decisions: list[Decision]
    unlabelled: list[str]
    failures: list[Failure]
    seconds: float

    @property
    def failed(self) -> int:
        """Labelled images that were not measured."""
        return len(self.failures) + sum(d.action == "dropped" for d in self.decisions)

    def to_dict(self, detector: MaskDetector) -> dict[str, Any]:
        """Everything, with the model it is about, fit for JSON."""
        session = detector.session
        return {
            "data": printable_name(str(self.folder)),
            "model": {
                "path": printable_name(str(session.path)),
                "sha256": session.sha256,
                **asdict(session.metadata),
            },
            "provider": str(session.provider),
            "batch_size": session.batch_size,
            "seconds": round(self.seconds, 3),
            "metrics": self.metrics.to_dict(),
            "decisions": [asdict(decision) for decision in self.decisions],
            "unlabelled": self.unlabelled,
            "failures": [asdict(failure) for failure in self.failures],
            "maskinfer_version": __version__,
        }


def choose_data(data: Path | None) -> Path:
    """Choose the folder to evaluate on: that of a data set's split `test/`, where it has one.

    Raises:
        UsageError: there is no such folder, or none was named and there are no sample images.
    """
    if data is None:
        if not SAMPLE_IMAGES.is_dir():
            raise UsageError(
                f"no data set named, and no {SAMPLE_IMAGES}/ in this folder. "
                "Name one: maskinfer evaluate DATA"
            )
        data = SAMPLE_IMAGES
    if not data.is_dir():
        what = "not a folder, expected a data set" if data.exists() else "no such folder"
        raise UsageError(f"{data}: {what}")
    test = data / "test"
    return test if test.is_dir() else data


def evaluate_folder(
    detector: MaskDetector,
    folder: Path,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> Evaluation:
    """Measure a model on every labelled image of a folder.

    Impossible boxes are repaired, never left out, by the rules of `maskinfer.cleaning`.

    Args:
        detector: the model.
        folder: of labelled images.
        on_progress: called with the number of images done so far, and of all.

    Raises:
        DatasetError: not one labelled image can be measured.
        MaskinferError: the model fails.
    """
    labelled = read_folder(folder)
    samples, decisions = clean(labelled.samples, "test", folder)
    names = [sample.path.relative_to(folder).as_posix() for sample in samples]
    # IoU, label, call, probability and score of each image.
    measured: list[tuple[float, bool, bool, float, float]] = []
    failures: list[Failure] = []
    start = time.perf_counter()
    with closing(predict_images(detector, folder.joinpath, names)) as results:
        for done, result in enumerate(results, start=1):
            if isinstance(result, Failure):
                failures.append(Failure(printable_name(result.filename), result.error))
            else:
                measured.append(_figures(result))
            on_progress(done, len(names))
    seconds = time.perf_counter() - start
    if not measured:
        reason = failures[0].error if failures else decisions[0].reason
        raise DatasetError(
            f"{folder}: none of {len(labelled.samples)} labelled images could be measured; "
            f"the first: {reason}"
        )
    return Evaluation(
        folder,
        measure(*zip(*measured, strict=True)),
        decisions,
        list(labelled.unlabelled.values()),
        failures,
        seconds,
    )


def _figures(row: Row) -> tuple[float, bool, bool, float, float]:
    assert row.iou is not None
    assert row.probability is not None
    label = row.proper_mask == row.correct
    return row.iou, label, row.proper_mask, row.probability, row.score
