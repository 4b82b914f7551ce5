"""What other tools say about faces in photos, in one form, whatever the tool.

The readers, `voc`, `yolo` and `coco`, yield photo by photo an
`AnnotatedImage`, or a `Skipped` that says why there is none: one damaged file in a large set is
listed and does not stop the rest. Boxes are in pixels of the upright photo, as in our data sets.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from maskinfer.data.folders import IMAGE_SUFFIXES, list_images
from maskinfer.data.images import read_header
from maskinfer.errors import AnnotationError, ImageError

BoxXywhFloat = tuple[float, float, float, float]
Split = Literal["train", "val", "test"]

# Of one file. Parsed XML takes up to 25 times as much memory; a list names a photo a line.
MAX_BYTES = 16_000_000
_MAX_LIST_BYTES = 256_000_000
_LONGEST_REASON = 500  # characters; an annotation's own words can be of any length

_SPLIT_WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


class NoImageError(AnnotationError):
    """An annotation of an image that is not there."""


@dataclass(frozen=True)
class AnnotatedFace:
    """One annotated face.

    Attributes:
        box_xywh: x, y, w, h in pixels of the upright image, as annotated: possibly fractional, past
            the border, or without area.
        class_name: the annotation's own word for it.
    """

    box_xywh: BoxXywhFloat
    class_name: str


@dataclass(frozen=True)
class AnnotatedImage:
    """A photo and every face annotated in it.

    Attributes:
        source: path relative to the source folder, with `/`.
        path: the image file.
        size_wh: width and height of the upright image in pixels.
        orientation: EXIF orientation of the stored pixels; 1 is upright.
        split: what the source says; None where it does not.
        faces: in the annotation's order.
    """

    source: str
    path: Path
    size_wh: tuple[int, int]
    orientation: int
    split: Split | None
    faces: tuple[AnnotatedFace, ...]


@dataclass(frozen=True)
class Skipped:
    """A photo, a face, or an annotation file that cannot be used.

    Attributes:
        source: path relative to the source folder, with `/`.
        reason: one line; made one where what it quotes has several.
        unreadable: whether an image failed to decode.
    """

    source: str
    reason: str
    unreadable: bool = False

    def __post_init__(self) -> None:
        line = " ".join(self.reason.splitlines())
        if len(line) > _LONGEST_REASON:
            line = f"{line[:_LONGEST_REASON]} ..."
        object.__setattr__(self, "reason", line)


class ImageIndex:
    """The images under a source folder, looked up by the names that annotations give them.

    Names are looked up here and never opened as paths, so that none can lead out of the folder.
    """

    def __init__(self, src: Path) -> None:
        """List the images.

        Raises:
            DatasetError: there is no such folder.
        """
        self.src = src
        self.sources = list_images(src)
        self._claimed: set[str] = set()
        self._by_name: dict[str, list[str]] = {}
        for source in self.sources:
            for key in {PurePosixPath(source).name, stem_of(source)}:
                self._by_name.setdefault(key, []).append(source)

    def find(self, name: str, near: str, split: Split | None = None) -> str:
        """Look an image up by its name, with or without folders and ending.

        Args:
            name: as the annotation gives it.
            near: the annotation file's relative path; of images with the same name, the one that
                shares more folders with it is meant.
            split: of images with the same name, the one in this split is meant.

        Raises:
            AnnotationError: no image, or more than one, can be meant.
        """
        wanted = PurePosixPath(name.replace("\\", "/"))
        if wanted.is_absolute() or ".." in wanted.parts or re.match("[A-Za-z]:", name):
            raise AnnotationError(f"file name {name!r} leads out of the folder")
        named = self._by_name.get(wanted.name, [])
        matches = [s for s in named if f"/{s}".endswith(f"/{wanted}")] or named
        if not matches:
            raise NoImageError(f"no image is named {name!r}")
        ranks = [_rank(source, near, split) for source in matches]
        matches = [s for s, rank in zip(matches, ranks, strict=True) if rank == max(ranks)]
        if len(matches) > 1:
            raise AnnotationError(f"{len(matches)} images are named {name!r}")
        return matches[0]

    def describe(
        self,
        source: str,
        stated_wh: tuple[int, int] | None,
        split: Split | None,
        faces: Iterable[AnnotatedFace],
    ) -> AnnotatedImage | Skipped:
        """Read an image's header and bring its boxes upright.

        Tools differ on whether boxes of a photo with EXIF orientation refer to the stored or to the
        upright pixels. Where the turn swaps the sides (orientations 5 to 8), the size that the
        annotation states tells which. Where it does not (2 to 4), where the photo is square, or
        where no size is stated, nothing tells, and boxes are taken to be upright.

        Args:
            source: one of `sources`.
            stated_wh: width and height as annotated, in pixels; None where it says nothing.
            split: as the source says.
            faces: with boxes in the pixels of `stated_wh`.
        """
        path = self.src / source
        try:
            size_wh, orientation = read_header(path)
        except ImageError as error:
            return Skipped(source, f"unreadable image: {error}", unreadable=True)
        if stated_wh is not None and stated_wh != size_wh:
            if orientation < 5 or stated_wh != size_wh[::-1]:
                return Skipped(
                    source,
                    f"annotated as {stated_wh[0]} x {stated_wh[1]} pixels, "
                    f"the image has {size_wh[0]} x {size_wh[1]}",
                )
            faces = [
                AnnotatedFace(_turn(face.box_xywh, stated_wh, orientation), face.class_name)
                for face in faces
            ]
        return AnnotatedImage(source, path, size_wh, orientation, split, tuple(faces))

    def claim(self, source: str, twice: str) -> None:
        """Note that an image is annotated.

        Raises:
            AnnotationError: it was already; the message says `twice`.
        """
        if source in self._claimed:
            raise AnnotationError(f"{source} is {twice}")
        self._claimed.add(source)

    def unclaimed(self, reason: str) -> Iterator[Skipped]:
        """List the images that no annotation claims."""
        return (Skipped(source, reason) for source in self.sources if source not in self._claimed)


def stem_of(source: str) -> str:
    """A photo's name without folder and ending."""
    path = PurePosixPath(source)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name


