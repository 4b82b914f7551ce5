"""A folder as a list of images, and a labelled folder as a list of samples."""

from dataclasses import dataclass
from pathlib import Path

from maskinfer.errors import DatasetError, LabelError, UsageError
from maskinfer.text import printable_name

from .folders import Failure, scan_folder
from .labels import BoxXywh, parse_name

# The labelled images that a clone of the project holds: what is used where no data is named.
SAMPLE_IMAGES = Path("sample_images")


@dataclass(frozen=True)
class Face:
    """A face in an image.

    Attributes:
        box_xywh: in pixels of the upright image; may reach past it.
        proper_mask: whether the mask is worn properly.
    """

    box_xywh: BoxXywh
    proper_mask: bool


@dataclass(frozen=True)
class Sample:
    """An image and its label.

    Attributes:
        path: the image file.
        box_xywh: the face in pixels of the upright image, as the label says, possibly impossible.
        proper_mask: whether the mask is worn properly.
        others: the image's other faces, so far as they are known.
    """

    path: Path
    box_xywh: BoxXywh
    proper_mask: bool
    others: tuple[Face, ...] = ()


@dataclass(frozen=True)
class LabelledFolder:
    """What a folder of a data set holds.

    Attributes:
        samples: in sorted order of their names.
        unlabelled: each image whose name carries no label that can be read, by its path from the
            folder, with `/`, and one line that says why.
    """

    samples: list[Sample]
    unlabelled: dict[str, str]


def list_images(folder: Path, *, recursive: bool = True) -> list[str]:
    """Find the image files of a folder by their endings.

    Hidden files and folders (names that start with a dot) are passed over; links to folders are
    not followed.

    Returns:
        paths relative to the folder, with `/`, sorted.

    Raises:
        DatasetError: there is no such folder, or it or a folder in it cannot be listed.
    """
    if not folder.is_dir():
        what = "not a folder" if folder.exists() else "no such folder"
        raise DatasetError(f"{folder}: {what}")
    names: list[str] = []
    for found in scan_folder(folder, recursive=recursive):
        if isinstance(found, Failure):
            raise DatasetError(f"{folder / found.filename}: {found.error}")
        names.append(found)
    return names


def read_folder(folder: Path) -> LabelledFolder:
    """Read every labelled image of a folder and of the folders in it.

    Raises:
        DatasetError: there is no such folder, or not one labelled image in it.
    """
    samples: list[Sample] = []
    unlabelled: dict[str, str] = {}
    for relative in list_images(folder):
        path = folder / relative
        try:
            label = parse_name(path.name)
        except LabelError as error:
            unlabelled[relative] = str(error)
        else:
            samples.append(Sample(path, label.box_xywh, label.proper_mask))
    if not samples:
        first = next(iter(unlabelled.values()), None)
        hint = f"; the first of {len(unlabelled)} images says: {first}" if first else ""
        raise DatasetError(f"{folder}: no labelled image{hint}")
    return LabelledFolder(samples, unlabelled)


def split_folder(data: Path, split: str) -> Path:
    """The folder of one split, `train` or `test`, of a data set.

    Raises:
        DatasetError: the data set has no such split.
    """
    folder = data / split
    if not folder.is_dir():
        what = "no such folder" if not data.is_dir() else f"no folder {split}/ in it"
        raise DatasetError(f"{data}: {what}; a data set has train/ and test/")
    return folder


def splits_of(data: Path) -> dict[str, Path]:
    """The folders of a data set by name: `train` and `test`, those that it has; else itself.

    Raises:
        UsageError: there is no such folder.
    """
    if not data.is_dir():
        what = "not a folder, expected a data set" if data.exists() else "no such folder"
        raise UsageError(f"{data}: {what}")
    found = {split: data / split for split in ("train", "test") if (data / split).is_dir()}
    return found or {printable_name(data.resolve().name): data}
