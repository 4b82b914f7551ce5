"""Real images on canvases, to verify and to calibrate a model file with."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from maskinfer.data.dataset import list_images
from maskinfer.data.geometry import Geometry, decode_wh, place
from maskinfer.data.images import Pixels, load_photo
from maskinfer.errors import DatasetError, ImageError


def draw_evenly(folders: Sequence[Path], geometry: Geometry, most: int) -> Pixels:
    """Draw images as inference would, evenly spaced over all of several folders.

    Images need no label; those that cannot be read are passed over.

    Args:
        folders: looked into at any depth.
        geometry: how photos become canvases.
        most: how many at most.

    Returns:
        (N, S, S, 3) canvases, 1 <= N <= most.

    Raises:
        DatasetError: a folder is missing, or no image in any of them can be read.
    """
    paths = [folder / name for folder in folders for name in list_images(folder)]
    places = np.linspace(0, len(paths) - 1, min(most, len(paths))).round().astype(int)
    canvases = []
    for index in places.tolist():
        try:
            photo = load_photo(paths[index], partial(decode_wh, geometry))
        except ImageError:
            continue
        canvases.append(place(photo, geometry)[0])
    if not canvases:
        raise DatasetError(f"{', '.join(map(str, folders))}: no image that can be read")
    return np.stack(canvases)
