"""The contract of a model file, and the refusal of a file that breaks it.

Every exported model, whatever its network, is one function: canvases in; distinct faces out, the
best first. The graph does the casting, normalising, decoding and suppressing; which of the faces an
answer is about is chosen from its numbers, by `maskinfer.inference.choosing`. What a caller must
know besides stands in the file's metadata, one JSON value under the key `maskinfer`.

| tensor           | type, shape        | meaning                                                 |
| ---------------- | ------------------ | ------------------------------------------------------- |
| in `images`      | uint8 [N, S, S, 3] | RGB canvases; N is free, and S where the metadata says  |
| out `boxes`      | float32 [N, K, 4]  | x, y, w, h in canvas pixels                             |
| out `proper_mask`| float32 [N, K]     | calibrated probability of a properly worn mask, 0..1    |
| out `score`      | float32 [N, K]     | confidence that a face is there, 0..1; 0 where none is  |

K is fixed in a file: 1 for networks that learn one face a photo.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from maskinfer.data.geometry import Geometry
from maskinfer.errors import ModelFileError
from maskinfer.records import read_record, read_value

METADATA_KEY = "maskinfer"
_LONGEST_METADATA = 10_000_000  # characters
SCHEMA = 3  # every face; 1 and 2 answered with one

INPUT_NAME = "images"
# After N and K.
OUTPUT_SHAPES: dict[str, tuple[int, ...]] = {"boxes": (4,), "proper_mask": (), "score": ()}
OUTPUT_NAMES = tuple(OUTPUT_SHAPES)

REPAIR = "Run: maskinfer export"


@dataclass(frozen=True)
class WorkingPoint:
    """From which figures on an answer counts: a face's score, a proper mask's probability, 0..1."""

    min_score: float = 0.0
    threshold: float = 0.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name}: got {value}, expected 0 to 1")


@dataclass(frozen=True)
class ModelMetadata:
    """What a model file says about itself."""

    network: str  # its name, such as `resnet` or `fasterrcnn`
    backbone: str  # such as `resnet18`
    geometry: Geometry  # how photos become the canvases it reads, and of which size by default
    one_face: WorkingPoint  # of answers that are about one face of a photo
    all_faces: WorkingPoint  # of answers about every face of a photo
    normalisation: dict[str, list[float]]  # three numbers each, `mean` and `std`, in 0..255
    precision: str  # `fp32`, `fp16-weights`, `fp16` or `int8`, as `export.settings.Precision`
    maskinfer_version: str  # the one that wrote the file
    faces: int = 1  # K, the most that it finds in a photo
    free_canvas: bool = False  # whether it reads canvases of any side that `is_canvas` allows
    training: dict[str, Any] = field(default_factory=dict)  # the data and the recipe
    metrics: dict[str, Any] = field(default_factory=dict)  # measured when it was trained, by split
    # How it became a file: the proposals of Faster R-CNN, what INT8 was calibrated on.
    export: dict[str, Any] = field(default_factory=dict)
    # How far it agrees with its checkpoint, as measured when it was written.
    verification: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA  # the version of this structure

    def to_json(self) -> str:
        """One JSON value that `from_json` reads back."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None, subject: str) -> "ModelMetadata":
        """Read metadata; `subject` is the file's name for messages.

        A `ModelFileError` where there is none, it is damaged, or of another schema.
        """
        if text is None:
            raise ModelFileError(
                f"{subject}: no maskinfer metadata, so not a model that maskinfer exported. "
                f"{REPAIR}"
            )
        try:
            values = json.loads(text)
            schema = values["schema"]
            if type(schema) is not int or schema < 1:
                raise ValueError(f"schema is {schema!r}, expected a whole number from 1")
            if schema > SCHEMA:
                raise ModelFileError(
                    f"{subject}: metadata schema {schema}, this maskinfer reads {SCHEMA}; "
                    "install a newer maskinfer"
                )
            if schema < SCHEMA:
                raise ModelFileError(
                    f"{subject}: metadata schema {schema}, from a version whose files hold one "
                    f"face a photo; this maskinfer reads {SCHEMA}. Export its run again: "
                    "maskinfer export RUN"
                )
            metadata = read_record(cls, values)
            read_value(dict[str, Any], metadata.export.get("int8", {}), "export.int8")
            return metadata
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            what = error if isinstance(error, ValueError) else repr(error)
            raise ModelFileError(
                f"{subject}: damaged maskinfer metadata ({what}). {REPAIR}"
            ) from error


def check_contract(session: Any, path: Path) -> ModelMetadata:
    """Hold onnxruntime's `InferenceSession` of a model file against the contract.

    Where the file breaks it, a `ModelFileError` says where.
    """

    def fault(what: str) -> ModelFileError:
        return ModelFileError(f"{path}: {what}. {REPAIR}")

    custom = session.get_modelmeta().custom_metadata_map
    if (length := sum(map(len, custom.values()))) > _LONGEST_METADATA:
        raise fault(f"damaged metadata ({length:,} characters long)")
    metadata = ModelMetadata.from_json(custom.get(METADATA_KEY), str(path))
    side = metadata.geometry.canvas
    inputs = {node.name: node for node in session.get_inputs()}
    outputs = {node.name: node for node in session.get_outputs()}
    if list(inputs) != [INPUT_NAME]:
        raise fault(f"inputs are {_names(inputs)}, expected 'images'")
    shape, kind = inputs[INPUT_NAME].shape, inputs[INPUT_NAME].type
    sides = [side, side]
    if metadata.free_canvas and not any(isinstance(size, int) for size in shape[1:3]):
        sides = shape[1:3]
    if len(shape) != 4 or isinstance(shape[0], int) or shape[1:] != [*sides, 3]:
        raise fault(f"input 'images' is {_shape(shape)}, expected (N, {side}, {side}, 3)")
    if kind != "tensor(uint8)":
        raise fault(f"input 'images' is {kind}, expected tensor(uint8)")
    for name, more in OUTPUT_SHAPES.items():
        if name not in outputs:
            raise fault(f"outputs are {_names(outputs)}, expected '{name}' among them")
        shape, kind = outputs[name].shape, outputs[name].type
        if kind != "tensor(float)":
            raise fault(f"output '{name}' is {kind}, expected tensor(float)")
        expected = [metadata.faces, *more]
        if shape[1:] != expected:
            raise fault(f"output '{name}' is {_shape(shape)}, expected {_shape(['N', *expected])}")
    return metadata


def _shape(sizes: Sequence[object]) -> str:
    """A shape as people write it; a dimension that is free is N."""
    return f"({', '.join(str(size) if isinstance(size, int) else 'N' for size in sizes)})"


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "none"
