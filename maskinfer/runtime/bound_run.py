"""Runs of one shape on a GPU, whose memory is set aside once."""

import threading
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskinfer.data.images import Pixels

from .model_file import INPUT_NAME, OUTPUT_NAMES


class BoundRun:
    """A session with its input bound to one piece of the device's memory, outputs to the host's."""

    def __init__(
        self, ort: ModuleType, session: Any, shape: tuple[int, int, int, int], device: str = "cuda"
    ) -> None:
        """Set memory aside.

        Args:
            ort: onnxruntime.
            session: its `InferenceSession`.
            shape: of every batch, (N, S, S, 3).
            device: as onnxruntime names it.
        """
        self._session = session
        self._input = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.uint8, device)
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(INPUT_NAME, self._input)
        for name in OUTPUT_NAMES:
            self._binding.bind_output(name)
        self._lock = threading.Lock()  # the one input is everybody's

    def __call__(self, canvases: Pixels) -> list[NDArray[Any]]:
        """Run one batch of that shape; the outputs in the order of `OUTPUT_NAMES`."""
        with self._lock:
            self._input.update_inplace(np.ascontiguousarray(canvases))
            self._session.run_with_iobinding(self._binding)
            outputs: list[NDArray[Any]] = self._binding.copy_outputs_to_cpu()
        return outputs
