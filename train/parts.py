"""The data of a run: training, validation and test samples, cleaned, and what was cleaned away."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskinfer.cleaning import Decision, Mode, clean
from maskinfer.cpu import usable_cores
from maskinfer.dataset import Sample, read_folder, split_folder
from maskinfer.errors import DatasetError, ImageError
from maskinfer.images import load_photo
from maskinfer.lookahead import map_ahead
from maskinfer.results import printable_name

# Held-out samples come in runs of consecutive names: neighbours are often crops of one photo, or
# shots of one scene, and a validation part that shares them with training flatters the network.
_BLOCKS = 10


@dataclass(frozen=True)
class Parts:
    """Samples by what they are for.

    Attributes:
        train: impossible boxes dropped.
        validation: held out of training, by blocks of consecutive names; may be empty.
        test: impossible boxes repaired.
        decisions: each sample that was dropped or repaired.
        names: of the data sets, without the folders they lie in.
    """

    train: list[Sample]
    validation: list[Sample]
    test: list[Sample]
    decisions: list[Decision]
    names: list[str]

    def train_sample(self, most: int) -> list[Sample]:
        """At most so many training samples, evenly spaced, the same each time."""
        if len(self.train) <= most:
            return self.train
        places = np.linspace(0, len(self.train) - 1, most).round().astype(int)
        return [self.train[place] for place in places]

    def summary(self) -> dict[str, Any]:
        """Counts by part and label, and a digest by which changed data is recognised."""
        digest = hashlib.sha256()
        counts: dict[str, dict[str, int]] = {}
        for part in ("train", "validation", "test"):
            samples: list[Sample] = getattr(self, part)
            proper = sum(sample.proper_mask for sample in samples)
            counts[part] = {"proper": proper, "improper": len(samples) - proper}
            names = [part, *(sample.path.name for sample in samples)]
            digest.update(os.fsencode("\0".join(names)))
        return {
            "names": self.names,
            "counts": counts,
            "dropped_or_repaired": len(self.decisions),
            "digest": digest.hexdigest(),
        }


def read_parts(data: Sequence[str], validation: float, seed: int) -> Parts:
    """Read and clean data sets and hold the validation part out.

    Args:
        data: folders that each hold `train/` and `test/`.
        validation: share of the training samples to hold out.
        seed: which of them.

    Raises:
        DatasetError: a folder is missing or holds no usable sample.
    """
    kept: dict[str, list[Sample]] = {"train": [], "test": []}
    held: list[Sample] = []
    decisions: list[Decision] = []
    for folder in map(Path, data):
        for split in ("train", "test"):
            samples, decided = read_part(folder, "train" if split == "train" else "test")
            decisions += decided
            if split == "train":
                samples, part = _hold_out(samples, validation, seed)
                held += part
            kept[split] += samples
    for split, samples in kept.items():
        if not samples:
            raise DatasetError(
                f"{', '.join(data)}: no usable sample in {split}/, {len(decisions)} were dropped"
            )
    names = [Path(folder).resolve().name for folder in data]
    return Parts(kept["train"], held, kept["test"], decisions, names)


def read_part(data: Path, split: Mode) -> tuple[list[Sample], list[Decision]]:
    """One split of a data set, cleaned; each of its images has been decoded once.

    An image that turned out unreadable in the midst of training would cost the epoch.

    Args:
        data: holds `train/` and `test/`.
        split: which of them, and so by which rules it is cleaned.

    Returns:
        the samples that can be used, and a decision for each other image.

    Raises:
        DatasetError: there is no such folder, or not one labelled image in it.
    """
    labelled = read_folder(split_folder(data, split))
    samples, decisions = clean(labelled.samples, split, data)
    decisions += [
        Decision(printable_name(f"{split}/{name}"), "dropped", why)
        for name, why in labelled.unlabelled.items()
    ]
    threads = usable_cores()
    faults = map_ahead(_fault, samples, threads=threads, ahead=4 * threads)
    kept = []
    for sample, fault in zip(samples, faults, strict=True):
        if fault is None:
            kept.append(sample)
        else:
            name = printable_name(sample.path.relative_to(data).as_posix())
            decisions.append(Decision(name, "dropped", f"unreadable image: {fault}"))
    return kept, decisions


def _fault(sample: Sample) -> str | None:
    try:
        load_photo(sample.path, min_side=1)
    except ImageError as error:
        return str(error)
    return None


def _hold_out(samples: list[Sample], share: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Split samples into those to train on and those held out."""
    if share == 0 or len(samples) < 2:
        return samples, []
    wanted = max(1, round(share * len(samples)))
    length = -(-wanted // min(_BLOCKS, wanted))
    blocks = [range(i, min(i + length, len(samples))) for i in range(0, len(samples), length)]
    chosen: set[int] = set()
    for block in np.random.default_rng(seed).permutation(len(blocks)):
        if len(chosen) >= wanted:
            break
        chosen.update(blocks[block])
    held = sorted(chosen)[: len(samples) - 1]
    return (
        [sample for index, sample in enumerate(samples) if index not in set(held)],
        [samples[index] for index in held],
    )
