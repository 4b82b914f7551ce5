"""TensorRT or TensorRT-RTX, imported, and an engine of theirs on a GPU.

No engine has run on a GPU yet: the class is tried with a stand-in for the package, whose Python
API it follows. GPU memory is onnxruntime's, so that no torch is needed.
"""

import gc
import importlib
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskinfer.data.pixels import Pixels

from .model_file import INPUT_NAME, OUTPUT_NAMES, OUTPUT_SHAPES

TENSORRT, TENSORRT_RTX = "tensorrt", "tensorrt-rtx"
_MODULES = {TENSORRT: "tensorrt", TENSORRT_RTX: "tensorrt_rtx_bindings"}
# TensorRT-RTX also looks for a GPU, and logs an error where there is none.
_NO_DRIVER = "cudaError 35"


class EngineError(Exception):
    """Why an engine cannot be loaded or has failed, in a sentence without its file's name."""


@contextmanager
def without_collecting() -> Iterator[None]:
    """Collect no garbage meanwhile: TensorRT's would wait for a lock that it holds as it logs."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Toolkit:
    """`tensorrt` or `tensorrt-rtx`, imported, and a logger that collects errors in silence.

    The logger must outlive what is made with it.
    """

    def __init__(self, name: str) -> None:
        """Import a package; an `ImportError`, or on Windows an `OSError`, where that fails."""
        self.name = name
        self.trt: Any = importlib.import_module(_MODULES[name])
        self.errors: list[str] = []
        self.logger = _make_logger(self.trt, self.errors)

    def __str__(self) -> str:
        title = {TENSORRT: "TensorRT", TENSORRT_RTX: "TensorRT-RTX"}[self.name]
        return f"{title} {self.trt.__version__}"

    @property
    def reason(self) -> str:
        """Why it failed last, by its log."""
        return self.first_reason(self.errors)

    @staticmethod
    def first_reason(messages: Iterable[str]) -> str:
        """The first of TensorRT's messages, the cause of the rest, as one short line.

        Without its prefixes and source positions.
        """
        messages = [text for text in messages if not text.startswith("Invalid Node")]
        telling = [text for text in messages if _NO_DRIVER not in text] or messages
        if not telling:
            return "it gives no reason"
        text = " ".join(telling[0].split())
        text = re.sub(r"^.*?Error Code \d+: [\w ]+\((.*)\)$", r"\1", text)
        text = re.sub(r"\bIn \w+ at \S+:\d+ ?", "", text)
        text = re.sub(r"^\((.*)\)$", r"\1", text)
        text = re.sub(r"^Assertion (failed: .*?: (?=[A-Z])|\S+ failed\. )", "", text)
        text = text.strip(" .")
        return text if len(text) <= 200 else f"{text[:200]}…"


class Engine:
    """An engine, loaded on the GPU."""

    @without_collecting()
    def __init__(
        self, plan: bytes, built_with: dict[str, Any], ort: ModuleType, device: str = "cuda"
    ) -> None:
        """Load a plan with the package that built it, as a sidecar's `built_with` says.

        `device` is where onnxruntime (`ort`) sets memory aside, as it names it. An `EngineError`
        where the package is missing, or there is no GPU that the engine is for.
        """
        name, batch = built_with["builder"], built_with["batch"]
        self.sizes = (int(batch["minimum"]), int(batch["maximum"]))  # of the batches that it takes
        try:
            self._toolkit = Toolkit(name)
        except (ImportError, OSError) as error:
            wanted = f"{name} {built_with['version']}, which built it"
            raise EngineError(f"needs {wanted}, and that cannot be imported ({error})") from error
        self._runtime = self._toolkit.trt.Runtime(self._toolkit.logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        self._context = self._engine and self._engine.create_execution_context()
        if self._context is None:
            capabilities = ", ".join(built_with["compute_capabilities"])
            raise EngineError(
                f"{self._toolkit} cannot load it: {self._toolkit.reason}. It needs an NVIDIA GPU "
                f"of compute capability {capabilities}"
            )
        faces = int(self._engine.get_tensor_shape(OUTPUT_NAMES[-1])[1])  # K
        self._shapes = {name: (faces, *more) for name, more in OUTPUT_SHAPES.items()}
        self._allocate = ort.OrtValue.ortvalue_from_shape_and_type
        self._device = device
        self._memory: dict[str, Any] = {}
        self._lock = threading.Lock()  # all threads share the one context

    def run(self, canvases: Pixels) -> list[NDArray[Any]]:
        """Compute canvases (N, S, S, 3), N within `sizes`: the outputs by `OUTPUT_NAMES`' order.

        An `EngineError` where TensorRT failed.
        """
        with self._lock:
            self._reserve(canvases.shape)
            self._memory[INPUT_NAME].update_inplace(np.ascontiguousarray(canvases))
            # On CUDA's default stream, which a copy to the CPU waits for.
            if not self._context.execute_async_v3(0):
                raise EngineError(f"{self._toolkit} failed: {self._toolkit.reason}")
            return [self._memory[name].numpy() for name in OUTPUT_NAMES]

    def _reserve(self, shape: tuple[int, ...]) -> None:
        """Set memory aside for batches of this shape, unless that of the last is."""
        images = self._memory.get(INPUT_NAME)
        if images is not None and tuple(images.shape()) == shape:
            return
        if not self._context.set_input_shape(INPUT_NAME, shape):
            raise EngineError(f"{self._toolkit} takes no batch {shape}: {self._toolkit.reason}")
        self._memory = {INPUT_NAME: self._allocate(shape, np.uint8, self._device)}
        for name, more in self._shapes.items():
            self._memory[name] = self._allocate((shape[0], *more), np.float32, self._device)
        for name, value in self._memory.items():
            self._context.set_tensor_address(name, value.data_ptr())


def _make_logger(trt: Any, errors: list[str]) -> Any:
    class Collector(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                errors.append(message)

    return Collector()
