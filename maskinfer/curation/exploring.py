"""What a data set holds, and what is wrong with it: one pass over its images, as a stream.

Kept of each image are its name, a few numbers and a hash of 40 bytes.
"""

import hashlib
from array import array
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskinfer.data.boxes import iou_xywh
from maskinfer.data.cleaning import find_fault, repair
from maskinfer.data.dataset import Dataset
from maskinfer.data.duplicates import Hashes, find_copies, kind_of, perceptual_hash
from maskinfer.data.folders import Failure
from maskinfer.data.geometry import Geometry, Placement, decode_wh, place
from maskinfer.data.images import load_photo
from maskinfer.data.labels import Label, label_of, parse_name
from maskinfer.data.pixels import Pixels
from maskinfer.data.sources import FolderSource, survey
from maskinfer.errors import DatasetError, ImageError, LabelError
from maskinfer.evaluation.labelled import LabelledPrediction
from maskinfer.evaluation.metrics import FOUND_IOU
from maskinfer.inference.detector import MaskDetector
from maskinfer.runtime.providers import Provider
from maskinfer.threads import Progress, map_ahead, unheard

from .exploration import CopiedPhoto, Exploration
from .explored_split import Colors, ExploredSplit, ImpossibleBox
from .opinions import by_label, contradicts

_VALUES = np.arange(256, dtype=np.float64)
_COLORS = Geometry.letterbox(224)  # colours are measured no finer than networks see them


@dataclass(frozen=True)
class ExploreSettings:
    """The options of `maskinfer explore`."""

    data: Path | None = None  # a data set, or a folder of images; None for the sample images
    out: Path | None = None  # the report's folder; None for `reports/explore-TIME`
    model: Path | None = None  # a model file; None for the default one
    ask_model: bool = True  # whether a model is asked about each label
    provider: Provider = Provider.AUTO  # what computes it
    overwrite: bool = False  # whether an existing report may be replaced


class _PhotoFacts(NamedTuple):
    """What is kept of one photo, and for a moment what the network is shown."""

    filename: str
    label: Label | str  # or why there is none
    size_wh: tuple[int, int]
    mean: NDArray[np.float64]  # (3,)
    square: NDArray[np.float64]  # (3,) mean of the squares
    hashed: Hashes  # (5,)
    shown: tuple[Pixels, Placement] | None


def explore(
    data: Path, detector: MaskDetector | None = None, on_progress: Progress = unheard
) -> Exploration:
    """Decode every image of a data set once, and measure it.

    That is a folder with `train/` and `test/` or one of them, or a folder of images. The detector
    predicts each labelled image, to find labels it contradicts. A `UsageError` where there is no
    such folder, a `DatasetError` where no image in it can be read, or it cannot be listed, a
    `MaskinferError` where the model fails.
    """
    folders = Dataset.open(data).splits
    total = sum(survey(FolderSource(folder)).images for folder in folders.values())
    collectors = [
        _Collector(name, folder, "" if folder == data else f"{name}/", detector)
        for name, folder in folders.items()
    ]
    images = (image for collector in collectors for image in collector.collect())
    for done, _ in enumerate(images, start=1):
        on_progress(done, total)
    splits = {collector.name: collector.split() for collector in collectors}
    if not any(split.filenames for split in splits.values()):
        failures = [failure for split in splits.values() for failure in split.unreadable]
        why = f"; the first of {len(failures)}: {failures[0].error}" if failures else ""
        raise DatasetError(f"{data}: no image in it that can be read{why}")
    doubted = by_label(doubt for collector in collectors for doubt in collector.doubted)
    model = str(detector.session.path) if detector is not None else None
    outside = 0 if data in folders.values() else survey(FolderSource(data)).images - total
    copies = _copies(data, splits, np.concatenate([collector.hashes() for collector in collectors]))
    return Exploration(data, splits, copies, doubted, model, outside)


