"""From samples to batches: decoding, augmentation, the order of an epoch, normalisation.

Every random choice follows from the seed, the epoch and the place in the epoch, so a run that is
resumed goes on exactly as it would have, whatever the number of worker processes.
"""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from maskinfer.data.boxes import Boxes
from maskinfer.data.geometry import Geometry, Placement, decode_wh, image_to_canvas, place
from maskinfer.data.images import Photo, Pixels, load_photo
from maskinfer.data.labels import Sample
from maskinfer.errors import ImageError, TrainingError
from maskinfer.threads import usable_cores
from maskinfer.train.networks.network import Targets
from maskinfer.train.settings import Augmentation

# Decoded pixels per canvas pixel: crop and zoom enlarge parts of the photo.
_OVERSAMPLING = 4.0
_LEAST_ZOOM = 48.0  # pixels of the photo; less is too blurred to learn from
_LEAST_SEEN = 0.5  # of a face's area: what shows less is neither a face nor none


class Key(NamedTuple):
    """Which sample to draw, and where in the run, which seeds its augmentation."""

    epoch: int
    position: int
    sample: int


# Left, top, right, bottom in canvas pixels.
Extent = NDArray[np.float64]


class Item(NamedTuple):
    """One sample, drawn on its canvas."""

    canvas: Pixels  # (S, S, 3)
    faces_on_canvas: Boxes  # (M, 4) x, y, w, h, the labelled one first; may reach past the canvas
    extent: Extent  # of the photo on the canvas
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


class SampleCanvases(Dataset[Item]):
    """Samples, drawn on canvases as inference would draw them, augmented when training."""

    def __init__(
        self,
        samples: Sequence[Sample],
        geometry: Geometry,
        augment: tuple[Augmentation, ...] = (),
        seed: int = 0,
    ) -> None:
        self.samples = list(samples)
        self.geometry = geometry
        self.augment = augment
        self.seed = seed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: Key) -> Item:
        sample = self.samples[key.sample]
        rng = np.random.default_rng((self.seed, key.epoch, key.position))
        try:
            photo = load_photo(
                sample.path, partial(decode_wh, self.geometry, oversampling=_OVERSAMPLING)
            )
        except ImageError as error:
            raise TrainingError(f"{sample.path}: {error}. Remove it from the data set") from error
        faces = np.array(
            [sample.box_xywh, *(other.box_xywh for other in sample.others)], dtype=np.float64
        )
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


def random_crop(photo: Photo, faces: Boxes, rng: np.random.Generator) -> tuple[Photo, Boxes]:
    """Cut away some of the photo around the face, four times in five.

    The face stays whole, and if it was the left-most it still is: only what lies outside is lost.

    Args:
        photo: decoded, perhaps reduced.
        faces: (M, 4) x, y, w, h in pixels of the upright original, the labelled one first.
        rng: drawn from.

    Returns:
        the crop as a photo of its own, and the faces in it.
    """
    if rng.random() < 0.2:
        return photo, faces
    width, height = _decoded_wh(photo)
    box = _scaled(photo, faces[0])
    low = np.clip(np.floor(box[:2]), 0, [width - 1, height - 1])
    high = np.clip(np.ceil(box[:2] + box[2:]), low + 1, [width, height])
    left, top = np.floor(low * rng.random(2)).astype(int)
    right, bottom = np.ceil(high + (np.array([width, height]) - high) * rng.random(2)).astype(int)
    return _cut(photo, faces, (left, top, right, bottom))


