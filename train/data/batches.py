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
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from maskinfer.data.boxes import Boxes
from maskinfer.data.geometry import Geometry, Placement, decode_wh, image_to_canvas, place
from maskinfer.data.images import load_photo
from maskinfer.data.labels import Face, Sample
from maskinfer.data.pixels import Pixels
from maskinfer.errors import ImageError, TrainingError
from maskinfer.threads import usable_cores
from maskinfer.train.networks.network import Targets
from maskinfer.train.settings import Augmentation, TrainSettings

from .augmentation import Changes, random_background, random_crop, random_zoom
from .decoded import DecodedPhotos

# Decoded pixels per canvas pixel where a change enlarges a part of the photo; else inference's.
_OVERSAMPLING = 4.0
_ENLARGING = {"crop", "zoom", "background"}
_KEPT_BYTES = 400 * 2**20  # of a part's canvases that are measured after every epoch
_LEAST_SEEN = 0.5  # of a face's area: with less in view, neither face nor background is taught
_BACKGROUNDS = 1 / 16  # of training canvases
_MOSAICS = 1 / 3  # of training canvases
_QUARTERS = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])  # of a mosaic: from the left, from the top
_SIDES = 1  # sets the draw of canvases' sides apart from that of their order


class Key(NamedTuple):
    """Which sample to draw, on a canvas of which side, and when in the run, which seeds chance."""

    epoch: int
    position: int
    sample: int
    canvas: int | None = None  # None: that of the geometry


class CanvasFaces(NamedTuple):
    """The M known faces and crowds of a canvas, the labelled face first; columns of `Targets`."""

    boxes_xywh: Boxes  # (M, 4), clipped to the photo on the canvas
    proper: NDArray[np.float32]
    learnt: NDArray[np.bool_]
    box_known: NDArray[np.bool_]
    incorrectly: NDArray[np.float32]


class Item(NamedTuple):
    """One sample, drawn on its canvas."""

    key: Key
    canvas: Pixels  # (S, S, 3)
    label_xywh: Boxes  # (4,), may reach past the canvas
    faces: CanvasFaces
    sample: Sample
    placement: Placement
    changes: Changes


class Batch(NamedTuple):
    """B samples, drawn on their canvases."""

    canvases: Tensor  # (B, S, S, 3) uint8
    targets: Targets
    samples: list[Sample]  # their boxes in image pixels
    placements: list[Placement]
    changes: Changes | None  # yet to be made to canvases and targets; None where none ever are


@dataclass(eq=False)
class SampleCanvases(Dataset[Item]):
    """Samples, drawn on canvases as inference would draw them, augmented when training."""

    samples: Sequence[Sample]
    geometry: Geometry
    augment: tuple[Augmentation, ...] = ()
    seed: int = 0
    canvases: tuple[int, ...] = ()  # sides that keys ask for besides the geometry's
    decoded: DecodedPhotos | None = None  # what keeps large photos, to draw them again

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: Key) -> Item:
        sample = self.samples[key.sample]
        geometry = self.geometry if key.canvas is None else Geometry.letterbox(key.canvas)
        rng = np.random.default_rng((self.seed, key.epoch, key.position))
        largest = Geometry.letterbox(max(self.canvases)) if self.canvases else self.geometry
        least_wh = partial(decode_wh, largest)
        if not _ENLARGING.isdisjoint(self.augment):
            least_wh = partial(decode_wh, largest, oversampling=_OVERSAMPLING)
        try:
            if self.decoded:
                photo = self.decoded.load(key.sample, sample.path, least_wh)
            else:
                photo = load_photo(sample.path, least_wh)
        except ImageError as error:
            raise TrainingError(f"{sample.path}: {error}. Remove it from the data set") from error
        known = [face.box_xywh for face in sample.faces]
        faces = np.array([*known, *sample.crowds], dtype=np.float64)
        if "background" in self.augment and rng.random() < _BACKGROUNDS:
            photo, faces = random_background(photo, faces, rng)
        else:
            if "crop" in self.augment:
                photo, faces = random_crop(photo, faces, rng)
            if "zoom" in self.augment:
                photo, faces = random_zoom(photo, faces, rng)
        canvas, placement = place(photo, geometry)
        faces = image_to_canvas(faces, [placement] * len(faces))
        corner = np.array(placement.offset_xy)
        far = corner + np.array(placement.scale_xy) * placement.size_wh
        extent = np.clip(np.concatenate([corner, far]), 0, geometry.canvas)
        drawn = _faces(sample, faces, extent)
        changes = Changes.draw(self.augment, rng)
        return Item(key, canvas, faces[0], drawn, sample, placement, changes)

    def collate(self, items: list[Item]) -> Batch:
        """Items -> a batch, in which some canvases are mosaics of four."""
        drawn = items
        if "mosaic" in self.augment and len(items) >= len(_QUARTERS):
            rng = np.random.default_rng((self.seed, *items[0].key[:2], len(items)))
            drawn = [_mosaic(item, items, rng) for item in items]
        return Batch(
            torch.from_numpy(np.stack([item.canvas for item in drawn])),
            _targets(drawn),
            [item.sample for item in items],
            [item.placement for item in items],
            Changes.join([item.changes for item in items]) if self.augment else None,
        )


