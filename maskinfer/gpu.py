"""What this machine has for a GPU provider: the driver, libraries, and room for engines."""

import contextlib
import ctypes
import importlib.util
import io
import os
import sys
from pathlib import Path
from types import ModuleType


def has_nvidia_driver() -> bool:
    """Whether NVIDIA's driver can be loaded; without it no GPU provider starts."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def preload_libraries(ort: ModuleType, *, tensorrt: bool) -> None:
    """Load CUDA's libraries where pip put them, which the system's loader does not search."""
    if hasattr(ort, "preload_dlls"):
        # It prints what it does not find; what matters shows in `get_providers` afterwards.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            ort.preload_dlls(directory="")
    spec = importlib.util.find_spec("tensorrt_libs") if tensorrt else None
    if spec is None or not spec.submodule_search_locations:
        return
    # preload_dlls leaves TensorRT out (microsoft/onnxruntime 18597). Plugin and parser need the
    # first, hence the order.
    folder = Path(spec.submodule_search_locations[0])
    for stem in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
        for library in (*folder.glob(f"lib{stem}.so.*"), *folder.glob(f"{stem}_*.dll")):
            with contextlib.suppress(OSError):
                ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


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


def cache_folder() -> Path:
    """Where engines are kept between runs: the platform's place for what can be made again."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "maskinfer"
