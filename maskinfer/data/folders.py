"""Walking folders: image files by their endings, in the order of their printable names."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from maskinfer.errors import DatasetError
from maskinfer.text import recorded_name

from .patience import read_patiently

# HEIC is listed although Pillow needs a plugin for it: phone photos are reported, not overlooked.
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"}
    | {".avif", ".heic", ".heif"}
)


@dataclass(frozen=True)
class Failure:
    """An image without a prediction, and why."""

    filename: str
    error: str


def scan_folder(folder: Path, *, recursive: bool = True) -> Iterator[str | Failure]:
    """Find the image files of a folder by their endings, in the order of their printable names.

    Hidden files and folders (names that start with a dot) are passed over; links to folders are
    not followed. Anything else with an image's ending is listed, even pipes and broken links, for
    the reader to report. Yields paths relative to the folder, with `/`, and a failure for a folder
    in it that cannot be listed; for the folder itself that is a `DatasetError`.
    """

    def list_folder(prefix: str) -> list[str]:
        try:
            with os.scandir(os.path.join(folder, prefix)) as entries:  # noqa: PTH118
                return [f"{e.name}/" if _is_folder(e) else e.name for e in entries]
        except OSError as error:
            raise DatasetError(error.strerror) from error

    return walk(str(folder), list_folder, recursive=recursive)


def list_images(folder: Path, *, recursive: bool = True) -> list[str]:
    """List what `scan_folder` yields, where nothing may be missing.

    A `DatasetError` says that there is no such folder, or that one in it cannot be listed.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}")
    names: list[str] = []
    for entry in scan_folder(folder, recursive=recursive):
        if isinstance(entry, Failure):
            raise DatasetError(f"{folder / entry.filename}: {entry.error}")
        names.append(entry)
    return names


def below(folder: Path) -> Iterator[Path]:
    """What lies in a folder and the folders in it, but for these; links are not followed."""
    folders = [folder]  # not by os.walk, which calls itself once a level before Python 3.12
    while folders:
        for path in sorted(folders.pop().iterdir()):
            if path.is_dir() and not path.is_symlink():
                folders.append(path)
            else:
                yield path


def walk(
    place: str, list_folder: Callable[[str], list[str]], *, recursive: bool
) -> Iterator[str | Failure]:
    """Walk folders of any kind, under the rules of `scan_folder`.

    `list_folder` gives, of a folder by its path from the first with a `/` behind, the names, with
    `/` behind those of folders, or raises a `DatasetError` that says why it cannot. Messages call
    the first folder `place`; where that cannot be listed, they are a `DatasetError`, and an
    `UnreachableError` where it could be at first.
    """

    def is_reachable() -> bool:
        try:
            list_folder("")
        except DatasetError:
            return False
        return True

    def scan(prefix: str) -> tuple[str, Iterator[str]]:
        # All at once, so that only the sorted names are held while they are yielded. A folder sorts
        # as what its files' names begin with, so the whole walk is in order.
        names = sorted(filter(_is_listed, list_folder(prefix)))
        names.sort(key=recorded_name)
        return prefix, iter(names)

    try:
        entered = [scan("")]  # and the folders in it, down to the one that is being listed
    except DatasetError as error:
        raise DatasetError(f"{place}: cannot be listed, {error}") from error
    while entered:
        prefix, entries = entered[-1]
        name = next(entries, "")
        if not name:
            entered.pop()
        elif not name.endswith("/"):
            yield prefix + name
        elif recursive:
            try:
                entered.append(read_patiently(partial(scan, prefix + name), is_reachable))
            except DatasetError as error:
                yield Failure(prefix + name, f"cannot be listed, {error}")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:  # it has just vanished; reading it will fail
        return False


def _is_listed(name: str) -> bool:
    ending = os.path.splitext(name)[1].lower()  # noqa: PTH122
    return not name.startswith(".") and (name.endswith("/") or ending in IMAGE_SUFFIXES)
