"""INT8: static quantisation of a graph's layers, calibrated on real images.

Two flavours of the same recipe (QDQ nodes, weights per channel, symmetric):

- `cpu`: unsigned activations. Where the CPU has no VNNI, its multiply-add saturates on products of
  8 by 8 bits, so weights take 7 bits; with `any-cpu` also where it has, for a file that travels.
- `tensorrt`: signed, symmetric activations, and biases left in FP32.

The last layers stay in float: in 256 steps, many faces of a photo score the same. All others are
quantised first. Where that moves the outputs too far, layers return to float in groups, first those
whose quantisation alone moves the outputs furthest; then each is tried again by itself.
"""

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from onnx import ModelProto
from onnxruntime import quantization

from maskinfer.data.boxes import iou_xywh
from maskinfer.data.pixels import Pixels
from maskinfer.errors import ExportError, UsageError
from maskinfer.runtime.model_file import INPUT_NAME, OUTPUT_NAMES
from maskinfer.runtime.onnx_runtime import bare_session
from maskinfer.runtime.session import Outputs

from .layers import Layer, find_layers, last_layers, reduced_nodes
from .parity import in_batches
from .settings import Say, Target

_MOST_GROUPS = 24  # of neighbouring layers, whose sensitivity is measured
_MOST_IN_FLOAT = 0.5  # share of the groups; beyond it INT8 is pointless
_BATCH = 8


@dataclass(frozen=True)
class Drift:
    """How far quantisation moved the best face of each image, as means over images.

    All faces are compared afterwards, when the file is verified.
    """

    iou: float  # of its box and the float graph's
    probability: float  # absolute difference of `proper_mask`

    @property
    def size(self) -> float:
        """One figure to rank by; 0 where nothing moved."""
        return 1 - self.iou + self.probability

    def is_beyond(self, allowed: "Drift") -> bool:
        """Whether either mean is worse than allowed, or not a number."""
        return not (self.iou >= allowed.iou and self.probability <= allowed.probability)


ALLOWED = Drift(iou=0.95, probability=0.03)


class Quantised(NamedTuple):
    """An INT8 graph."""

    model: ModelProto
    # JSON-able; whose INT8 it is, the bits of its weights, the layers left in float, and how far
    # its outputs are from the float graph's, on images not calibrated on.
    details: dict[str, Any]


def quantise(
    model: ModelProto, canvases: Pixels, target: Target, *, full_range: bool, say: Say
) -> Quantised:
    """Make the layers of an FP32 graph, which is left as it is, compute in 8-bit integers.

    Two thirds of the canvases (N, S, S, 3) set the ranges, the others judge. With `full_range`,
    weights take 8 bits on a CPU, see above. Fewer
    than two canvases are a `UsageError`; where the outputs still move too far with half of the
    layers in float, that is an `ExportError`.
    """
    if len(canvases) < 2:
        raise UsageError(
            f"--calibrate: got {len(canvases)} readable image, expected at least 2; 100 are enough"
        )
    judged = np.arange(len(canvases)) % 3 == 2
    judged[-1] = True
    ranges = _calibrate(model, canvases[~judged])
    weight_bits = 8 if full_range or target == "tensorrt" else 7
    every_layer = find_layers(model.graph)
    layers = [x for x in every_layer if x not in last_layers(model.graph, every_layer)]

    judges = canvases[judged]
    truth = _run(model, judges)

    def lower(chosen: Sequence[Layer]) -> tuple[ModelProto, Drift]:
        lowered = _quantise(model, ranges, chosen, target, reduce_range=weight_bits == 7)
        outputs = _run(lowered, judges)
        iou = iou_xywh(outputs.boxes_xywh, truth.boxes_xywh[:, :1])  # (N, K)
        same = (np.arange(len(judges)), iou.argmax(axis=1))
        moved = np.abs(outputs.proper_mask[same] - truth.proper_mask[:, 0])
        return lowered, Drift(float(iou[same].mean()), float(moved.mean()))

    def lower_but(in_float: Collection[str]) -> tuple[ModelProto, Drift]:
        return lower([layer for layer in layers if layer.weight not in in_float])

    in_float = set[str]()
    lowered, drift = lower_but(in_float)
    if drift.is_beyond(ALLOWED):
        say(f"INT8 changes the predictions (mean IoU {drift.iou:.3f}): finding the layers that do")
        most = min(_MOST_GROUPS, len(layers))
        ends = np.linspace(0, len(layers), most + 1).round().astype(int).tolist()
        groups = [layers[start:end] for start, end in pairwise(ends)]  # of neighbouring layers
        groups.sort(key=lambda group: lower(group)[1].size, reverse=True)
        for group in groups[: round(len(groups) * _MOST_IN_FLOAT)]:
            in_float |= {layer.weight for layer in group}
            lowered, drift = lower_but(in_float)
            if not drift.is_beyond(ALLOWED):
                break
        else:
            raise ExportError(
                f"INT8: with {len(in_float)} of {len(layers)} layers in float, boxes still differ "
                f"(mean IoU {drift.iou:.3f}, expected {ALLOWED.iou}; probabilities by "
                f"{drift.probability:.3f}, expected {ALLOWED.probability}). Calibrate on more "
                "images like yours with --calibrate DIR, or use --precision fp16"
            )
        for layer in [x for x in reversed(layers) if x.weight in in_float]:
            again, moved = lower_but(in_float - {layer.weight})
            if not moved.is_beyond(ALLOWED):
                in_float.remove(layer.weight)
                lowered, drift = again, moved
    details = {
        "target": target,
        "weight_bits": weight_bits,
        "calibration_images": int((~judged).sum()),
        "layers": len(every_layer),
        "layers_in_float": [
            layer.weight for layer in every_layer if layer.weight in in_float or layer not in layers
        ],
        "mean_iou_with_float": drift.iou,
        "mean_probability_difference": drift.probability,
    }
    return Quantised(lowered, details)


