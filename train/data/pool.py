"""All labelled images of a data set, divided by photo with its copies."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from maskinfer.data.cleaning import Decision, Mode
from maskinfer.data.dataset import Dataset
from maskinfer.data.duplicates import Hashes, find_copies, join_copies, perceptual_hash
from maskinfer.data.geometry import Geometry, decode_wh
from maskinfer.data.images import load_photo, smallest
from maskinfer.data.labels import Sample
from maskinfer.errors import DatasetError, ImageError
from maskinfer.threads import map_ahead

# Consecutive names are often shots of one scene: blocks of them stay in one part.
_BLOCKS = 10  # a part
_HASHED = 224  # pixels a side that are enough for a hash


def read_samples(
    data: Dataset, mode: Mode, split: str | None = None
) -> tuple[list[Sample], list[Decision]]:
    """Labelled images of a split, or of all, cleaned, with the other faces that side lists name.

    Each image is decoded once, as one that proved unreadable during training would cost the epoch.
    Returns the samples that can be used, and a decision for each other image; a `DatasetError`
    where not one image is labelled, or a list is damaged.
    """
    samples, decisions, unlabelled = data.samples(mode, split)
    decisions += unlabelled
    kept = []
    for sample, fault in zip(samples, map_ahead(_fault, samples), strict=True):
        name = data.name_of(sample.path)
        if fault is None:
            if not data.has_box(name):
                raise DatasetError(
                    f"{data.path}: {name} is labelled without a box, as others may be; networks "
                    "learn from boxes. Evaluate with it, or annotate boxes"
                )
            others = data.other_faces.get(name, ())
            kept.append(replace(sample, others=others, crowds=data.crowds(name)))
        else:
            decisions.append(Decision.unreadable(name, fault))
    return kept, decisions


def _fault(sample: Sample) -> str | None:
    try:
        load_photo(sample.path, least_wh=smallest)
    except ImageError as error:
        return str(error)
    return None


class Pool(NamedTuple):
    """All labelled images of a data set that can be decoded."""

    samples: list[Sample]  # impossible boxes repaired
    possible: list[bool]  # for each, whether its box was possible, so that it may be learned
    photos: list[str]  # for each, the photo it was cut from or is a copy of
    decisions: list[Decision]  # each image that was dropped or repaired


def read_pool(data: Path) -> Pool:
    """Read all labelled images of a data set, those of its splits together.

    A `UsageError` or `DatasetError` where it is missing, or a split of it holds no label.
    """
    dataset = Dataset.open(data.resolve())
    samples, decisions = read_samples(dataset, "test")
    repaired = {d.filename for d in decisions if d.action == "repaired"}
    possible = [dataset.name_of(sample.path) not in repaired for sample in samples]
    photos = [dataset.photo_of(sample.path) for sample in samples]
    return Pool(samples, possible, _joined_copies(samples, photos), decisions)


def _joined_copies(samples: Sequence[Sample], photos: Sequence[str]) -> list[str]:
    """The photos, copies of one taken as one: no fold learns a copy of what another judges."""

    def look(sample: Sample) -> Hashes:
        least_wh = partial(decode_wh, Geometry.letterbox(_HASHED))
        return perceptual_hash(load_photo(sample.path, least_wh).image)

    hashes = np.array(list(map_ahead(look, samples))).reshape(-1, 5)
    return join_copies(photos, find_copies(hashes))


def deal(photos: Sequence[str], folds: int, seed: int) -> list[int]:
    """Deal images into folds, photo by photo, in blocks of consecutive photos.

    Given the photo (N,) that each image was cut from, in the order of the images' names, returns
    each image's fold (N,), from 0. There are at least 2 folds, and as many photos as folds.
    """
    distinct = list(dict.fromkeys(photos))
    blocks = min(len(distinct), folds * _BLOCKS)
    rng = np.random.default_rng(seed)
    # Each round of k blocks gives one to every fold, so that folds are of about one size.
    rounds = [rng.permutation(folds) for _ in range(-(-blocks // folds))]
    fold_of_block = np.concatenate(rounds)
    fold_of = {
        photo: int(fold_of_block[place * blocks // len(distinct)])
        for place, photo in enumerate(distinct)
    }
    return [fold_of[photo] for photo in photos]
