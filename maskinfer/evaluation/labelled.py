"""Labels beside what a model predicts for the same images."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from maskinfer.data.boxes import iou_xywh
from maskinfer.data.folders import Failure
from maskinfer.data.labels import BoxXywh, Sample
from maskinfer.inference.choosing import Choice
from maskinfer.inference.detector import MaskDetector
from maskinfer.inference.pipeline import predict_images
from maskinfer.inference.results import ImagePrediction, Prediction
from maskinfer.text import printable_name
from maskinfer.threads import Progress, unheard


@dataclass(frozen=True)
class LabelledPrediction:
    """The label of an image beside a model's prediction."""

    filename: str  # relative to the data set, with `/`
    label_xywh: BoxXywh  # the labelled box, inside the image, in pixels of the upright image
    label_proper: bool  # whether the label says that the mask is worn properly
    face: Prediction | None  # the predicted one; None where no face scores enough, which is a miss
    threshold: float = 0.5  # least probability of a mask that is called proper, 0..1
    worn_incorrectly: bool | None = None  # as that of a `Face`
    box_known: bool = True  # likewise
    # Mean luma of the labelled face (ITU-R BT.601), 0..255; None where it was not measured (see
    # `mistakes.analyse`).
    brightness: float | None = None
    # The labelled box's side in percent of the photo's, as the root of its share of the area; None
    # likewise.
    box_share: float | None = None

    @cached_property
    def iou(self) -> float:
        """Overlap of the two boxes, 0..1; 0 without a face."""
        return float(iou_xywh(self.face.box_xywh, self.label_xywh)) if self.face else 0.0

    @property
    def proper_mask(self) -> bool | None:
        """Whether the model calls the mask properly worn; None without a face."""
        return self.face.proper_mask if self.face else None

    @property
    def probability(self) -> float | None:
        """Predicted, that the mask is worn properly, 0..1; None without a face."""
        return self.face.probability if self.face else None

    @property
    def self_confidence(self) -> float | None:
        """The probability that was predicted for the label, 0..1; None without a face."""
        proper = self.probability
        return proper if proper is None or self.label_proper else 1 - proper

    @property
    def correct(self) -> bool:
        """Whether the model's call agrees with the label; never without a face."""
        return self.proper_mask == self.label_proper


def predict_samples(
    detector: MaskDetector, folder: Path, samples: Sequence[Sample], on_progress: Progress = unheard
) -> tuple[list[LabelledPrediction], list[Failure]]:
    """Predict labelled images, their boxes repaired, with a model asked for one face a photo.

    Returns a prediction for each image that can be decoded, and a failure for each other, both in
    the order of the samples. A `MaskinferError` where the model fails.
    """
    threshold = detector.choice.threshold
    predictions: list[LabelledPrediction] = []
    failures: list[Failure] = []
    for sample, result in predict_each(detector, folder, samples, failures, on_progress):
        face = result.faces[0] if result.faces else None
        label = sample.box_xywh, sample.proper_mask
        notes = sample.worn_incorrectly, sample.box_known
        predictions.append(LabelledPrediction(result.filename, *label, face, threshold, *notes))
    return predictions, failures


def predict_each(
    detector: MaskDetector,
    folder: Path,
    samples: Sequence[Sample],
    failures: list[Failure],
    on_progress: Progress,
    choice: Choice | None = None,
) -> Iterator[tuple[Sample, ImagePrediction]]:
    """Predict samples of a folder; those that cannot be decoded are noted as failures."""
    names = [sample.path.relative_to(folder).as_posix() for sample in samples]
    with closing(predict_images(detector, folder.joinpath, names, choice=choice)) as results:
        for done, (sample, result) in enumerate(zip(samples, results, strict=True), start=1):
            if isinstance(result, Failure):
                failures.append(Failure(printable_name(result.filename), result.error))
            else:
                yield sample, result
            on_progress(done, len(names))


def label_word(proper: bool) -> Literal["proper", "improper"]:
    """A label as people read it."""
    return "proper" if proper else "improper"


def call_word(proper: bool | None) -> Literal["proper", "improper", "no face"]:
    """What a model answers as people read it."""
    return "no face" if proper is None else label_word(proper)
