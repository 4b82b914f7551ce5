"""Which face of a photo is labelled, and what is cropped around it."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from maskinfer.data.cleaning import find_fault
from maskinfer.data.labels import BoxXywh

from .annotations import BoxXywhFloat

# In face sizes, on each side of the face's longer side: a crop of up to three face sizes.
_CROP_MARGIN = 1.0


def fit_box(box_xywh: BoxXywhFloat, size_wh: tuple[int, int]) -> tuple[BoxXywh | None, str | None]:
    """Round a box's edges to whole pixels and clip it into its image, of that width and height.

    Returns it, or None where nothing is left of it; and what was wrong with it, or None. An edge
    less than half a pixel past the border is not wrong: that is how fractions round.
    """
    x, y, w, h = box_xywh
    edges = round(x), round(y), round(x + w), round(y + h)
    fault = find_fault((edges[0], edges[1], edges[2] - edges[0], edges[3] - edges[1]), size_wh)
    reason = fault and fault.reason
    left, right = (min(max(edge, 0), size_wh[0]) for edge in (edges[0], edges[2]))
    top, bottom = (min(max(edge, 0), size_wh[1]) for edge in (edges[1], edges[3]))
    if right <= left or bottom <= top:
        return None, reason
    return (left, top, right - left, bottom - top), reason


def straighten(box_xywh: BoxXywhFloat) -> tuple[BoxXywhFloat, str | None]:
    """Mend a box whose corners were swapped, so that a side is negative; and what was wrong."""
    x, y, w, h = box_xywh
    if w >= 0 and h >= 0:
        return box_xywh, None
    reason = f"swapped corners in box [{x:g}, {y:g}, {w:g}, {h:g}]"
    return (min(x, x + w), min(y, y + h), abs(w), abs(h)), reason


def in_fractions(box_xywh: BoxXywhFloat) -> bool:
    """Whether a box must be in fractions of its image: in pixels, it would be two at most."""
    x, y, w, h = box_xywh
    return w > 0 and h > 0 and max(abs(x), abs(y), x + w, y + h) < 2


def neighbours(boxes_xywh: NDArray[np.int64], number: int) -> list[int]:
    """The places of those of a photo's (N, 4) boxes that can matter to the crop around one of them.

    They are less than two margins away: half-way to others, the crop has ended anyway.
    """
    x, y, w, h = boxes_xywh[number].tolist()
    reach = 2 * round(_CROP_MARGIN * max(w, h))
    left, top = boxes_xywh[:, 0], boxes_xywh[:, 1]
    near = (left <= x + w + reach) & (left + boxes_xywh[:, 2] >= x - reach)
    near &= (top <= y + h + reach) & (top + boxes_xywh[:, 3] >= y - reach)
    near[number] = False
    return np.flatnonzero(near).tolist()


def choose_face(boxes_xywh: Sequence[BoxXywh], face: Literal["left", "largest"]) -> int:
    """The index of the left-most box, or of the largest; of equals the upper, then the first."""
    keys = [(-w * h if face == "largest" else 0, x, y) for x, y, w, h in boxes_xywh]
    return keys.index(min(keys))


def crop_around(
    box_xywh: BoxXywh, others_xywh: Sequence[BoxXywh], size_wh: tuple[int, int]
) -> tuple[int, int, int, int]:
    """A crop in which a face is the left-most and the largest, where its neighbours allow that.

    The crop takes the face and its longer side on all four sides, inside the image. Faces that
    begin further left, and larger faces, are cut off half-way between the two, in the direction
    with the widest gap. A neighbour that overlaps the face cannot be cut off; one that begins
    further left is cut at the face's left edge. All boxes lie inside the image, as does the crop:
    left, top, right, bottom in pixels.
    """
    x, y, w, h = box_xywh
    margin = round(_CROP_MARGIN * max(w, h))
    border = {"left": x, "above": y, "right": size_wh[0] - x - w, "below": size_wh[1] - y - h}
    reach = {side: min(margin, length) for side, length in border.items()}
    for other_x, other_y, other_w, other_h in others_xywh:
        further_left = other_x < x
        if not further_left and other_w * other_h <= w * h:
            continue
        gaps = {
            "left": x - (other_x + other_w),
            "above": y - (other_y + other_h),
            "right": other_x - (x + w),
            "below": other_y - (y + h),
        }
        side = max(gaps, key=lambda side: gaps[side])
        if gaps[side] >= 0:
            reach[side] = min(reach[side], gaps[side] // 2)
        elif further_left:
            reach["left"] = 0
    return x - reach["left"], y - reach["above"], x + w + reach["right"], y + h + reach["below"]
