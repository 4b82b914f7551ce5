"""A model against labelled images: its figures, and what was repaired or left out."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from maskinfer.data.cleaning import Decision
from maskinfer.data.dataset import Dataset
from maskinfer.data.folders import Failure
from maskinfer.errors import DatasetError
from maskinfer.inference.choosing import DetectorSettings
from maskinfer.inference.detector import MaskDetector
from maskinfer.text import printable_name, strict_json
from maskinfer.threads import Progress, unheard
from maskinfer.version import __version__

from .face_metrics import AllFacesMetrics
from .labelled import LabelledPrediction, predict_samples
from .metrics import Metrics, measure
from .photo_faces import PhotoFaces

AnswerT = TypeVar("AnswerT", bound=LabelledPrediction | PhotoFaces)
MetricsT = TypeVar("MetricsT", bound=Metrics | AllFacesMetrics)


@dataclass(frozen=True)
class EvaluateSettings(DetectorSettings):
    """The options of `maskinfer evaluate`; face `all` measures every annotated one."""

    data: Path | None = None  # a data set or a folder of labelled images; None: the sample images
    model: Path | None = None  # the model file; None for the default one
    json: Path | None = None  # the file that all figures are written to; None for none
    report: Path | None = None  # the folder of a page that shows the mistakes; None for no page
    overwrite: bool = False  # whether an existing `json` and `report` may be replaced


@dataclass(frozen=True)
class Measured(ABC, Generic[AnswerT, MetricsT]):
    """What a model was measured on, and what not; a `DatasetError` where that is nothing."""

    detector: MaskDetector
    folder: Path  # where the images are
    answers: list[AnswerT]  # the model's, at least one, in sorted order of the images' names
    decisions: list[Decision]  # each repaired box, and each image dropped undecoded, with a reason
    unlabelled: list[str]  # one line for each image without a label that can be read; not measured
    failures: list[Failure]  # images that could not be decoded or predicted; not measured
    seconds: float  # wall-clock time of decoding and predicting

    @staticmethod
    @abstractmethod
    def measure(answers: Sequence[AnswerT], /) -> MetricsT:
        """The figures over answers."""

    @cached_property
    def metrics(self) -> MetricsT:
        """The figures over all answers."""
        return self.measure(self.answers)

    @property
    def failed(self) -> int:
        """Labelled images that were not measured."""
        return len(self.failures) + sum(d.action == "dropped" for d in self.decisions)

    def __post_init__(self) -> None:
        if not self.answers:
            reason = self.failures[0].error if self.failures else self.decisions[0].reason
            raise DatasetError(
                f"{self.folder}: none of {self.failed} labelled images could be measured; "
                f"the first: {reason}"
            )

    def to_dict(self) -> dict[str, Any]:
        """All of it but the answers, the model and its figures, fit for JSON."""
        return {
            "data": printable_name(str(self.folder)),
            **model_facts(self.detector),
            "seconds": round(self.seconds, 3),
            "metrics": self.metrics.to_dict(),
            "decisions": [asdict(decision) for decision in self.decisions],
            "unlabelled": self.unlabelled,
            "failures": [asdict(failure) for failure in self.failures],
            "maskinfer_version": __version__,
        }


class Evaluation(Measured[LabelledPrediction, Metrics]):
    """A model's predictions of the labelled face of images."""

    @staticmethod
    def measure(answers: Sequence[LabelledPrediction], /) -> Metrics:
        return measure(
            [p.iou for p in answers],
            [p.label_proper for p in answers],
            [bool(p.proper_mask) for p in answers],
            [p.face.probability if p.face else 0.0 for p in answers],
            [p.face.score if p.face else 0.0 for p in answers],
            [p.face is not None for p in answers],
            [p.worn_incorrectly is True for p in answers],
            [p.box_known for p in answers],
        )


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

    Impossible boxes are repaired, never left out, by the rules of `maskinfer.data.cleaning`. A
    `DatasetError` where not one labelled image can be measured, a `MaskinferError` where the model
    fails.
    """
    samples, decisions, unlabelled = Dataset(folder, split_names=()).samples("test")
    start = time.perf_counter()
    predictions, failures = predict_samples(detector, folder, samples, on_progress)
    seconds = time.perf_counter() - start
    reasons = [decision.reason for decision in unlabelled]
    return Evaluation(detector, folder, predictions, decisions, reasons, failures, seconds)
