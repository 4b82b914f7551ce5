"""From samples to batches: decoding, drawing on canvases, the order of an epoch, normalisation.

Every random choice follows from the seed, the epoch and the position in the epoch, so a resumed
run continues exactly as it would have, whatever the number of worker processes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from maskinfer.data.boxes import Boxes
from maskinfer.data.geometry import Geometry, Placement, decode_wh, image_to_canvas, place
from maskinfer.data.images import load_photo
from maskinfer.data.labels import Sample
from maskinfer.data.pixels import Pixels
from maskinfer.errors import ImageError, TrainingError
from maskinfer.threads import usable_cores
from maskinfer.train.networks.network import Targets
from maskinfer.train.settings import Augmentation, TrainSettings

from .augmentation import random_color, random_crop, random_zoom

# Decoded pixels per canvas pixel: augmentation enlarges parts of the photo.
_OVERSAMPLING = 4.0
_LEAST_SEEN = 0.5  # of a face's area: with less in view, neither face nor background is taught


class Key(NamedTuple):
    """Which sample to draw, and when in the run, which seeds its augmentation."""

    epoch: int
    position: int
    sample: int


class Item(NamedTuple):
    """One sample, drawn on its canvas."""

    canvas: Pixels  # (S, S, 3)
    faces_on_canvas: Boxes  # (M, 4) x, y, w, h, the labelled one first; may reach past the canvas
    extent: NDArray[np.float64]  # of the photo on the canvas: left, top, right, bottom
    sample: Sample
    placement: Placement


class Batch(NamedTuple):
    """Samples drawn on their canvases.

    Attributes:
        canvases: (B, S, S, 3) uint8.
        targets: boxes in canvas pixels, labels.
        samples: B samples, their boxes in image pixels.
        placements: B placements, to bring boxes back to image pixels.
    """

    canvases: Tensor
    targets: Targets
    samples: list[Sample]
    placements: list[Placement]


@dataclass(eq=False)
class SampleCanvases(Dataset[Item]):
    """Samples, drawn on canvases as inference would draw them, augmented when training."""

    samples: Sequence[Sample]
    geometry: Geometry
    augment: tuple[Augmentation, ...] = ()
    seed: int = 0

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: Key) -> Item:
        sample = self.samples[key.sample]
        rng = np.random.default_rng((self.seed, key.epoch, key.position))
        least_wh = partial(decode_wh, self.geometry, oversampling=_OVERSAMPLING)
        try:
            photo = load_photo(sample.path, least_wh)
        except ImageError as error:
            raise TrainingError(f"{sample.path}: {error}. Remove it from the data set") from error
        boxes = [sample.box_xywh, *(other.box_xywh for other in sample.others)]
        faces = np.array(boxes, dtype=np.float64)
        if "crop" in self.augment:
            photo, faces = random_crop(photo, faces, rng)
        if "zoom" in self.augment:
            photo, faces = random_zoom(photo, faces, rng)
        canvas, placement = place(photo, self.geometry)
        faces = image_to_canvas(faces, [placement] * len(faces))
        side = self.geometry.canvas
        corner = np.array(placement.offset_xy)
        far = corner + np.array(placement.scale_xy) * placement.size_wh
        extent = np.clip(np.concatenate([corner, far]), 0, side)
        if "flip" in self.augment and rng.random() < 0.5:
            canvas = np.ascontiguousarray(canvas[:, ::-1])
            faces[:, 0] = side - faces[:, 0] - faces[:, 2]
            extent[[0, 2]] = side - extent[[2, 0]]
        if "color" in self.augment:
            canvas = random_color(canvas, rng)
        return Item(canvas, faces, extent, sample, placement)


def collate(items: list[Item]) -> Batch:
    """Items -> a batch."""
    return Batch(
        torch.from_numpy(np.stack([item.canvas for item in items])),
        _targets(items),
        [item.sample for item in items],
        [item.placement for item in items],
    )


def _targets(items: list[Item]) -> Targets:
    most = max(len(item.faces_on_canvas) for item in items)
    boxes = np.zeros((len(items), most, 4), dtype=np.float32)
    proper = np.zeros((len(items), most), dtype=np.float32)
    learnt = np.zeros((len(items), most), dtype=bool)
    for row, item in enumerate(items):
        faces, sample = item.faces_on_canvas, item.sample
        low = np.maximum(faces[:, :2], item.extent[:2])
        high = np.minimum(faces[:, :2] + faces[:, 2:], item.extent[2:])
        seen = np.maximum(high - low, 0)
        count = len(faces)
        boxes[row, :count] = np.concatenate([low, seen], axis=1)
        proper[row, :count] = [sample.proper_mask, *(o.proper_mask for o in sample.others)]
        area = faces[:, 2:].prod(axis=1)
        learnt[row, :count] = (area > 0) & (seen.prod(axis=1) >= _LEAST_SEEN * area)
    return Targets(
        torch.from_numpy(np.stack([item.faces_on_canvas[0] for item in items])).float(),
        torch.tensor([float(item.sample.proper_mask) for item in items]),
        torch.from_numpy(boxes),
        torch.from_numpy(proper),
        torch.from_numpy(learnt),
    )


@dataclass(eq=False)
class EpochOrder(Sampler[Key]):
    """The order of one epoch's training samples, and this process's share of it.

    Every process gets as many samples as any other. With `balance` both labels are drawn equally
    often: samples of the rarer label are repeated, and the epoch's length stays.
    """

    proper: NDArray[np.bool_]
    balance: bool
    seed: int
    processes: int
    process: int
    epoch: int = 0

    def __len__(self) -> int:
        return -(-len(self.proper) // self.processes)

    def __iter__(self) -> Iterator[Key]:
        order = np.resize(self._order(), len(self) * self.processes)
        for position in range(self.process, len(order), self.processes):
            yield Key(self.epoch, position, int(order[position]))

    def _order(self) -> NDArray[np.int64]:
        rng = np.random.default_rng((self.seed, self.epoch))
        count = len(self.proper)
        classes = [np.flatnonzero(self.proper), np.flatnonzero(~self.proper)]
        if not self.balance or min(map(len, classes)) == 0:
            return rng.permutation(count)
        shares = (count - count // 2, count // 2)
        drawn = [
            np.resize(rng.permutation(members), share)
            for members, share in zip(classes, shares, strict=True)
        ]
        return rng.permutation(np.concatenate(drawn))


class Share(Sampler[Key]):
    """Every sample once, in order, dealt out among the processes."""

    def __init__(self, count: int, processes: int, process: int) -> None:
        self.processes = processes
        self.indices = range(process, count, processes)

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Key]:
        return (Key(0, index, index) for index in self.indices)


def loader(
    canvases: SampleCanvases, order: EpochOrder | Share, settings: TrainSettings
) -> DataLoader[Item]:
    """Batches in the order given.

    Args:
        canvases: the samples.
        order: which samples, in which order.
        settings: canvases a batch, over all processes together, and how many processes decode:
            half the cores, at most 8, where that is None.
    """
    batch_size, workers = settings.batch_size // order.processes, settings.workers
    return DataLoader(
        canvases,
        batch_size=batch_size,
        sampler=order,
        num_workers=min(8, usable_cores() // 2) if workers is None else workers,
        collate_fn=collate,
        # In training, a last batch that is not full would disturb batch normalisation: it is left
        # out unless it is the only one.
        drop_last=isinstance(order, EpochOrder) and len(order) >= batch_size,
        pin_memory=torch.cuda.is_available(),
    )


def measure_normalisation(
    samples: Sequence[Sample], geometry: Geometry, seed: int, most: int = 500
) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each colour over training canvases, in 0..255.

    Args:
        samples: the training samples.
        geometry: how they become canvases.
        seed: chooses canvases, where there are more than `most`.
        most: how many canvases are enough.

    Returns:
        three means, and three deviations of at least 1.
    """
    canvases = SampleCanvases(samples, geometry)
    chosen = np.random.default_rng(seed).permutation(len(samples))[:most]
    total, squares, pixels = np.zeros(3), np.zeros(3), 0
    for index in sorted(chosen.tolist()):
        canvas = canvases[Key(0, 0, index)].canvas.reshape(-1, 3).astype(np.float64)
        total += canvas.sum(axis=0)
        squares += (canvas**2).sum(axis=0)
        pixels += len(canvas)
    mean = total / pixels
    deviation = np.sqrt(np.maximum(squares / pixels - mean**2, 1.0))
    return mean.tolist(), deviation.tolist()
