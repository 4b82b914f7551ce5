"""What each cell of a dense head should say of the faces on its canvas."""

from typing import NamedTuple

import torch
from torch import Tensor

from .network import Targets

STRIDE = 8  # canvas pixels a cell
# Deviation of the heat about a centre, as a share of the face's side (Liu et al. 2020, TTFNet).
_SPREAD = 0.09
_LEAST_SPREAD = 0.4  # cells
_LEAST_HEAT = 0.3  # cells above it learn the face's box and mask
_LEAST_SIDE = 4.0  # canvas pixels; what is smaller is neither a face nor none


class DenseGoals(NamedTuple):
    """Goals of B x C x C cells."""

    heat: Tensor  # (B, C, C) in 0..1, 1 in the cell that holds a face's centre, falling around it
    counts: Tensor  # (B, C, C), 0 in cells of faces that are too small or cut off, else 1
    weight: Tensor  # (B, C, C), how much a cell's box and mask count: its heat, or 0
    boxes_xyxy: Tensor  # (B, C, C, 4), the face of each such cell, canvas pixels
    proper: Tensor  # (B, C, C), its label, 0 or 1
    box_weight: Tensor  # (B, C, C), `weight`, or 0 where the face's box is not known
    incorrectly: Tensor  # (B, C, C), as of `Targets`


def dense_goals(targets: Targets, cells: int) -> DenseGoals:
    """Spread faces over C cells a side; a cell belongs to the face that heats it most."""
    boxes = targets.faces_xywh  # (B, M, 4)
    low, size = boxes[..., :2], boxes[..., 2:]
    high = low + size
    learnt = targets.learnt & (size.amin(dim=2) >= _LEAST_SIDE)  # (B, M)

    cell = torch.arange(cells, device=boxes.device)
    middle = ((low + high) / (2 * STRIDE)).floor().clamp(0, cells - 1)  # (B, M, 2), whole cells
    spread = (_SPREAD * size / STRIDE).clamp(min=_LEAST_SPREAD)
    fall = torch.exp(-0.5 * ((cell - middle[..., None]) / spread[..., None]) ** 2)  # (B, M, 2, C)
    heats = fall[:, :, 1, :, None] * fall[:, :, 0, None, :]  # (B, M, C, C)
    heats = heats * learnt[..., None, None]
    heat, owner = heats.max(dim=1)  # (B, C, C)

    point = (cell + 0.5) * STRIDE
    inside = (point >= low[..., None]) & (point < high[..., None])  # (B, M, 2, C)
    covered = inside[:, :, 1, :, None] & inside[:, :, 0, None, :]  # (B, M, C, C)
    passed_over = (covered & ~learnt[..., None, None]).any(dim=1)

    flat = owner.flatten(1)  # (B, C * C)

    def of_owner(values: Tensor) -> Tensor:
        return values.gather(1, flat).reshape(-1, cells, cells)

    face = torch.cat([low, high], dim=2).gather(1, flat[..., None].expand(-1, -1, 4))
    weight = heat * (heat > _LEAST_HEAT)
    return DenseGoals(
        heat,
        (~passed_over | (heat == 1)).float(),
        weight,
        face.reshape(-1, cells, cells, 4),
        of_owner(targets.faces_proper),
        weight * of_owner(targets.box_known.float()),
        of_owner(targets.incorrectly),
    )
