"""Box algebra on numpy arrays.

Formats stand in the names: `xywh` is left, top, width, height; `xyxy` is left, top, right, bottom.
Right and bottom are the first pixel edge outside, so width = right - left.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Boxes = NDArray[np.float64]


def xywh_to_xyxy(boxes_xywh: ArrayLike) -> Boxes:
    """(..., 4) left, top, width, height -> (..., 4) left, top, right, bottom."""
    boxes = np.array(boxes_xywh, dtype=np.float64)
    boxes[..., 2:] += boxes[..., :2]
    return boxes


def xyxy_to_xywh(boxes_xyxy: ArrayLike) -> Boxes:
    """(..., 4) left, top, right, bottom -> (..., 4) left, top, width, height."""
    boxes = np.array(boxes_xyxy, dtype=np.float64)
    boxes[..., 2:] -= boxes[..., :2]
    return boxes


def clip_xywh(boxes_xywh: ArrayLike, sizes_wh: ArrayLike) -> Boxes:
    """Cut (..., 4) boxes at the border of their images, of (..., 2) or (2,) width and height.

    A box wholly outside gets width or height 0.
    """
    boxes = np.clip(xywh_to_xyxy(boxes_xywh), 0.0, np.tile(sizes_wh, 2))
    boxes[..., 2:] = np.maximum(boxes[..., 2:], boxes[..., :2])
    return xyxy_to_xywh(boxes)


def iou_xywh(a_xywh: ArrayLike, b_xywh: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union, (...) in 0..1, of (..., 4) boxes of shapes that broadcast.

    Widths and heights are at least 0; where either box is empty, it is 0.
    """
    a, b = xywh_to_xyxy(a_xywh), xywh_to_xyxy(b_xywh)
    overlap_wh = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    intersection = np.prod(np.maximum(overlap_wh, 0.0), axis=-1)
    area_a = np.prod(np.maximum(a[..., 2:] - a[..., :2], 0.0), axis=-1)
    area_b = np.prod(np.maximum(b[..., 2:] - b[..., :2], 0.0), axis=-1)
    union = area_a + area_b - intersection
    iou = np.zeros(np.shape(union))
    np.divide(intersection, union, out=iou, where=union > 0)
    return iou
