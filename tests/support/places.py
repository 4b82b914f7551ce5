"""Folders that are hard to read: deep ones, and those of another file system."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec


@contextmanager
def nested(folder: Path, depth: int) -> Iterator[str]:
    """Folders in each other; yields the last one's relative path, which may then be filled.

    They are removed at the end, since test runners cannot remove what is deeper than calls may go.
    """
    here = Path.cwd()
    os.chdir(folder)
    try:
        for _ in range(depth):
            Path("d").mkdir()
            os.chdir("d")
        yield "d/" * depth
        for path in Path().iterdir():
            path.unlink()
        for _ in range(depth):
            os.chdir("..")
            Path("d").rmdir()
    finally:
        os.chdir(here)


def in_memory(photos: Path) -> str:
    """Copy a folder to a file system in memory; its address."""
    memory = fsspec.filesystem("memory")
    if memory.exists("/photos"):
        memory.rm("/photos", recursive=True)
    memory.put(str(photos), "/photos", recursive=True)
    return "memory://photos"
