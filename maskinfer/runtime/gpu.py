"""What a GPU provider needs of this machine: driver, libraries, and a cache for engines."""

import contextlib
import ctypes
import importlib.util
import io
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from maskinfer.errors import UsageError

from .cache import cache_folder
from .model_file import INPUT_NAME, ModelMetadata

PCI_DEVICES = Path("/sys/bus/pci/devices")

_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_NVIDIA_SMI = (
    "nvidia-smi",
    "--query-gpu=name,driver_version,memory.total,compute_cap",
    "--format=csv,noheader",
)
_NVIDIA_SMI_SECONDS = 10
# The major version of TensorRT that onnxruntime's provider is linked against, and of cuDNN.
_TENSORRT_MAJOR = 10
_CUDNN_MAJOR = 9
# Plugin and parser need the first, hence the order.
_TENSORRT_STEMS = ("nvinfer", "nvinfer_plugin", "nvonnxparser")


@dataclass(frozen=True)
class Driver:
    """The newest CUDA that NVIDIA's driver runs, such as `13.0`, and how many GPUs it shows."""

    cuda_version: str
    devices: int


@dataclass(frozen=True)
class NvidiaSmi:
    """What `nvidia-smi` reports: a line a GPU, with name, driver, memory and compute capability.

    Else the fault for which it lists none.
    """

    gpus: tuple[str, ...]
    fault: str


@dataclass(frozen=True)
class Library:
    """A library that a GPU provider loads."""

    name: str  # its file's name, with the major version that onnxruntime was linked against
    tensorrt: bool  # whether TensorRT alone needs it; else CUDA needs it
    # The file loaded under that name, or the bare name where the system does not tell; None: not
    # found.
    path: Path | None


def has_nvidia_driver() -> bool:
    """Whether NVIDIA's driver can be loaded; without it no GPU provider starts."""
    return _load(_DRIVER) is not None


def ask_driver() -> Driver | None:
    """Ask NVIDIA's driver which CUDA it runs and how many GPUs it shows; None: no driver."""
    version, devices = ctypes.c_int(), ctypes.c_int()
    try:
        driver = ctypes.CDLL(_DRIVER)
        driver.cuDriverGetVersion(ctypes.byref(version))
        if driver.cuInit(0) == 0:
            driver.cuDeviceGetCount(ctypes.byref(devices))
    except (OSError, AttributeError):
        return None
    # 13020 is CUDA 13.2, by the driver API's manual.
    return Driver(f"{version.value // 1000}.{version.value % 1000 // 10}", devices.value)


def major(version: str) -> int:
    """The first number of a version such as `13.0`."""
    return int(version.partition(".")[0])


