"""A model against every annotated face of photos, and its verdict about each photo as a whole.

A predicted face counts where it reaches the least score, and is right where it overlaps a face by
half and its mask is called as that face is labelled. Average precision takes every face that the
model predicts, whatever its score: it measures the order, not a working point. There each predicted
face is a detection of either label, with its score times the probability of the label, as detectors
with a score for each class have it; so the threshold plays no part.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskinfer.data.boxes import Boxes, iou_xywh
from maskinfer.data.cleaning import Decision, find_fault, repair
from maskinfer.data.dataset import Dataset
from maskinfer.data.folders import Failure
from maskinfer.data.images import image_size
from maskinfer.data.labels import Face, Sample
from maskinfer.inference.detector import MaskDetector
from maskinfer.inference.pipeline import predict_images
from maskinfer.inference.results import Prediction
from maskinfer.text import printable_name

from .average_precision import AveragePrecision, Detected, average_precision, match_greedily
from .evaluating import Measured
from .labelled import call_word, label_word
from .metrics import FOUND_IOU, Confusion

# Sides of faces in percent of the photo's longer side. On a canvas of 224 pixels, 4 % are 9 pixels.
SIZE_EDGES = (0, 2, 4, 8, 16, 32, 100)


@dataclass(frozen=True)
class PhotoFaces:
    """The annotated faces of a photo beside those that a model predicts.

    Attributes:
        filename: relative to the data set, with `/`.
        size_wh: of the upright photo in pixels.
        labels: the annotated faces, at least one, inside the photo.
        predictions: every face that the model predicts, the best-scored first.
        min_score: least score of a face that counts, 0..1.
    """

    filename: str
    size_wh: tuple[int, int]
    labels: tuple[Face, ...]
    predictions: tuple[Prediction, ...]
    min_score: float

    @cached_property
    def called(self) -> tuple[Prediction, ...]:
        """The predicted faces that count."""
        return tuple(face for face in self.predictions if face.score >= self.min_score)

    @cached_property
    def matches(self) -> NDArray[np.int64]:
        """For each face of `called`, the index of the annotated one that it is; -1 for none."""
        boxes, labels = (_boxes(faces) for faces in (self.called, self.labels))
        return match_greedily(iou_xywh(boxes[:, None], labels[None]), FOUND_IOU)

    @cached_property
    def calls(self) -> tuple[bool | None, ...]:
        """What the mask of each annotated face is called; None where the face was missed."""
        call_of = {
            int(label): face.proper_mask
            for face, label in zip(self.called, self.matches, strict=True)
        }
        return tuple(call_of.get(index) for index in range(len(self.labels)))

    @property
    def all_proper(self) -> bool:
        """Whether every mask is worn properly, as labelled."""
        return all(face.proper_mask for face in self.labels)

    @property
    def called_proper(self) -> bool | None:
        """Whether every predicted face's mask is; None where there is no face."""
        return all(face.proper_mask for face in self.called) if self.called else None

    @property
    def correct(self) -> bool:
        """Whether the verdict about the photo is right; never without a face."""
        return self.called_proper == self.all_proper

    @property
    def missed(self) -> int:
        """Annotated faces that were missed."""
        return self.calls.count(None)

    @property
    def invented(self) -> int:
        """Predicted faces where none is annotated."""
        return int((self.matches < 0).sum())

    def sides(self) -> list[float]:
        """Of the annotated faces, the root of width times height in percent of the longer side."""
        longest = max(self.size_wh)
        return [100 * (f.box_xywh[2] * f.box_xywh[3]) ** 0.5 / longest for f in self.labels]

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        return {
            "filename": printable_name(self.filename),
            "size_wh": list(self.size_wh),
            "label": label_word(self.all_proper),
            "called": call_word(self.called_proper),
            "correct": self.correct,
            "faces": [
                {
                    "box_xywh": list(face.box_xywh),
                    "label": label_word(face.proper_mask),
                    "called": None if call is None else label_word(call),
                }
                for face, call in zip(self.labels, self.calls, strict=True)
            ],
            "predicted": [
                asdict(face) | {"face": int(match) if match >= 0 else None}
                for face, match in zip(self.called, self.matches, strict=True)
            ],
        }


