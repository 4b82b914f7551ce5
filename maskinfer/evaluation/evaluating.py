"""A model against a labelled folder: the figures, and everything that was decided on the way."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maskinfer.data.cleaning import Decision, clean
from maskinfer.data.dataset import SAMPLE_IMAGES, read_folder, splits_of
from maskinfer.data.folders import Failure
from maskinfer.data.labels import BoxXywh
from maskinfer.errors import DatasetError, UsageError
from maskinfer.inference.detector import MaskDetector
from maskinfer.inference.pipeline import predict_images
from maskinfer.inference.results import Row
from maskinfer.runtime.providers import Provider
from maskinfer.runtime.session import Session
from maskinfer.text import printable_name, strict_json
from maskinfer.version import __version__

from .metrics import Metrics, measure


@dataclass(frozen=True)
class EvaluateSettings:
    """What `maskinfer evaluate` does.

    Attributes:
        data: a data set, or a folder of labelled images; None for the sample images.
        model: the model file; None for the newest export, else the one that ships.
        provider: what computes.
        batch_size: images a run.
        json: where all figures are written; None for nowhere.
        report: the folder of a page that shows the mistakes; None for no page.
        overwrite: whether an existing `json` and `report` are replaced.
    """

    data: Path | None = None
    model: Path | None = None
    provider: Provider = Provider.AUTO
    batch_size: int = 16
    json: Path | None = None
    report: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Measured:
    """An image whose label and prediction are both known.

    Attributes:
        box_xywh: the label's, after repair, in pixels of the upright image.
        proper_mask: what the label says.
        row: what the model says, with `iou`, `correct` and `probability`.
    """

    box_xywh: BoxXywh
    proper_mask: bool
    row: Row

    @property
    def iou(self) -> float:
        """Of the label's box and the found one, 0..1."""
        assert self.row.iou is not None
        return self.row.iou

    @property
    def probability(self) -> float:
        """That the mask is worn properly, as the model has it, 0..1."""
        assert self.row.probability is not None
        return self.row.probability

    @property
    def correct(self) -> bool:
        """Whether the model's word is the label's."""
        return self.row.proper_mask == self.proper_mask


@dataclass(frozen=True)
class Evaluation:
    """What came of evaluating a model.

    Attributes:
        folder: where the images are.
        metrics: over the labelled images that could be read.
        measured: those images, at least one, in sorted order of their names.
        decisions: each repaired box, and each image dropped before it was decoded, with a reason.
        unlabelled: one line for each image without a label that can be read; not measured.
        failures: images that could not be decoded or predicted; not measured.
        seconds: wall-clock time of decoding and predicting.
    """

    folder: Path
    metrics: Metrics
    measured: list[Measured]
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
    """Which model this is and how it runs, fit for JSON: numbers that are none become None."""
    return {
        "model": {
            "path": printable_name(str(session.path)),
            "sha256": session.sha256,
            **strict_json(asdict(session.metadata)),
        },
        "provider": str(session.provider),
        "batch_size": session.batch_size,
    }


def choose_data(data: Path | None, how_to_name: str = "maskinfer evaluate DATA") -> Path:
    """Choose the folder to evaluate on: that of a data set's split `test/`, where it has one.

    Args:
        data: as the user named it; None for the sample images.
        how_to_name: the command that names one.

    Raises:
        UsageError: there is no such folder, or none was named and there are no sample images.
    """
    if data is None:
        if not SAMPLE_IMAGES.is_dir():
            raise UsageError(
                f"no data set named, and no {SAMPLE_IMAGES}/ in this folder. "
                f"Name one: {how_to_name}"
            )
        data = SAMPLE_IMAGES
    return splits_of(data).get("test", data)


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
    labelled = read_folder(folder)
    samples, decisions = clean(labelled.samples, "test", folder)
    names = [sample.path.relative_to(folder).as_posix() for sample in samples]
    measured: list[Measured] = []
    failures: list[Failure] = []
    start = time.perf_counter()
    with closing(predict_images(detector, folder.joinpath, names)) as results:
        for sample, result in zip(samples, results, strict=True):
            if isinstance(result, Failure):
                failures.append(Failure(printable_name(result.filename), result.error))
            else:
                measured.append(Measured(sample.box_xywh, sample.proper_mask, result))
            on_progress(len(measured) + len(failures), len(names))
    seconds = time.perf_counter() - start
    if not measured:
        reason = failures[0].error if failures else decisions[0].reason
        raise DatasetError(
            f"{folder}: none of {len(labelled.samples)} labelled images could be measured; "
            f"the first: {reason}"
        )
    return Evaluation(
        folder,
        measure_all(measured),
        measured,
        decisions,
        list(labelled.unlabelled.values()),
        failures,
        seconds,
    )


def measure_all(measured: Sequence[Measured]) -> Metrics:
    """The figures over images that were measured."""
    return measure(
        [case.iou for case in measured],
        [case.proper_mask for case in measured],
        [case.row.proper_mask for case in measured],
        [case.probability for case in measured],
        [case.row.score for case in measured],
    )
