"""Running an engine, to hold it against its checkpoint. Has not run on a GPU: none was at hand."""

import numpy as np
import torch
from numpy.typing import NDArray

from maskinfer.errors import ExportError
from maskinfer.runtime.model_file import INPUT_NAME, OUTPUT_NAMES
from maskinfer.runtime.session import Outputs

from .engine import Engine, Toolkit


class EngineSession:
    """An engine, loaded on the GPU. Has not run on a GPU: none was at hand when it was written."""

    def __init__(self, engine: Engine) -> None:
        """Load an engine with the package that built it.

        Raises:
            ExportError: there is no GPU, or not one that this engine is for.
        """
        self._toolkit = Toolkit(engine.built_with["builder"])
        self._runtime = self._toolkit.trt.Runtime(self._toolkit.logger)
        self._engine = self._runtime.deserialize_cuda_engine(engine.plan)
        self._context = self._engine and self._engine.create_execution_context()
        if self._context is None:
            wanted = ", ".join(engine.built_with["compute_capabilities"])
            raise ExportError(
                f"{self._toolkit} cannot load the engine: {self._toolkit.reason()}. It needs an "
                f"NVIDIA GPU of compute capability {wanted}"
            )

    def run(self, canvases: NDArray[np.uint8]) -> Outputs:
        """Run one batch.

        Args:
            canvases: (N, S, S, 3) uint8 RGB, N in the engine's batch range.

        Raises:
            ExportError: the run failed.
        """
        count = len(canvases)
        images = torch.from_numpy(canvases).contiguous().cuda()
        buffers = [torch.empty(count, *rest, device="cuda") for rest in ((4,), (), ())]
        for name, tensor in zip((INPUT_NAME, *OUTPUT_NAMES), (images, *buffers), strict=True):
            self._context.set_tensor_address(name, tensor.data_ptr())
        stream = torch.cuda.current_stream()
        if not (
            self._context.set_input_shape(INPUT_NAME, tuple(images.shape))
            and self._context.execute_async_v3(stream.cuda_stream)
        ):
            raise ExportError(
                f"{self._toolkit} failed on {count} canvases: {self._toolkit.reason()}"
            )
        stream.synchronize()
        return Outputs(*(buffer.cpu().numpy() for buffer in buffers))
