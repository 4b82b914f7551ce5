"""A model against labelled images: its figures, and what was repaired or left out."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from maskinfer.data.cleaning import Decision
from maskinfer.data.dataset import Dataset
from maskinfer.data.folders import Failure
from maskinfer.errors import DatasetError
from maskinfer.inference.choosing import DetectorSettings
from maskinfer.inference.detector import MaskDetector
from maskinfer.text import printable_name, strict_json
from maskinfer.threads import Progress, unheard
from maskinfer.version import __version__

from .labelled import LabelledPrediction, predict_samples
from .metrics import Metrics, measure


@dataclass(frozen=True)
class EvaluateSettings(DetectorSettings):
    """The options of `maskinfer evaluate`; face `all` measures every annotated one.

    Attributes:
        data: a data set, or a folder of labelled images; None for the sample images.
        model: the model file; None for the default one.
        json: the file that all figures are written to; None for none.
        report: the folder of a page that shows the mistakes; None for no page.
        overwrite: whether an existing `json` and `report` may be replaced.
    """

    data: Path | None = None
    model: Path | None = None
    json: Path | None = None
    report: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a model was measured on, and what not.

    Attributes:
        detector: the model.
        folder: where the images are.
        decisions: each repaired box, and each image dropped before it was decoded, with a reason.
        unlabelled: one line for each image without a label that can be read; not measured.
        failures: images that could not be decoded or predicted; not measured.
        seconds: wall-clock time of decoding and predicting.
    """

    detector: MaskDetector
    folder: Path
    decisions: list[Decision]
    unlabelled: list[str]
    failures: list[Failure]
    seconds: float

    @property
    def failed(self) -> int:
        """Labelled images that were not measured."""
        return len(self.failures) + sum(d.action == "dropped" for d in self.decisions)

    def refuse_nothing(self, measured: Sequence[object]) -> None:
        """Raise a `DatasetError` where not one image was measured."""
        if not measured:
            reason = self.failures[0].error if self.failures else self.decisions[0].reason
            raise DatasetError(
                f"{self.folder}: none of {self.failed} labelled images could be measured; "
                f"the first: {reason}"
            )

    def facts(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """All of it, the model and its figures, fit for JSON."""
        return {
            "data": printable_name(str(self.folder)),
            **model_facts(self.detector),
            "seconds": round(self.seconds, 3),
            "metrics": metrics,
            "decisions": [asdict(decision) for decision in self.decisions],
            "unlabelled": self.unlabelled,
            "failures": [asdict(failure) for failure in self.failures],
            "maskinfer_version": __version__,
        }


@dataclass(frozen=True, kw_only=True)
class Evaluation(Measured):
    """A model's predictions for labelled images, at least one, in sorted order of their names."""

    predictions: list[LabelledPrediction]

    @cached_property
    def metrics(self) -> Metrics:
        """Over the predictions."""
        return measure_all(self.predictions)

    def to_dict(self) -> dict[str, Any]:
        """All of it and the model, fit for JSON."""
        return self.facts(self.metrics.to_dict())


def model_facts(detector: MaskDetector) -> dict[str, Any]:
    """Which model this is and what it is asked, fit for JSON; NaN and infinity become None."""
    session = detector.session
    return {
        "model": {
            "path": printable_name(str(session.path)),
            "sha256": session.sha256,
            **strict_json(asdict(session.metadata)),
        },
        "provider": str(session.provider),
        "batch_size": session.batch_size,
        "canvas": session.geometry.canvas,
        "choice": asdict(detector.choice),
    }


def evaluate_folder(
    detector: MaskDetector, folder: Path, on_progress: Progress = unheard
) -> Evaluation:
    """Measure a model, asked for one face a photo, on every labelled image of a folder.

    Impossible boxes are repaired, never left out, by the rules of `maskinfer.data.cleaning`.

    Raises:
        DatasetError: not one labelled image can be measured.
        MaskinferError: the model fails.
    """
    samples, decisions, unlabelled = Dataset(folder, split_names=()).samples("test")
    start = time.perf_counter()
    predictions, failures = predict_samples(detector, folder, samples, on_progress)
    evaluation = Evaluation(
        detector=detector,
        folder=folder,
        predictions=predictions,
        decisions=decisions,
        unlabelled=[decision.reason for decision in unlabelled],
        failures=failures,
        seconds=time.perf_counter() - start,
    )
    evaluation.refuse_nothing(predictions)
    return evaluation


def measure_all(predictions: Sequence[LabelledPrediction]) -> Metrics:
    """The figures over labelled images."""
    return measure(
        [p.iou for p in predictions],
        [p.label_proper for p in predictions],
        [bool(p.proper_mask) for p in predictions],
        [p.face.probability if p.face else 0.0 for p in predictions],
        [p.face.score if p.face else 0.0 for p in predictions],
        [p.face is not None for p in predictions],
        [p.worn_incorrectly is True for p in predictions],
        [p.box_known for p in predictions],
    )
