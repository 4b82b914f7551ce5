"""The photos of a source, looked up by the names that annotations give them.

Names are only looked up among the files that were found and never opened as paths: whatever folders
a name has (`C:/data/a.jpg`, `../a.jpg`), it cannot lead out of the source.
"""

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from maskinfer.data.folders import IMAGE_SUFFIXES
from maskinfer.data.images import read_header
from maskinfer.errors import AnnotationError, DatasetError, ImageError
from maskinfer.text import printable_name

from .annotations import AnnotatedFace, AnnotatedImage, BoxXywhFloat, Skipped, Split, split_of


class NoFormatError(AnnotationError):
    """A folder without a file of the format that was asked for."""


Items = Iterator[AnnotatedImage | Skipped]


class Source:
    """A folder of photos, and the annotation files in it or in a folder of their own."""

    def __init__(
        self, root: Path, labels: Path | None = None, *, follow_links: bool = False
    ) -> None:
        """List the files, but no hidden ones and links to outside; or raise a `DatasetError`."""
        self.root = root  # of the photos
        self.labels = labels or root  # of the annotation files, also where only one was named
        files, links = _list_files(root, follow_links=follow_links)
        # Paths of the photos relative to `root`, with `/`, sorted.
        self.images = [name for name in files if _suffix(name) in IMAGE_SUFFIXES]
        # Those in `labels` hide those in `root` of the same name.
        self._folders = dict.fromkeys(files, root)
        if labels is not None and labels.is_file():
            self.labels = labels.parent
            self._folders[labels.name] = self.labels
        elif labels is not None:
            self._folders |= dict.fromkeys(_list_files(labels)[0], self.labels)
        self._by_suffix: dict[str, list[str]] = {}
        for name in sorted(self._folders, key=printable_name):
            if (suffix := _suffix(name)) not in IMAGE_SUFFIXES and self.path(name).is_file():
                self._by_suffix.setdefault(suffix, []).append(name)
        self.notes: list[str] = []  # what is to be said of the import, one line each
        why = "a link to outside the folder; --follow-links takes it"
        # What names photos that are not there.
        self.in_vain = [Skipped(name, why) for name in links]
        self._claimed: set[str] = set()
        self._by_stem: dict[str, list[str]] = {}
        for image in self.images:
            self._by_stem.setdefault(_key(stem_of(image)), []).append(image)

    def files(self, *suffixes: str, everywhere: bool = False) -> list[str]:
        """The regular files with such endings, in any case, by their paths from their folder.

        The suffixes are in lower case. `everywhere`: in the photos' folder too, where annotations
        have a folder of their own.
        """
        names = [name for suffix in suffixes for name in self._by_suffix.get(suffix, ())]
        return [n for n in names if everywhere or self._folders[n] == self.labels]

    def annotations(self, suffix: str, expected: str) -> list[str]:
        """The files with an ending; a `NoFormatError`, with what was `expected`, for none."""
        if not (names := self.files(suffix)):
            raise NoFormatError(f"{self.labels}: no {suffix} file in it, expected {expected}")
        return names

    def path(self, name: str) -> Path:
        """A file that `files` lists."""
        return self._folders[name] / name

    def find_all(self, name: str, near: str = "", split: Split | None = None) -> list[str]:
        """Look an image up by its name, with or without folders and ending.

        Of several, the one is meant whose path ends like the name for longest; then one in `split`,
        then one that shares more folders with `near`, the annotation file's relative path. Case,
        the two Unicode forms of accents, and `%20` for a space make no difference where nothing
        else fits. Returns all that fit equally well.
        """
        for spelling in (name, unquote(name)):
            parts = [p for p in spelling.replace("\\", "/").split("/") if p not in ("", ".", "..")]
            named = self._by_stem.get(_key(stem_of(parts[-1])), []) if parts else []
            if named:
                break
        if len(named) < 2:
            return named
        ranks = [_rank(image, parts, near, split) for image in named]
        return [image for image, rank in zip(named, ranks, strict=True) if rank == max(ranks)]

    def pair(self, annotation: str, *, anywhere: bool = False) -> list[str]:
        """The images that an annotation file belongs to by its own name, a relative path.

        Such an image has its stem and lies beside it, in a sister folder, or in the same subfolder
        of one (`annotations/train/0.xml`, `images/train/0.jpg`); several only where they all do
        equally. With `anywhere`, the only image with this stem counts wherever it lies, but in no
        other split.
        """
        stem = stem_of(annotation.rpartition(".")[0])
        named = self._by_stem.get(_key(stem), [])
        apart = {name: (_apart(name, annotation), stem_of(name) != stem) for name in named}
        nearest = min(apart.values(), default=(_FAR, True))
        if nearest[0] <= 1:
            return [name for name in named if apart[name] == nearest]
        return named if anywhere and len(named) == 1 and nearest[0] < _FAR else []

    def photo(
        self,
        name: str,
        near: str,
        faces: Iterable[AnnotatedFace | str],
        line: int | None = None,
        **stated: Any,
    ) -> Items:
        """Look up a photo that an annotation file names, once only, and `describe` it.

        That takes `near`, `faces` and `stated`; the `line` of the file is for messages.
        """
        try:
            matches = self.find_all(name, near, stated.get("split"))
            if len(matches) != 1:
                found = f"{len(matches)} images are" if matches else "no image is"
                raise AnnotationError(f"{found} named {name!r}")
            self.claim(matches[0], "annotated twice")
        except AnnotationError as error:
            yield Skipped(name or near, f"{near}{f':{line}' if line else ''}: {error}")
        else:
            yield from self.describe(matches[0], near, faces, **stated)

    def describe(
        self,
        image: str,
        near: str,
        faces: Iterable[AnnotatedFace | str],
        split: Split | None = None,
        stated_wh: tuple[int, int] | None = None,
        unit: float | None = None,
    ) -> Items:
        """Read an image's header, bring its boxes upright, and list the faces that have none.

        Tools differ on whether boxes of a photo with EXIF orientation refer to the stored or to the
        upright pixels. Where the turn swaps the sides (orientations 5 to 8), the size that the
        annotation states tells which. Where it does not (2 to 4), where the photo is square, or
        where no size is stated, nothing tells, and boxes are taken to be upright.

        `image` is one of `images`, `near` the annotation file's relative path. Where the annotation
        names no split, the image's folder does. `unit` is what the photo's sides count in the
        boxes, 1 or 100; None: their pixels.
        """
        faces = [*faces]
        yield from (Skipped(image, near + face) for face in faces if isinstance(face, str))
        try:
            size_wh, orientation = read_header(self.root / image)
        except ImageError as error:
            yield Skipped(image, f"unreadable image: {error}", unreadable=True)
            return
        width, height = stated_wh or size_wh
        turned = (width, height) != size_wh
        if turned and (orientation < 5 or (height, width) != size_wh):
            has = f"the image has {size_wh[0]} x {size_wh[1]}"
            yield Skipped(image, f"annotated as {width} x {height} pixels, {has}")
            return
        across, down = (width / unit, height / unit) if unit else (1, 1)
        upright = []
        for face in faces:
            if not isinstance(face, str):
                x, y, w, h = face.box_xywh
                box_xywh = x * across, y * down, w * across, h * down
                if turned:
                    box_xywh = _turn(box_xywh, (width, height), orientation)
                upright.append(replace(face, box_xywh=box_xywh))
        named = split or split_of(image)
        yield AnnotatedImage(image, self.root, size_wh, orientation, named, tuple(upright))

    def claim(self, image: str, twice: str) -> None:
        """Note that an image is annotated; if it was already, an `AnnotationError` says `twice`."""
        if image in self._claimed:
            raise AnnotationError(f"{image} is {twice}")
        self._claimed.add(image)

    def unclaimed(self, reason: str) -> Iterator[Skipped]:
        """List the images that no annotation claims."""
        return (Skipped(image, reason) for image in self.images if image not in self._claimed)


