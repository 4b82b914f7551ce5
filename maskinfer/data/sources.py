"""What to predict: the images of a folder, of a list, or one image, as a stream of names in order.

A source can be iterated again and again and holds no more than the names of one folder at a time;
a list that comes through a pipe is kept on disk.
"""

import os
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob, has_magic
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from maskinfer.errors import UsageError

from .folders import IMAGE_SUFFIXES, Failure, scan_folder
from .labels import label_of
from .patience import has_gone, notice

if TYPE_CHECKING:
    from .remote import RemoteSource

_CHUNK = 1 << 20  # bytes
_BEFORE_BOX = "__["  # in every labelled name, and quickly searched for

# Images to predict. Iterating gives names, with `/`, and a failure for each folder that cannot be
# listed; `str` the name that users know it by. What the methods do is said at those of files.
Source: TypeAlias = "FolderSource | NamesSource | PathsSource | ListSource | RemoteSource"


@dataclass(frozen=True)
class Survey:
    """What a source holds."""

    images: int  # how many names, counting folders that cannot be listed
    labelled: bool  # whether any name carries a label


class LocalSource:
    """Images that are files."""

    folder: Path  # what names are relative to

    def image(self, name: str) -> str:
        """What to decode for a name, the file's path; an `ImageError` where it cannot be read."""
        path = os.path.join(self.folder, name)  # noqa: PTH118, a third of the time
        notice(os.path.dirname(path))  # noqa: PTH120, likewise
        return path

    def is_reachable(self, name: str) -> bool:
        """Whether the place of an image answers: its folder is there, and files can be opened."""
        try:
            with open(os.devnull, "rb"):  # noqa: PTH123
                return not has_gone(os.path.dirname(os.path.join(self.folder, name)))  # noqa: PTH118, PTH120
        except OSError:
            return False

    def beside(self, name: str) -> list[str]:
        """What the folder of a name holds, by names in it; an `OSError` where nothing tells."""
        return [path.name for path in (self.folder / name).parent.iterdir()]

    def stamp(self, name: str) -> list[int] | None:
        """What changes with the file of a name, its size and its time; None where nothing tells."""
        try:
            status = os.stat(os.path.join(self.folder, name))  # noqa: PTH116, PTH118
        except (OSError, ValueError):
            return None
        return [status.st_size, status.st_mtime_ns]


@dataclass(frozen=True)
class FolderSource(LocalSource):
    """The images of a folder, sorted, and if `recursive` of the folders in it."""

    folder: Path
    recursive: bool = True
    sorted: bool = True  # whether names come in the order of their characters

    def __iter__(self) -> Iterator[str | Failure]:
        return scan_folder(self.folder, recursive=self.recursive)

    def __str__(self) -> str:
        return str(self.folder)


@dataclass(frozen=True)
class NamesSource(LocalSource):
    """Given names in their order, relative to a folder."""

    folder: Path
    names: tuple[str, ...]
    sorted: bool = False

    def __iter__(self) -> Iterator[str | Failure]:
        return iter(self.names)

    def __str__(self) -> str:
        return str(self.folder.joinpath(*self.names[:1]))


@dataclass(frozen=True)
class PathsSource(LocalSource):
    """Images, and those of folders, in the order given; patterns stand for what matches them."""

    given: tuple[str, ...]
    recursive: bool = True
    folder: Path = Path()
    sorted: bool = False

    def __iter__(self) -> Iterator[str | Failure]:
        for path in (path for text in self.given for path in paths_of(text)):
            if not path.is_dir():
                yield path.as_posix()
                continue
            for name in scan_folder(path, recursive=self.recursive):
                if isinstance(name, Failure):
                    yield Failure((path / name.filename).as_posix(), name.error)
                else:
                    yield f"{path.as_posix()}/{name}"

    def __str__(self) -> str:
        return " ".join(self.given)


def is_pattern(text: str) -> bool:
    """Whether it stands for paths that match it, and is none itself."""
    return has_magic(text) and not os.path.lexists(text)


def paths_of(text: str) -> list[Path]:
    """A path that exists, or a pattern's images, or else its folders; a `UsageError` for none."""
    if os.path.lexists(text):
        return [Path(text)]
    matches = [Path(match) for match in sorted(glob(text, recursive=True))]  # noqa: PTH207, absolute patterns too
    images = [path for path in matches if path.suffix.lower() in IMAGE_SUFFIXES]
    if found := images or [path for path in matches if path.is_dir()]:
        return found
    raise UsageError(f"{text}: no such folder or image")


class ListSource:
    """Names in a list, a line each or separated by NUL; order and repetitions stay."""

    sorted = False

    def __init__(self, place: "LocalSource | RemoteSource", stream: BinaryIO) -> None:
        """Read a list to its end, into a file that is deleted with this source."""
        self.place = place  # what relative names are relative to, and what reads them
        self.image, self.is_reachable, self.stamp = place.image, place.is_reachable, place.stamp
        self.beside = place.beside
        self._name = getattr(stream, "name", "the list")
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115, open as long as this source lives
        weakref.finalize(self, self._spool.close)
        self._separator = b"\n"
        while chunk := stream.read(_CHUNK):
            if b"\0" in chunk:
                self._separator = b"\0"
            self._spool.write(chunk)

    def __iter__(self) -> Iterator[str | Failure]:
        # By position, so that two iterations do not disturb each other.
        position, rest = 0, b""
        while True:
            self._spool.seek(position)
            chunk = self._spool.read(_CHUNK)
            position += len(chunk)
            *whole, rest = (rest + chunk).split(self._separator)
            for line in whole if chunk else [rest]:
                name = line.removesuffix(b"\r") if self._separator == b"\n" else line
                if name:
                    yield os.fsdecode(name)
            if not chunk:
                return

    def __str__(self) -> str:
        return str(self._name)


def open_source(
    images: Path | str | tuple[str, ...] | None,
    files_from: BinaryIO | None = None,
    *,
    recursive: bool = True,
) -> Source:
    """Open a folder, one image file, an address as text, or several; or a list of names.

    A list's names are relative to the folder or address, or to the current folder. Where there is
    no such folder or file, a `UsageError` says so.
    """
    if isinstance(images, str):
        from .remote import RemoteSource

        remote = RemoteSource(images, recursive)
        return remote if files_from is None else ListSource(remote, files_from)
    if isinstance(images, tuple):
        if files_from is not None:
            raise UsageError(f"--files-from: expected one folder at most, got {len(images)}")
        for text in images:
            paths_of(text)
        return PathsSource(images, recursive)
    if files_from is not None:
        folder = images or Path()
        if not folder.is_dir():
            raise UsageError(f"{folder}: no such folder, which names of --files-from start from")
        return ListSource(FolderSource(folder), files_from)
    if images is None:
        raise UsageError("nothing to predict: name a folder or an image, or use --files-from")
    if images.is_dir():
        return FolderSource(images, recursive)
    if images.is_symlink() or images.exists():
        return NamesSource(images.parent, (images.name,))
    raise UsageError(f"{images}: no such folder or image")


def survey(source: Source, limit: int | None = None) -> Survey:
    """Count a source's images, up to a limit."""
    images, labelled = 0, False
    for name in islice(source, limit):
        images += 1
        if not labelled and isinstance(name, str):
            labelled = _BEFORE_BOX in name and label_of(name) is not None
    return Survey(images, labelled)
