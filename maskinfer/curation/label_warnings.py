"""What is wrong with the labels of a split as a whole, which no single label shows."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .explored_split import ExploredSplit

_RARE = 0.1  # share of a label that is easily overlooked
_LEAST_LABELS = 20  # of a split that is compared with another, or with a model
# How far apart the shares of proper masks of two splits are, at least, also by three standard
# errors, to be warned of.
_SHARES_APART, _STANDARD_ERRORS = 0.1, 3.0
_FULL = 0.95  # of an image's width and height
# A box is off by this share of its side, or is larger or smaller by it, and most are so alike.
_OFF = 0.15
_ALIKE = 0.12  # how near most boxes are to the median, as a share of the labelled side
_MOST = 0.5  # share of labels


def shift_warning(split: ExploredSplit) -> str | None:
    """Whether most labelled boxes differ from the model's in the same way."""
    labels, predicted = np.split(split.boxes_beside, 2, axis=1)  # (N, 4) each
    if len(labels) < _LEAST_LABELS:
        return None
    shifts = (labels - predicted) / np.maximum(np.tile(predicted[:, 2:], 2), 1)
    median = np.median(shifts, axis=0)
    allowed = _ALIKE * (1 + np.abs(median))
    alike: NDArray[np.bool_] = np.all(np.abs(shifts - median) <= allowed, axis=1)
    if alike.mean() < _MOST or np.abs(median).max() < _OFF:
        return None
    dx, dy, dw, dh = (f"{100 * share:+.0f} %" for share in median)
    return (
        f"the boxes of {alike.sum()} of {len(alike)} labels in {split.name}/ differ from the "
        f"model's in the same way: left edge {dx}, upper edge {dy}, width {dw}, height {dh} of the "
        "model's sides; do they belong to another crop, or hold a centre instead of a corner?"
    )


def label_warnings(split: ExploredSplit) -> Iterator[str]:
    """What the owner of a split should know of its labels, one line each."""
    place = f"in {split.name}/"
    proper, improper = split.count(True), split.count(False)
    count = proper + improper
    if not count:
        yield f"no image {place} has a label that can be read"
        return
    rarer = min(proper, improper)
    word = "properly" if proper < improper else "improperly"
    if not rarer:
        yield f"no mask {place} is labelled as {word} worn: a network learns one answer of it"
    elif rarer < _RARE * count:
        yield (
            f"only {rarer} of {count} masks {place} are labelled as {word} worn; "
            "look at balanced accuracy, not at accuracy"
        )
    full = int((split.relative_boxes()[:, 2:] >= _FULL).all(axis=1).sum())
    if full > count / 2:
        yield (
            f"{full} of {count} boxes {place} fill their image, so that a network learns nothing "
            "about where faces are; were the images cut out along the boxes?"
        )


def share_warning(train: ExploredSplit, test: ExploredSplit) -> str | None:
    """Whether properly worn masks are more frequent in one split than in the other."""
    proper = np.array([split.count(True) for split in (train, test)])
    counts = proper + [split.count(False) for split in (train, test)]
    if counts.min() < _LEAST_LABELS:
        return None
    shares = proper / counts
    both = proper.sum() / counts.sum()
    error = np.sqrt(both * (1 - both) * (1 / counts).sum())
    if abs(shares[0] - shares[1]) <= max(_SHARES_APART, _STANDARD_ERRORS * error):
        return None
    return (
        f"{shares[0]:.0%} of the masks in train/ are labelled as properly worn and {shares[1]:.0%} "
        "in test/: thresholds and accuracies of the one do not hold for the other"
    )
