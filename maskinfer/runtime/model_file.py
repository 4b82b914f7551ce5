"""The contract of a model file, and the refusal of a file that breaks it.

Every exported model, whatever its network, is one function: canvases in; a box, a probability and a
score for each image out. The graph does the casting, normalising, decoding and choosing. What a
caller must know besides stands in the file's metadata, one JSON value under the key `maskinfer`.

| tensor           | type, shape         | meaning                                             |
| ---------------- | ------------------- | --------------------------------------------------- |
| in `images`      | uint8 [N, S, S, 3]  | RGB canvases; N is free                             |
| out `boxes`      | float32 [N, 4]      | x, y, w, h in canvas pixels                         |
| out `proper_mask`| float32 [N]         | probability that the mask is worn properly, 0..1    |
| out `score`      | float32 [N]         | confidence in the box, 0..1                         |
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from maskinfer.data.geometry import Geometry
from maskinfer.errors import ModelFileError
from maskinfer.records import read_record, read_value

METADATA_KEY = "maskinfer"
SCHEMA = 2  # 2 added `export` and `verification`

INPUT_NAME = "images"
OUTPUT_NAMES = ("boxes", "proper_mask", "score")

REPAIR = "Run: maskinfer export"


@dataclass(frozen=True)
class ModelMetadata:
    """What a model file says about itself.

    Attributes:
        network: its name, such as `resnet` or `fasterrcnn`.
        backbone: such as `resnet18`.
        geometry: how photos become the canvases this model reads.
        threshold: least probability that counts as a properly worn mask.
        normalisation: `mean` and `std`, three numbers each in 0..255; applied inside the graph.
        precision: what its layers compute with: `fp32`, `fp16` or `int8`.
        training: the data and the recipe the model comes from.
        metrics: figures measured when it was trained, by split.
        export: how it became a file: the proposals of Faster R-CNN, what INT8 was calibrated on.
        verification: how far it agrees with its checkpoint, as measured when it was written.
        maskinfer_version: the version that wrote the file.
        schema: version of this structure.
    """

    network: str
    backbone: str
    geometry: Geometry
    threshold: float
    normalisation: dict[str, list[float]]
    precision: str
    maskinfer_version: str
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    export: dict[str, Any] = field(default_factory=dict)
    verification: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    def to_json(self) -> str:
        """One JSON value that `from_json` reads back."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None, subject: str) -> "ModelMetadata":
        """Read metadata.

        Args:
            text: the JSON value, or None where the file has none.
            subject: the file's name for messages.

        Raises:
            ModelFileError: there is none, it is damaged, or of a newer schema.
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
                    f"{subject}: metadata schema {schema}, this maskinfer reads up to {SCHEMA}; "
                    "install a newer maskinfer"
                )
            metadata = read_record(cls, values)
            if not 0 <= metadata.threshold <= 1:
                raise ValueError(f"threshold: got {metadata.threshold}, expected 0 to 1")
            read_value(dict[str, Any], metadata.export.get("int8", {}), "export.int8")
            return metadata
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            what = error if isinstance(error, ValueError) else repr(error)
            raise ModelFileError(
                f"{subject}: damaged maskinfer metadata ({what}). {REPAIR}"
            ) from error


def check_contract(session: Any, path: Path) -> ModelMetadata:
    """Hold a model file against the contract.

    Args:
        session: onnxruntime's `InferenceSession` of the file.
        path: the file, for messages.

    Raises:
        ModelFileError: it breaks the contract; the message says where.
    """
    custom = session.get_modelmeta().custom_metadata_map
    metadata = ModelMetadata.from_json(custom.get(METADATA_KEY), str(path))
    side = metadata.geometry.canvas
    inputs = {node.name: node for node in session.get_inputs()}
    outputs = {node.name: node for node in session.get_outputs()}
    if list(inputs) != [INPUT_NAME]:
        raise ModelFileError(f"{path}: inputs are {_names(inputs)}, expected 'images'. {REPAIR}")
    shape, kind = inputs[INPUT_NAME].shape, inputs[INPUT_NAME].type
    if len(shape) != 4 or isinstance(shape[0], int) or shape[1:] != [side, side, 3]:
        dimensions = ", ".join(str(size) if isinstance(size, int) else "N" for size in shape)
        raise ModelFileError(
            f"{path}: input 'images' is ({dimensions}), expected (N, {side}, {side}, 3). {REPAIR}"
        )
    if kind != "tensor(uint8)":
        raise ModelFileError(f"{path}: input 'images' is {kind}, expected tensor(uint8). {REPAIR}")
    for name in OUTPUT_NAMES:
        if name not in outputs:
            raise ModelFileError(
                f"{path}: outputs are {_names(outputs)}, expected '{name}' among them. {REPAIR}"
            )
        if outputs[name].type != "tensor(float)":
            raise ModelFileError(
                f"{path}: output '{name}' is {outputs[name].type}, expected tensor(float). {REPAIR}"
            )
    return metadata


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "none"
