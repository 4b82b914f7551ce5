"""One ONNX Runtime session, and the only room that imports onnxruntime.

onnxruntime runs a model on the CPU when a GPU provider cannot start, and only logs a line. Here the
provider that is really in use is asked for after creation (microsoft/onnxruntime 17801, 23372): a
GPU that was asked for and is not used is an error, and one that `auto` could not use is said.

`auto` is CUDA, then CPU. TensorRT builds an engine for minutes, so it runs only where named.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskinfer.data.images import Pixels
from maskinfer.errors import MaskinferError, ModelFileError, ProviderError, UsageError
from maskinfer.threads import usable_cores

from . import cpu, gpu
from .bound_run import BoundRun
from .engine_file import ENGINE_SUFFIX
from .model_file import INPUT_NAME, METADATA_KEY, OUTPUT_NAMES, ModelMetadata
from .providers import Provider

_REPAIR = "Run: maskinfer export"
_LOG_FATAL_ONLY = 4


_ORT_NAME = {
    Provider.TENSORRT: "TensorrtExecutionProvider",
    Provider.CUDA: "CUDAExecutionProvider",
    Provider.CPU: "CPUExecutionProvider",
}


@dataclass(frozen=True)
class Outputs:
    """What a model says of N canvases.

    Attributes:
        boxes_xywh: (N, 4) float32, in canvas pixels.
        proper_mask: (N,) float32, probability in 0..1.
        score: (N,) float32, confidence in the box, 0..1.
    """

    boxes_xywh: NDArray[np.float32]
    proper_mask: NDArray[np.float32]
    score: NDArray[np.float32]


class Session:
    """A model file, loaded and ready to run.

    Attributes:
        path: the model file.
        sha256: of the model file, in hexadecimal.
        metadata: what the file says about itself.
        provider: what computes, never `auto`.
        note: why it is that provider, where `auto` would have liked another, and whether it suits
            the file; else empty.
        batch_size: most canvases that one run takes.
        runs: how many may go on at the same time.
        inputs: of the graph, as onnxruntime's `NodeArg`: name, type, shape.
        outputs: likewise.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        provider: str = Provider.AUTO,
        batch_size: int = 16,
        *,
        threads: int | None = None,
        runs: int = 1,
    ) -> None:
        """Load a model file.

        Args:
            model: the model file.
            provider: `auto`, `tensorrt`, `cuda` or `cpu`.
            batch_size: most canvases that one run takes, at least 1. On a GPU every run has this
                size, since a new shape means new tuning.
            threads: CPU threads of the network; None for one a core.
            runs: how many `run`s will go on at the same time, from as many threads, which the CPU
                threads are divided among. Small networks get through more images so than with all
                cores in one operator after another. A GPU has one at a time.

        Raises:
            UsageError: no such file, or the provider asked for cannot run here.
            ModelFileError: the file is damaged or not a model of ours.
        """
        if batch_size < 1:
            raise UsageError(f"batch size: got {batch_size}, expected at least 1")
        self.path = Path(model)
        self.batch_size = batch_size
        self._threads = threads
        self.runs = runs
        self._bound: BoundRun | None = None
        wanted = _parse_provider(provider)
        data = _read(self.path)
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._ort = import_onnxruntime()
        self._session, self.note = self._open(data, wanted)
        self.metadata = self._check(self._session)
        self.inputs: list[Any] = self._session.get_inputs()
        self.outputs: list[Any] = self._session.get_outputs()
        in_use = self._session.get_providers()[0]
        self.provider = next(ours for ours, name in _ORT_NAME.items() if name == in_use)
        if self.provider is not Provider.CPU:
            self.runs = 1
        if self.provider is Provider.CPU and self._saturates():
            self.note = (self.note and f"{self.note}; ") + (
                "its 8-bit weights may overflow on this CPU, which lacks VNNI: export it again here"
            )

    def run(self, canvases: Pixels) -> Outputs:
        """Run the model on one batch.

        Args:
            canvases: (N, S, S, 3) uint8 RGB, N in 1..batch_size.

        Raises:
            ModelFileError: the model gives something else than the contract says.
            MaskinferError: the run failed, for example for want of memory.
        """
        count = len(canvases)
        if not 1 <= count <= self.batch_size:
            raise ValueError(f"{count} canvases, expected 1 to {self.batch_size}")
        if self.provider is not Provider.CPU and count < self.batch_size:
            filler = np.zeros((self.batch_size - count, *canvases.shape[1:]), dtype=np.uint8)
            canvases = np.concatenate([canvases, filler])  # (batch_size, S, S, 3)
        try:
            outputs = self._compute(canvases)
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            way_out = ""
            if _is_out_of_memory(error):
                way_out = " Try a smaller --batch-size"
            elif self.provider is not Provider.CPU:
                way_out = " Try --provider cpu"
            raise MaskinferError(
                f"{self.path}: failed on {self.provider} with a batch of {len(canvases)}: "
                f"{_reason(error)}.{way_out}"
            ) from error
        for name, output, shape in zip(OUTPUT_NAMES, outputs, ((4,), (), ()), strict=True):
            if output.shape != (len(canvases), *shape):
                raise ModelFileError(
                    f"{self.path}: output '{name}' is {output.shape} for {len(canvases)} images, "
                    f"expected {(len(canvases), *shape)}. {_REPAIR}"
                )
        return Outputs(*(output[:count] for output in outputs))

    def locked_pages(self, buffers: Sequence[Pixels]) -> AbstractContextManager[None]:
        """Have a GPU read buffers that are run again and again straight from memory, for a while.

        Args:
            buffers: of canvases, which `run` is given whole.
        """
        if self.provider is Provider.CPU:
            return nullcontext()
        return gpu.locked_pages(buffers, getattr(self._ort, "cuda_version", None) or "")

    def _compute(self, canvases: Pixels) -> list[NDArray[Any]]:
        if self.provider is Provider.CPU:
            outputs: list[NDArray[Any]] = self._session.run(
                list(OUTPUT_NAMES), {INPUT_NAME: canvases}
            )
            return outputs
        if self._bound is None:
            self._bound = BoundRun(self._ort, self._session, canvases.shape)
        return self._bound(canvases)

    def _open(self, data: bytes, wanted: Provider) -> tuple[Any, str]:
        """Create the session, and say why where `auto` ends on the CPU."""
        first = Provider.CUDA if wanted is Provider.AUTO else wanted
        obstacle = None if first is Provider.CPU else self._find_obstacle(first)
        session = None
        if obstacle is None:
            try:
                session = self._create(data, self._providers(data, first))
            except ModelFileError as error:
                # Whose fault is it? Where the CPU refuses the file too, that is raised instead.
                session = self._create(data, self._providers(data, Provider.CPU))
                obstacle = f"the provider did not start ({_reason(error.__cause__)})"
            if session.get_providers()[0] == _ORT_NAME[first]:
                return session, ""
            obstacle = obstacle or gpu.explain_no_start(self._ort, first)
        if wanted is not Provider.AUTO:
            if session is not None:
                self._check(session)  # or a file that is not ours would be blamed on the provider
            raise ProviderError(first, obstacle)
        session = session or self._create(data, self._providers(data, Provider.CPU))
        return session, f"no CUDA: {obstacle}"

    def _saturates(self) -> bool:
        """Whether it is INT8 made on another CPU, whose range this one's arithmetic cannot hold."""
        told = self.metadata.export.get("int8", {})
        is_full_range = told.get("target") == "cpu" and told.get("weight_bits") == 8
        return is_full_range and cpu.has_int8_dot_products() is False

    def _find_obstacle(self, provider: Provider) -> str | None:
        """Why a GPU provider cannot start, as far as can be told before trying."""
        if _ORT_NAME[provider] not in self._ort.get_available_providers():
            return f"onnxruntime {self._ort.__version__} is built without it here"
        if not gpu.has_nvidia_driver():
            return "no NVIDIA driver found"
        return None

    def _providers(self, data: bytes, first: Provider) -> list[tuple[str, dict[str, str]]]:
        """List a provider with its options, and those that take the operators it cannot run."""
        providers: list[tuple[str, dict[str, str]]] = [(_ORT_NAME[Provider.CPU], {})]
        if first is not Provider.CPU:
            gpu.preload_libraries(self._ort, tensorrt=first is Provider.TENSORRT)
            # The default, EXHAUSTIVE, tries every algorithm for every new shape.
            options = {"cudnn_conv_algo_search": "HEURISTIC"}
            providers.insert(0, (_ORT_NAME[Provider.CUDA], options))
        if first is Provider.TENSORRT:
            # The profile needs S and the precision, which the file itself says.
            metadata = self._check(self._create(data, providers[-1:]))
            providers.insert(0, (_ORT_NAME[first], self._tensorrt_options(metadata)))
        return providers

    def _tensorrt_options(self, metadata: ModelMetadata) -> dict[str, str]:
        if metadata.export.get("int8", {}).get("target") in ("cpu", "any-cpu"):
            raise UsageError(
                f"--provider tensorrt: {self.path} is a CPU's INT8, which TensorRT cannot build; "
                "export it with --target tensorrt, or use --provider cuda"
            )
        side = metadata.geometry.canvas
        # The provider's own cache key leaves out the weights, so each model file has its folder.
        cache = gpu.cache_folder() / "tensorrt" / f"{self.sha256[:16]}-batch{self.batch_size}"
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"{cache}: cannot be made for TensorRT's engines, {error.strerror}. "
                "Set XDG_CACHE_HOME, or use --provider cuda"
            ) from error
        counts = {"min": 1, "opt": self.batch_size, "max": self.batch_size}
        return {
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(cache),
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": str(cache.parent),
            # TensorRT 10 computes in FP32 what the graph has in less, unless it is told.
            "trt_fp16_enable": str(metadata.precision == "fp16"),
            "trt_int8_enable": str(metadata.precision == "int8"),
        } | {
            f"trt_profile_{bound}_shapes": f"{INPUT_NAME}:{count}x{side}x{side}x3"
            for bound, count in counts.items()
        }

    def _operator_threads(self) -> int:
        """Threads inside an operator: 0 lets onnxruntime take every physical core."""
        usable = usable_cores()
        # Where this process may use only some cores, onnxruntime would still take them all.
        if self._threads is None and self.runs == 1 and usable == os.cpu_count():
            return 0
        return max(1, (self._threads or usable) // self.runs)

    def _create(self, data: bytes, providers: list[tuple[str, dict[str, str]]]) -> Any:
        options = self._ort.SessionOptions()
        options.log_severity_level = _LOG_FATAL_ONLY
        options.intra_op_num_threads = self._operator_threads()
        # Threads that spin between operators take the cores that decode the next batch; without
        # spinning, two cores got through a folder of photos a tenth faster.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Weights in a second file are refused: nothing can lie in a folder that is a file.
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(self.path.absolute())
        )
        try:
            return self._ort.InferenceSession(
                data, sess_options=options, providers=providers, enable_fallback=0
            )
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            raise ModelFileError(f"{self.path}: {self._load_fault(error)}. {_REPAIR}") from error

    def _load_fault(self, error: Exception) -> str:
        if "external data" in str(error).lower():
            return "keeps its weights in a second file, expected one file"
        if "protobuf" in str(error).lower():
            return "damaged, or not an ONNX file"
        return f"onnxruntime {self._ort.__version__} cannot load it ({_reason(error)})"

    def _check(self, session: Any) -> ModelMetadata:
        """Hold the file against the contract of `maskinfer.runtime.model_file`."""
        custom = session.get_modelmeta().custom_metadata_map
        metadata = ModelMetadata.from_json(custom.get(METADATA_KEY), str(self.path))
        side = metadata.geometry.canvas
        inputs = session.get_inputs()
        if [node.name for node in inputs] != [INPUT_NAME]:
            names = ", ".join(repr(node.name) for node in inputs) or "none"
            raise ModelFileError(f"{self.path}: inputs are {names}, expected 'images'. {_REPAIR}")
        shape, kind = inputs[0].shape, inputs[0].type
        if len(shape) != 4 or isinstance(shape[0], int) or shape[1:] != [side, side, 3]:
            raise ModelFileError(
                f"{self.path}: input 'images' is {_shape(shape)}, expected (N, {side}, {side}, 3). "
                f"{_REPAIR}"
            )
        if kind != "tensor(uint8)":
            raise ModelFileError(
                f"{self.path}: input 'images' is {kind}, expected tensor(uint8). {_REPAIR}"
            )
        outputs = {node.name: node for node in session.get_outputs()}
        for name in OUTPUT_NAMES:
            if name not in outputs:
                names = ", ".join(repr(output) for output in outputs) or "none"
                raise ModelFileError(
                    f"{self.path}: outputs are {names}, expected '{name}' among them. {_REPAIR}"
                )
            if outputs[name].type != "tensor(float)":
                raise ModelFileError(
                    f"{self.path}: output '{name}' is {outputs[name].type}, "
                    f"expected tensor(float). {_REPAIR}"
                )
        return metadata


def _parse_provider(name: str) -> Provider:
    try:
        return Provider(name)
    except ValueError:
        raise UsageError(f"provider: got {name!r}, expected {', '.join(Provider)}") from None


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise UsageError(f"{path}: a folder, expected a model file")
    if path.suffix == ENGINE_SUFFIX and path.is_file():
        raise UsageError(
            f"{path}: a TensorRT engine, expected an ONNX file; --provider tensorrt builds an "
            "engine of its own"
        )
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such model file") from None
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read, {error.strerror}") from error


def import_onnxruntime() -> ModuleType:
    """The module, its log silent but for what is fatal."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(_LOG_FATAL_ONLY)
    module: ModuleType = onnxruntime
    return module


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return any(sign in text for sign in ("out of memory", "failed to allocate", "bad_alloc"))


def _reason(error: BaseException | None) -> str:
    """One short line of a vendor's message, without its prefix and source positions."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ", "", text)
    text = re.sub(r"/onnxruntime_src/\S+ ", "", text)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _shape(dimensions: list[int | str | None]) -> str:
    return f"({', '.join(str(d) if isinstance(d, int) else 'N' for d in dimensions)})"