class _Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, canvases: Pixels) -> None:
        starts = range(0, len(canvases), _BATCH)
        self.batches = iter([{INPUT_NAME: canvases[start : start + _BATCH]} for start in starts])

    def get_next(self) -> dict[str, Pixels] | None:
        return next(self.batches, None)


def _calibrate(model: ModelProto, canvases: Pixels) -> quantization.TensorsData:
    """Least and greatest value of each tensor that a layer or a follower reads or writes."""
    nodes = reduced_nodes(model.graph, find_layers(model.graph))
    kinds = sorted({node.op_type for node in nodes})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(model.SerializeToString())
        augmented = str(path.with_name("augmented.onnx"))
        calibrator = quantization.create_calibrator(path, kinds, augmented)
        calibrator.collect_data(_Reader(canvases))
        ranges = calibrator.compute_data()
    # It measures every node of these kinds, box arithmetic too, whose range may be infinite.
    names = {name for node in nodes for name in (*node.input, *node.output)}
    kept = {name: ranges[name] for name in ranges if name in names}
    return quantization.TensorsData(ranges.calibration_method, kept)


def _quantise(
    model: ModelProto,
    ranges: quantization.TensorsData,
    layers: Sequence[Layer],
    target: Target,
    *,
    reduce_range: bool,
) -> ModelProto:
    nodes = reduced_nodes(model.graph, layers)
    signed = target == "tensorrt"
    copied = ModelProto()
    copied.CopyFrom(model)
    quantizer = quantization.QDQQuantizer(
        copied,
        per_channel=True,
        reduce_range=reduce_range,
        weight_qType=quantization.QuantType.QInt8,
        activation_qType=quantization.QuantType["QInt8" if signed else "QUInt8"],
        tensors_range=ranges,
        nodes_to_quantize=[node.name for node in nodes],
        nodes_to_exclude=[],
        op_types_to_quantize=sorted({node.op_type for node in nodes}),
        # TensorRT multiplies signed by signed around zero, and adds biases as floats.
        extra_options={"ActivationSymmetric": signed, "QuantizeBias": not signed},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    lowered = quantizer.model.model
    assert isinstance(lowered, ModelProto)
    return lowered


def _run(model: ModelProto, canvases: Pixels) -> Outputs:
    session = bare_session(model.SerializeToString())

    def run(batch: Pixels) -> Outputs:
        return Outputs(*session.run(list(OUTPUT_NAMES), {INPUT_NAME: batch}))

    return in_batches(run, canvases, _BATCH)
