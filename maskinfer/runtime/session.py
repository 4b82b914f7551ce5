"""One model, loaded: by ONNX Runtime or OpenVINO, or as a TensorRT engine.

onnxruntime runs a model on the CPU when a GPU provider cannot start, and only logs a line. Here the
provider in use is read after creation (microsoft/onnxruntime 17801, 23372): not using a GPU that
was asked for is an error, and where `auto` could not use one, a note says why.

`auto` is CUDA, then OpenVINO where it is faster, then CPU. TensorRT builds an engine for
minutes, so it runs only where named.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskinfer.data.geometry import CANVAS_RULE, Geometry, is_canvas
from maskinfer.data.pixels import Pixels
from maskinfer.errors import MaskinferError, ModelFileError, ProviderError, UsageError
from maskinfer.threads import usable_cores

from . import cpu, gpu
from .default_model import suited
from .engine import Engine, EngineError
from .engine_file import ENGINE_SUFFIX, read_sidecar, sidecar_path
from .model_file import INPUT_NAME, OUTPUT_SHAPES, REPAIR, ModelMetadata, check_contract
from .onnx_runtime import LOG_FATAL_ONLY, BoundSession, import_onnxruntime, reason
from .openvino import OpenVino, is_suited
from .providers import DEFAULT_BATCH_SIZE, Provider, explain

# A large network fills all cores by itself, and each batch holds half a gigabyte and more.
_LARGE_FILE, _LARGE_STREAMS = 15_000_000, 2  # bytes; a Faster R-CNN in INT8 has some 20 million
# On CUDA one batch is copied while another is computed: onnxruntime gives each run a CUDA stream of
# its own (microsoft/onnxruntime pull request 13495). Its TensorRT provider computes one batch at a
# time (19301), and a CUDA graph cannot be captured while another batch is computed (18806).
_CUDA_STREAMS = 2
_CUDA_GRAPH = "enable_cuda_graph"
_OUT_OF_MEMORY = ("out of memory", "failed to allocate", "bad_alloc")

_ORT_NAME = {
    Provider.TENSORRT: "TensorrtExecutionProvider",
    Provider.CUDA: "CUDAExecutionProvider",
    Provider.CPU: "CPUExecutionProvider",
}


class Outputs(NamedTuple):
    """What a model computes for N canvases: K places for distinct faces, the best first."""

    boxes_xywh: NDArray[np.float32]  # (N, K, 4) in canvas pixels
    proper_mask: NDArray[np.float32]  # (N, K) probability in 0..1
    score: NDArray[np.float32]  # (N, K) confidence that a face is there, 0..1; 0 where none is


class Session:
    """A model file, loaded and ready to run.

    Attributes:
        path: the model file; of the model that ships, the one for what computes.
        sha256: of the model file, in hexadecimal.
        metadata: what the file says about itself.
        geometry: how photos become the canvases that it reads here.
        provider: what computes, never `auto`.
        note: why `auto` did not take a GPU, and whether the CPU suits the file; else empty.
        batch_size: most canvases in one batch.
        streams: how many batches may be computed at the same time.
        inputs: of the graph, as onnxruntime's `NodeArg`: name, type, shape.
        outputs: likewise.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        provider: str = Provider.AUTO,
        batch_size: int = DEFAULT_BATCH_SIZE,
        *,
        threads: int | None = None,
        streams: int = 1,
        canvas: int | None = None,
        provider_options: Mapping[str, str] | None = None,
    ) -> None:
        """Load a model file; a `ModelFileError` where it is damaged or not a model of ours.

        A `UsageError` where there is no such file, the provider asked for cannot run here or has no
        options, or the model cannot read that canvas.

        Args:
            model: the model file.
            provider: `auto`, `tensorrt`, `cuda`, `openvino` or `cpu`.
            batch_size: most canvases in one batch, at least 1. On a GPU every batch is filled up
                to this size, since a new shape means new tuning. Where an engine is not built for
                the default, it is the nearest that it is built for.
            threads: CPU threads of the network; None for one a core.
            streams: how many threads will call `run` at the same time, at most two where the file
                is large or on CUDA, and one on TensorRT; the CPU threads are divided among them.
                Small networks get through more images so than with all cores in one operator after
                another.
            canvas: S in pixels, of a model that reads canvases of any size; None for the model's
                own.
            provider_options: onnxruntime's own for a GPU's provider, or OpenVINO's, by name.
        """
        if batch_size < 1:
            raise UsageError(f"batch size: got {batch_size}, expected at least 1")
        self._named = self.path = Path(model)
        self.sha256 = ""
        self.batch_size = batch_size
        self._threads = threads
        self._canvas = canvas
        self.streams = streams
        self._options = dict(provider_options or {})
        # Memory on a GPU for the batches that are computed at the same time; None is not set aside.
        self._free: SimpleQueue[BoundSession | None] = SimpleQueue()
        try:
            wanted = Provider(provider)
        except ValueError:
            raise UsageError(
                f"provider: got {provider!r}, expected {', '.join(Provider)}"
            ) from None
        self._ort = import_onnxruntime()
        self._engine: Engine | OpenVino | None = None
        if self._named.suffix == ENGINE_SUFFIX:
            self._load_engine(wanted)
            return
        self._session, self.note = self._open(wanted)
        self.metadata = check_contract(self._session, self.path)
        self.geometry = self._fit(self.metadata)
        self.inputs: list[Any] = self._session.get_inputs()
        self.outputs: list[Any] = self._session.get_outputs()
        in_use = self._session.get_providers()[0]
        self.provider = next(ours for ours, name in _ORT_NAME.items() if name == in_use)
        if wanted is Provider.OPENVINO:
            self._compile()
        elif wanted is Provider.AUTO and self.provider is Provider.CPU:
            self._prefer_openvino()
        if self.provider.on_gpu:
            has_graph = self._options.get(_CUDA_GRAPH, "0").lower() in ("1", "true")
            alone = self.provider is Provider.TENSORRT or has_graph
            self.streams = 1 if alone else min(streams, _CUDA_STREAMS)
            for _ in range(self.streams):
                self._free.put(None)
        elif self._options and self.provider is Provider.CPU:
            raise UsageError(
                f"--provider-option {next(iter(self._options))}: not for the CPU; give --provider "
                f"cuda, tensorrt or openvino{self.note and f' ({self.note})'}"
            )
        elif self._saturates():
            self.note = (self.note and f"{self.note}; ") + (
                "its 8-bit weights may overflow on this CPU, which lacks VNNI: export it again here"
            )

    def _load_engine(self, wanted: Provider) -> None:
        """Load a TensorRT engine in the place of an ONNX file."""
        if self._options:
            raise UsageError(
                f"--provider-option {next(iter(self._options))}: {self.path} is a TensorRT engine, "
                "whose options were set when it was built"
            )
        if wanted not in (Provider.AUTO, Provider.TENSORRT):
            raise UsageError(
                f"--provider {wanted}: {self.path} is a TensorRT engine, which runs on tensorrt "
                "alone; give the ONNX file for others"
            )
        self.metadata, built_with = read_sidecar(self.path)
        self.sha256 = built_with["sha256"]
        self.geometry = self._fit(self.metadata)
        self.inputs, self.outputs = [], []
        self.provider, self.note, self.streams = Provider.TENSORRT, "", 1
        try:
            if not gpu.has_nvidia_driver():
                raise EngineError("needs an NVIDIA GPU, and no driver was found")
            gpu.preload_libraries(self._ort, tensorrt=True)
            self._engine = Engine(self.path.read_bytes(), built_with, self._ort)
        except EngineError as error:
            raise UsageError(
                f"{self.path}: the engine {error}. The ONNX file it was built from runs anywhere"
            ) from error
        except (KeyError, TypeError, ValueError) as error:
            what = f"{error} of the engine is missing" if isinstance(error, KeyError) else error
            raise ModelFileError(f"{sidecar_path(self.path)}: damaged, {what}") from error
        least, most = self._engine.sizes
        if self.batch_size == DEFAULT_BATCH_SIZE:
            self.batch_size = min(max(least, self.batch_size), most)
        if not least <= self.batch_size <= most:
            raise UsageError(
                f"--batch-size: got {self.batch_size}, expected {least} to {most}, which "
                f"{self.path} was built for"
            )

    def run(self, canvases: Pixels) -> Outputs:
        """Compute one batch, of canvases (N, S, S, 3) uint8 RGB, N in 1..batch_size.

        A `ModelFileError` where the outputs are not what the contract says, a `MaskinferError`
        where computing failed, for example for want of memory.
        """
        count = len(canvases)
        if not 1 <= count <= self.batch_size:
            raise ValueError(f"{count} canvases, expected 1 to {self.batch_size}")
        if self.provider.on_gpu and count < self.batch_size:
            filler = np.zeros((self.batch_size - count, *canvases.shape[1:]), dtype=np.uint8)
            canvases = np.concatenate([canvases, filler])  # (batch_size, S, S, 3)
        try:
            outputs = self._compute(canvases)
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            way_out, text = "", str(error).lower()
            if any(sign in text for sign in _OUT_OF_MEMORY):
                way_out = " Try a smaller --batch-size"
            elif self.provider is not Provider.CPU and self._named.suffix != ENGINE_SUFFIX:
                way_out = " Try --provider cpu"
            raise MaskinferError(
                f"{self.path}: failed on {self.provider} with a batch of {len(canvases)}: "
                f"{reason(error)}.{way_out}"
            ) from error
        for (name, more), output in zip(OUTPUT_SHAPES.items(), outputs, strict=True):
            shape = (len(canvases), self.metadata.faces, *more)
            if output.shape != shape:
                raise ModelFileError(
                    f"{self.path}: output '{name}' is {output.shape} for {len(canvases)} images, "
                    f"expected {shape}. {REPAIR}"
                )
        return Outputs(*(output[:count] for output in outputs))

    def locked_pages(self, buffers: Sequence[Pixels]) -> AbstractContextManager[None]:
        """Let a GPU read buffers that `run` gets again and again straight from memory."""
        if not self.provider.on_gpu:
            return nullcontext()
        return gpu.locked_pages(buffers, getattr(self._ort, "cuda_version", None) or "")

    def _compute(self, canvases: Pixels) -> list[NDArray[Any]]:
        if self._engine is not None:
            return self._engine.run(canvases)
        if self.provider is Provider.CPU:
            outputs: list[NDArray[Any]] = self._session.run(
                list(OUTPUT_SHAPES), {INPUT_NAME: canvases}
            )
            return outputs
        bound = self._free.get()
        try:
            bound = bound or BoundSession(
                self._ort, self._session, canvases.shape, self.metadata.faces
            )
            return bound.run(canvases)
        finally:
            self._free.put(bound)

    def _prefer_openvino(self) -> None:
        """Compute with OpenVINO in place of onnxruntime, where that is faster and works."""
        if not is_suited(self.metadata.network):
            return
        try:
            self._compile()
        except (ProviderError, ModelFileError) as error:
            self.note = f"{self.note}; no OpenVINO: {explain(error)}"

    def _compile(self) -> None:
        """Have OpenVINO compile the file, or raise as the constructor does."""
        threads = self._threads or usable_cores()
        data, canvas = self._read(Provider.CPU), self.geometry.canvas
        try:
            self._engine = OpenVino(
                data, canvas, self.batch_size, self.streams, threads, self._options
            )
        except (ImportError, AttributeError) as error:
            raise ProviderError(
                Provider.OPENVINO,
                f"cannot be imported ({reason(error)}); run: pip install --upgrade openvino",
            ) from error
        except Exception as error:  # OpenVINO's exceptions are of several kinds
            if self._options:
                given = ", ".join(map("=".join, self._options.items()))
                note = f" ({self.note})" if self.note else ""
                raise UsageError(
                    f"--provider-option {given}: OpenVINO refuses it, {reason(error)}{note}"
                ) from error
            raise ModelFileError(
                f"{self.path}: OpenVINO cannot compute it ({reason(error)}). Try --provider cpu"
            ) from error
        self.provider = Provider.OPENVINO
        self._session, self.inputs, self.outputs = None, [], []  # else a copy stays in memory

    def _read(self, provider: Provider) -> bytes:
        path = self.path = suited(self._named, on_gpu=provider.on_gpu)
        if path.is_dir():
            raise UsageError(f"{path}: a folder, expected a model file")
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise UsageError(f"{path}: no such model file") from None
        except OSError as error:
            raise ModelFileError(f"{path}: cannot be read, {error.strerror}") from error
        self.sha256 = hashlib.sha256(data).hexdigest()
        if len(data) > _LARGE_FILE:
            self.streams = min(self.streams, _LARGE_STREAMS)
        return data

    def _open(self, wanted: Provider) -> tuple[Any, str]:
        """Create the session, with a note of why `auto` fell back to the CPU, if it did."""
        first = {Provider.AUTO: Provider.CUDA, Provider.OPENVINO: Provider.CPU}.get(wanted, wanted)
        obstacle = None if first is Provider.CPU else self._find_obstacle(first)
        data = self._read(Provider.CPU if obstacle else first)
        session = None
        if obstacle is None:
            try:
                session = self._create(data, self._providers(data, first))
            except ModelFileError as error:
                # Whose fault is it? Where the CPU refuses the file too, that is raised instead.
                session = self._create(data, self._providers(data, Provider.CPU))
                obstacle = f"the provider did not start ({reason(error.__cause__)})"
            if session.get_providers()[0] == _ORT_NAME[first]:
                return session, ""
            obstacle = obstacle or gpu.explain_no_start(self._ort, first)
        if wanted is not Provider.AUTO:
            if session is not None:
                # Or a file that is not ours would be blamed on the provider.
                check_contract(session, self.path)
            raise ProviderError(first, obstacle)
        if session is None or self.path != self._named:
            data = self._read(Provider.CPU)
            session = self._create(data, self._providers(data, Provider.CPU))
        return session, f"no CUDA: {obstacle}"

    def _fit(self, metadata: ModelMetadata) -> Geometry:
        """The model's geometry, with the canvas that was asked for."""
        own, canvas = metadata.geometry, self._canvas
        if canvas in (None, own.canvas):
            return own
        if not metadata.free_canvas or own.kind != "letterbox":
            raise UsageError(
                f"--canvas {canvas}: {self.path} reads canvases of {own.canvas} px only; "
                "lite models read any"
            )
        if not is_canvas(canvas):
            raise UsageError(f"--canvas: got {canvas}, expected {CANVAS_RULE}")
        return Geometry.letterbox(canvas)

    def _saturates(self) -> bool:
        """Whether it is INT8 for another CPU, of a range that this one's arithmetic cannot hold."""
        int8 = self.metadata.export.get("int8", {})
        is_full_range = int8.get("target") == "cpu" and int8.get("weight_bits") == 8
        return is_full_range and cpu.has_int8_dot_products() is False

    def _find_obstacle(self, provider: Provider) -> str | None:
        """Why a GPU provider cannot start, where that is known before trying."""
        if _ORT_NAME[provider] not in self._ort.get_available_providers():
            return f"onnxruntime {self._ort.__version__} is built without it here"
        if not gpu.has_nvidia_driver():
            return "no NVIDIA driver found"
        return None

    def _providers(self, data: bytes, first: Provider) -> list[tuple[str, dict[str, str]]]:
        """A provider with its options, and after it those for operators that it cannot run."""
        providers: list[tuple[str, dict[str, str]]] = [(_ORT_NAME[Provider.CPU], {})]
        if first is not Provider.CPU:
            gpu.preload_libraries(self._ort, tensorrt=first is Provider.TENSORRT)
            # The default, EXHAUSTIVE, tries every algorithm for every new shape.
            options = {"cudnn_conv_algo_search": "HEURISTIC"}
            providers.insert(0, (_ORT_NAME[Provider.CUDA], options))
        if first is Provider.TENSORRT:
            # The profile needs S, and the precision stands in the file's metadata.
            metadata = check_contract(self._create(data, providers[-1:]), self.path)
            options = gpu.tensorrt_options(
                self.path, self.sha256, metadata, self._fit(metadata).canvas, self.batch_size
            )
            providers.insert(0, (_ORT_NAME[first], options))
        if first is not Provider.CPU:
            providers[0][1].update(self._options)
        return providers

    def _operator_threads(self) -> int:
        """Threads inside an operator: 0 lets onnxruntime take every physical core."""
        usable = usable_cores()
        # Where this process may use only some cores, onnxruntime would still take them all.
        if self._threads is None and self.streams == 1 and usable == os.cpu_count():
            return 0
        return max(1, (self._threads or usable) // self.streams)

    def _create(self, data: bytes, providers: list[tuple[str, dict[str, str]]]) -> Any:
        options = self._ort.SessionOptions()
        options.log_severity_level = LOG_FATAL_ONLY
        options.intra_op_num_threads = self._operator_threads()
        # Planned memory took a Faster R-CNN 1.0 GB for a batch of 16, and 0.5 without a plan.
        options.enable_mem_pattern = False
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
            why = f"onnxruntime {self._ort.__version__} cannot load it ({reason(error)})"
            if "external data" in str(error).lower():
                why = "keeps its weights in a second file, expected one file"
            elif "protobuf" in str(error).lower():
                why = "damaged, or not an ONNX file"
            raise ModelFileError(f"{self.path}: {why}. {REPAIR}") from error
