"""A model against labelled images: its figures, and what was repaired or left out."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from maskinfer.data.cleaning import Decision
from maskinfer.data.dataset import Dataset
from maskinfer.data.folders import Failure
from maskinfer.errors import DatasetError
from maskinfer.inference.detector import MaskDetector
from maskinfer.runtime.providers import DEFAULT_BATCH_SIZE, Provider
from maskinfer.runtime.session import Session
from maskinfer.text import printable_name, strict_json
from maskinfer.version import __version__

from .labelled import LabelledPrediction, predict_samples
from .metrics import Metrics, measure


@dataclass(frozen=True)
class EvaluateSettings:
    """The options of `maskinfer evaluate`.

    Attributes:
        data: a data set, or a folder of labelled images; None for the sample images.
        model: the model file; None for the default one.
        provider: what computes.
        batch_size: images per batch.
        json: the file that all figures are written to; None for none.
        report: the folder of a page that shows the mistakes; None for no page.
        overwrite: whether an existing `json` and `report` may be replaced.
    """

    data: Path | None = None
    model: Path | None = None
    provider: Provider = Provider.AUTO
    batch_size: int = DEFAULT_BATCH_SIZE
    json: Path | None = None
    report: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Evaluation:
    """A model's predictions for labelled images.

    Attributes:
        folder: where the images are.
        predictions: of the labelled images that could be read, at least one, in sorted order of
            their names.
        decisions: each repaired box, and each image dropped before it was decoded, with a reason.
        unlabelled: one line for each image without a label that can be read; not measured.
        failures: images that could not be decoded or predicted; not measured.
        seconds: wall-clock time of decoding and predicting.
    """

    folder: Path
    predictions: list[LabelledPrediction]
    decisions: list[Decision]
    unlabelled: list[str]
    failures: list[Failure]
    seconds: float

    @cached_property
    def metrics(self) -> Metrics:
        """Over the predictions."""
        return measure_all(self.predictions)

    @property
    def failed(self) -> int:
        """Labelled images that were not measured."""
        return len(self.failures) + sum(d.action == "dropped" for d in self.decisions)

    def to_dict(self, detector: MaskDetector) -> dict[str, Any]:
        """All of it and the model, fit for JSON."""
        return {
            "data": printable_name(str(self.folder)),
            **model_facts(detector.session),
            "seconds": round(self.seconds, 3),
            "metrics": self.metrics.to_dict(),
            "decisions": [asdict(decision) for decision in self.decisions],
            "unlabelled": self.unlabelled,
            "failures": [asdict(failure) for failure in self.failures],
            "maskinfer_version": __version__,
        }


def model_facts(session: Session) -> dict[str, Any]:
    """Which model this is and what computes it, fit for JSON; NaN and infinity become None."""
    return {
        "model": {
            "path": printable_name(str(session.path)),
            "sha256": session.sha256,
            **strict_json(asdict(session.metadata)),
        },
        "provider": str(session.provider),
        "batch_size": session.batch_size,
    }


def evaluate_folder(
    detector: MaskDetector,
    folder: Path,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> Evaluation:
    """Measure a model on every labelled image of a folder.

    Impossible boxes are repaired, never left out, by the rules of `maskinfer.data.cleaning`.

    Args:
        detector: the model.
        folder: of labelled images.
        on_progress: called with the number of images done so far, and of all.

    Raises:
        DatasetError: not one labelled image can be measured.
        MaskinferError: the model fails.
    """
    samples, decisions, unlabelled = Dataset(folder, split_names=()).samples("test")
    start = time.perf_counter()
    predictions, failures = predict_samples(detector, folder, samples, on_progress)
    seconds = time.perf_counter() - start
    reasons = [decision.reason for decision in unlabelled]
    evaluation = Evaluation(folder, predictions, decisions, reasons, failures, seconds)
    if not predictions:
        reason = failures[0].error if failures else decisions[0].reason
        raise DatasetError(
            f"{folder}: none of {evaluation.failed} labelled images could be measured; "
            f"the first: {reason}"
        )
    return evaluation


def measure_all(predictions: Sequence[LabelledPrediction]) -> Metrics:
    """The figures over labelled images."""
    return measure(
        [p.iou for p in predictions],
        [p.label_proper for p in predictions],
        [p.proper_mask for p in predictions],
        [p.probability for p in predictions],
        [p.score for p in predictions],
    )
