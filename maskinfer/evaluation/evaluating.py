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


@dataclass(frozen=True)
class Measured(ABC, Generic[AnswerT, MetricsT]):
    """What a model was measured on, and what not; a `DatasetError` where that is nothing.

    Attributes:
        detector: the model.
        folder: where the images are.
        answers: the model's about images that could be read, at least one, in sorted order of their
            names.
        decisions: each repaired box, and each image dropped before it was decoded, with a reason.
        unlabelled: one line for each image without a label that can be read; not measured.
        failures: images that could not be decoded or predicted; not measured.
        seconds: wall-clock time of decoding and predicting.
    """

    detector: MaskDetector
    folder: Path
    answers: list[AnswerT]
    decisions: list[Decision]
    unlabelled: list[str]
    failures: list[Failure]
    seconds: float

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

    Impossible boxes are repaired, never left out, by the rules of `maskinfer.data.cleaning`.

    Raises:
        DatasetError: not one labelled image can be measured.
        MaskinferError: the model fails.
    """
    samples, decisions, unlabelled = Dataset(folder, split_names=()).samples("test")
    start = time.perf_counter()
    predictions, failures = predict_samples(detector, folder, samples, on_progress)
    seconds = time.perf_counter() - start
    reasons = [decision.reason for decision in unlabelled]
    return Evaluation(detector, folder, predictions, decisions, reasons, failures, seconds)
