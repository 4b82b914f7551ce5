"""A finished model file as a model of Triton Inference Server.

    REPOSITORY/NAME/config.pbtxt    what the server must know, and the model's metadata
    REPOSITORY/NAME/1/model.onnx    the file, byte for byte

The settings follow Triton's documentation (`model_configuration.md`, `batcher.md`) and the sources
of its ONNX Runtime backend; the text is checked against Triton's own schema in the tests.
"""

import re
import shutil
from pathlib import Path

from maskinfer.errors import UsageError
from maskinfer.files import check_folder, replacing_folder
from maskinfer.runtime.model_file import INPUT_NAME, METADATA_KEY, OUTPUT_SHAPES, ModelMetadata

_CONFIG = "config.pbtxt"
_MODEL = "1/model.onnx"  # Triton's default name for ONNX, version 1
_WHAT_WE_WRITE = {_CONFIG, "1", _MODEL}
# By this line a later export knows that it may replace the folder.
_MARK = "# Written by maskinfer export; exporting to this name again replaces the folder."

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_MAX_INT32 = 2**31 - 1  # the schema's type of max_batch_size

# How long a request may wait for others to share its batch: little beside a batch's own time, and
# enough for requests that are sent together. Preferred sizes are left out, as Triton advises for
# all but TensorRT.
_QUEUE_DELAY_US = 1000
# cuDNN's HEURISTIC, as `runtime.session` asks for: batches differ in size, and the default tries
# every algorithm for each. The backend overwrites `execution_accelerators` with that default as
# soon as there are `parameters`, so it must stand here.
_CUDNN_SEARCH = ("cudnn_conv_algo_search", "1")

_FREE = -1  # a dimension that each request chooses


def write_repository(
    model: Path, metadata: ModelMetadata, max_batch: int, folder: Path, name: str
) -> None:
    """Copy a verified `.onnx` file into a Triton model repository, or replace it there.

    The repository `folder` is made if need be; other models in it are left alone. The server puts
    at most `max_batch` images into one batch, and clients can read the metadata from it. A
    `UsageError` where Triton cannot take the name or the batch, or the folder of that name is not
    one that an earlier export wrote; an `OSError` where it cannot be written.
    """
    check_destination(folder, name, overwrite=True)
    config = config_text(name, metadata, max_batch)
    with replacing_folder(folder / name) as beside:
        (beside / _MODEL).parent.mkdir()
        (beside / _CONFIG).write_text(config, encoding="utf-8", newline="\n")
        # Not its permissions: the server may belong to another user.
        shutil.copyfile(model, beside / _MODEL)


def check_destination(folder: Path, name: str, *, overwrite: bool) -> None:
    """Refuse what `write_repository` would refuse; cheap, so done before a long export.

    A `UsageError` where Triton cannot take the name, what is there was not written by an export, or
    was, and `overwrite` is False.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"Triton model name: got {name!r}, expected letters, digits, '_', '.' and '-', the "
            "first a letter, a digit or '_'"
        )
    check_folder(folder, overwrite=True)
    place = folder / name
    if not (place.exists() or place.is_symlink()):
        return
    if strange := _strange(place):
        raise UsageError(f"{place}: {strange}; not replaced. Remove it, or choose another name")
    if not overwrite:
        raise UsageError(f"{place}: exists. To replace it, add --overwrite")


def config_text(name: str, metadata: ModelMetadata, max_batch: int) -> str:
    """The model's `config.pbtxt`: Triton's `ModelConfig` in protobuf text format.

    The metadata goes under `parameters`, as the JSON value that the model file holds. A
    `UsageError` where `max_batch` is out of range.
    """
    if not 1 <= max_batch <= _MAX_INT32:
        raise UsageError(f"Triton max batch: got {max_batch}, expected 1 to {_MAX_INT32}")
    # Requests of one size share a batch.
    side = _FREE if metadata.free_canvas else metadata.geometry.canvas
    outputs = ",\n".join(
        f"  {{ name: {quoted(output)} data_type: TYPE_FP32 "
        f"dims: [ {', '.join(map(str, (metadata.faces, *more)))} ] }}"
        for output, more in OUTPUT_SHAPES.items()
    )
    parameters = ",\n".join(
        f"  {{ key: {quoted(key)} value: {{ string_value: {quoted(value)} }} }}"
        for key, value in ((METADATA_KEY, metadata.to_json()), _CUDNN_SEARCH)
    )
    # `dims` leave the batch out. The input's format stays FORMAT_NONE: the graph itself casts and
    # transposes, so the server has nothing to know of channels.
    return f"""\
{_MARK}
name: {quoted(name)}
backend: "onnxruntime"
max_batch_size: {max_batch}
input [
  {{ name: {quoted(INPUT_NAME)} data_type: TYPE_UINT8 dims: [ {side}, {side}, 3 ] }}
]
output [
{outputs}
]
# One instance on each GPU, or one on the CPU where there is none.
instance_group [ {{ count: 1 kind: KIND_AUTO }} ]
dynamic_batching {{ max_queue_delay_microseconds: {_QUEUE_DELAY_US} }}
parameters [
{parameters}
]
"""


def quoted(text: str) -> str:
    """A string literal of protobuf text format, in ASCII: the bytes of its UTF-8, escaped."""
    data = text.replace("\\", r"\\").replace('"', r"\"").encode()
    # Always three octal digits, so that a digit that follows is not taken for a fourth.
    characters = (chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}" for byte in data)
    return f'"{"".join(characters)}"'


def _strange(place: Path) -> str:
    """Why a folder must not be replaced; empty where all of it comes from an export."""
    if not place.is_dir():
        return "is not a folder"
    try:
        config = (place / _CONFIG).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return f"has no {_CONFIG}, so is not a Triton model"
    if _MARK not in config:
        return f"its {_CONFIG} was not written by maskinfer"
    names = {path.relative_to(place).as_posix() for path in place.rglob("*")}
    foreign = sorted(names - _WHAT_WE_WRITE)
    return f"holds {foreign[0]}, which maskinfer did not write" if foreign else ""