def read_each(source: Source, names: Iterable[str], read: Callable[[Source, str], Items]) -> Items:
    """Read files that name their photos; one that cannot be read is listed."""
    for name in names:
        try:
            yield from read(source, name)
        except AnnotationError as error:
            yield Skipped(name, str(error))
    yield from source.unclaimed("no annotation")


_FAR = 9  # folders; more than any two paths are taken to be apart


def _list_files(root: Path, *, follow_links: bool = True) -> tuple[list[str], list[str]]:
    """Relative paths of a folder's files, sorted as printed, and of links that are not followed."""
    if not root.is_dir():
        raise DatasetError(f"{root}: {'not a folder' if root.exists() else 'no such folder'}")

    files: list[str] = []
    links: list[str] = []
    real = root.resolve()
    entered: set[Path] = set()  # by links, each once, so that no circle is walked
    folders = [""]  # not by os.walk, which calls itself once a level before Python 3.12
    while folders:
        inside = folders.pop()
        try:
            with os.scandir(os.path.join(root, inside)) as listed:  # noqa: PTH118
                entries = [entry for entry in listed if entry.name[0] != "."]
        except OSError as error:
            raise DatasetError(f"{root / inside}: cannot be listed, {error.strerror}") from error
        for entry in entries:
            name, path = inside + entry.name, Path(entry)
            is_link = entry.is_symlink() and not follow_links
            if is_link and not path.resolve().is_relative_to(real):
                links.append(name)
            elif not entry.is_dir():
                files.append(name)
            elif _may_enter(path, entered):
                folders.append(f"{name}/")
    return sorted(files, key=printable_name), sorted(links)