def _faces(sample: Sample, boxes: Boxes, extent: NDArray[np.float64]) -> CanvasFaces:
    """Faces in canvas pixels, clipped to the photo's extent: left, top, right, bottom."""
    low = np.maximum(boxes[:, :2], extent[:2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], extent[2:])
    seen = np.maximum(high - low, 0)
    area = boxes[:, 2:].prod(axis=1)
    crowds = [Face(box_xywh, proper_mask=False) for box_xywh in sample.crowds]
    known = [*sample.faces, *crowds]
    is_face = np.arange(len(known)) < len(sample.faces)
    incorrectly = [-1 if f.worn_incorrectly is None else f.worn_incorrectly for f in known]
    return CanvasFaces(
        np.concatenate([low, seen], axis=1),
        np.array([face.proper_mask for face in known], dtype=np.float32),
        is_face & (area > 0) & (seen.prod(axis=1) >= _LEAST_SEEN * area),
        np.array([face.box_known for face in known]),
        np.array(incorrectly, dtype=np.float32),
    )


def _mosaic(item: Item, items: list[Item], rng: np.random.Generator) -> Item:
    """At times a canvas with four of a batch, each at half its size, in the item's place.

    After YOLOv4's mosaic (Bochkovskiy et al. 2020, arXiv 2004.10934): faces that fill their photos
    are seen smaller, and beside others.
    """
    if rng.random() >= _MOSAICS:
        return item
    others = rng.choice(len(items), len(_QUARTERS) - 1)
    half = len(item.canvas) // 2
    canvas = np.empty_like(item.canvas)
    faces = []
    corners = rng.permutation(_QUARTERS) * half
    for (left, top), part in zip(corners, [item, *(items[i] for i in others)], strict=True):
        halved = Image.fromarray(part.canvas).reduce(2)
        canvas[top : top + half, left : left + half] = np.asarray(halved)
        faces.append(part.faces._replace(boxes_xywh=part.faces.boxes_xywh / 2 + [left, top, 0, 0]))
    joined = CanvasFaces(*map(np.concatenate, zip(*faces, strict=True)))
    label = item.label_xywh / 2 + [*corners[0], 0, 0]
    return item._replace(canvas=canvas, label_xywh=label, faces=joined)


def _targets(items: list[Item]) -> Targets:
    most = max(len(item.faces.proper) for item in items)

    def filled(column: str) -> Tensor:
        parts = [getattr(item.faces, column) for item in items]
        full = np.zeros((len(items), most, *parts[0].shape[1:]), dtype=parts[0].dtype)
        for row, part in zip(full, parts, strict=True):
            row[: len(part)] = part
        return torch.from_numpy(full)

    return Targets(
        torch.from_numpy(np.stack([item.label_xywh for item in items])).float(),
        torch.tensor([float(item.sample.proper_mask) for item in items]),
        filled("boxes_xywh").float(),
        *(filled(column) for column in CanvasFaces._fields[1:]),
    )


