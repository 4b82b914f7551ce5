"""The distinct faces among a network's candidates, in fixed shapes: no loop, no `NonZero`."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_convert, nms

from maskinfer.train.calibration import LEAST_PROBABILITY
from maskinfer.train.networks.network import Candidates, Detections

from .settings import GraphOptions

_SAME_FACE_IOU = 0.5  # boxes that overlap by more are one face
# Each round settles the boxes that depend on one more chain of overlaps. On whole photos five
# settle every face that scores 0.2, and up to 31 all. After an odd round only boxes that surely
# stay are kept, so what is left unsettled among worse ones never overlaps.
_ROUNDS = 7


class Faces(NamedTuple):
    """What a model file answers: distinct faces, best first; places without one hold zeros."""

    boxes_xywh: Tensor  # (B, K, 4) float32, canvas pixels
    proper_mask: Tensor  # (B, K) float32, calibrated probability in 0..1
    score: Tensor  # (B, K) float32, confidence that a face is there, in 0..1


def one_face(detections: Detections, options: GraphOptions) -> Faces:
    """The faces of a network that finds one in each image."""
    boxes, proper, score = (column[:, None] for column in detections)
    return Faces(boxes, calibrated(proper, options.temperature), score)


def distinct_faces(candidates: Candidates, options: GraphOptions, rivals: int) -> Faces:
    """The best faces of each image; of boxes that overlap, the best-scored one.

    `rivals` candidates are looked at, best first.
    """
    count = max(rivals, options.faces)
    # A small canvas has fewer candidates than are looked at: filled up with empty boxes.
    score, index = F.pad(candidates.score, (0, count)).topk(count, dim=1)  # (B, k), best first
    boxes = F.pad(candidates.boxes_xyxy, (0, 0, 0, count))
    boxes = boxes.gather(1, index[..., None].expand(-1, -1, 4))
    distinct = suppress(boxes, torch.ones_like(score), _SAME_FACE_IOU)
    score, place = (score * distinct).topk(options.faces, dim=1)  # (B, K)
    is_face = (score > 0).to(score.dtype)
    boxes = boxes.gather(1, place[..., None].expand(-1, -1, 4))
    proper = F.pad(candidates.proper_mask, (0, count)).gather(1, index.gather(1, place))
    return Faces(
        torch.cat([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], dim=2) * is_face[..., None],
        calibrated(proper, options.temperature) * is_face,
        score,
    )


def faces_one_by_one(images: Sequence[Candidates], options: GraphOptions) -> Faces:
    """What `distinct_faces` does, by torchvision's suppression: what files are verified by."""
    answers = []
    for boxes, proper, score in images:
        kept = nms(boxes, score, _SAME_FACE_IOU)[: options.faces]  # best first
        kept = kept[score[kept] > 0]
        box = F.pad(box_convert(boxes[kept], "xyxy", "xywh"), (0, 0, 0, options.faces - len(kept)))
        columns = (calibrated(proper[kept], options.temperature), score[kept])
        answers.append((box, *(F.pad(values, (0, len(box) - len(kept))) for values in columns)))
    return Faces(*(torch.stack(column) for column in zip(*answers, strict=True)))


def calibrated(proper_mask: Tensor, temperature: float) -> Tensor:
    """Divide the log-odds of a properly worn mask by a temperature."""
    if temperature == 1:
        return proper_mask
    clipped = proper_mask.clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    log_odds = torch.log(clipped) - torch.log(1 - clipped)
    return torch.sigmoid(log_odds / temperature)


def suppress(boxes_xyxy: Tensor, valid: Tensor, iou: float) -> Tensor:
    """Greedy non-maximum suppression of boxes sorted by score, as a fixed point.

    A box stays when it is valid and no better box that stays overlaps it by more than `iou`.
    Started from `valid`, repeating that settles on the greedy result. Boxes are (N, k, 4), best
    first; `valid` and what is returned are (N, k), 0 or 1.
    """
    left, top, right, bottom = boxes_xyxy.unbind(dim=2)  # (N, k)
    # Few operations, since each is one on (N, k, k) values, and takes longer than a small layer.
    width = torch.minimum(right[:, :, None], right[:, None]) - torch.maximum(
        left[:, :, None], left[:, None]
    )
    height = torch.minimum(bottom[:, :, None], bottom[:, None]) - torch.maximum(
        top[:, :, None], top[:, None]
    )
    overlap = width.clamp(min=0) * height.clamp(min=0)
    # overlap > iou * union, with union = both areas - overlap, solved for the overlap.
    share = (right - left) * (bottom - top) * (iou / (1 + iou))
    rank = torch.arange(boxes_xyxy.shape[1], device=boxes_xyxy.device)
    better = rank[None, :] < rank[:, None]  # (k, k): column is better than row
    rivals = ((overlap > share[:, :, None] + share[:, None]) & better).to(valid.dtype)
    keep = valid
    for _ in range(_ROUNDS):
        lost = torch.bmm(rivals, keep[..., None])[..., 0] > 0.5
        keep = valid * (~lost).to(valid.dtype)
    return keep
