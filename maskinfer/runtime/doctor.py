"""What on this machine decides where models run, as data; `remedies` draws the conclusions.

onnxruntime runs on the CPU when a GPU provider cannot start, and hardly says so. Here each provider
really runs a small network, and the one that `auto` takes the shipped model.
"""

import importlib.metadata
import importlib.resources
import os
import platform
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from maskinfer.errors import ModelFileError, UsageError
from maskinfer.version import __version__

from . import gpu, openvino
from .default_model import shipped_model
from .gpu import Driver, Library, NvidiaSmi
from .onnx_runtime import import_onnxruntime
from .providers import Provider, explain
from .session import Session

_PACKAGES = (
    *("numpy", "pillow", "onnx", "openvino"),
    *("torch", "torchvision", "tensorrt", "tensorrt-rtx-cu13-libs"),
)
# Layers in FP32, which all providers compute; `benchmarks/probe.py` makes it.
PROBE = Path(str(importlib.resources.files("maskinfer.runtime") / "probe.onnx"))
_CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")


@dataclass(frozen=True)
class OnnxRuntime:
    """The onnxruntime that is imported."""

    suited: str  # the package that maskinfer depends on for this platform
    # The installed ones that contain a module `onnxruntime`, with their versions; where there are
    # several, the last has overwritten files of the others.
    packages: dict[str, str]
    cuda_version: str = ""  # the CUDA it is built for; empty where for none
    built_in: tuple[str, ...] = ()  # the names of its providers, in its own order
    fault: str = ""  # why it cannot be imported; else empty

    def has(self, provider: Provider) -> bool:
        """Whether a provider is built in; it may still fail to start."""
        return any(name.lower() == f"{provider}executionprovider" for name in self.built_in)


@dataclass(frozen=True)
class Gpu:
    """What can be seen of NVIDIA GPUs."""

    driver: Driver | None  # None where it cannot be loaded
    nvidia_smi: NvidiaSmi  # what that command reports
    cards: int  # NVIDIA's GPUs on the PCI bus, with a driver or without
    hidden_by: str | None  # the value of CUDA_VISIBLE_DEVICES; None where it is not set
    in_container: bool  # whether this is a container, which gets a GPU from its host

    @property
    def is_there(self) -> bool:
        """Whether there is a GPU, usable or not."""
        return bool(self.cards or self.nvidia_smi.gpus or (self.driver and self.driver.devices))


@dataclass(frozen=True)
class Torch:
    """PyTorch, which trains: which CUDA it is built for, if any, or why it cannot be imported."""

    version: str
    cuda_version: str = ""
    sees_gpu: bool = False
    fault: str = ""


@dataclass(frozen=True)
class ShippedModel:
    """Why the shipped model does not run; empty where it does, or where nothing runs."""

    fault: str = ""
    is_damaged: bool = False  # whether its file is missing or damaged


@dataclass(frozen=True)
class Findings:
    """What `maskinfer doctor` finds."""

    # Of maskinfer, Python, the platform and packages; `not installed` for some.
    versions: dict[str, str]
    onnxruntime: OnnxRuntime
    gpu: Gpu
    libraries: tuple[Library, ...]  # those that the built-in GPU providers load
    # Why each provider does not run a network; empty where it does. OpenVINO is there only where it
    # is installed.
    obstacles: dict[Provider, str]
    auto: Provider | None  # the provider that `auto` chooses; None where not even the CPU starts
    auto_note: str  # why it is not CUDA; else empty
    shipped: ShippedModel  # how it fares there
    torch: Torch | None  # PyTorch; None where it is not installed


def examine() -> Findings:
    """Examine this machine; whatever fails is a finding, not an error."""
    runtime, module = _examine_onnxruntime()
    libraries: tuple[Library, ...] = ()
    if module is not None and runtime.has(Provider.CUDA) and runtime.cuda_version:
        libraries = gpu.find_libraries(
            module, runtime.cuda_version, tensorrt=runtime.has(Provider.TENSORRT)
        )
    providers = [Provider.CPU, Provider.CUDA, Provider.TENSORRT]
    if openvino.is_installed():
        providers.insert(1, Provider.OPENVINO)
    obstacles = {provider: runtime.fault or _find_obstacle(provider) for provider in providers}
    auto, note, shipped = None, "", ShippedModel()
    if not obstacles[Provider.CPU]:
        auto, note, shipped = _try_shipped()
    return Findings(
        versions={
            "maskinfer": __version__,
            "Python": f"{platform.python_version()}, {sys.executable}",
            "platform": platform.platform(),
            **{package: version_of(package) or "not installed" for package in _PACKAGES},
        },
        onnxruntime=runtime,
        gpu=Gpu(
            gpu.ask_driver(),
            gpu.ask_nvidia_smi(),
            gpu.count_nvidia_cards(),
            os.environ.get("CUDA_VISIBLE_DEVICES"),
            any(Path(mark).exists() for mark in _CONTAINER_MARKS),
        ),
        libraries=libraries,
        obstacles=obstacles,
        auto=auto,
        auto_note=note,
        shipped=shipped,
        # Last: torch loads CUDA's libraries, which onnxruntime must find without that help.
        torch=_examine_torch(),
    )


def version_of(package: str) -> str | None:
    """The version of an installed package, without importing it; None where it is missing."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _examine_onnxruntime() -> tuple[OnnxRuntime, ModuleType | None]:
    # Where onnxruntime-gpu is published, as in pyproject.toml.
    for_cuda = {("Linux", "x86_64"), ("Windows", "AMD64")}
    is_for_cuda = (platform.system(), platform.machine()) in for_cuda
    suited = "onnxruntime-gpu" if is_for_cuda else "onnxruntime"
    names = importlib.metadata.packages_distributions().get("onnxruntime", [])
    packages = {name: version_of(name) or "" for name in sorted(set(names))}
    try:
        module = import_onnxruntime()
        built_in = tuple(module.get_available_providers())
    except Exception as error:  # an incomplete uninstall leaves an empty module
        fault = f"onnxruntime cannot be imported ({error})"
        return OnnxRuntime(suited, packages, fault=fault), None
    cuda_version = getattr(module, "cuda_version", None) or ""
    return OnnxRuntime(suited, packages, cuda_version, built_in), module


def _find_obstacle(provider: Provider) -> str:
    """Run one image on a provider; why that fails, or an empty text."""
    try:
        _run(PROBE, provider)
    except Exception as error:
        return explain(error)
    return ""


def _try_shipped() -> tuple[Provider, str, ShippedModel]:
    """What `auto` takes, its note, and how the shipped model fares there."""
    try:
        session = _run(shipped_model(), Provider.AUTO)
    except Exception as error:
        is_damaged = isinstance(error, (ModelFileError, UsageError))
        session = Session(PROBE, Provider.AUTO, batch_size=1)
        return session.provider, session.note, ShippedModel(explain(error), is_damaged)
    return session.provider, session.note, ShippedModel()


def _run(model: Path, provider: Provider) -> Session:
    session = Session(model, provider, batch_size=1)
    side = session.geometry.canvas
    # cuDNN is only loaded when something is computed.
    session.run(np.zeros((1, side, side, 3), dtype=np.uint8))
    return session


def _examine_torch() -> Torch | None:
    version = version_of("torch")
    if version is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of an old driver, which is reported anyway
            import torch

            return Torch(version, torch.version.cuda or "", torch.cuda.is_available())
    except Exception as error:  # a damaged installation may raise anything
        return Torch(version, fault=" ".join(str(error).split()))
