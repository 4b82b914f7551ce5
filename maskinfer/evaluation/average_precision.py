"""Average precision of detections of one class, as COCO defines it.

Lin et al. 2014, Microsoft COCO: common objects in context, and the code at cocodataset.org: in each
image the detections, the most confident first, each take the free face that they overlap most; over
all images precision is made to fall with recall, and its mean over 101 points of recall is taken.
AP50 counts overlaps of at least 0.5, AP50:95 is the mean over ten least overlaps, 0.5 to 0.95.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskinfer.data.boxes import Boxes, iou_xywh

LEAST_IOUS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
MOST_DETECTIONS = 100  # of an image


class Detected(NamedTuple):
    """One class in one image."""

    faces_xywh: Boxes  # (G, 4) where it is
    boxes_xywh: Boxes  # (D, 4) where it was detected
    confidence: NDArray[np.float64]  # (D,) of each detection, in any order


@dataclass(frozen=True)
class AveragePrecision:
    """How well one class is detected."""

    ap50: float  # at an IoU of at least 0.5, 0..1
    ap50_95: float  # mean over least IoUs from 0.5 to 0.95, 0..1
    # (101,) at an IoU of at least 0.5, the best at each of `RECALLS` or more; 0 where so much is
    # not recalled.
    precision: NDArray[np.float64]


def match_greedily(iou: NDArray[np.float64], least_iou: float) -> NDArray[np.int64]:
    """Give each detection the free face that it overlaps most, the most confident first.

    By IoUs (D, G) of detections, in that order, and faces; less than `least_iou` is no match.
    Returns (D,) the index of the face, each at most once; -1 without one.
    """
    matched = np.full(len(iou), -1, dtype=np.int64)
    free = np.ones(iou.shape[1], dtype=bool)
    for detection in np.flatnonzero((iou >= least_iou).any(axis=1)):
        overlap = np.where(free, iou[detection], -1.0)
        # Of equal overlaps the last one, as COCO's code has it.
        best = overlap.size - 1 - int(overlap[::-1].argmax())
        if overlap[best] >= least_iou:
            matched[detection] = best
            free[best] = False
    return matched


def average_precision(images: Sequence[Detected]) -> AveragePrecision | None:
    """Measure one class over images; None where no image holds it."""
    faces = sum(len(image.faces_xywh) for image in images)
    if not faces:
        return None
    confidences, rights = [], []
    for image in images:
        order = np.argsort(-image.confidence, kind="stable")[:MOST_DETECTIONS]
        iou = iou_xywh(image.boxes_xywh[order, None], image.faces_xywh[None])  # (D, G)
        confidences.append(image.confidence[order])
        rights.append([match_greedily(iou, least) >= 0 for least in LEAST_IOUS])  # (10, D)
    order = np.argsort(-np.concatenate(confidences), kind="stable")
    right = np.concatenate(rights, axis=1)[:, order].cumsum(axis=1)  # (10, all D)
    precision = np.array([_precision_at_recalls(hits, faces) for hits in right])  # (10, 101)
    return AveragePrecision(float(precision[0].mean()), float(precision.mean()), precision[0])


def _precision_at_recalls(hits: NDArray[np.int64], faces: int) -> NDArray[np.float64]:
    """(101,) the best precision at each recall or more, of (D,) hits down to each detection."""
    precision = hits / np.arange(1, len(hits) + 1)
    # One more, for recalls that are not reached.
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return best[np.searchsorted(hits / faces, RECALLS, side="left")]
