"""A TensorRT engine on disk: the plan, and beside it a sidecar with what the plan cannot hold.

`model.engine` is the plan as TensorRT wrote it. `model.engine.json` holds two values: under
`maskinfer` the same metadata as an ONNX model file, under `engine` what the plan was built with and
for, its size, and its SHA-256, which ties the two files together.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from maskinfer.errors import ModelFileError, UsageError
from maskinfer.files import replacing

from .model_file import METADATA_KEY, ModelMetadata

ENGINE_SUFFIX = ".engine"

_ENGINE_KEY = "engine"
_REPAIR = "Run: maskinfer export --format engine"


def sidecar_path(engine: Path) -> Path:
    """Where an engine's sidecar lies."""
    return engine.with_name(engine.name + ".json")


def write_engine(
    plan: bytes, metadata: ModelMetadata, built_with: dict[str, Any], path: Path
) -> None:
    """Write an engine and its sidecar, both beside their places before either is renamed.

    The sidecar is renamed first. If renaming the plan then fails, the older engine lies beside a
    sidecar that is not its own, which `read_sidecar` refuses.

    What the plan was built with, and for which GPUs, is to be fit for JSON. Both are overwritten;
    an `OSError` where a file cannot be written.
    """
    identity = {"sha256": hashlib.sha256(plan).hexdigest(), "bytes": len(plan)}
    sidecar = {METADATA_KEY: asdict(metadata), _ENGINE_KEY: built_with | identity}
    with replacing(path) as plan_beside, replacing(sidecar_path(path)) as sidecar_beside:
        plan_beside.write_bytes(plan)
        sidecar_beside.write_text(json.dumps(sidecar, indent=2) + "\n", encoding="utf-8")


def read_sidecar(path: Path) -> tuple[ModelMetadata, dict[str, Any]]:
    """Read the sidecar of an engine's file, and check that it belongs to the engine.

    Returns the model's metadata, and what the engine was built with, its `sha256` and its `bytes`.
    A `UsageError` where there is no such engine; a `ModelFileError` where the sidecar is missing,
    damaged, or another engine's.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such engine")
    sidecar = sidecar_path(path)
    try:
        values = json.loads(sidecar.read_text(encoding="utf-8"))
        engine = values[_ENGINE_KEY]
        expected = engine["sha256"]
        metadata = json.dumps(values[METADATA_KEY])
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise ModelFileError(
            f"{path}: {sidecar.name}, which describes it, is missing. Copy it too. {_REPAIR}"
        ) from None
    except OSError as error:
        raise ModelFileError(f"{error.filename}: cannot be read, {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFileError(
            f"{sidecar}: damaged, or not an engine's sidecar. {_REPAIR}"
        ) from error
    if actual != expected:
        raise ModelFileError(
            f"{path}: not the engine that {sidecar.name} describes (SHA-256 {actual[:12]}…, "
            f"expected {str(expected)[:12]}…). {_REPAIR}"
        )
    return ModelMetadata.from_json(metadata, str(sidecar)), engine
