"""What a data set holds, and what is wrong with it: one pass over its images, as a stream.

Of an image stay its name, a few numbers and a hash of 40 bytes.
"""

import hashlib
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskinfer.data.boxes import Boxes, iou_xywh
from maskinfer.data.cleaning import find_fault, repair
from maskinfer.data.dataset import splits_of
from maskinfer.data.folders import Failure
from maskinfer.data.geometry import Geometry, Placement, decode_wh, place
from maskinfer.data.images import Pixels, load_photo
from maskinfer.data.labels import Label, is_labelled, parse_name
from maskinfer.data.sources import FolderSource, survey
from maskinfer.errors import DatasetError, ImageError, LabelError
from maskinfer.evaluation.labelled import LabelledPrediction
from maskinfer.evaluation.metrics import FOUND_IOU
from maskinfer.inference.detector import MaskDetector
from maskinfer.threads import map_ahead, usable_cores

from .duplicates import Hashes, find_copies, perceptual_hash
from .exploration import Colors, CopiedPhoto, Exploration, ImpossibleBox, Split
from .opinions import by_label, contradicts

# Photos are looked at no finer than networks do.
_VALUES = np.arange(256, dtype=np.float64)
_LOOKED_AT = Geometry.letterbox(224)


class _Look(NamedTuple):
    """What is kept of one photo, and for a moment what the network is shown."""

    size_wh: tuple[int, int]
    mean: NDArray[np.float64]  # (3,)
    square: NDArray[np.float64]  # (3,) mean of the squares
    hashed: Hashes  # (5,)
    shown: tuple[Pixels, Placement] | None