def _may_enter(folder: Path, entered: set[Path]) -> bool:
    if not folder.is_symlink():
        return True
    real = folder.resolve()
    if real in entered or folder.parent.resolve().is_relative_to(real):
        return False
    entered.add(real)
    return True


def _suffix(name: str) -> str:
    return f".{name.rpartition('.')[2].lower()}"


def stem_of(image: str) -> str:
    """A photo's name without folders and ending."""
    base = image.rpartition("/")[2]
    return base.rpartition(".")[0] if _suffix(base) in IMAGE_SUFFIXES else base


def _key(text: str) -> str:
    """What is left of a name without the differences that file systems and tools make."""
    return unicodedata.normalize("NFC", unquote(text)).casefold()


def _folders(name: str) -> list[str]:
    return [_key(part) for part in name.split("/")[:-1]]


def _rank(
    image: str, parts: list[str], near: str, split: Split | None
) -> tuple[bool, int, bool, bool, int, int, bool]:
    base, folders = image.rpartition("/")[2], _folders(image)
    like = [_key(part) for part in parts[:-1]]
    common = _alike(folders[::-1], like[::-1])
    plain = _suffix(parts[-1]) not in IMAGE_SUFFIXES
    shared = _alike(folders, _folders(near))
    in_split = split is not None and split_of(image) == split
    in_images = bool(folders) and folders[-1] in ("images", "jpegimages")
    named, spelled = _key(base) == _key(parts[-1]), parts[-1] in (base, stem_of(base))
    return plain or named, common, spelled, in_split, -_apart(image, near), shared, in_images


def _alike(ours: list[str], theirs: list[str]) -> int:
    """How many folders two paths begin with in common."""
    pairs = zip(ours, theirs, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _apart(image: str, annotation: str) -> int:
    """How many folders lie between two paths, their common beginning and end left out."""
    ours, theirs = _folders(image), _folders(annotation)
    if in_other_splits(image, annotation):
        return _FAR
    end = _alike(ours[::-1], theirs[::-1])
    longer, shorter = sorted((len(ours), len(theirs)), reverse=True)
    return min(longer - min(end + _alike(ours, theirs), shorter), _FAR - 1)


def in_other_splits(image: str, annotation: str) -> bool:
    """Whether the folders of two paths are of different splits."""
    splits = {split_of(image), split_of(annotation)}
    return None not in splits and len(splits) > 1


def _turn(box_xywh: BoxXywhFloat, stored_wh: tuple[int, int], orientation: int) -> BoxXywhFloat:
    """Carry a box from stored pixels to upright ones, for the orientations that swap the sides."""
    x, y, w, h = box_xywh
    if orientation in (6, 7):
        y = stored_wh[1] - y - h
    if orientation in (7, 8):
        x = stored_wh[0] - x - w
    return y, x, h, w
