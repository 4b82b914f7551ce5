"""Labels beside what a model predicts for the same images."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from maskinfer.data.boxes import iou_xywh
from maskinfer.data.folders import Failure
from maskinfer.data.labels import BoxXywh, Sample
from maskinfer.inference.detector import MaskDetector
from maskinfer.inference.pipeline import predict_images
from maskinfer.text import printable_name


@dataclass(frozen=True)
class LabelledPrediction:
    """The label of an image beside a model's prediction.

    Attributes:
        filename: relative to the data set, with `/`.
        label_xywh: the labelled box, inside the image, in pixels of the upright image.
        label_proper: whether the label says that the mask is worn properly.
        box_xywh: the predicted box, likewise.
        probability: predicted, that the mask is worn properly, 0..1.
        score: confidence in the predicted box, 0..1.
        threshold: the least probability at which the model calls a mask properly worn, 0..1.
        brightness: mean luma of the labelled face (ITU-R BT.601), 0..255; None where it was not
            measured (see `mistakes.analyse`).
        box_share: the labelled box's side in percent of the photo's, as the root of its share of
            the area; None likewise.
    """

    filename: str
    label_xywh: BoxXywh
    label_proper: bool
    box_xywh: BoxXywh
    probability: float
    score: float
    threshold: float = 0.5
    brightness: float | None = None
    box_share: float | None = None

    @cached_property
    def iou(self) -> float:
        """Overlap of the two boxes, 0..1."""
        return float(iou_xywh(self.box_xywh, self.label_xywh))

    @property
    def proper_mask(self) -> bool:
        """Whether the model calls the mask properly worn."""
        return self.probability >= self.threshold

    @property
    def correct(self) -> bool:
        """Whether the model's call agrees with the label."""
        return self.proper_mask == self.label_proper


def predict_samples(
    detector: MaskDetector,
    folder: Path,
    samples: Sequence[Sample],
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> tuple[list[LabelledPrediction], list[Failure]]:
    """Predict labelled images.

    Args:
        detector: the model.
        folder: that the images lie in; their names are relative to it.
        samples: the images, their boxes repaired.
        on_progress: called with the number of images done so far, and of all.

    Returns:
        a prediction for each image that can be decoded, and a failure for each other, both in the
        order of the samples.

    Raises:
        MaskinferError: the model fails.
    """
    names = [sample.path.relative_to(folder).as_posix() for sample in samples]
    threshold = detector.session.metadata.threshold
    predictions: list[LabelledPrediction] = []
    failures: list[Failure] = []
    with closing(predict_images(detector, folder.joinpath, names)) as rows:
        for done, (sample, row) in enumerate(zip(samples, rows, strict=True), start=1):
            if isinstance(row, Failure):
                failures.append(Failure(printable_name(row.filename), row.error))
            else:
                assert row.probability is not None
                predictions.append(
                    LabelledPrediction(
                        row.filename,
                        sample.box_xywh,
                        sample.proper_mask,
                        row.box_xywh,
                        row.probability,
                        row.score,
                        threshold,
                    )
                )
            on_progress(done, len(names))
    return predictions, failures


def label_word(proper: bool) -> Literal["proper", "improper"]:
    """A label as people read it."""
    return "proper" if proper else "improper"
