"""From a run folder to a model file known to predict what the run's best weights predict."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from onnx import ModelProto

from maskinfer.data.dataset import split_folder
from maskinfer.data.geometry import Geometry
from maskinfer.data.images import Pixels
from maskinfer.errors import ExportError, UsageError
from maskinfer.files import replacing
from maskinfer.runtime.cpu import has_int8_dot_products
from maskinfer.runtime.default_model import EXPORTS, TRITON
from maskinfer.runtime.engine_file import ENGINE_SUFFIX, write_engine
from maskinfer.runtime.model_file import ModelMetadata
from maskinfer.train.calibration import Calibration
from maskinfer.train.networks.build import build
from maskinfer.train.networks.network import Network
from maskinfer.train.runs.files import EpochRow, RunConfig
from maskinfer.train.runs.folder import RunFolder
from maskinfer.version import __version__

from . import engine, triton
from .canvases import draw_evenly
from .engine_run import EngineSession
from .fp16 import to_half
from .graph import checkpoint_answer, contract_module, store_fp16, to_onnx, write_onnx
from .int8 import quantise
from .parity import Parity, Run, Tolerance, tolerance
from .settings import DEFAULT_PROPOSALS, Answer, ExportSettings, check
from .verification import Verifier, engine_runner, open_file, session_runner, verification_canvases

_CALIBRATION_IMAGES = 96
_ENDINGS = {"onnx": ".onnx", "engine": ENGINE_SUFFIX, "triton": ""}


@dataclass(frozen=True)
class Exported:
    """A finished export.

    Attributes:
        path: the file or folder.
        parity: how well it agrees with its checkpoint.
        note: what the figures do not say of it; else empty.
    """

    path: Path
    parity: Parity
    note: str = ""


def export(run: RunFolder, settings: ExportSettings, say: Callable[[str], None]) -> Exported:
    """Trace a run's best weights, write them as a model, and verify it on real images.

    What is written lies beside its place and is renamed only when it agrees, so a failed or
    interrupted export leaves an older one of that name as it was.

    Args:
        run: a run folder with weights.
        settings: what to make of them.
        say: told, in one line each, what takes long.

    Raises:
        RunError: the run has no usable weights.
        DatasetError: there are no images to verify or to calibrate on.
        UsageError: the settings contradict each other, or the place cannot be written.
        ExportError: the written file does not predict what the checkpoint predicts, or the engine
            cannot be built.
    """
    check(settings)
    if settings.format == "engine":
        engine.choose()
    config = run.read_config()
    network = build(config.settings).eval()
    _check_network(network, config, settings)
    path = _destination(run, settings)
    weights = run.read_best(network)
    best = run.best_row(weights.epoch)
    geometry = config.settings.geometry
    if settings.canvas is not None:
        geometry = Geometry.letterbox(settings.canvas)
        network.canvas = settings.canvas
    canvases = verification_canvases(config, geometry, settings.data)
    calibration = _calibration_canvases(config, geometry, settings)

    answer = Answer(
        face=settings.face,
        temperature=weights.calibration.temperature,
        proposals=settings.proposals or DEFAULT_PROPOSALS,
    )
    traced = contract_module(network, answer)
    say("Tracing the network")
    graph = to_onnx(traced, geometry.canvas)
    details = answer.describe(config.settings.model)
    if settings.precision == "fp16":
        details["fp16"] = {"layers_in_fp32": to_half(graph)}
    elif settings.storage == "fp16":
        store_fp16(graph)
    if calibration is not None:
        say(f"Quantising on {len(calibration)} images")
        quantised = quantise(
            graph,
            calibration,
            settings.target,
            full_range=settings.target == "cpu" and has_int8_dot_products() is True,
            say=say,
        )
        graph = quantised.model
        details["int8"] = quantised.describe()
    metadata = _describe(config, geometry, best, weights.calibration, settings, details)
    say("Verifying")
    note = ""
    verifier = Verifier(
        checkpoint_answer(network, answer), traced, canvases, weights.calibration.threshold
    )
    with _place(path, settings) as onnx_file:
        parity, metadata = _write_verified(graph, metadata, verifier, path, onnx_file)
        if settings.format == "engine":
            say("Building the engine")
            built = engine.build(onnx_file.read_bytes(), metadata.geometry.canvas, settings.batch)
            if built.built_with["builder"] == engine.TENSORRT:  # so there is a GPU to run it on
                on_gpu = engine_runner(EngineSession(built), settings.batch)
                # A GPU computes FP32 convolutions in TF32, which has FP16's digits.
                exact = metadata.precision.startswith("fp32")
                allowed = tolerance(metadata.network, "fp16" if exact else metadata.precision)
                parity, metadata = _verify(on_gpu, allowed, metadata, verifier, path)
            else:
                note = f"{path} has not run; the figures are those of the graph it was built from"
                stated = {**metadata.verification, "of": "the ONNX graph, not the engine"}
                metadata = replace(metadata, verification=stated)
            write_engine(built.plan, metadata, built.built_with, path)
        elif settings.format == "triton":
            most = settings.batch.maximum
            triton.write_repository(onnx_file, metadata, most, path.parent, path.name)
    return Exported(path, parity, note)


def _check_network(network: Network, config: RunConfig, settings: ExportSettings) -> None:
    """Refuse options that are of another network."""
    told = config.settings
    if settings.proposals is not None and told.model != "fasterrcnn":
        raise UsageError(
            f"--proposals {settings.proposals}: only for fasterrcnn, got a {told.model} run"
        )
    if network.learns_all_faces:
        if settings.canvas is not None and told.geometry.kind != "letterbox":
            raise UsageError(
                f"--canvas {settings.canvas}: only for a letterbox, got {told.geometry.kind}"
            )
        return
    if settings.face != "best":
        raise UsageError(
            f"--face {settings.face}: a {told.model} sees one face only; train fasterrcnn or lite"
        )
    if settings.canvas is not None:
        raise UsageError(
            f"--canvas {settings.canvas}: a {told.model} reads the canvas it was trained on, "
            f"{told.geometry.canvas}; give --canvas to maskinfer train"
        )


def _destination(run: RunFolder, settings: ExportSettings) -> Path:
    """Where the model goes, so that what cannot be written is said before the work."""
    ending = _ENDINGS[settings.format]
    if settings.out is None:
        suffix = "" if settings.precision == "fp32" else f"-{settings.precision}"
        if settings.face != "best":
            suffix += f"-{settings.face}"
        if settings.canvas is not None:
            suffix += f"-{settings.canvas}px"
        if settings.target == "tensorrt":
            suffix += "-tensorrt"
        if settings.storage == "fp16":
            suffix += "-stored-fp16"
        folder = TRITON if settings.format == "triton" else EXPORTS
        path = folder / f"{run.path.resolve().name}{suffix}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
    else:
        path = settings.out
    if settings.format == "triton":
        triton.check_destination(path.parent, path.name)
    elif path.suffix != ending or path.is_dir():
        raise UsageError(f"--out: got {path}, expected a file name that ends in {ending}")
    if not path.parent.is_dir():
        raise UsageError(f"--out: {path.parent} is no folder; make it first")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"--out: {path.parent} cannot be written to")
    return path


def _calibration_canvases(
    config: RunConfig, geometry: Geometry, settings: ExportSettings
) -> Pixels | None:
    if settings.precision != "int8":
        return None
    if settings.calibrate is not None:
        folders = [settings.calibrate]
    else:
        folders = [split_folder(Path(folder), "train") for folder in config.settings.data]
    return draw_evenly(folders, geometry, _CALIBRATION_IMAGES)


@contextmanager
def _place(path: Path, settings: ExportSettings) -> Iterator[Path]:
    """Yield where the ONNX file is written: beside its place, or for other formats for a while."""
    if settings.format == "onnx":
        with replacing(path) as beside:
            yield beside
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder, "model.onnx")


def _write_verified(
    graph: ModelProto, metadata: ModelMetadata, verifier: Verifier, path: Path, beside: Path
) -> tuple[Parity, ModelMetadata]:
    """Write the file, verify it, and write into it what the verification found."""
    write_onnx(graph, metadata, beside)
    allowed = tolerance(metadata.network, metadata.precision)
    parity, metadata = _verify(session_runner(open_file(beside)), allowed, metadata, verifier, path)
    write_onnx(graph, metadata, beside)
    return parity, metadata


def _verify(
    run: Run, allowed: Tolerance, metadata: ModelMetadata, verifier: Verifier, path: Path
) -> tuple[Parity, ModelMetadata]:
    """Hold what will be `path` against the checkpoint, and note in the metadata what was found."""
    parity = verifier.verify(run, allowed)
    faults = parity.faults(allowed)
    if faults:
        more = "; more --proposals bring it nearer" if metadata.network == "fasterrcnn" else ""
        raise ExportError(f"{path}: not written, the file disagrees; {'; '.join(faults)}{more}")
    return parity, replace(metadata, verification=parity.to_dict())


def _describe(
    config: RunConfig,
    geometry: Geometry,
    best: EpochRow,
    calibration: Calibration,
    settings: ExportSettings,
    details: dict[str, Any],
) -> ModelMetadata:
    told = config.settings
    recipe = told.to_dict()
    # Paths say where the data lay on one machine; names say which it was.
    for private in ("data", "weights", "workers", "geometry"):
        recipe.pop(private)
    precision = settings.precision
    return ModelMetadata(
        network=told.model,
        backbone=told.backbone,
        geometry=geometry,
        threshold=calibration.threshold,
        normalisation=config.normalisation,
        precision=precision if settings.storage == "fp32" else "fp32, weights stored as fp16",
        maskinfer_version=__version__,
        training={
            "data": config.data,
            "initial_weights": config.initial_weights,
            "recipe": recipe,
            "versions": config.versions,
        },
        metrics={**_metrics(best), "calibration": asdict(calibration)},
        export=details,
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
