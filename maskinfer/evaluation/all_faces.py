"""A model against every annotated face of photos."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from maskinfer.data.boxes import iou_xywh
from maskinfer.data.cleaning import Decision, find_fault, repair
from maskinfer.data.dataset import Dataset
from maskinfer.data.folders import Failure
from maskinfer.data.images import image_size
from maskinfer.data.labels import BoxXywh, Face, Sample
from maskinfer.errors import DatasetError
from maskinfer.inference.detector import MaskDetector
from maskinfer.inference.results import Prediction
from maskinfer.threads import Progress, unheard

from .evaluating import Measured
from .face_metrics import AllFacesMetrics, measure_faces
from .labelled import predict_each
from .metrics import FOUND_IOU
from .photo_faces import PhotoFaces, boxes_of


class AllFacesEvaluation(Measured[PhotoFaces, AllFacesMetrics]):
    """A model's predictions of every face of photos."""

    measure = staticmethod(measure_faces)

    @property
    def only_named(self) -> bool:
        """Whether no photo has a face beside the one in its name: each other counts as invented."""
        return all(len(photo.labels) == 1 for photo in self.answers)

    def to_dict(self) -> dict[str, Any]:
        """All of it and the model, fit for JSON."""
        return super().to_dict() | {"photos": [photo.to_dict() for photo in self.answers]}


def evaluate_faces(
    detector: MaskDetector, folder: Path, on_progress: Progress = unheard
) -> AllFacesEvaluation:
    """Measure a model, asked for every face, on the one in each image's name and the listed ones.

    Impossible boxes are repaired, never left out, by the rules of `maskinfer.data.cleaning`. A
    `DatasetError` where not one labelled image can be measured, or a list of faces is damaged; a
    `MaskinferError` where the model fails.
    """
    dataset = Dataset(folder, split_names=())
    samples, decisions, unlabelled = dataset.samples("test")
    if not all(dataset.has_box(dataset.name_of(sample.path)) for sample in samples):
        raise DatasetError(f"{folder}: has labels without boxes; evaluate one face, --face main")
    every_face = replace(detector.choice, min_score=0.0)
    photos: list[PhotoFaces] = []
    failures: list[Failure] = []
    start = time.perf_counter()
    results = predict_each(detector, folder, samples, failures, on_progress, every_face)
    for sample, result in results:
        size_wh = image_size(sample.path)
        labels, repaired = _labels(dataset, sample, size_wh)
        decisions += repaired
        min_score = detector.choice.min_score
        found = _outside(dataset.crowds(dataset.name_of(sample.path)), labels, result.faces)
        photos.append(PhotoFaces(result.filename, size_wh, labels, found, min_score))
    seconds = time.perf_counter() - start
    reasons = [decision.reason for decision in unlabelled]
    return AllFacesEvaluation(detector, folder, photos, decisions, reasons, failures, seconds)


def _outside(
    crowds: Sequence[BoxXywh], labels: Sequence[Face], predictions: Sequence[Prediction]
) -> tuple[Prediction, ...]:
    """Without those that lie in a crowd by half and are no annotated face: not right, not wrong."""
    if not crowds or not predictions:
        return tuple(predictions)
    boxes = boxes_of(predictions)
    areas = np.array(crowds, dtype=np.float64)
    low = np.maximum(boxes[:, None, :2], areas[:, :2])
    high = np.minimum((boxes[:, :2] + boxes[:, 2:])[:, None], areas[:, :2] + areas[:, 2:])
    inside = np.maximum(high - low, 0).prod(axis=2).max(axis=1) >= 0.5 * boxes[:, 2:].prod(axis=1)
    is_face = (iou_xywh(boxes[:, None], boxes_of(labels)[None]) >= FOUND_IOU).any(axis=1)
    kept = ~inside | is_face
    return tuple(face for face, keep in zip(predictions, kept, strict=True) if keep)


def _labels(
    dataset: Dataset, sample: Sample, size_wh: tuple[int, int]
) -> tuple[tuple[Face, ...], list[Decision]]:
    """The annotated faces of a photo inside it, and each repair of one that a list names."""
    name = dataset.name_of(sample.path)
    faces = [sample.faces[0]]
    decisions: list[Decision] = []
    for face in dataset.other_faces.get(name, ()):
        fault = find_fault(face.box_xywh, size_wh)
        box = repair(face.box_xywh, size_wh)
        if fault is not None:
            decisions.append(Decision(name, "repaired", *fault, box))
        faces.append(replace(face, box_xywh=box))
    return tuple(faces), decisions
