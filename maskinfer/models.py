"""Which model file to use where none is named: newest export first, then the one that ships."""

import importlib.resources
from pathlib import Path

from .errors import ModelFileError

EXPORTS = Path("models")
SHIPPED = "default.onnx"


def resolve_model(named: Path | None = None) -> Path:
    """Choose the model file.

    Args:
        named: what the caller asked for; it wins, and is not looked at here.

    Returns:
        `named`, else the newest `*.onnx` under `models/` of the current folder, else the model
        that ships in the package.

    Raises:
        ModelFileError: there is none.
    """
    if named is not None:
        return named
    exports = [path for path in EXPORTS.rglob("*.onnx") if path.is_file()]
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


def shipped_model() -> Path:
    """Where the model that ships in the package lies, or would."""
    return Path(str(importlib.resources.files("maskinfer") / SHIPPED))
