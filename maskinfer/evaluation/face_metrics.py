"""Figures over every annotated face of photos, and over the verdicts about whole photos.

Counts are taken at the working point: of predicted faces that reach the least score, right where
they are an annotated face and called as it is labelled. Average precision takes every face that the
model predicts, whatever its score: it measures the order, not a working point. There each predicted
face is a detection of either label, with its score times the probability of the label, as detectors
with a score for each class have it; so the threshold plays no part. As one detection, of the label
that is called, the same model would have anything between 0.38 and 0.48 for 0.50
(docs/experiments.md).
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from .average_precision import AveragePrecision, Detected, average_precision
from .labelled import label_word
from .metrics import Confusion
from .photo_faces import PhotoFaces, boxes_of

# Sides of faces in percent of the photo's longer side. On a canvas of 224 pixels, 4 % are 9 pixels.
SIZE_EDGES = (0, 2, 4, 8, 16, 32, 100)


@dataclass(frozen=True)
class Counts:
    """Faces at the working point, of one label or of both: annotated, predicted, and rightly so."""

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
        return asdict(self) | {"precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclass(frozen=True)
class SizeBin:
    """Annotated faces between two sides, in percent of the photo's longer side.

    Missed ones were not predicted; of miscalled ones the mask was called otherwise than labelled.
    """

    low: int
    high: int
    faces: int
    missed: int
    miscalled: int

    @property
    def name(self) -> str:
        """As people read it."""
        return f"{self.low}–{self.high} %"


@dataclass(frozen=True)
class PhotoVerdicts(Confusion):
    """Photos by whether every mask is worn properly, as labelled and as predicted.

    What is predicted is whether somebody is not properly masked, as the summary of `predict` counts
    photos. A photo in which no face is seen is not among those, which is right where every mask is
    worn properly.
    """

    @property
    def proper_right(self) -> int:
        """Photos without anyone to look at, and not called so."""
        return self.proper_called_proper + self.proper_no_face


@dataclass(frozen=True)
class AllFacesMetrics:
    """Figures over every annotated face of photos."""

    photos: int  # that were measured, at least one
    by_label: dict[str, Counts]  # counts of each label, by its word
    any_label: Counts  # counts of faces, whatever their masks are called
    ap: dict[str, AveragePrecision]  # average precision of each label that there is, by its word
    sizes: list[SizeBin]  # faces by size, without sizes that no face has
    verdict: PhotoVerdicts  # photos by whether every mask is worn properly
    # Counts of faces whose mask is known to be worn incorrectly; None without any. Of these,
    # `called` are those that were predicted.
    incorrectly: Counts | None = None

    @property
    def ap50(self) -> float:
        """The mean over the labels that there are."""
        return float(np.mean([ap.ap50 for ap in self.ap.values()]))

    @property
    def ap50_95(self) -> float:
        """The mean over the labels that there are."""
        return float(np.mean([ap.ap50_95 for ap in self.ap.values()]))

    def rows(self) -> list[tuple[Any, ...]]:
        """Of each label, and of any: its word, counts, their shares and its average precision."""
        rows = []
        for word, counts in {**self.by_label, "any": self.any_label}.items():
            ap = self.ap.get(word)
            numbers = counts.to_dict().values()
            rows.append((word, *numbers, *((ap.ap50, ap.ap50_95) if ap else (None, None))))
        return rows

    def figures(self) -> dict[str, float | None]:
        """The figures by their names in tables."""
        return {
            "AP50": self.ap50,
            "AP50:95": self.ap50_95,
            **{f"AP50 {word}": ap.ap50 for word, ap in self.ap.items()},
            **{f"AP50:95 {word}": ap.ap50_95 for word, ap in self.ap.items()},
            **{f"F1 {word}": counts.f1 for word, counts in self.by_label.items()},
            "F1 of faces": self.any_label.f1,
            **({"worn incorrectly": self.incorrectly.recall} if self.incorrectly else {}),
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
            "incorrectly": self.incorrectly and self.incorrectly.to_dict(),
            "sizes": [asdict(group) for group in self.sizes],
            "verdict": asdict(self.verdict)
            | {
                "accuracy": self.verdict.accuracy,
                "balanced_accuracy": self.verdict.balanced_accuracy,
            },
        }


def measure_faces(photos: Sequence[PhotoFaces]) -> AllFacesMetrics:
    """The figures over photos, at least one."""
    labels = [face.proper_mask for photo in photos for face in photo.labels]
    calls = [call for photo in photos for call in photo.calls]
    called = [face.proper_mask for photo in photos for face in photo.called]
    worn = [
        call
        for photo in photos
        for face, call in zip(photo.labels, photo.calls, strict=True)
        if face.worn_incorrectly
    ]
    pairs = list(zip(labels, calls, strict=True))
    counts: dict[str, Counts] = {}
    ap: dict[str, AveragePrecision] = {}
    for proper in (True, False):
        word, right = label_word(proper), pairs.count((proper, proper))
        counts[word] = Counts(labels.count(proper), called.count(proper), right)
        if figures := average_precision([_detected(photo, proper) for photo in photos]):
            ap[word] = figures
    return AllFacesMetrics(
        photos=len(photos),
        by_label=counts,
        any_label=Counts(len(labels), len(called), len(calls) - calls.count(None)),
        ap=ap,
        sizes=list(_by_size(photos)),
        verdict=PhotoVerdicts.count(
            [photo.all_proper for photo in photos],
            [bool(photo.called_proper) for photo in photos],
            [bool(photo.called) for photo in photos],
        ),
        incorrectly=Counts(len(worn), len(worn) - worn.count(None), worn.count(False))
        if worn
        else None,
    )


def _detected(photo: PhotoFaces, proper: bool) -> Detected:
    """One label in a photo, each predicted face a detection of it."""
    probability = np.array([face.probability for face in photo.predictions], dtype=np.float64)
    score = np.array([face.score for face in photo.predictions], dtype=np.float64)
    return Detected(
        boxes_of([face for face in photo.labels if face.proper_mask == proper]),
        boxes_of(photo.predictions),
        score * (probability if proper else 1 - probability),
    )


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