def ask_nvidia_smi() -> NvidiaSmi:
    """Ask `nvidia-smi` for the GPUs, for a limited time: with a stuck driver it never answers."""
    try:
        done = subprocess.run(
            _NVIDIA_SMI,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_NVIDIA_SMI_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        return NvidiaSmi((), "not found")
    except subprocess.TimeoutExpired:
        return NvidiaSmi((), f"no answer in {_NVIDIA_SMI_SECONDS} s; the driver may be stuck")
    except OSError as error:
        return NvidiaSmi((), f"cannot be run, {error.strerror}")
    lines = tuple(line.strip() for line in done.stdout.splitlines() if line.strip())
    if done.returncode == 0:
        return NvidiaSmi(lines, "" if lines else "lists no GPU")
    output = (*lines, *done.stderr.strip().splitlines())
    return NvidiaSmi((), output[0] if output else f"failed with exit code {done.returncode}")


def count_nvidia_cards() -> int:
    """Count NVIDIA's GPUs on Linux's PCI bus, which lists them without a driver."""
    count = 0
    for device in PCI_DEVICES.glob("*"):
        try:
            vendor, kind = (device / "vendor").read_text(), (device / "class").read_text()
        except OSError:
            continue
        # Class 03 is a display controller; the same card's sound and USB have others.
        count += vendor.strip() == "0x10de" and kind.startswith("0x03")
    return count


def find_libraries(ort: ModuleType, cuda_version: str, *, tensorrt: bool) -> tuple[Library, ...]:
    """Load the libraries of an onnxruntime's GPU providers as a session would.

    Returns each, found or not, those of CUDA, of a version such as `13.0`, first.
    """
    preload_libraries(ort, tensorrt=tensorrt)
    cuda = major(cuda_version)
    majors = {"cudart": cuda, "cublas": cuda, "cublasLt": cuda}
    # cuFFT's own major is one behind CUDA's since 12; cuRAND has been at 10 since CUDA 10.
    majors |= {"cufft": cuda - 1, "curand": 10, "cudnn": _CUDNN_MAJOR}
    needed = [(_library_name(stem, number), False) for stem, number in majors.items()]
    if tensorrt:
        needed += [(_library_name(stem, _TENSORRT_MAJOR), True) for stem in _TENSORRT_STEMS]
    return tuple(Library(name, only, _load(name)) for name, only in needed)


def preload_libraries(ort: ModuleType, *, tensorrt: bool) -> None:
    """Load CUDA's libraries where pip put them, which the system's loader does not search."""
    if hasattr(ort, "preload_dlls"):
        # It prints what it does not find; what matters shows in `get_providers` afterwards.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            ort.preload_dlls(directory="")
    spec = importlib.util.find_spec("tensorrt_libs") if tensorrt else None
    if spec is None or not spec.submodule_search_locations:
        return
    # preload_dlls leaves TensorRT out (microsoft/onnxruntime 18597).
    folder = Path(spec.submodule_search_locations[0])
    for stem in _TENSORRT_STEMS:
        for library in (*folder.glob(f"lib{stem}.so.*"), *folder.glob(f"{stem}_*.dll")):
            with contextlib.suppress(OSError):
                ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


@contextlib.contextmanager
def locked_pages(arrays: Sequence[NDArray[Any]], cuda_version: str) -> Iterator[None]:
    """Pin arrays in memory while the context lasts, so that a GPU copies them directly.

    Where the library of that CUDA is missing or refuses, they are copied as before, only slower.
    """
    pinned = []
    try:
        cudart = ctypes.CDLL(_library_name("cudart", major(cuda_version)))
        for array in arrays:
            address = ctypes.c_void_p(array.ctypes.data)
            size = ctypes.c_size_t(array.nbytes)
            if cudart.cudaHostRegister(address, size, ctypes.c_uint(0)) == 0:
                pinned.append(address)
    except (OSError, AttributeError, ValueError):
        pass
    try:
        yield
    finally:
        for address in pinned:
            cudart.cudaHostUnregister(address)


def tensorrt_options(
    path: Path, sha256: str, metadata: ModelMetadata, canvas: int, batch_size: int
) -> dict[str, str]:
    """What onnxruntime's TensorRT provider needs to know of a model file, by its option names.

    Neither `trt_fp16_enable` nor `trt_int8_enable`: without them the provider obeys the types of
    the graph (microsoft/onnxruntime pull request 18707); with them TensorRT may compute boxes and
    indices in FP16 too.

    The canvas is S in pixels, the batch size that of the largest batch; the path is for messages. A
    `UsageError` where TensorRT cannot build the file, or its engines cannot be kept.
    """
    if metadata.export.get("int8", {}).get("target") in ("cpu", "any-cpu"):
        raise UsageError(
            f"--provider tensorrt: {path} is a CPU's INT8, which TensorRT cannot build; "
            "export it with --target tensorrt, or use --provider cuda"
        )
    # The provider's own cache key leaves out the weights, so each model file has its folder.
    cache = cache_folder("tensorrt") / f"{sha256[:16]}-{canvas}px-batch{batch_size}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{cache}: cannot be made for TensorRT's engines, {error.strerror}. "
            "Set XDG_CACHE_HOME, or use --provider cuda"
        ) from error
    return {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(cache.parent),
    } | {
        f"trt_profile_{bound}_shapes": f"{INPUT_NAME}:{count}x{canvas}x{canvas}x3"
        for bound, count in (("min", 1), ("opt", batch_size), ("max", batch_size))
    }


def explain_no_start(ort: ModuleType, provider: str) -> str:
    """Ask the system's loader about a GPU provider's library; onnxruntime only logs it."""
    folder = Path(ort.__file__ or "").parent / "capi"
    for name in ("shared", provider):
        library = folder / f"libonnxruntime_providers_{name}.so"
        if library.exists():
            try:
                ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
            except OSError as error:
                return f"the provider did not start ({str(error).splitlines()[0]})"
    return "the provider did not start; the driver or its libraries do not suit this onnxruntime"


def _library_name(stem: str, major: int) -> str:
    if sys.platform == "win32":
        return f"{stem}_{major}.dll" if stem.startswith("nv") else f"{stem}64_{major}.dll"
    return f"lib{stem}.so.{major}"


def _load(name: str) -> Path | None:
    """Load a library by its name, which also finds what is loaded already; None: not found."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        # The last column is the file, such as libcudart.so.13.0.96 for libcudart.so.13.
        for line in Path("/proc/self/maps").read_text(errors="replace").splitlines():
            path = Path(line.split(maxsplit=5)[-1])
            if path.name == name or path.name.startswith(f"{name}."):
                return path
    return Path(name)
