"""A run's data: training, validation and test samples, and what cleaning did to them."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from maskinfer.data.cleaning import Decision, Mode
from maskinfer.data.dataset import Dataset
from maskinfer.data.images import load_photo, smallest
from maskinfer.data.labels import Sample
from maskinfer.errors import DatasetError, ImageError
from maskinfer.threads import map_ahead

# Held-out photos come in blocks of consecutive names: neighbours are often shots of one scene, and
# a validation part that shares it with training flatters the network.
_BLOCKS = 10


@dataclass(frozen=True)
class Parts:
    """Samples by what they are for."""

    train: list[Sample]  # impossible boxes dropped
    validation: list[Sample]  # held out, by photo, in blocks of consecutive names; may be empty
    test: list[Sample]  # impossible boxes repaired
    decisions: list[Decision]  # each sample that was dropped or repaired
    names: list[str]  # of the data sets, without the folders they lie in

    def summary(self) -> dict[str, Any]:
        """Counts by part and label, and a digest that shows whether data has changed."""
        digest = hashlib.sha256()
        counts: dict[str, dict[str, int]] = {}
        for part in ("train", "validation", "test"):
            samples: list[Sample] = getattr(self, part)
            proper = sum(sample.proper_mask for sample in samples)
            counts[part] = {"proper": proper, "improper": len(samples) - proper}
            names = [part, *(sample.path.name for sample in samples)]
            digest.update(os.fsencode("\0".join(names)))
            digest.update("".join(repr(s.faces) for s in samples).encode())
        return {
            "names": self.names,
            "counts": counts,
            "dropped_or_repaired": len(self.decisions),
            "digest": digest.hexdigest(),
        }


def read_parts(data: Sequence[str], validation: float, seed: int) -> Parts:
    """Read and clean data sets, and hold a share of the training samples out for validation.

    Each folder of `data` holds `train/` and `test/`; of several, one without `test/` only teaches,
    and nothing of it is held out. The seed chooses what is. A `DatasetError` where a folder is
    missing or holds no usable sample.
    """
    kept: dict[str, list[Sample]] = {"train": [], "test": []}
    held: list[Sample] = []
    held_photos: dict[str, bool] = {}
    decided: dict[str, list[Decision]] = {"train": [], "test": []}
    for dataset in (Dataset(Path(folder)) for folder in data):
        samples, decisions = read_samples(dataset, "train", "train")
        decided["train"] += decisions
        only_teaches = "test" not in dataset.splits and len(data) > 1
        if not only_teaches:
            tested, decisions = read_samples(dataset, "test", "test")
            kept["test"] += tested
            decided["test"] += decisions
        photos = [dataset.photo_of(sample.path) for sample in samples]
        # Crops of one photo may lie in several data sets: the first decides where it goes.
        fresh = [photo for photo in dict.fromkeys(photos) if photo not in held_photos]
        held_photos |= _choose_held(fresh, 0.0 if only_teaches else validation, seed)
        for sample, photo in zip(samples, photos, strict=True):
            (held if held_photos[photo] else kept["train"]).append(sample)
    for split, samples in kept.items():
        if not samples:
            raise DatasetError(
                f"{', '.join(data)}: no usable sample in {split}/, {len(decided[split])} were "
                "dropped"
            )
    names = [Path(folder).resolve().name for folder in data]
    return Parts(kept["train"], held, kept["test"], decided["train"] + decided["test"], names)


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


def _choose_held(photos: list[str], share: float, seed: int) -> dict[str, bool]:
    """Which photos are held out of training: about that share, never all."""
    if share == 0 or len(photos) < 2:
        return dict.fromkeys(photos, False)
    wanted = min(max(1, round(share * len(photos))), len(photos) - 1)
    length = -(-wanted // min(_BLOCKS, wanted))
    blocks = [range(i, min(i + length, len(photos))) for i in range(0, len(photos), length)]
    order = np.random.default_rng(seed).permutation(len(blocks))
    held = set([index for block in order for index in blocks[block]][:wanted])
    return {photo: index in held for index, photo in enumerate(photos)}
