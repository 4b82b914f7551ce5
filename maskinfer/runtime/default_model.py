"""Which model file is used where none is named: the newest export, else the one that ships."""

import importlib.resources
from pathlib import Path

from maskinfer.data.folders import IMAGE_SUFFIXES
from maskinfer.errors import ModelFileError, UsageError

EXPORTS = Path("models")
TRITON = EXPORTS / "triton"
SHIPPED, SHIPPED_WEIGHTS = "default.onnx", "default.safetensors"
_SHIPPED_FOR_GPUS = "default.gpu.onnx"


def resolve_model(named: Path | None = None) -> Path:
    """Choose the model file: `named` as it is, else the newest `*.onnx` under `models/`.

    That is in the current folder, without Triton's and hidden folders. Where there is none, it is
    the model that ships in the package, and where that is missing, a `ModelFileError`. An image is
    no model: a `UsageError`.
    """
    if named is not None:
        if named.suffix.lower() in IMAGE_SUFFIXES:
            raise UsageError(f"{named}: an image, expected a model file (.onnx or .engine)")
        return named
    exports = [path for path in EXPORTS.rglob("*.onnx") if path.is_file() and _is_export(path)]
    if exports:
        return max(exports, key=lambda path: (path.stat().st_mtime_ns, path.as_posix()))
    shipped = shipped_model()
    if shipped.is_file():
        return shipped
    raise ModelFileError(
        f"no model: no *.onnx under {EXPORTS}/ in this folder, and none ships with this "
        "installation. Name one with --model FILE, or make one with: maskinfer train, "
        "maskinfer export"
    )


def _is_export(path: Path) -> bool:
    folders = path.relative_to(EXPORTS).parts[:-1]
    return folders[:1] != (TRITON.name,) and not any(name.startswith(".") for name in folders)


def shipped_model() -> Path:
    """Path of the model that ships in the package, whether it is there or not."""
    return Path(str(importlib.resources.files("maskinfer") / SHIPPED))


def suited(model: Path, *, on_gpu: bool) -> Path:
    """The file to load of a model: of the one that ships there is another for GPUs.

    INT8 for CPUs is slow on CUDA, and TensorRT refuses it.
    """
    for_gpus = shipped_model().with_name(_SHIPPED_FOR_GPUS)
    return for_gpus if on_gpu and model == shipped_model() and for_gpus.is_file() else model


def shipped_weights() -> Path:
    """Path of that model's weights, to train on from and to export."""
    return Path(str(importlib.resources.files("maskinfer") / SHIPPED_WEIGHTS))