def explore(
    data: Path,
    detector: MaskDetector | None = None,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> Exploration:
    """Look at every image of a data set once.

    Args:
        data: a folder with `train/` and `test/`, or with one of them, or of images.
        detector: asked what it thinks of each label; None for no model.
        on_progress: called with the number of images done so far, and of all.

    Raises:
        UsageError: there is no such folder.
        DatasetError: not one image in it can be read, or it cannot be listed.
        MaskinferError: the model fails.
    """
    folders = splits_of(data)
    total = sum(survey(FolderSource(folder)).images for folder in folders.values())
    splits: dict[str, Split] = {}
    hashes: list[Hashes] = []
    doubted: list[LabelledPrediction] = []
    done = 0
    for name, folder in folders.items():
        prefix = "" if folder == data else f"{name}/"
        collector = _Collector(name, folder, prefix, detector)
        for _ in collector.collect():
            done += 1
            on_progress(done, total)
        splits[name] = collector.split()
        hashes.append(collector.hashes())
        doubted += collector.doubted
    if not any(split.filenames for split in splits.values()):
        failures = [failure for split in splits.values() for failure in split.unreadable]
        why = f"; the first of {len(failures)}: {failures[0].error}" if failures else ""
        raise DatasetError(f"{data}: no image in it that can be read{why}")
    doubted = by_label(doubted)
    model = str(detector.session.path) if detector is not None else None
    outside = 0 if data in folders.values() else survey(FolderSource(data)).images - total
    copies = _copies(data, splits, np.concatenate(hashes))
    return Exploration(data, splits, copies, doubted, model, outside)


class _Collector:
    """Takes the images of one split in, one after the other."""

    def __init__(self, name: str, folder: Path, prefix: str, detector: MaskDetector | None) -> None:
        self.name, self.folder, self.prefix = name, folder, prefix
        self.detector = detector
        self._geometry = detector.session.metadata.geometry if detector else _LOOKED_AT
        self.filenames: list[str] = []
        # Of each image in turn, as numbers without an object each.
        self._sizes = array("q")  # 2
        self._boxes = array("q")  # 4, zeros without a label
        self._labels = array("b")  # 1; -1 without one
        self._hashes = array("Q")  # 5
        self.doubted: list[LabelledPrediction] = []
        self.unreadable: list[Failure] = []
        self.impossible: list[ImpossibleBox] = []
        # Of each photo's channel means and mean squares: sums, and sums of products.
        self._sums = np.zeros((5, 3))
        self._waiting: list[tuple[str, Label, Pixels, Placement]] = []

    def collect(self) -> Iterator[None]:
        """Go through the folder, yielding after each image."""
        threads = usable_cores()
        names = FolderSource(self.folder)
        looks = map_ahead(self._look, names, threads=threads, ahead=4 * threads)
        with closing(looks):
            for name, look in looks:
                if isinstance(look, Failure):
                    self.unreadable.append(look)
                else:
                    self._take(name, look)
                yield
        self._ask()

    def _look(self, found: str | Failure) -> tuple[str, _Look | Failure]:
        if isinstance(found, Failure):
            return found.filename, Failure(self._named(found.filename), found.error)
        try:
            photo = load_photo(self.folder / found, self._least_wh)
        except ImageError as error:
            return found, Failure(self._named(found), str(error))
        counts = np.array(_reduced(photo.image).histogram(), dtype=np.float64).reshape(3, 256)
        counts /= counts[0].sum()
        asked = self.detector is not None and is_labelled(PurePosixPath(found))
        shown = place(photo, self._geometry) if asked else None
        mean, square = counts @ _VALUES, counts @ _VALUES**2
        return found, _Look(photo.size_wh, mean, square, perceptual_hash(photo.image), shown)

    def _least_wh(self, size_wh: tuple[int, int]) -> tuple[int, int]:
        """Sides that are enough for the network and for colours that do not hang on it."""
        ours, its = (decode_wh(geometry, size_wh) for geometry in (_LOOKED_AT, self._geometry))
        return max(ours[0], its[0]), max(ours[1], its[1])

    def _named(self, name: str) -> str:
        return self.prefix + name

    def _take(self, name: str, look: _Look) -> None:
        filename = self._named(name)
        try:
            label = parse_name(name.rpartition("/")[2])
        except LabelError:
            label = None
        self.filenames.append(filename)
        self._sizes.extend(look.size_wh)
        self._boxes.extend(label.box_xywh if label else (0, 0, 0, 0))
        self._labels.append(int(label.proper_mask) if label else -1)
        self._hashes.extend(look.hashed.tolist())
        mean, square = look.mean, look.square
        self._sums += [mean, square, mean**2, square**2, mean * square]
        if label is None:
            return
        fault = find_fault(label.box_xywh, look.size_wh)
        if fault is not None:
            mended = repair(label.box_xywh, look.size_wh)
            grown = 0 in label.box_xywh[2:]
            self.impossible.append(
                ImpossibleBox(
                    filename,
                    fault,
                    "dropped",
                    f"{'grown' if grown else 'clipped'} to [{', '.join(map(str, mended))}]",
                )
            )
        if look.shown is not None and self.detector is not None:
            self._waiting.append((filename, label, *look.shown))
            if len(self._waiting) == self.detector.session.batch_size:
                self._ask()

    def _ask(self) -> None:
        """Ask the model about the images that wait for it."""
        if not self._waiting or self.detector is None:
            return
        names, labels, canvases, placements = zip(*self._waiting, strict=True)
        self._waiting = []
        predictions = self.detector.predict_canvases(canvases, placements)
        threshold = self.detector.session.metadata.threshold
        for name, label, placement, prediction in zip(
            names, labels, placements, predictions, strict=True
        ):
            if prediction is None:
                continue
            labelled = LabelledPrediction(
                name,
                repair(label.box_xywh, placement.size_wh),
                label.proper_mask,
                prediction.box_xywh,
                prediction.probability,
                prediction.score,
                threshold,
            )
            if contradicts(labelled):
                self.doubted.append(labelled)

    def split(self) -> Split:
        """All that was taken in."""
        labels = np.array(self._labels)
        return Split(
            self.name,
            self.folder,
            self.filenames,
            np.array(self._sizes, dtype=np.int64).reshape(-1, 2),
            labels >= 0,
            np.array(self._boxes, dtype=np.int64).reshape(-1, 4),
            labels == 1,
            self._colors(),
            self.unreadable,
            self.impossible,
        )

    def hashes(self) -> Hashes:
        """(N, 5), of the images in the order of their names."""
        return np.array(self._hashes, dtype=np.uint64).reshape(-1, 5)

    def _colors(self) -> Colors | None:
        count = len(self.filenames)
        if not count:
            return None
        # Of one photo nothing is known of how photos differ.
        others = count - 1
        mean, square, mean_2, square_2, product = self._sums / count
        std = np.sqrt(np.maximum(square - mean**2, 0))
        mean_variance = np.maximum(mean_2 - mean**2, 0)
        # Of each photo's mean squared distance from the split's mean, q - 2 m x + m^2.
        distance_variance = (
            square_2
            - square**2
            - 4 * mean * (product - mean * square)
            + 4 * mean**2 * mean_variance
        )
        std_error = _standard_error(distance_variance, others) / np.maximum(2 * std, 1e-9)
        return Colors(mean, std, _standard_error(mean_variance, others), std_error)


def _standard_error(variance: NDArray[np.float64], others: int) -> NDArray[np.float64]:
    """Of a mean over `others` + 1 photos whose values vary so."""
    if not others:
        return np.full(3, np.inf)
    error: NDArray[np.float64] = np.sqrt(np.maximum(variance, 0) / others)
    return error


def _reduced(image: Image.Image) -> Image.Image:
    """An image at no more than a canvas's size, so that colours do not hang on the decoder."""
    scale = _LOOKED_AT.canvas / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX)


def _copies(data: Path, splits: dict[str, Split], hashes: Hashes) -> list[CopiedPhoto]:
    names = [name for split in splits.values() for name in split.filenames]
    where = [split.name for split in splits.values() for _ in split.filenames]
    sizes = np.concatenate([split.sizes_wh for split in splits.values()])

    def digest(index: int) -> bytes | None:
        try:
            with (data / names[index]).open("rb") as file:
                return hashlib.file_digest(file, "sha256").digest()
        except OSError:
            return None

    return [
        CopiedPhoto(
            copies.kind,
            tuple(names[i] for i in copies.members),
            len({where[i] for i in copies.members}) > 1,
            _contradiction([(names[i], sizes[i]) for i in copies.members]),
        )
        for copies in find_copies(hashes, digest)
    ]


def _contradiction(members: list[tuple[str, NDArray[np.int64]]]) -> str | None:
    """In what the labels of copies differ: the mask, else the box."""
    labels: list[tuple[Label, Boxes]] = []
    for name, size_wh in members:
        try:
            label = parse_name(name.rpartition("/")[2])
        except LabelError:
            continue
        # Copies may differ in size: as shares of the image.
        width, height = size_wh.tolist()
        box = np.array(repair(label.box_xywh, (width, height))) / np.tile(size_wh, 2)
        labels.append((label, box))
    if len({label.proper_mask for label, _ in labels}) > 1:
        return "mask"
    if any(iou_xywh(labels[0][1], box) < FOUND_IOU for _, box in labels[1:]):
        return "box"
    return None
