"""Large photos, decoded once for a whole training and kept on disk meanwhile."""

import multiprocessing
import shutil
from pathlib import Path

import numpy as np

from maskinfer.data.images import LeastWh, Photo, load_photo
from maskinfer.files import replacing

_LARGE = 1_000_000  # pixels of an original; smaller ones are decoded about as fast as they are read
_MOST_BYTES = 20 * 10**9
_SHARE = 0.5  # of the free disk
_HEADER = 32  # bytes: width and height of the original, height and width of what is kept, as int64


class DecodedPhotos:
    """A folder that the processes share which draw canvases.

    Photos are kept as long as there is room; then, and where the disk refuses, they are decoded
    each time.
    """

    def __init__(self, folder: Path, processes: int = 1) -> None:
        """Keep photos in a folder, which may be there from before, beside other `processes`."""
        self._folder = folder
        room = min(_MOST_BYTES, _SHARE * shutil.disk_usage(folder.parent).free) / processes
        self._room = multiprocessing.Value("q", int(room))

    def load(self, index: int, path: Path, least_wh: LeastWh) -> Photo:
        """Decode a photo as `load_photo` does, or read what was decoded under its `index`."""
        kept = self._folder / str(index)
        try:
            width, height, *shape = np.fromfile(kept, np.int64, 4).tolist()
            return Photo(np.memmap(kept, np.uint8, "r", _HEADER, (*shape, 3)), (width, height))
        except (OSError, ValueError):  # not kept yet, or not to be read
            photo = load_photo(path, least_wh)
        if photo.size_wh[0] * photo.size_wh[1] < _LARGE:
            return photo
        size = photo.pixels.nbytes
        with self._room.get_lock():
            if self._room.value < size:
                return photo
            self._room.value -= size
        try:
            self._folder.mkdir(exist_ok=True)
            with replacing(kept) as beside, beside.open("wb") as file:
                np.array([*photo.size_wh, *photo.pixels.shape[:2]], np.int64).tofile(file)
                photo.pixels.tofile(file)
        except OSError:
            self._room.value = 0
        return photo

    def remove(self) -> None:
        """Remove what is kept."""
        shutil.rmtree(self._folder, ignore_errors=True)
