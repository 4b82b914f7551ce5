"""From a run folder to a model file known to predict what the run's best weights predict."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskinfer.atomic import replacing
from maskinfer.dataset import Sample
from maskinfer.errors import DatasetError, ExportError, UsageError
from maskinfer.model_file import ModelMetadata
from maskinfer.models import EXPORTS
from maskinfer.train.batches import Key, SampleCanvases
from maskinfer.train.networks import build
from maskinfer.train.parts import read_part
from maskinfer.train.run_folder import EpochRow, RunConfig, RunFolder
from maskinfer.version import __version__

from .graph import contract_module, to_onnx, write_onnx
from .parity import Parity, compare, tolerance
from .settings import ExportSettings

_IMAGES = 48  # verified on, evenly spaced over the test images
_THRESHOLD = 0.5


@dataclass(frozen=True)
class Exported:
    """A finished export: the file, and how well it agrees with its checkpoint."""

    path: Path
    parity: Parity


def export(run: RunFolder, settings: ExportSettings) -> Exported:
    """Trace a run's best weights, write them as ONNX, and verify the file on real images.

    The file is written beside its place and renamed only when it agrees, so a failed or interrupted
    export leaves an older file of that name as it was.

    Raises:
        RunError: the run has no usable weights.
        DatasetError: there are no images to verify on.
        UsageError: the file's folder does not exist.
        ExportError: the written file does not predict what the checkpoint predicts.
    """
    config = run.read_config()
    path = _destination(run, settings)
    network = build(config.settings).eval()
    run.read_best(network)
    canvases = _verification_canvases(config, settings)

    module = contract_module(network, settings.proposals)
    model = to_onnx(module, config.settings.geometry.canvas)
    metadata = _describe(config, run.best_row(), settings)
    allowed = tolerance(settings.storage, config.settings.model)
    with replacing(path) as beside:
        write_onnx(model, metadata, settings.storage, beside)
        parity = compare(beside, module, network, canvases, allowed)
        faults = parity.faults(allowed)
        if faults:
            raise ExportError(f"{path}: not written, the file disagrees; {'; '.join(faults)}")
    return Exported(path, parity)


def _destination(run: RunFolder, settings: ExportSettings) -> Path:
    if settings.out is None:
        path = EXPORTS / f"{run.path.resolve().name}.onnx"
        path.parent.mkdir(exist_ok=True)
    else:
        path = settings.out
    if path.suffix != ".onnx" or path.is_dir():
        raise UsageError(f"--out: got {path}, expected a file name that ends in .onnx")
    if not path.parent.is_dir():
        raise UsageError(f"--out: {path.parent} is no folder; make it first")
    return path


def _verification_canvases(config: RunConfig, settings: ExportSettings) -> NDArray[np.uint8]:
    """Test images on their canvases, (N, S, S, 3), evenly spaced over all of them."""
    folders = [str(settings.data)] if settings.data else config.settings.data
    samples: list[Sample] = []
    for folder in map(Path, folders):
        try:
            samples += read_part(folder, "test")[0]
        except DatasetError as error:
            raise DatasetError(
                f"{error}. An export is verified on test images; name some with --data DIR"
            ) from error
    if not samples:
        raise DatasetError(f"{', '.join(folders)}: no test image can be read; give --data DIR")
    places = np.linspace(0, len(samples) - 1, min(_IMAGES, len(samples))).round().astype(int)
    canvases = SampleCanvases(samples, config.settings.geometry)
    return np.stack([canvases[Key(0, place, place)].canvas for place in places.tolist()])


def _describe(config: RunConfig, best: EpochRow, settings: ExportSettings) -> ModelMetadata:
    told = config.settings
    recipe = told.to_dict()
    # Paths say where the data lay on one machine; names say which it was.
    for private in ("data", "weights", "workers", "geometry"):
        recipe.pop(private)
    return ModelMetadata(
        network=told.model,
        backbone=told.backbone,
        geometry=told.geometry,
        threshold=_THRESHOLD,
        normalisation=config.normalisation,
        precision="fp32" if settings.storage == "fp32" else "fp32, weights stored as fp16",
        maskinfer_version=__version__,
        training={
            "data": config.data,
            "initial_weights": config.initial_weights,
            "recipe": recipe,
            "versions": config.versions,
            "proposals": settings.proposals if told.model == "fasterrcnn" else None,
        },
        metrics=_metrics(best),
    )


def _metrics(row: EpochRow) -> dict[str, float | int | None]:
    """Figures of the epoch whose weights these are."""
    return {
        "epoch": row.epoch,
        "validation_iou": row.validation_iou,
        "validation_balanced_accuracy": row.validation_balanced_accuracy,
        "test_iou": row.test_iou,
        "test_accuracy": row.test_accuracy,
        "test_balanced_accuracy": row.test_balanced_accuracy,
    }
