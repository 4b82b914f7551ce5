"""Which model file to use where none is named: newest export first, then the one that ships."""

import importlib.resources
from pathlib import Path

from maskinfer.errors import ModelFileError

EXPORTS = Path("models")
TRITON = EXPORTS / "triton"
SHIPPED = "default.onnx"


def resolve_model(named: Path | None = None) -> Path:
    """Choose the model file.

    Args:
        named: what the caller asked for; it wins, and is not looked at here.

    Returns:
        `named`, else the newest `*.onnx` under `models/` of the current folder, Triton's and hidden
        folders left out, else the model that ships in the package.

    Raises:
        ModelFileError: there is none.
    """
    if named is not None:
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
    """Where the model that ships in the package lies, or would."""
    return Path(str(importlib.resources.files("maskinfer") / SHIPPED))
