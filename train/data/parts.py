"""A run's data: training, validation and test samples, and what cleaning did to them."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from maskinfer.data.cleaning import Decision
from maskinfer.data.dataset import Dataset
from maskinfer.data.labels import Sample
from maskinfer.errors import DatasetError

from .pool import deal, read_pool, read_samples

# Held-out photos come in blocks of consecutive names: neighbours are often shots of one scene, and
# a validation part that shares it with training flatters the network.
_BLOCKS = 10
_DIVIDED = 5  # parts of a folder that is not divided itself, one of them to test on


@dataclass(frozen=True)
class Parts:
    """Samples by what they are for."""

    train: list[Sample]  # impossible boxes dropped
    validation: list[Sample]  # held out, by photo, in blocks of consecutive names; may be empty
    test: list[Sample]  # impossible boxes repaired
    decisions: list[Decision]  # each sample that was dropped or repaired
    names: list[str]  # of the data sets, without the folders they lie in
    divided: list[str] = field(default_factory=list)  # of those that were divided here

    @property
    def by_name(self) -> dict[str, list[Sample]]:
        """The samples of each part."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def summary(self) -> dict[str, Any]:
        """Counts by part and label, and a digest that shows whether data has changed."""
        digest = hashlib.sha256()
        counts: dict[str, dict[str, int]] = {}
        for part, samples in self.by_name.items():
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

    Each folder of `data` holds `train/` and `test/`, or neither: then a fifth of its photos is for
    testing, with their copies, the same for every seed. Of several, one without `test/` only
    teaches, and nothing of it is held out. The seed chooses what is. A `DatasetError` where a
    folder is missing or holds no usable sample.
    """
    kept: dict[str, list[Sample]] = {"train": [], "test": []}
    held: list[Sample] = []
    held_photos: dict[str, bool] = {}
    decided: dict[str, list[Decision]] = {"train": [], "test": []}
    divided: list[str] = []
    for dataset in (Dataset(Path(folder)) for folder in data):
        only_teaches = False
        if dataset.is_divided or not dataset.path.is_dir():
            samples, decisions = read_samples(dataset, "train", "train")
            only_teaches = "test" not in dataset.splits and len(data) > 1
            if not only_teaches:
                tested, repaired = read_samples(dataset, "test", "test")
                kept["test"] += tested
                decided["test"] += repaired
        else:
            samples, tested, decisions = _divide(dataset)
            kept["test"] += tested
            divided.append(str(dataset.path))
        decided["train"] += decisions
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
    decisions = decided["train"] + decided["test"]
    return Parts(kept["train"], held, kept["test"], decisions, names, divided)


def _divide(dataset: Dataset) -> tuple[list[Sample], list[Sample], list[Decision]]:
    """The samples to train on and to test on of a folder without `train/` and `test/`."""
    pool = read_pool(dataset.path)
    photos = len(set(pool.photos))
    if photos < 2:
        raise DatasetError(f"{dataset.path}: got {photos} photo, expected more, to test on some")
    parts = deal(pool.photos, min(_DIVIDED, photos), seed=0)
    samples = list(zip(pool.samples, pool.possible, parts, strict=True))
    trained = [sample for sample, possible, part in samples if part and possible]
    return trained, [sample for sample, _, part in samples if not part], pool.decisions


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