def random_zoom(photo: Photo, faces: Boxes, rng: np.random.Generator) -> tuple[Photo, Boxes]:
    """Cut a square about one of the faces, which fills a tenth to all but all of its side.

    One photo in five stays whole. In half of the others the labelled face is the one, else any. The
    square ends where the photo does.

    Args:
        photo: decoded, perhaps reduced.
        faces: (M, 4) x, y, w, h in pixels of the upright original, the labelled one first.
        rng: drawn from.

    Returns:
        the cut as a photo of its own, and the faces in it.
    """
    if rng.random() < 0.2:
        return photo, faces
    chosen = 0 if rng.random() < 0.5 else int(rng.integers(len(faces)))
    box = _scaled(photo, faces[chosen])
    face_side = max(box[2], box[3], 1.0)
    side = max(face_side * math.exp(rng.uniform(math.log(1.2), math.log(10))), _LEAST_ZOOM)
    # Where the square begins: anywhere that leaves the whole face in it.
    corner = box[:2] + box[2:] - side + (side - box[2:]) * rng.random(2)
    width, height = _decoded_wh(photo)
    low = np.clip(np.floor(corner).astype(int), 0, [width - 1, height - 1])
    high = np.clip(np.ceil(corner + side).astype(int), low + 1, [width, height])
    return _cut(photo, faces, (low[0], low[1], high[0], high[1]))


def _decoded_wh(photo: Photo) -> tuple[int, int]:
    height, width = photo.pixels.shape[:2]
    return width, height


def _scaled(photo: Photo, boxes: Boxes) -> Boxes:
    """Boxes (..., 4) of the upright original in pixels of the decoded photo."""
    scale: Boxes = np.array(_decoded_wh(photo)) / photo.size_wh
    scaled: Boxes = boxes * np.concatenate([scale, scale])
    return scaled


def _cut(photo: Photo, faces: Boxes, cut: tuple[int, int, int, int]) -> tuple[Photo, Boxes]:
    left, top, right, bottom = cut
    pixels = photo.pixels[top:bottom, left:right]
    size_wh = (pixels.shape[1], pixels.shape[0])
    return Photo(pixels, size_wh), _scaled(photo, faces) - [left, top, 0, 0]


def random_color(canvas: Pixels, rng: np.random.Generator) -> Pixels:
    """Change brightness, contrast and saturation by up to 40 %."""
    image = Image.fromarray(canvas)
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = change(image).enhance(float(rng.uniform(0.6, 1.4)))
    return np.array(image)


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


class EpochOrder(Sampler[Key]):
    """The order of one epoch's training samples, and this process's share of it.

    Every process gets as many samples as any other. With `balance` both labels are drawn equally
    often: each sample of the rarer label is repeated, and the epoch's length stays.
    """

    def __init__(
        self, proper: NDArray[np.bool_], balance: bool, seed: int, processes: int, process: int
    ) -> None:
        self.proper = proper
        self.balance = balance
        self.seed = seed
        self.processes = processes
        self.process = process
        self.epoch = 0

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
        self.indices = range(process, count, processes)

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Key]:
        return (Key(0, index, index) for index in self.indices)


def loader(
    canvases: SampleCanvases,
    order: Sampler[Key],
    batch_size: int,
    workers: int | None,
    *,
    whole_batches: bool,
) -> DataLoader[Item]:
    """Batches in the order given.

    Args:
        canvases: what is drawn from.
        order: which samples, in which order.
        batch_size: canvases a batch in this process.
        workers: processes that decode; None takes half the cores, at most 8.
        whole_batches: leave out a last batch that is not full, which batch normalisation would
            feel, so long as one full batch remains.
    """
    count = len(order)  # type: ignore[arg-type]
    return DataLoader(
        canvases,
        batch_size=batch_size,
        sampler=order,
        num_workers=min(8, usable_cores() // 2) if workers is None else workers,
        collate_fn=collate,
        drop_last=whole_batches and count >= batch_size,
        pin_memory=torch.cuda.is_available(),
    )


def measure_normalisation(
    samples: Sequence[Sample], geometry: Geometry, seed: int, most: int = 500
) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each colour over training canvases, in 0..255.

    Args:
        samples: the training samples.
        geometry: how they become canvases.
        seed: which are looked at, where there are more than `most`.
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
