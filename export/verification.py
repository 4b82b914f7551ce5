"""The images that a model file is verified on, and comparing a file with its checkpoint."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from maskinfer.data.dataset import Dataset
from maskinfer.data.folders import list_images
from maskinfer.data.geometry import Geometry, decode_wh, place
from maskinfer.data.images import Photo, load_photo
from maskinfer.data.pixels import Pixels
from maskinfer.errors import DatasetError, ImageError, UsageError
from maskinfer.runtime.providers import Provider
from maskinfer.runtime.session import Session
from maskinfer.train.memory import kept_memory
from maskinfer.train.runs.checkpoint import Checkpoint, run_config
from maskinfer.train.runs.files import RunConfig
from maskinfer.train.synthetic.samples import draw_scene, random_scene

from .graph import ContractModule, checkpoint_function
from .parity import BATCH_SIZES, Parity, Reference, compare, in_batches, tolerance
from .settings import VERIFIED_ON, GraphOptions

_DRAWN_SEED = 0


def draw_evenly(folders: Sequence[Path], geometry: Geometry, most: int) -> Pixels:
    """Put at most `most` images on canvases as inference would, evenly spaced over all folders.

    The folders are searched at any depth. Images need no label; those that cannot be read are
    skipped. Returns (N, S, S, 3) canvases, 1 <= N <= most. A `DatasetError` where a folder is
    missing, or no image in any of them can be read.
    """
    paths = [folder / name for folder in folders for name in list_images(folder)]
    places = np.linspace(0, len(paths) - 1, min(most, len(paths))).round().astype(int)
    canvases = []
    for index in places.tolist():
        with suppress(ImageError):
            photo = load_photo(paths[index], partial(decode_wh, geometry))
            canvases.append(place(photo, geometry)[0])
    if not canvases:
        raise DatasetError(f"{', '.join(map(str, folders))}: no image that can be read")
    return np.stack(canvases)


def verification_canvases(
    config: RunConfig, geometry: Geometry, data: Path | None, images: int = VERIFIED_ON
) -> Pixels:
    """Put test images on canvases (N, S, S, 3), evenly, at most so many.

    Those of `data`, a data set or any folder of images; None takes the run's own, and synthetic
    ones where it names none.
    """
    if data is None and not config.settings.data:
        scenes = (random_scene(_DRAWN_SEED, index, geometry.canvas) for index in range(images))
        photos = (Photo(np.array(image), image.size) for image in map(draw_scene, scenes))
        return np.stack([place(photo, geometry)[0] for photo in photos])
    try:
        if data is None:
            sets = [Dataset(Path(name)) for name in config.settings.data]
            # One of several may only teach; one that is not divided is taken whole.
            tested = [one for one in sets if one.splits.keys() != {"train"}] or sets
            folders = [one.split("test") if one.is_divided else one.path for one in tested]
        else:
            folders = [Dataset(data).test_part().path]
        return draw_evenly(folders, geometry, images)
    except DatasetError as error:
        raise DatasetError(
            f"{error}. A model file is verified on test images; name some with --data DIR"
        ) from error


@kept_memory()
def verify_file(file: Path, run: Path, data: Path | None, images: int) -> tuple[Parity, list[str]]:
    """Compare a model file with the best weights of the run, or the file of weights, it came from.

    On at most so many images of `data`, as `verification_canvases` takes them. Returns how far they
    agree, and what is beyond the tolerance. A `ModelFileError` where the file is damaged or not
    ours, a `RunError` where the run has no usable weights, a `UsageError` where the file is not of
    its network, backbone or geometry, a `DatasetError` where there is no image to compare on.
    """
    session = Session(file, Provider.CPU, max(BATCH_SIZES))
    metadata = session.metadata
    # Compared before the weights are loaded, which would fail with a less helpful message.
    trained = run_config(run).settings
    geometry = trained.geometry
    if trained.model != "resnet":  # and so may have been exported for another canvas
        geometry = metadata.geometry
    ours = _kind(metadata.network, metadata.backbone, metadata.geometry)
    theirs = _kind(trained.model, trained.backbone, geometry)
    if ours != theirs:
        raise UsageError(
            f"{file} is a {ours}, {run} a {theirs}: name the run that it was exported from"
        )
    checkpoint = Checkpoint.load(run)
    network = checkpoint.network
    network.canvas = geometry.canvas
    options = GraphOptions.recall(metadata)
    reference = Reference.compute(
        ContractModule(network, options),
        checkpoint_function(network, options),
        verification_canvases(checkpoint.config, geometry, data, images),
        metadata.one_face.threshold,
    )
    allowed = tolerance(metadata.network, metadata.precision)
    parity = compare(partial(in_batches, session.run), reference, allowed)
    return parity, parity.faults(allowed)


def _kind(network: str, backbone: str, geometry: Geometry) -> str:
    return f"{network} {backbone} ({geometry.kind}, {geometry.canvas} px)"
