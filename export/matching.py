"""Which faces of two evaluations of the same canvases are the same faces."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskinfer.data.boxes import iou_xywh
from maskinfer.runtime.session import Outputs

FLOOR = 0.2  # a face that scores less may be missing on the other side
_SAME_FACE_IOU = 0.5
_SAME_BOX_PX = 1.0  # of boxes without an area

Numbers = NDArray[np.float32]  # (M, 6): x, y, w, h, proper_mask, score


class Matches(NamedTuple):
    """Pairs of faces, of which either scores `FLOOR` or is the best of its image, and the rest."""

    ours: Numbers  # of the M pairs
    theirs: Numbers
    iou: NDArray[np.float64]  # (M,) of the two boxes
    unmatched: int  # how many such faces of either side are in no pair

    @property
    def faces(self) -> int:
        """Pairs and unmatched faces."""
        return len(self.iou) + self.unmatched

    @property
    def mean_iou(self) -> float:
        """Over all faces, 0 where unmatched; 1 where there are none."""
        return float(self.iou.sum() / self.faces) if self.faces else 1.0


def match(ours: Outputs, theirs: Outputs) -> Matches:
    """Pair the faces of each canvas one to one, those of the largest IoU first.

    A face that counts may be paired with one of any score.
    """
    pairs: list[tuple[Numbers, Numbers, float]] = []
    unmatched = 0
    for mine, other in zip(numbers(ours), numbers(theirs), strict=True):  # (K, 6)
        counts, counts_other = _counts(mine), _counts(other)
        iou = _overlap(mine[:, None], other[None])  # (K, K), 0 where a place is empty
        while (best := iou.max(initial=0)) >= _SAME_FACE_IOU:
            row, column = np.unravel_index(iou.argmax(), iou.shape)
            if counts[row] or counts_other[column]:
                pairs.append((mine[row], other[column], float(best)))
            iou[row] = iou[:, column] = 0  # either is in one pair only
            counts[row] = counts_other[column] = False
        unmatched += int(counts.sum() + counts_other.sum())
    return Matches(
        np.array([pair[0] for pair in pairs], np.float32).reshape(-1, 6),
        np.array([pair[1] for pair in pairs], np.float32).reshape(-1, 6),
        np.array([pair[2] for pair in pairs], np.float64),
        unmatched,
    )


def _overlap(ours: Numbers, theirs: Numbers) -> NDArray[np.float64]:
    """IoU of boxes; 1 for those without an area, of a network that has learned little, if equal."""
    moved_px = np.abs(ours[..., :4] - theirs[..., :4]).max(axis=-1)
    are_empty = np.minimum(ours[..., 2:4], theirs[..., 2:4]).min(axis=-1) <= 0
    are_faces = np.minimum(ours[..., 5], theirs[..., 5]) > 0
    iou = iou_xywh(ours[..., :4], theirs[..., :4])
    return np.where(are_empty & are_faces & (moved_px < _SAME_BOX_PX), 1.0, iou)


def numbers(outputs: Outputs) -> NDArray[np.float32]:
    """Outputs of N canvases as (N, K, 6): x, y, w, h, proper_mask, score."""
    columns = (outputs.proper_mask[..., None], outputs.score[..., None])
    return np.concatenate([outputs.boxes_xywh, *columns], axis=2)


def _counts(faces: Numbers) -> NDArray[np.bool_]:
    """Which faces (K, 6) of an image must have a partner: those that score enough, and the best."""
    counts: NDArray[np.bool_] = faces[:, 5] >= FLOOR
    counts[:1] |= faces[:1, 5] > 0
    return counts