class _Collector:
    """Takes in the images of one split, one after the other."""

    def __init__(self, name: str, folder: Path, prefix: str, detector: MaskDetector | None) -> None:
        self.name, self.folder, self.prefix = name, folder, prefix
        self.detector = detector
        self._geometry = detector.session.geometry if detector else _COLORS
        self.filenames: list[str] = []
        # Of each image in turn, as numbers without an object each.
        self._numbers = array("q")  # width, height, label (-1 without one), box (zeros without one)
        self._hashes = array("Q")  # 5
        self._beside = array("q")  # the labelled box and the predicted one
        self.doubted: list[LabelledPrediction] = []
        self.unreadable: list[Failure] = []
        self.unlabelled: list[Failure] = []
        self.impossible: list[ImpossibleBox] = []
        # Over the photos: of their channel means, mean squares, and squared means.
        self._sums = np.zeros((3, 3))
        self._waiting: list[tuple[str, Label, Pixels, Placement]] = []

    def collect(self) -> Iterator[None]:
        """Go through the folder, yielding after each image."""
        with closing(map_ahead(self._measure, FolderSource(self.folder))) as photos:
            for photo in photos:
                if isinstance(photo, Failure):
                    self.unreadable.append(photo)
                else:
                    self._take(photo)
                yield
        self._predict()

    def _measure(self, name: str | Failure) -> _PhotoFacts | Failure:
        if isinstance(name, Failure):
            return Failure(self.prefix + name.filename, name.error)
        filename = self.prefix + name
        try:
            photo = load_photo(self.folder / name, self._least_wh)
        except ImageError as error:
            return Failure(filename, str(error))
        image = photo.image
        if max(image.size) > _COLORS.canvas:  # so that colours do not depend on the decoder
            reduced_wh = decode_wh(_COLORS, image.size, oversampling=1)
            image = image.resize(reduced_wh, Image.Resampling.BOX)
        counts = np.array(image.histogram(), dtype=np.float64).reshape(3, 256)
        counts /= counts[0].sum()
        label: Label | str
        try:
            label = parse_name(name.rpartition("/")[2])
        except LabelError as error:
            label = str(error)
        return _PhotoFacts(
            filename,
            label,
            photo.size_wh,
            counts @ _VALUES,
            counts @ _VALUES**2,
            perceptual_hash(photo.image),
            place(photo, self._geometry) if self.detector and isinstance(label, Label) else None,
        )

    def _least_wh(self, size_wh: tuple[int, int]) -> tuple[int, int]:
        """Sides that are enough for the network, and for colours whatever the network."""
        ours, its = (decode_wh(geometry, size_wh) for geometry in (_COLORS, self._geometry))
        return max(ours[0], its[0]), max(ours[1], its[1])

    def _take(self, photo: _PhotoFacts) -> None:
        label = photo.label
        self.filenames.append(photo.filename)
        none = (-1, 0, 0, 0, 0)
        labelled = (label.proper_mask, *label.box_xywh) if isinstance(label, Label) else none
        self._numbers.extend((*photo.size_wh, *labelled))
        self._hashes.extend(photo.hashed.tolist())
        self._sums += [photo.mean, photo.square, photo.mean**2]
        if isinstance(label, str):
            self.unlabelled.append(Failure(photo.filename, label))
            return
        if fault := find_fault(label.box_xywh, photo.size_wh):
            how = "grown" if 0 in label.box_xywh[2:] else "clipped"
            how = f"{how} to {list(repair(label.box_xywh, photo.size_wh))}"
            self.impossible.append(ImpossibleBox(photo.filename, fault.reason, "dropped", how))
        if photo.shown is not None and self.detector is not None:
            self._waiting.append((photo.filename, label, *photo.shown))
            if len(self._waiting) == self.detector.session.batch_size:
                self._predict()

    def _predict(self) -> None:
        """Predict the labelled images that wait for it, one batch."""
        if not self._waiting or self.detector is None:
            return
        waiting, self._waiting = self._waiting, []
        canvases, placements = [item[2] for item in waiting], [item[3] for item in waiting]
        predictions = self.detector.predict_canvases(canvases, placements)
        threshold = self.detector.choice.threshold
        for (name, label, _, placement), faces in zip(waiting, predictions, strict=True):
            if not faces:
                continue
            self._beside.extend((*label.box_xywh, *faces[0].box_xywh))
            box = repair(label.box_xywh, placement.size_wh)
            labelled = LabelledPrediction(name, box, label.proper_mask, faces[0], threshold)
            if contradicts(labelled):
                self.doubted.append(labelled)

    def split(self) -> ExploredSplit:
        """Everything that was taken in."""
        numbers = np.array(self._numbers, dtype=np.int64).reshape(-1, 7)
        return ExploredSplit(
            self.name,
            self.folder,
            self.filenames,
            sizes_wh=numbers[:, :2],
            labelled=numbers[:, 2] >= 0,
            boxes_xywh=numbers[:, 3:],
            proper_mask=numbers[:, 2] == 1,
            colors=self._colors(),
            unreadable=self.unreadable,
            unlabelled=self.unlabelled,
            impossible=self.impossible,
            boxes_beside=np.array(self._beside, dtype=np.float64).reshape(-1, 8),
        )

    def hashes(self) -> Hashes:
        """(N, 5), of the images in the order of their names."""
        return np.array(self._hashes, dtype=np.uint64).reshape(-1, 5)

    def _colors(self) -> Colors | None:
        count = len(self.filenames)
        if not count:
            return None
        mean, square, mean_squared = self._sums / count
        std = np.sqrt(np.maximum(square - mean**2, 0))
        variance = np.maximum(mean_squared - mean**2, 0)
        # From one photo nothing is known about how photos differ.
        error = np.sqrt(variance / (count - 1)) if count > 1 else np.full(3, np.inf)
        return Colors(mean, std, error)


def _copies(data: Path, splits: dict[str, ExploredSplit], hashes: Hashes) -> list[CopiedPhoto]:
    names = [name for split in splits.values() for name in split.filenames]
    where = [split.name for split in splits.values() for _ in split.filenames]
    sizes = np.concatenate([split.sizes_wh for split in splits.values()])

    def digest(name: str) -> bytes | None:
        try:
            with (data / name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").digest()
        except OSError:
            return None

    copies = []
    for members in find_copies(hashes):
        filenames = tuple(names[i] for i in members)
        kind = kind_of(hashes[list(members)], map(digest, filenames))
        across = len({where[i] for i in members}) > 1
        labelled = [(names[i], sizes[i]) for i in members]
        copies.append(CopiedPhoto(kind, filenames, across, _contradiction(labelled)))
    return copies


def _contradiction(members: list[tuple[str, NDArray[np.int64]]]) -> str | None:
    """In what the labels of copies differ: the mask, else the box; None where they agree."""
    labels = [(label, size_wh) for name, size_wh in members if (label := label_of(name))]
    if len({label.proper_mask for label, _ in labels}) > 1:
        return "mask"
    # Copies may differ in size: as shares of the image.
    boxes = [
        np.array(repair(label.box_xywh, (int(size_wh[0]), int(size_wh[1])))) / np.tile(size_wh, 2)
        for label, size_wh in labels
    ]
    return "box" if any(iou_xywh(boxes[0], box) < FOUND_IOU for box in boxes[1:]) else None