def _rank(source: str, near: str, split: Split | None) -> tuple[bool, int, bool]:
    folders, near_folders = PurePosixPath(source).parents, PurePosixPath(near).parents
    shared = len({*folders} & {*near_folders})
    in_images = folders[0].name.lower() in ("images", "jpegimages")
    return split is not None and split_of(source) == split, shared, in_images


def _turn(box_xywh: BoxXywhFloat, stored_wh: tuple[int, int], orientation: int) -> BoxXywhFloat:
    """Carry a box from stored pixels to upright ones, for the orientations that swap the sides."""
    x, y, w, h = box_xywh
    if orientation in (6, 7):
        y = stored_wh[1] - y - h
    if orientation in (7, 8):
        x = stored_wh[0] - x - w
    return y, x, h, w


def split_of(source: str) -> Split | None:
    """The split that a folder's name says, as in `train/images/a.jpg` or `val2017/a.jpg`."""
    return split_in(PurePosixPath(source).parts[:-1])


def split_in(words: Iterable[str]) -> Split | None:
    """The first of some words that names a split, a year behind it or not."""
    for word in words:
        split = _SPLIT_WORDS.get(re.sub(r"\d{4}$", "", word.lower()))
        if split is not None:
            return split
    return None


def read_split_lists(src: Path) -> dict[str, Split]:
    """Read `train.txt`, `val.txt`, `test.txt` of a folder, or else of its `ImageSets/Main`.

    Returns:
        split by the photo's `stem_of` its name; empty where there are no lists. A photo
        in several lists belongs to the last of train, val, test: never train on a test photo.
    """
    for folder in (src, src / "ImageSets" / "Main"):
        splits: dict[str, Split] = {}
        for word in ("trainval", "train", "valid", "val", "test"):
            path = folder / f"{word}.txt"
            if path.is_file():
                lines = read_text(path, _MAX_LIST_BYTES).splitlines()
                stems = (stem_of(line.strip().replace("\\", "/")) for line in lines)
                splits.update((stem, _SPLIT_WORDS[word]) for stem in stems if stem)
        if splits:
            return splits
    return {}


def list_files(src: Path, suffix: str) -> list[str]:
    """Relative paths of the regular files with an ending, hidden ones passed over, sorted."""
    files = (path for path in src.rglob("*") if path.suffix.lower() == suffix and path.is_file())
    parts = (path.relative_to(src).parts for path in files)
    return sorted("/".join(p) for p in parts if not any(part.startswith(".") for part in p))


def read_bytes(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Read a file whole.

    Raises:
        AnnotationError: it cannot be read, or is larger; the message does not name it.
    """
    try:
        if path.stat().st_size > max_bytes:
            raise AnnotationError(f"larger than {max_bytes // 10**6} MB")
        return path.read_bytes()
    except OSError as error:
        raise AnnotationError(f"cannot be read, {error.strerror}") from error


def read_text(path: Path, max_bytes: int = MAX_BYTES, name: str | None = None) -> str:
    """Read a UTF-8 text file whole.

    Raises:
        AnnotationError: it cannot be read, or is larger; the message names it, by default its path.
    """
    try:
        return read_bytes(path, max_bytes).decode("utf-8-sig")
    except UnicodeDecodeError:
        why = "not a text file in UTF-8"
    except AnnotationError as error:
        why = str(error)
    raise AnnotationError(f"{name or path}: {why}")


def parse_number(value: Any, what: str) -> float:
    """A finite number, of a size that a photo can have, from text or JSON.

    Raises:
        AnnotationError: it is something else; the message says `what` it is.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or abs(number) >= 10**9:
        raise AnnotationError(f"{what} is {str(value)[:60]!r}, expected a number")
    return number


def parse_size(width: Any, height: Any) -> tuple[int, int] | None:
    """A stated size in pixels; None without one, or where tools that do not know it write 0."""
    if width in (None, "") or height in (None, ""):
        return None
    w, h = int(parse_number(width, "width")), int(parse_number(height, "height"))
    return (w, h) if w > 0 and h > 0 else None
