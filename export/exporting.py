"""From a run to a model file known to find the faces that the run's best weights find."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from onnx import ModelProto

from maskinfer.data.dataset import Dataset
from maskinfer.data.geometry import Geometry
from maskinfer.data.pixels import Pixels
from maskinfer.errors import ExportError, UsageError
from maskinfer.files import check_file, replacing
from maskinfer.runtime.cpu import has_int8_dot_products
from maskinfer.runtime.default_model import EXPORTS, TRITON
from maskinfer.runtime.engine import TENSORRT
from maskinfer.runtime.engine_file import ENGINE_SUFFIX, write_engine
from maskinfer.runtime.model_file import ModelMetadata, WorkingPoint
from maskinfer.runtime.providers import Provider
from maskinfer.runtime.session import Outputs, Session
from maskinfer.train.memory import kept_memory
from maskinfer.train.runs.checkpoint import Checkpoint
from maskinfer.version import __version__

from . import engine, triton
from .fp16 import store_in_half, to_half
from .graph import ContractModule, checkpoint_function, to_onnx, write_onnx
from .int8 import quantise
from .parity import BATCH_SIZES, Parity, Predict, Reference, compare, in_batches, tolerance
from .settings import DEFAULT_FACES, PROPOSALS, BatchRange, ExportSettings, GraphOptions, Say, check
from .verification import draw_evenly, verification_canvases
from .working_points import measure_file

_CALIBRATION_IMAGES = 96
_ENDINGS = {"onnx": ".onnx", "engine": ENGINE_SUFFIX, "triton": ""}


@dataclass(frozen=True)
class Exported:
    """A finished export."""

    path: Path  # of the file or folder
    parity: Parity  # how well it agrees with its checkpoint
    note: str = ""  # what the figures do not show
    seconds: float = 0.0  # that its network took for the images it is verified on

    @property
    def size_bytes(self) -> int:
        """Of the file, or of all files in the folder."""
        paths = (self.path, *self.path.rglob("*"))
        return sum(path.stat().st_size for path in paths if path.is_file())


class _TooFewProposalsError(ExportError):
    """What would be traced does not predict what its checkpoint predicts."""

    def __init__(self, message: str, reference: Reference) -> None:
        super().__init__(message)
        self.reference = reference


@kept_memory()
def export(run: Path, settings: ExportSettings, say: Say) -> Exported:
    """Trace a run's best weights, lower their precision, verify on real images, and package.

    Everything is written beside its place and renamed only when it agrees, so a failed or
    interrupted export leaves an older one of that name as it was. `run` is a folder or a file of
    weights; `say` takes a line about each step that takes long.

    A `RunError` where the run has no usable weights, a `DatasetError` where there are no images to
    verify or to calibrate on, a `UsageError` where the settings contradict each other or the place
    cannot be written, an `ExportError` where the written file does not predict what the checkpoint
    predicts, or the engine cannot be built.
    """
    check(settings)
    if settings.format == "engine":
        engine.find_toolkit()
    checkpoint = Checkpoint.load(run)
    _check_network(checkpoint, settings)
    if settings.proposals is not None or checkpoint.config.settings.model != "fasterrcnn":
        return _export(checkpoint, settings, say)
    took, own = 0.0, None  # with the fewest; what the checkpoint's own evaluation computed
    for proposals in PROPOSALS:
        try:
            exported = _export(checkpoint, replace(settings, proposals=proposals), say, own)
            break
        except _TooFewProposalsError as error:
            if proposals == PROPOSALS[-1]:
                raise
            took, own = took or error.reference.seconds, error.reference.checkpoint
            say(f"With {proposals} proposals it disagrees; trying more, which take longer")
    if not took:
        return exported
    times = exported.seconds / took
    cost = f"it needs {proposals} proposals, in torch {times:.1f} x the time of {PROPOSALS[0]}"
    return replace(exported, note="; ".join(filter(None, (exported.note, cost))))


def _export(
    checkpoint: Checkpoint, settings: ExportSettings, say: Say, known: Outputs | None = None
) -> Exported:
    path = _destination(checkpoint.path, settings)
    config, network = checkpoint.config, checkpoint.network
    geometry = config.settings.geometry
    if settings.canvas is not None:
        geometry = Geometry.letterbox(settings.canvas)
        network.canvas = settings.canvas
    options = GraphOptions(
        faces=(settings.faces or DEFAULT_FACES) if network.learns_all_faces else 1,
        temperature=checkpoint.calibration.temperature,
        proposals=settings.proposals or PROPOSALS[0],
    )
    canvases = verification_canvases(config, geometry, settings.data)
    calibration = _calibration_canvases(checkpoint, geometry, settings)

    traced = ContractModule(network, options)
    own = known or checkpoint_function(network, options)
    reference = Reference.compute(traced, own, canvases, checkpoint.calibration.threshold)
    # A file can come no nearer than the network that is traced, which takes minutes.
    model = config.settings.model
    if faults := reference.faults(tolerance(model, "fp32")):
        if model == "fasterrcnn" and options.proposals < PROPOSALS[-1]:
            faults.append("more --proposals bring it nearer")
        raise _TooFewProposalsError(_refusal(path, faults), reference)
    say("Tracing the network")
    # Box arithmetic of a letterbox's canvas follows from its shape in `lite` alone.
    free_canvas = model == "lite" and geometry.kind == "letterbox"
    graph = to_onnx(traced, geometry.canvas, free_canvas=free_canvas)
    graph, lowering = _lower(graph, settings, canvases, calibration, say)
    details = traced.options.describe(model) | lowering
    metadata = replace(
        _describe(checkpoint, geometry, settings.precision, details),
        faces=options.faces,
        free_canvas=free_canvas,
    )
    say("Verifying")
    with _place(path, settings) as onnx_file:
        write_onnx(graph, metadata, onnx_file)
        session = Session(onnx_file, Provider.CPU, max(BATCH_SIZES))
        parity = _verify(partial(in_batches, session.run), reference, metadata, path)
        say("Measuring from which score on a face counts")
        metadata, note = measure_file(session, checkpoint)
        if fault := checkpoint.figures.fault:
            note = "; ".join(filter(None, (f"the network {fault}", note)))
        metadata = replace(metadata, verification=asdict(parity))
        write_onnx(graph, metadata, onnx_file)
        exported = Exported(path, parity, note, reference.seconds)
        if settings.weights is not None:
            measured = replace(
                checkpoint.calibration, one_face=metadata.one_face, all_faces=metadata.all_faces
            )
            checkpoint._replace(calibration=measured).write(settings.weights)
        batch = settings.batch or BatchRange()
        if settings.format == "engine":
            say("Building the engine")
            built = engine.build(onnx_file.read_bytes(), geometry.canvas, batch)
            return _write_engine(built, exported, metadata, reference)
        if settings.format == "triton":
            triton.write_repository(onnx_file, metadata, batch.maximum, path.parent, path.name)
    return exported


def _check_network(checkpoint: Checkpoint, settings: ExportSettings) -> None:
    """Refuse options that are of another network."""
    trained = checkpoint.config.settings
    if settings.proposals is not None and trained.model != "fasterrcnn":
        raise UsageError(
            f"--proposals {settings.proposals}: only for fasterrcnn, got a {trained.model} run"
        )
    if checkpoint.network.learns_all_faces:
        if settings.canvas is not None and trained.geometry.kind != "letterbox":
            raise UsageError(
                f"--canvas {settings.canvas}: only for a letterbox, got {trained.geometry.kind}"
            )
        return
    if settings.faces not in (None, 1):
        raise UsageError(
            f"--faces {settings.faces}: a {trained.model} sees one face only; "
            "train fasterrcnn or lite"
        )
    if settings.canvas is not None:
        raise UsageError(
            f"--canvas {settings.canvas}: a {trained.model} reads the canvas it was trained on, "
            f"{trained.geometry.canvas}; give --canvas to maskinfer train"
        )


def _destination(run: Path, settings: ExportSettings) -> Path:
    """Where the model goes; what cannot be written is refused before the work."""
    if settings.weights is not None:
        if settings.weights.suffix != ".safetensors":
            raise UsageError(
                f"--weights: got {settings.weights}, expected a file name that ends in .safetensors"
            )
        check_file(settings.weights, overwrite=settings.overwrite)
    ending = _ENDINGS[settings.format]
    path = settings.out
    if path is None:
        precision, target = settings.precision, settings.int8_target
        marks = {
            precision: precision != "fp32",
            f"{settings.faces}faces": settings.faces is not None,
            f"{settings.canvas}px": settings.canvas is not None,
            target: precision == "int8" and target == "tensorrt",
        }
        own = run.stem if run.is_file() else run.resolve().name
        name = "-".join([own, *(mark for mark, it in marks.items() if it)])
        path = (TRITON if settings.format == "triton" else EXPORTS) / f"{name}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
    if settings.format == "triton":
        triton.check_destination(path.parent, path.name, overwrite=settings.overwrite)
    elif path.suffix != ending:
        raise UsageError(f"--out: got {path}, expected a file name that ends in {ending}")
    else:
        check_file(path, overwrite=settings.overwrite)
    return path


def _calibration_canvases(
    checkpoint: Checkpoint, geometry: Geometry, settings: ExportSettings
) -> Pixels | None:
    if settings.precision != "int8":
        return None
    if settings.calibrate is not None:
        return draw_evenly([settings.calibrate], geometry, _CALIBRATION_IMAGES)
    datasets = [Dataset(Path(name)) for name in checkpoint.config.settings.data]
    folders = [one.split("train") if one.is_divided else one.path for one in datasets]
    if not folders:
        raise UsageError(
            f"--precision int8: {checkpoint.path} names no training images to measure its "
            "ranges on; give --calibrate DIR"
        )
    return draw_evenly(folders, geometry, _CALIBRATION_IMAGES)


def _lower(
    graph: ModelProto,
    settings: ExportSettings,
    canvases: Pixels,
    calibration: Pixels | None,
    say: Say,
) -> tuple[ModelProto, dict[str, Any]]:
    """The graph in its precision, and what the metadata says of that."""
    if settings.precision == "fp16":
        return graph, {"fp16": to_half(graph, canvases)}
    if settings.precision == "fp16-weights":
        store_in_half(graph)
    if calibration is None:
        return graph, {}
    say(f"Quantising on {len(calibration)} images")
    target = settings.int8_target
    full_range = target == "cpu" and has_int8_dot_products() is True
    quantised = quantise(graph, calibration, target, full_range=full_range, say=say)
    return quantised.model, {"int8": quantised.details}


def _describe(
    checkpoint: Checkpoint, geometry: Geometry, precision: str, details: dict[str, Any]
) -> ModelMetadata:
    config, figures = checkpoint.config, asdict(checkpoint.figures)
    recipe = asdict(config.settings)
    # Paths reveal where the data was on one machine; names tell which data it was.
    for private in ("data", "weights", "workers", "geometry"):
        recipe.pop(private)
    measured = ["epoch", "validation_iou", "validation_balanced_accuracy"]
    measured += ["test_iou", "test_accuracy", "test_balanced_accuracy"]
    unmeasured = WorkingPoint(threshold=checkpoint.calibration.threshold)
    return ModelMetadata(
        network=config.settings.model,
        backbone=config.settings.backbone,
        geometry=geometry,
        one_face=unmeasured,
        all_faces=unmeasured,
        normalisation=config.normalisation,
        precision=precision,
        maskinfer_version=__version__,
        training={
            "data": config.data,
            "initial_weights": config.initial_weights,
            "recipe": recipe,
            "versions": config.versions,
        },
        metrics={
            **{name: figures[name] for name in measured},
            "calibration": asdict(checkpoint.calibration),
        },
        export=details,
    )


@contextmanager
def _place(path: Path, settings: ExportSettings) -> Iterator[Path]:
    """Yield where the ONNX file is written: beside its place, or for other formats for a while."""
    if settings.format == "onnx":
        with replacing(path) as beside:
            yield beside
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder, "model.onnx")


def _verify(predict: Predict, reference: Reference, metadata: ModelMetadata, path: Path) -> Parity:
    """Compare what will be `path` with the checkpoint, and refuse it where they disagree."""
    allowed = tolerance(metadata.network, metadata.precision)
    parity = compare(predict, reference, allowed)
    if faults := parity.faults(allowed):
        raise ExportError(_refusal(path, faults))
    return parity


def _refusal(path: Path, faults: list[str]) -> str:
    return f"{path}: not written, the file disagrees; {'; '.join(faults)}"


def _write_engine(
    built: engine.BuiltEngine, graph: Exported, metadata: ModelMetadata, reference: Reference
) -> Exported:
    """Write an engine, verified where it can be loaded; else with the figures of its graph."""
    path = graph.path
    if built.built_with["builder"] == TENSORRT:  # so there is a GPU to try it on
        # A GPU computes FP32 convolutions in TF32, which has FP16's digits.
        digits = metadata.precision if metadata.precision == "int8" else "fp16"
        predict = engine.predictor(built)
        parity = _verify(predict, reference, replace(metadata, precision=digits), path)
        exported, stated = replace(graph, parity=parity), asdict(parity)
    else:
        note = f"{path} has not run; the figures are those of the graph it was built from"
        exported = replace(graph, note="; ".join(filter(None, (graph.note, note))))
        stated = {**metadata.verification, "of": "the ONNX graph, not the engine"}
    metadata = replace(metadata, verification=stated, free_canvas=False)
    write_engine(built.plan, metadata, built.built_with, path)
    return exported
