"""Which of several faces an exported graph answers with, in fixed shapes: no loop, no `NonZero`."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import nms

from maskinfer.train.networks.network import Candidates, Detections

from .settings import GraphOptions

_RIVALS = 64  # candidates to choose among, best first
_SAME_FACE_IOU = 0.5  # boxes that overlap by more are one face
# Each round settles the boxes that depend on one more chain of overlaps. On real photos six gave
# every box that torchvision's greedy suppression of 1,000 gives: docs/results.md.
_ROUNDS = 6
_NEVER = 1e9  # farther than any canvas reaches


def choose(candidates: Candidates, options: GraphOptions, canvas: int) -> Detections:
    """The face of each image that is asked for, among those that score enough.

    Of boxes that overlap, the best-scored counts. Where none scores enough, the best one is taken.

    Args:
        candidates: of B images, K each.
        options: with a face other than `best`.
        canvas: side in pixels.
    """
    count = min(_RIVALS, candidates.score.shape[1])
    score, index = candidates.score.topk(count, dim=1)  # (B, k), best first
    boxes = candidates.boxes_xyxy.gather(1, index[..., None].expand(-1, -1, 4))
    proper = candidates.proper_mask.gather(1, index)
    distinct = suppress(boxes, torch.ones_like(score), _SAME_FACE_IOU)
    first = torch.arange(count, device=score.device) == 0
    eligible = distinct * ((score >= options.face_score) | first).to(score.dtype)
    order = _order(boxes, score, options, canvas) + (1 - eligible) * _NEVER
    winner = order.argmin(dim=1, keepdim=True)  # (B, 1)
    box = boxes.gather(1, winner[..., None].expand(-1, -1, 4))[:, 0]
    return Detections(
        torch.cat([box[:, :2], box[:, 2:] - box[:, :2]], dim=1),
        proper.gather(1, winner)[:, 0],
        score.gather(1, winner)[:, 0],
    )


def choose_one_by_one(
    images: Sequence[Candidates], options: GraphOptions, canvas: int
) -> Detections:
    """What `choose` does, with torchvision's suppression and a loop: what files are verified by."""
    chosen = []
    for boxes, proper, score in images:
        kept = nms(boxes, score, _SAME_FACE_IOU)  # best first
        enough = kept[score[kept] >= options.face_score]
        rivals = enough if len(enough) else kept[:1]
        winner = rivals[_order(boxes[rivals], score[rivals], options, canvas).argmin()]
        box = boxes[winner]
        chosen.append((torch.cat([box[:2], box[2:] - box[:2]]), proper[winner], score[winner]))
    return Detections(*(torch.stack(column) for column in zip(*chosen, strict=True)))


def suppress(boxes_xyxy: Tensor, valid: Tensor, iou: float) -> Tensor:
    """Greedy non-maximum suppression of boxes sorted by score, as a fixed point.

    A box stays when it is valid and no better box that stays overlaps it by more than `iou`.
    Started from `valid`, repeating that settles on the greedy result.

    Args:
        boxes_xyxy: (N, k, 4), best first.
        valid: (N, k), 0 or 1.
        iou: 0..1.

    Returns:
        (N, k), 0 or 1.
    """
    low = torch.maximum(boxes_xyxy[:, :, None, :2], boxes_xyxy[:, None, :, :2])
    high = torch.minimum(boxes_xyxy[:, :, None, 2:], boxes_xyxy[:, None, :, 2:])
    overlap = (high - low).clamp(min=0).prod(dim=3)  # (N, k, k)
    area = (boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]).prod(dim=2)
    union = area[:, :, None] + area[:, None, :] - overlap
    rank = torch.arange(boxes_xyxy.shape[1], device=boxes_xyxy.device)
    better = rank[None, :] < rank[:, None]  # (k, k): column is better than row
    rivals = ((overlap > iou * union) & better).to(valid.dtype)
    keep = valid
    for _ in range(_ROUNDS):
        lost = torch.bmm(rivals, keep[..., None])[..., 0] > 0.5
        keep = valid * (~lost).to(valid.dtype)
    return keep


def _order(boxes_xyxy: Tensor, score: Tensor, options: GraphOptions, canvas: int) -> Tensor:
    """Boxes (..., 4) and scores (...) -> (...), least for the face that is wanted."""
    if options.face == "left":
        return boxes_xyxy[..., 0]
    if options.face == "main":
        return boxes_xyxy[..., 0] * (options.lean / canvas) - score
    return -(boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]).prod(dim=-1)
