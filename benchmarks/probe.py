"""Makes the small network that `maskinfer doctor` runs on each provider.

    python benchmarks/probe.py

One layer of each kind that GPUs have a library of their own for, with random weights.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from maskinfer.data.geometry import Geometry
from maskinfer.export.graph import OPSET, write_onnx
from maskinfer.runtime.doctor import PROBE
from maskinfer.runtime.model_file import INPUT_NAME, OUTPUT_SHAPES, ModelMetadata, WorkingPoint
from maskinfer.version import __version__

_SIDE, _CHANNELS = 64, 16


def main() -> None:
    """Write it into the package."""
    rng = np.random.default_rng(0)
    columns = {name: int(np.prod(more)) for name, more in OUTPUT_SHAPES.items()}
    weights = {
        "kernel": rng.normal(0, 0.1, (_CHANNELS, 3, 3, 3)).astype(np.float32),
        "matrix": rng.normal(0, 0.1, (_CHANNELS, sum(columns.values()))).astype(np.float32),
        "columns": np.array(list(columns.values()), np.int64),
    }
    weights |= {
        f"{name}_shape": np.array([0, 1, *more], np.int64) for name, more in OUTPUT_SHAPES.items()
    }
    flat = [f"{name}_flat" for name in OUTPUT_SHAPES]
    nodes = [
        helper.make_node("Cast", [INPUT_NAME], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel"], ["maps"], strides=[2, 2]),
        helper.make_node("Relu", ["maps"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["means"]),
        helper.make_node("Flatten", ["means"], ["features"]),
        helper.make_node("MatMul", ["features", "matrix"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["shares"]),
        helper.make_node("Split", ["shares", "columns"], flat, axis=1),
        *(
            helper.make_node("Reshape", [one, f"{name}_shape"], [name])
            for one, name in zip(flat, OUTPUT_SHAPES, strict=True)
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "probe",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["N", _SIDE, _SIDE, 3])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1, *more])
            for name, more in OUTPUT_SHAPES.items()
        ],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    metadata = ModelMetadata(
        network="probe",
        backbone="",
        geometry=Geometry.letterbox(_SIDE),
        one_face=WorkingPoint(),
        all_faces=WorkingPoint(),
        normalisation={"mean": [0.0] * 3, "std": [1.0] * 3},
        precision="fp32",
        maskinfer_version=__version__,
    )
    opset = helper.make_opsetid("", OPSET)
    write_onnx(helper.make_model(graph, opset_imports=[opset], ir_version=8), metadata, Path(PROBE))


if __name__ == "__main__":
    main()
