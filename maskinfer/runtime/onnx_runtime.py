"""onnxruntime, imported here alone but for its tools: sessions as it has them, what it says."""

import re
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskinfer.data.pixels import Pixels

from .model_file import INPUT_NAME, OUTPUT_SHAPES

LOG_FATAL_ONLY = 4


def import_onnxruntime() -> ModuleType:
    """The module, its log silent but for what is fatal, and without telemetry."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # on Windows, where it has another switch
    onnxruntime.set_default_logger_severity(LOG_FATAL_ONLY)
    module: ModuleType = onnxruntime
    return module


def bare_session(graph: bytes) -> Any:
    """Any graph on the CPU, as onnxruntime has it."""
    return import_onnxruntime().InferenceSession(graph, providers=["CPUExecutionProvider"])


def reason(error: BaseException | None) -> str:
    """One short line of a vendor's message, without its prefix and source positions."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ", "", text)
    text = re.sub(r"/onnxruntime_src/\S+ ", "", text)
    text = re.sub(r"^(Exception from \S+: )+", "", text)  # OpenVINO's
    return text if len(text) <= 200 else f"{text[:200]}…"


class BoundSession:
    """Memory that is set aside on a GPU for one batch, always of one shape, and its outputs.

    A CUDA graph replays the very addresses that it was captured with.
    """

    def __init__(
        self,
        ort: ModuleType,
        session: Any,
        shape: tuple[int, int, int, int],
        faces: int,
        device: str = "cuda",
    ) -> None:
        """Set memory aside for a batch of (N, S, S, 3), on a device as onnxruntime names it."""
        make = ort.OrtValue.ortvalue_from_shape_and_type
        self._session = session
        self._input = make(shape, np.uint8, device)
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(INPUT_NAME, self._input)
        for name, more in OUTPUT_SHAPES.items():
            output = make((shape[0], faces, *more), np.float32, device)
            self._binding.bind_ortvalue_output(name, output)

    def run(self, canvases: Pixels) -> list[NDArray[Any]]:
        """Compute one batch of that shape; the outputs in the order of `OUTPUT_NAMES`."""
        self._input.update_inplace(np.ascontiguousarray(canvases))
        self._session.run_with_iobinding(self._binding)
        outputs: list[NDArray[Any]] = self._binding.copy_outputs_to_cpu()
        return outputs
