"""OpenVINO, which computes the same model files on CPUs of Intel and AMD.

The `openvino` package itself: `onnxruntime-openvino` cannot be installed beside `onnxruntime-gpu`.
"""

import functools
import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskinfer.data.pixels import Pixels

from . import cpu
from .cache import cache_folder
from .model_file import INPUT_NAME, OUTPUT_NAMES


def is_installed() -> bool:
    """Whether the package is there."""
    return find_spec("openvino") is not None


def is_suited(network: str) -> bool:
    """Whether `auto` takes it for a network: on x86 CPUs with INT8 dot products, if that is known.

    On others it was no faster than onnxruntime, and takes three times Faster R-CNN's memory.
    """
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    is_faster = is_x86 and cpu.has_int8_dot_products() is not False and network != "fasterrcnn"
    return is_faster and is_installed()


@functools.cache
def _core() -> Any:
    """The library's one entry, for as long as the process lives.

    Each has the stack that signals are handled on, and of two the one that goes last leaves the
    first one's behind, which is gone: the next signal, such as Ctrl-C, would be a crash.
    """
    import openvino

    # Its first array prepares its use of NumPy. Of two threads that did so at once, one would wait
    # for the other with Python's lock held, which the other needs.
    _ = openvino.Tensor(np.zeros(1)).data
    return openvino.Core()


class OpenVino:
    """A model file, compiled for the CPU."""

    def __init__(
        self,
        file: bytes,
        canvas: int,
        batch_size: int,
        streams: int,
        threads: int,
        options: Mapping[str, str],
    ) -> None:
        """Compile a file for batches of up to `batch_size` canvases.

        `streams` batches are computed at the same time and share the threads; the options are
        OpenVINO's own, in place of ours. An `ImportError` where it is not installed; any other
        where it cannot compute the file, or has no such option.
        """
        import openvino

        shape = [openvino.Dimension(1, batch_size), canvas, canvas, 3]
        core = _core()
        model = core.read_model(file)
        model.reshape({INPUT_NAME: shape})
        settings = {
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # the same cores decode
            # As the file says: by default CPUs that have BF16 compute FP32 in it.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        # Of a home that is read-only, or not known; compiling takes seconds.
        with suppress(OSError, RuntimeError):
            cache = cache_folder("openvino")
            cache.mkdir(parents=True, exist_ok=True)
            settings["CACHE_DIR"] = str(cache)
        compiled = core.compile_model(model, "CPU", settings | dict(options))
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(streams):
            self._requests.put(compiled.create_infer_request())

    def run(self, canvases: Pixels) -> list[NDArray[Any]]:
        """Compute canvases (N, S, S, 3): the outputs in the order of `OUTPUT_NAMES`."""
        request = self._requests.get()
        try:
            outputs = request.infer({INPUT_NAME: np.ascontiguousarray(canvases)})
            return [np.array(outputs[name]) for name in OUTPUT_NAMES]
        finally:
            self._requests.put(request)