@dataclass(frozen=True)
class Counts:
    """Faces at the working point, of one label or of both.

    Attributes:
        faces: annotated.
        called: predicted.
        right: of these, those that are one of those.
    """

    faces: int
    called: int
    right: int

    @property
    def precision(self) -> float | None:
        """Share of the predicted faces that is right; None without any."""
        return self.right / self.called if self.called else None

    @property
    def recall(self) -> float | None:
        """Share of the annotated faces that was predicted; None without any."""
        return self.right / self.faces if self.faces else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of both; None without any face."""
        return 2 * self.right / (self.faces + self.called) if self.faces + self.called else None

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        figures = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return asdict(self) | figures


@dataclass(frozen=True)
class SizeBin:
    """Annotated faces of similar size.

    Attributes:
        low: least side, in percent of the photo's longer side.
        high: the next bin's least.
        faces: how many there are.
        missed: of these, those that were not predicted.
        miscalled: those whose mask was called otherwise than labelled.
    """

    low: int
    high: int
    faces: int
    missed: int
    miscalled: int

    @property
    def name(self) -> str:
        """As people read it."""
        return f"{self.low}–{self.high} %" if self.high < 100 else f"{self.low} % and more"


@dataclass(frozen=True)
class AllFacesMetrics:
    """Figures over every annotated face of photos.

    Attributes:
        photos: that were measured, at least one.
        by_label: counts of each label, by its word.
        any_label: counts of faces, whatever their masks are called.
        ap: average precision of each label that there is, by its word.
        sizes: faces by size, without sizes that no face has.
        verdict: photos by whether all masks are worn properly, and what they are called.
    """

    photos: int
    by_label: dict[str, Counts]
    any_label: Counts
    ap: dict[str, AveragePrecision]
    sizes: list[SizeBin]
    verdict: Confusion

    @property
    def ap50(self) -> float:
        """The mean over the labels that there are."""
        return float(np.mean([ap.ap50 for ap in self.ap.values()]))

    @property
    def ap50_95(self) -> float:
        """The mean over the labels that there are."""
        return float(np.mean([ap.ap50_95 for ap in self.ap.values()]))

    def figures(self) -> dict[str, float | None]:
        """The figures by their names in tables."""
        return {
            "AP50": self.ap50,
            "AP50:95": self.ap50_95,
            **{f"AP50 {word}": ap.ap50 for word, ap in self.ap.items()},
            **{f"AP50:95 {word}": ap.ap50_95 for word, ap in self.ap.items()},
            **{f"F1 {word}": counts.f1 for word, counts in self.by_label.items()},
            "F1 of faces": self.any_label.f1,
            "photos, accuracy": self.verdict.accuracy,
            "photos, balanced accuracy": self.verdict.balanced_accuracy,
        }

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        return {
            "photos": self.photos,
            "ap50": self.ap50,
            "ap50_95": self.ap50_95,
            "by_label": {
                word: counts.to_dict()
                | {name: getattr(self.ap.get(word), name, None) for name in ("ap50", "ap50_95")}
                for word, counts in self.by_label.items()
            },
            "any_label": self.any_label.to_dict(),
            "sizes": [asdict(group) for group in self.sizes],
            "verdict": asdict(self.verdict)
            | {
                "accuracy": self.verdict.accuracy,
                "balanced_accuracy": self.verdict.balanced_accuracy,
            },
        }


@dataclass(frozen=True, kw_only=True)
class AllFacesEvaluation(Measured):
    """A model's predictions of every face.

    Attributes:
        photos: those that could be read, at least one, in sorted order of their names.
        only_named: whether no photo has more annotated faces than the one in its name, so that each
            other face counts as invented.
    """

    photos: list[PhotoFaces]
    only_named: bool

    @cached_property
    def metrics(self) -> AllFacesMetrics:
        """Over the photos."""
        return measure_faces(self.photos)

    def to_dict(self, detector: MaskDetector) -> dict[str, Any]:
        """All of it and the model, fit for JSON."""
        photos = [photo.to_dict() for photo in self.photos]
        return self.facts(detector, self.metrics.to_dict()) | {"photos": photos}


def evaluate_faces(
    detector: MaskDetector,
    folder: Path,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> AllFacesEvaluation:
    """Measure a model on every annotated face: the one in each image's name, and the listed ones.

    Impossible boxes are repaired, never left out, by the rules of `maskinfer.data.cleaning`.

    Args:
        detector: the model, asked for every face.
        folder: of labelled images.
        on_progress: called with the number of images done so far, and of all.

    Raises:
        DatasetError: not one labelled image can be measured, or a list of faces is damaged.
        MaskinferError: the model fails.
    """
    dataset = Dataset(folder, split_names=())
    samples, decisions, unlabelled = dataset.samples("test")
    names = [sample.path.relative_to(folder).as_posix() for sample in samples]
    every_face = replace(detector.choice, min_score=0.0)
    photos: list[PhotoFaces] = []
    failures: list[Failure] = []
    start = time.perf_counter()
    results = predict_images(detector, folder.joinpath, names, choice=every_face)
    with closing(results):
        for done, (sample, result) in enumerate(zip(samples, results, strict=True), start=1):
            if isinstance(result, Failure):
                failures.append(Failure(printable_name(result.filename), result.error))
            else:
                size_wh = image_size(sample.path)
                labels, repaired = _labels(dataset, sample, size_wh)
                decisions += repaired
                min_score = detector.choice.min_score
                photos.append(PhotoFaces(result.filename, size_wh, labels, result.faces, min_score))
            on_progress(done, len(samples))
    evaluation = AllFacesEvaluation(
        folder=folder,
        photos=photos,
        only_named=all(len(photo.labels) == 1 for photo in photos),
        decisions=decisions,
        unlabelled=[decision.reason for decision in unlabelled],
        failures=failures,
        seconds=time.perf_counter() - start,
    )
    evaluation.refuse_nothing(photos)
    return evaluation


def _labels(
    dataset: Dataset, sample: Sample, size_wh: tuple[int, int]
) -> tuple[tuple[Face, ...], list[Decision]]:
    """The annotated faces of a photo inside it, and each repair of one that a list names."""
    name = dataset.name_of(sample.path)
    faces = [Face(sample.box_xywh, sample.proper_mask)]
    decisions: list[Decision] = []
    for face in dataset.other_faces.get(name, ()):
        fault = find_fault(face.box_xywh, size_wh)
        box = repair(face.box_xywh, size_wh)
        if fault is not None:
            decisions.append(Decision(name, "repaired", *fault, box))
        faces.append(Face(box, face.proper_mask))
    return tuple(faces), decisions


def measure_faces(photos: Sequence[PhotoFaces]) -> AllFacesMetrics:
    """The figures over photos, at least one."""
    labels = [face.proper_mask for photo in photos for face in photo.labels]
    calls = [call for photo in photos for call in photo.calls]
    called = [face.proper_mask for photo in photos for face in photo.called]
    counts = {
        label_word(proper): Counts(
            labels.count(proper),
            called.count(proper),
            sum(label == call == proper for label, call in zip(labels, calls, strict=True)),
        )
        for proper in (True, False)
    }
    ap = {
        label_word(proper): average_precision([_detected(photo, proper) for photo in photos])
        for proper in (True, False)
    }
    return AllFacesMetrics(
        photos=len(photos),
        by_label=counts,
        any_label=Counts(len(labels), len(called), len(calls) - calls.count(None)),
        ap={word: figures for word, figures in ap.items() if figures is not None},
        sizes=list(_by_size(photos)),
        verdict=Confusion.count(
            [photo.all_proper for photo in photos],
            [bool(photo.called_proper) for photo in photos],
            [bool(photo.called) for photo in photos],
        ),
    )


def _detected(photo: PhotoFaces, proper: bool) -> Detected:
    """One label in a photo, each predicted face a detection of it."""
    probability = np.array([face.probability for face in photo.predictions], dtype=np.float64)
    score = np.array([face.score for face in photo.predictions], dtype=np.float64)
    return Detected(
        _boxes([face for face in photo.labels if face.proper_mask == proper]),
        _boxes(photo.predictions),
        score * (probability if proper else 1 - probability),
    )


def _boxes(faces: Sequence[Face | Prediction]) -> Boxes:
    return np.array([face.box_xywh for face in faces], dtype=np.float64).reshape(-1, 4)


def _by_size(photos: Sequence[PhotoFaces]) -> Iterator[SizeBin]:
    sides = np.array([side for photo in photos for side in photo.sides()])
    calls = [call for photo in photos for call in photo.calls]
    labels = np.array([face.proper_mask for photo in photos for face in photo.labels])
    missed = np.array([call is None for call in calls])
    miscalled = ~missed & (np.array([bool(call) for call in calls]) != labels)
    place = np.searchsorted(SIZE_EDGES, sides, side="right") - 1
    for index, (low, high) in enumerate(pairwise(SIZE_EDGES)):
        inside = np.minimum(place, len(SIZE_EDGES) - 2) == index
        if inside.any():
            counts = (int(which[inside].sum()) for which in (inside, missed, miscalled))
            yield SizeBin(low, high, *counts)
