"""What a data set holds, as `exploring` measures it, and what its owner should know of that."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskinfer.data.folders import Failure
from maskinfer.evaluation.labelled import LabelledPrediction
from maskinfer.text import counted, strict_json
from maskinfer.version import __version__

from .explored_split import ExploredSplit
from .opinions import opinion_facts

# How far apart the colours of two splits must be, in 0..255, to be warned of: their means, also by
# three standard errors, and their deviations. The deviations of two draws of 40 photos from one
# source differ by up to 5; those of fewer than 20 photos are not compared.
_MEANS_APART, _STANDARD_ERRORS = 5.0, 3.0
_DEVIATIONS_APART, _LEAST_PHOTOS = 10.0, 20
_QUANTILES = (0, 5, 25, 50, 75, 95, 100)

_RARE = 0.1  # share of a label that is easily overlooked
_LEAST_LABELS = 20  # of a split that is compared with another, or with a model
# How far apart the shares of proper masks of two splits are, at least, also by three standard
# errors, to be warned of.
_SHARES_APART = 0.1
_FULL = 0.95  # of an image's width and height
# A box is off by this share of its side, or is larger or smaller by it, and most are so alike.
_OFF = 0.15
_ALIKE = 0.12  # how near most boxes are to the median, as a share of the labelled side
_MOST = 0.5  # share of labels


@dataclass(frozen=True)
class CopiedPhoto:
    """Images of the same photo."""

    kind: str  # `exact` where the files have the same bytes, else `near`
    filenames: tuple[str, ...]  # at least two, relative to the data set
    across: bool  # whether they are in more than one split
    contradiction: str | None  # what their labels disagree about; None where they agree


@dataclass(frozen=True)
class Exploration:
    """What exploring a data set has shown."""

    data: Path
    splits: dict[str, ExploredSplit]  # its parts, by name
    copies: list[CopiedPhoto]
    doubted: list[LabelledPrediction]  # labels that the model contradicts, the surest first
    model: str | None  # the file of that model; None where none was asked
    outside: int = 0  # how many images lie outside of `train/` and `test/`

    def warnings(self) -> Iterator[str]:
        """What the owner should know, one line each, the worst first."""
        if across := [copied for copied in self.copies if copied.across]:
            names = {name for copied in across for name in copied.filenames}
            tested = [name for name in names if name.startswith("test/")]
            yield (
                f"{_count(len(across), 'photo')} in more than one split: {len(tested)} of test/ "
                "are known from train/, which makes test figures look better than they are"
            )
        if contradictory := sum(copied.contradiction is not None for copied in self.copies):
            yield f"labels contradict each other on copies of {counted(contradictory, 'photo')}"
        if within := len(self.copies) - len(across):
            yield f"{_count(within, 'photo')} duplicated within a split"
        if self.doubted:
            yield (
                f"{_count(len(self.doubted), 'label')} contradicted by the model {self.model}, "
                "which may be wrong itself; for a thorough search: maskinfer audit"
            )
        for split in self.splits.values():
            yield from _warnings_of(split)
        if {"train", "test"} <= set(self.splits):
            if shares := share_warning(self.splits["train"], self.splits["test"]):
                yield shares
            yield from _color_warnings(self.splits["train"], self.splits["test"])
        elif "train" in self.splits:
            yield "there is no test/: no images to measure on that were not trained on"
        elif "test" in self.splits:
            yield "there is no train/: no images to train on"
        if self.outside:
            yield f"{_count(self.outside, 'image')} outside of train/ and test/, and left out"

    def to_dict(self) -> dict[str, Any]:
        """All of it, fit for JSON."""
        facts = {
            "data": str(self.data),
            "model": self.model,
            "warnings": [*self.warnings()],
            "splits": {name: _split_facts(split) for name, split in self.splits.items()},
            "copies": [*map(asdict, self.copies)],
            "doubted_labels": [*map(opinion_facts, self.doubted)],
            "outside": self.outside,
            "maskinfer_version": __version__,
        }
        return dict(strict_json(facts))


def quantiles(values: ArrayLike) -> dict[str, float] | None:
    """Least, greatest and percentiles of values; None where there are none."""
    numbers = np.asarray(values, dtype=np.float64)
    if not numbers.size:
        return None
    names = ("min", *(f"p{q}" for q in _QUANTILES[1:-1]), "max")
    return dict(zip(names, np.percentile(numbers, _QUANTILES).round(4).tolist(), strict=True))


def _count(count: int, noun: str, plural: str | None = None) -> str:
    return f"{counted(count, noun, plural)} {'is' if count == 1 else 'are'}"


def _warnings_of(split: ExploredSplit) -> Iterator[str]:
    place = f"in {split.name}/"
    if split.unreadable:
        yield f"{_count(len(split.unreadable), 'file')} unreadable {place}"
    if split.impossible:
        action = "repaired" if split.name == "test" else "dropped when training"
        yield f"{_count(len(split.impossible), 'box', 'boxes')} impossible {place}; {action}"
    if split.unlabelled:
        yield f"{_count(len(split.unlabelled), 'image')} without a label that can be read {place}"
    yield from label_warnings(split)
    if shifts := shift_warning(split):
        yield shifts


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


def _color_warnings(train: ExploredSplit, test: ExploredSplit) -> Iterator[str]:
    if train.colors is None or test.colors is None:
        return
    chance = _STANDARD_ERRORS * np.hypot(train.colors.mean_error, test.colors.mean_error)
    enough = min(len(train.filenames), len(test.filenames)) >= _LEAST_PHOTOS
    mean = (train.colors.mean, test.colors.mean, np.maximum(chance, _MEANS_APART))
    std = (train.colors.std, test.colors.std, _DEVIATIONS_APART if enough else np.inf)
    figures = {"mean colour": mean, "contrast (standard deviation)": std}
    for words, (ours, theirs, least) in figures.items():
        if (np.abs(ours - theirs) > least).any():
            yield (
                f"the {words} of train/ and test/ differs: {_rgb(ours)} against {_rgb(theirs)} "
                "of 255; normalise both by train/ alone, as maskinfer does"
            )


def _rgb(values: NDArray[np.float64]) -> str:
    return "/".join(f"{value:.0f}" for value in values)


def _split_facts(split: ExploredSplit) -> dict[str, Any]:
    colors = split.colors._asdict() if split.colors is not None else {}
    return {
        "folder": str(split.folder),
        "images": len(split.filenames),
        "proper": split.count(True),
        "improper": split.count(False),
        "unlabelled": _failures(split.unlabelled),
        "unreadable": _failures(split.unreadable),
        "impossible_boxes": [*map(asdict, split.impossible)],
        **{name: quantiles(values) for name, values in split.measures().items()},
        "box_coverage": split.coverage().round(4).tolist(),
        "colors": {name: values.round(3).tolist() for name, values in colors.items()} or None,
    }


def _failures(failures: list[Failure]) -> list[dict[str, str]]:
    return [{"filename": failure.filename, "reason": failure.error} for failure in failures]
