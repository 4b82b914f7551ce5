"""Holding a model file against the checkpoint it came from."""

from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from maskinfer.data.dataset import split_folder
from maskinfer.data.geometry import Geometry
from maskinfer.data.images import Pixels
from maskinfer.errors import DatasetError, UsageError
from maskinfer.runtime.providers import Provider
from maskinfer.runtime.session import Outputs, Session
from maskinfer.train.networks.build import build
from maskinfer.train.runs.files import RunConfig
from maskinfer.train.runs.folder import RunFolder

from .canvases import draw_evenly
from .engine_run import EngineSession
from .graph import checkpoint_answer, contract_module
from .parity import BATCH_SIZES, Detect, Parity, Run, Tolerance, compare, in_batches, tolerance
from .settings import VERIFIED_ON, Answer, BatchRange


class Verifier:
    """A checkpoint and the real images that files exported from it are held against."""

    def __init__(
        self, checkpoint: Detect, traced: nn.Module, canvases: Pixels, threshold: float
    ) -> None:
        """Take what to compare with.

        Args:
            checkpoint: its own evaluation.
            traced: the same weights as the module that was exported.
            canvases: (N, S, S, 3) uint8.
            threshold: least probability that counts as a properly worn mask.
        """
        self.checkpoint = checkpoint
        self.traced = traced
        self.canvases = canvases
        self.threshold = threshold

    def verify(self, run: Run, allowed: Tolerance) -> Parity:
        """Compare a model with the checkpoint."""
        return compare(run, self.traced, self.checkpoint, self.canvases, allowed, self.threshold)


def open_file(file: Path) -> Session:
    """Load an ONNX file for the CPU, to run it at every batch size that is compared."""
    return Session(file, Provider.CPU, max(BATCH_SIZES))


def session_runner(session: Session) -> Run:
    """Run a file that is loaded."""
    return partial(in_batches, session.run)


def engine_runner(session: EngineSession, batch: BatchRange) -> Run:
    """Run an engine on the GPU, at the batch size of its range that is nearest to the one wanted.

    Has not run on a GPU: none was at hand when it was written.
    """

    def run(canvases: Pixels, batch_size: int) -> Outputs:
        size = min(max(batch_size, batch.minimum), batch.maximum)
        missing = -len(canvases) % size  # the last batch is filled up
        filled = np.concatenate([canvases, canvases[:1].repeat(missing, axis=0)])
        found = in_batches(session.run, filled, size)
        count = len(canvases)
        return Outputs(found.boxes_xywh[:count], found.proper_mask[:count], found.score[:count])

    return run


def verify_file(
    file: Path, run: RunFolder, data: Path | None, images: int
) -> tuple[Parity, list[str]]:
    """Compare a model file with the best weights of the run it came from.

    Args:
        file: the model file.
        run: the run.
        data: a data set, or any folder of images; None takes the run's own test images.
        images: how many to compare on, at most.

    Returns:
        how far they agree, and what is beyond the tolerance.

    Raises:
        ModelFileError: the file is damaged or not ours.
        RunError: the run has no usable weights.
        UsageError: the file is not of the run's network, backbone or geometry.
        DatasetError: there is no image to compare on.
    """
    session = open_file(file)
    metadata = session.metadata
    config = run.read_config()
    settings = config.settings
    ours = _kind(metadata.network, metadata.backbone, metadata.geometry)
    theirs = _kind(settings.model, settings.backbone, settings.geometry)
    network = build(settings).eval()
    if network.learns_all_faces:  # and so may have been exported for another canvas
        theirs = _kind(settings.model, settings.backbone, metadata.geometry)
        network.canvas = metadata.geometry.canvas
    if ours != theirs:
        raise UsageError(
            f"{file} is a {ours}, {run.path} a {theirs}: name the run that it was exported from"
        )
    run.read_best(network)
    # Schema 1 had the proposals among the training's values.
    answer = Answer.recall({**metadata.training, **metadata.export})
    verifier = Verifier(
        checkpoint_answer(network, answer),
        contract_module(network, answer),
        verification_canvases(config, metadata.geometry, data, images),
        metadata.threshold,
    )
    allowed = tolerance(metadata.network, metadata.precision)
    parity = verifier.verify(session_runner(session), allowed)
    return parity, parity.faults(allowed)


def verification_canvases(
    config: RunConfig, geometry: Geometry, data: Path | None, images: int = VERIFIED_ON
) -> Pixels:
    """Draw test images on their canvases, evenly spaced over all of them.

    Args:
        config: of the run, which names its data.
        geometry: how photos become canvases.
        data: a data set, or any folder of images; None takes the run's own.
        images: how many at most.
    """
    try:
        if data is None:
            folders = [split_folder(Path(folder), "test") for folder in config.settings.data]
        else:
            folders = [data / "test" if (data / "test").is_dir() else data]
        return draw_evenly(folders, geometry, images)
    except DatasetError as error:
        raise DatasetError(
            f"{error}. A model file is verified on test images; name some with --data DIR"
        ) from error


def _kind(network: str, backbone: str, geometry: Geometry) -> str:
    return f"{network} {backbone} ({geometry.kind}, {geometry.canvas} px)"