@dataclass(eq=False)
class EpochOrder(Sampler[Key]):
    """The order of one epoch's training samples, and this process's share of it.

    Every process gets as many samples as any other. With `settings.balance`, half of them show a
    properly worn mask; of the other half a quarter show one worn incorrectly, where such are known.
    Samples of rarer kinds are repeated, and the epoch's length stays. With `settings.canvases`,
    every batch has one of those sides.
    """

    samples: Sequence[Sample]
    settings: TrainSettings
    processes: int
    process: int
    epoch: int = 0

    def __len__(self) -> int:
        return -(-len(self.samples) // self.processes)

    def __iter__(self) -> Iterator[Key]:
        order = np.resize(self._order(), len(self) * self.processes)
        settings = self.settings
        batches = -(-len(order) // settings.batch_size)
        rng = np.random.default_rng((settings.seed, self.epoch, _SIDES))
        sides = rng.choice(settings.canvases or [settings.geometry.canvas], batches).tolist()
        for position in range(self.process, len(order), self.processes):
            side = sides[position // settings.batch_size] if settings.canvases else None
            yield Key(self.epoch, position, int(order[position]), side)

    def _order(self) -> NDArray[np.int64]:
        rng = np.random.default_rng((self.settings.seed, self.epoch))
        count = len(self.samples)
        proper = np.array([sample.proper_mask for sample in self.samples])
        incorrectly = np.array([sample.worn_incorrectly is True for sample in self.samples])
        kinds = [proper, ~proper & ~incorrectly, incorrectly]
        shares = [count - count // 2, count // 2 - count // 8, count // 8]
        members = [np.flatnonzero(kind) for kind in kinds]
        if not len(members[2]) or not len(members[1]):
            members, shares = [members[0], np.flatnonzero(~proper)], [shares[0], count // 2]
        if not self.settings.balance or min(map(len, members)) == 0:
            return rng.permutation(count)
        drawn = [
            np.resize(rng.permutation(its), share)
            for its, share in zip(members, shares, strict=True)
        ]
        return rng.permutation(np.concatenate(drawn))


class MeasuredBatches:
    """Batches of samples to measure: every sample once, in order, dealt out to all processes.

    They are never augmented, so the first of them are kept in memory, and only those beyond
    400 MB are drawn again each time.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        settings: TrainSettings,
        processes: int = 1,
        process: int = 0,
    ) -> None:
        self.count = len(samples)  # of all processes
        self.settings = settings
        self.processes = processes
        self._canvases = SampleCanvases(samples, settings.geometry)
        self._keys = [Key(0, index, index) for index in range(process, self.count, processes)]
        self._kept: list[Batch] = []

    def __len__(self) -> int:
        return -(-len(self._keys) // (self.settings.batch_size // self.processes))

    def __iter__(self) -> Iterator[Batch]:
        yield from self._kept
        rest = self._keys[sum(len(batch.samples) for batch in self._kept) :]
        if not rest:
            return
        room = _KEPT_BYTES - sum(batch.canvases.nbytes for batch in self._kept)
        for batch in loader(self._canvases, rest, self.settings, self.processes):
            room -= batch.canvases.nbytes
            if room >= 0:
                self._kept.append(batch)
            yield batch


def loader(
    canvases: SampleCanvases,
    order: EpochOrder | list[Key],
    settings: TrainSettings,
    processes: int = 1,
) -> DataLoader[Item]:
    """Batches of this process, in the order given.

    `settings` say how many canvases a batch has, over all processes together, and how many
    processes decode: half the cores, at most 8, where that is None. Those that train are started
    once.
    """
    batch_size, workers = settings.batch_size // processes, settings.workers
    trains = isinstance(order, EpochOrder)
    workers = min(8, usable_cores() // 2) if workers is None else workers
    return DataLoader(
        canvases,
        batch_size=batch_size,
        sampler=order,
        num_workers=workers,
        persistent_workers=trains and workers > 0,
        # Starting workers draws a number, which the stream that samples proposals must not miss.
        generator=torch.Generator(),
        collate_fn=canvases.collate,
        # In training, a last batch that is not full would disturb batch normalisation: it is left
        # out unless it is the only one.
        drop_last=trains and len(order) >= batch_size,
        pin_memory=torch.cuda.is_available(),
    )


def measure_normalisation(
    samples: Sequence[Sample], geometry: Geometry, seed: int, most: int = 500
) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each colour over training canvases, in 0..255.

    `seed` chooses canvases, where there are more than `most`. No deviation is less than 1.
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
