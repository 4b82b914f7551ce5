"""From which figures on an answer counts, measured on validation photos. Only numpy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskinfer.data.boxes import Boxes, iou_xywh
from maskinfer.inference.choosing import Choice, choose
from maskinfer.runtime.model_file import WorkingPoint

_MAY_BE_LOST = 0.01  # share of labelled faces
_SAME_FACE_IOU = 0.5
_LEAST_PHOTOS = 50  # with a labelled face; of fewer, one hundredth is nothing
_LEAST_OF_A_KIND = 10  # photos with somebody not properly masked, and without; fewer say too little
# Pairs that are tried for photos as a whole. The least score is what two evaluations of one network
# agree on: below it faces come and go with the precision.
_MIN_SCORES = np.linspace(0.2, 0.8, 61)
_THRESHOLDS = np.linspace(0.02, 0.98, 97)


class Photo(NamedTuple):
    """A labelled photo and what a model says of it."""

    boxes_xywh: NDArray[np.float32]  # (K, 4) in canvas pixels
    proper_mask: NDArray[np.float32]  # (K,) in 0..1
    score: NDArray[np.float32]  # (K,) in 0..1, best first, 0 where there is no face
    label_xywh: Boxes  # (4,) in canvas pixels
    labels: tuple[bool, ...]  # proper or not, of the labelled face and of each other annotated one


@dataclass(frozen=True)
class WorkingPoints:
    """Of answers about one face of a photo, and about all."""

    one_face: WorkingPoint  # its score is the highest that loses at most 1 % of labelled faces
    all_faces: WorkingPoint  # of the best balanced accuracy of "somebody is not properly masked"
    photos: int = 0  # how many `one_face.min_score` was measured on; 0 where they were too few
    # How many `all_faces` was measured on, those with other faces annotated; 0 where they were too
    # few, and it is `one_face`.
    photos_of_all: int = 0
    balanced_accuracy: tuple[float, ...] = ()  # on those photos, one figure a canvas


def measure(
    photos: Sequence[Photo], threshold: float, canvas: int, larger: Sequence[Photo] = ()
) -> WorkingPoints:
    """Choose both working points.

    Args:
        photos: of the validation part; may be empty.
        threshold: least calibrated probability that counts as a properly worn mask.
        canvas: side in pixels.
        larger: those with other faces again, on a larger canvas, of a model that reads any. What
            suits one canvas does not suit the other, so the pair is the best on both.
    """
    enough = len(photos) >= _LEAST_PHOTOS
    one_face = WorkingPoint(_least_score(photos, canvas) if enough else 0.0, threshold)
    counted = len(photos) if enough else 0
    crowds = [photo for photo in photos if len(photo.labels) > 1 and len(photo.score) > 1]
    if not _are_enough(crowds):
        return WorkingPoints(one_face, one_face, counted)
    each = np.stack([_balanced_accuracy(part) for part in (crowds, larger) if _are_enough(part)])
    mean = each.mean(axis=0)  # (M, T)
    best = np.argwhere(mean >= mean.max() - 1e-9)
    # Of equals the nearest to the point for one face.
    tried = np.stack([_MIN_SCORES[best[:, 0]], _THRESHOLDS[best[:, 1]]], axis=1)
    distance = np.abs(tried - [one_face.min_score, threshold]).sum(axis=1)
    nearest = int(distance.argmin())
    min_score, least = tried[nearest].round(3).tolist()
    reached = tuple(each[:, best[nearest, 0], best[nearest, 1]].tolist())
    return WorkingPoints(one_face, WorkingPoint(min_score, least), counted, len(crowds), reached)


def _are_enough(photos: Sequence[Photo]) -> bool:
    """Whether photos with somebody not properly masked, and without, are enough to measure on."""
    proper = sum(all(photo.labels) for photo in photos)
    return min(proper, len(photos) - proper) >= _LEAST_OF_A_KIND


def _least_score(photos: Sequence[Photo], canvas: int) -> float:
    """The highest score that at most 1 % of the labelled faces that are found fall short of.

    Faces that are not found, since another is chosen or none is near, are lost at any score.
    """
    any_score = Choice("main", 0.0, 0.5)
    scores = []
    for photo in photos:
        for index in choose(photo.boxes_xywh, photo.score, any_score, canvas):
            if iou_xywh(photo.boxes_xywh[index], photo.label_xywh) >= _SAME_FACE_IOU:
                scores.append(float(photo.score[index]))
    may_be_lost = int(_MAY_BE_LOST * len(photos))
    if len(scores) <= may_be_lost:
        return 0.0
    return float(np.floor(np.sort(scores)[may_be_lost] * 1000) / 1000)


def _balanced_accuracy(photos: Sequence[Photo]) -> NDArray[np.float64]:
    """Of "somebody is not properly masked": (M scores tried, T thresholds tried)."""
    someone = np.array([not all(photo.labels) for photo in photos], dtype=bool)  # (P,)
    least = np.array(
        [
            [photo.proper_mask[photo.score >= score].min(initial=np.inf) for photo in photos]
            for score in _MIN_SCORES
        ]
    )  # (M, P), the probability of the face that is least properly masked
    verdicts = least[:, None] < _THRESHOLDS[None, :, None]  # (M, T, P)
    right = verdicts[..., someone].mean(axis=2) + (~verdicts[..., ~someone]).mean(axis=2)
    balanced: NDArray[np.float64] = right / 2
    return balanced
