"""Which photos of an annotated source are for training and which for testing."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Literal

from .annotations import AnnotatedImage, Skipped, read_split_lists, stem_of


def assign_splits(
    images: list[AnnotatedImage], src: Path, fraction: float
) -> tuple[list[AnnotatedImage], list[Skipped], bool]:
    """Give every photo the split `train` or `test`.

    The source's own lists and folders decide. A validation part joins training where there is a
    test part, else it is the test part.

    Args:
        images: as a reader yields them, `split` None where no folder says.
        src: the source, for its lists of names.
        fraction: share of the photos to test on, where the source names no test part.

    Returns:
        the photos, each in `train` or `test`; those in no split, where the source names splits; and
        whether the test set was drawn here, as the source names none.
    """
    lists = read_split_lists(src)
    if lists:
        images = [replace(image, split=lists.get(stem_of(image.source))) for image in images]
    named = {image.split for image in images if image.split is not None}
    skipped: list[Skipped] = []
    if named:
        why = "in no split that the source names"
        skipped = [Skipped(image.source, why) for image in images if image.split is None]
        images = [image for image in images if image.split is not None]
    if named <= {"train"}:
        return _hold_out(images, fraction), skipped, True
    val_is: Literal["train", "test"] = "train" if "test" in named else "test"
    images = [replace(i, split=val_is) if i.split == "val" else i for i in images]
    return images, skipped, False


def _hold_out(images: list[AnnotatedImage], fraction: float) -> list[AnnotatedImage]:
    """Draw the test set by a hash of the file name: the same photos each time, on every machine."""

    def draw(image: AnnotatedImage) -> float:  # range [0, 1)
        name = image.path.name.encode(errors="surrogateescape")
        return int.from_bytes(hashlib.sha256(name).digest()[:6], "big") / 2**48

    # One photo at the least, where there are two.
    least = min((draw(image) for image in images), default=0.0) if len(images) > 1 else -1.0
    return [
        replace(image, split="test" if draw(image) < fraction or draw(image) == least else "train")
        for image in images
    ]
