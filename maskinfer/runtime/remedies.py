"""From what `maskinfer doctor` found to the command that mends it.

A machine without a GPU is a whole machine: what only a GPU needs is named where there is one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from .doctor import Findings
from .providers import Provider

_DRIVER_PAGE = "https://www.nvidia.com/drivers"
_INSTALL_DRIVER = f"sudo ubuntu-drivers install   # elsewhere: {_DRIVER_PAGE}; then restart"
_START_CONTAINER = "docker run --gpus all IMAGE   # on a host with NVIDIA's container toolkit"
_REINSTALL = "pip install --force-reinstall .   # in maskinfer's folder"
_CUDA_LIBRARIES = "pip install 'onnxruntime-gpu[cuda,cudnn]'"
# onnxruntime's provider is linked against TensorRT 10 (microsoft/onnxruntime 32278).
_TENSORRT = "pip install 'tensorrt<11'"
_TORCH = (
    "pip install --force-reinstall torch torchvision "
    "--index-url https://download.pytorch.org/whl/cu130"
)


@dataclass(frozen=True)
class Mend:
    """What is wrong, in a sentence, and the command that mends it."""

    problem: str
    command: str


def find_mends(found: Findings) -> tuple[Mend, ...]:
    """List what is wrong, each with its command; what must be mended first comes first."""
    of_runtime = tuple(_mends_of_onnxruntime(found))
    if not found.gpu.is_there:
        return of_runtime + tuple(_mends_of_torch(found, gpu_works=False))
    of_driver = tuple(_mends_of_driver(found)) if found.obstacles[Provider.CUDA] else ()
    # With another driver or onnxruntime, other libraries may be missing.
    of_libraries = () if of_runtime or of_driver else tuple(_mends_of_libraries(found))
    return (*of_runtime, *of_driver, *of_libraries, *_mends_of_torch(found, not of_driver))


def conclude(found: Findings) -> str:
    """Say in a sentence what models run on here, and whether that is well."""
    if found.auto is None:
        return "No model can run here: not even the CPU provider starts."
    if found.auto is not Provider.CPU:
        return f"Models run on the GPU, with the provider {found.auto}."
    if found.gpu.is_there:
        return "This machine has a GPU, and models run on the CPU."
    return (
        "No NVIDIA GPU was found; models run on the CPU, which is all they need. If there is one "
        f"after all, it lacks its driver ({_DRIVER_PAGE}), or its container --gpus all."
    )


def _mends_of_onnxruntime(found: Findings) -> Iterator[Mend]:
    runtime = found.onnxruntime
    names, suited = list(runtime.packages), runtime.suited
    if len(names) > 1:
        yield Mend(
            f"{' and '.join(names)} are both installed, and overwrite each other's files",
            f"pip uninstall -y {' '.join(names)} && pip install {suited}",
        )
    elif runtime.fault:
        yield Mend(runtime.fault, f"pip install --force-reinstall {suited}")
    elif found.obstacles[Provider.CPU]:
        yield Mend(f"cpu: {found.obstacles[Provider.CPU]}", _REINSTALL)
    elif names and names[0] != suited and found.gpu.is_there and not runtime.has(Provider.CUDA):
        yield Mend(
            f"{names[0]} is built without CUDA",
            f"pip uninstall -y {names[0]} && pip install {suited}",
        )


def _mends_of_driver(found: Findings) -> Iterator[Mend]:
    driver, wanted = found.gpu.driver, found.onnxruntime.cuda_version
    if driver is None:
        command = _START_CONTAINER if found.gpu.in_container else _INSTALL_DRIVER
        yield Mend("there is an NVIDIA card, and no driver for it", command)
    elif not driver.devices:
        if found.gpu.hidden_by is not None:
            yield Mend(
                f"CUDA_VISIBLE_DEVICES is {found.gpu.hidden_by!r}, which hides the GPU",
                "unset CUDA_VISIBLE_DEVICES",
            )
        else:
            command = _START_CONTAINER if found.gpu.in_container else "sudo reboot"
            yield Mend("the driver is there and shows no GPU", command)
    elif wanted and driver.cuda_version[0] < int(wanted.partition(".")[0]):
        yield Mend(
            f"the driver runs CUDA {_dotted(driver.cuda_version)} at most, and onnxruntime is "
            f"built for CUDA {wanted}",
            _INSTALL_DRIVER,
        )


def _mends_of_libraries(found: Findings) -> Iterator[Mend]:
    if not found.onnxruntime.has(Provider.CUDA):
        return
    obstacle = found.obstacles[Provider.CUDA]
    missing = {
        tensorrt: ", ".join(
            library.name
            for library in found.libraries
            if library.path is None and library.tensorrt is tensorrt
        )
        for tensorrt in (False, True)
    }
    if obstacle and missing[False]:
        yield Mend(f"missing: {missing[False]}", _CUDA_LIBRARIES)
    elif obstacle:
        # All there, and not fitting: the set that onnxruntime names for itself.
        yield Mend(f"cuda: {obstacle}", f"{_CUDA_LIBRARIES} --upgrade --force-reinstall")
    if missing[True]:
        yield Mend(f"missing, for --provider tensorrt alone: {missing[True]}", _TENSORRT)
    elif not obstacle and found.obstacles[Provider.TENSORRT]:
        yield Mend(
            f"tensorrt: {found.obstacles[Provider.TENSORRT]}",
            f"{_TENSORRT} --upgrade --force-reinstall",
        )


def _mends_of_torch(found: Findings, gpu_works: bool) -> Iterator[Mend]:
    torch = found.torch
    if torch is None:
        return
    if torch.fault:
        yield Mend(
            f"torch {torch.version} cannot be imported ({torch.fault})",
            "pip install --force-reinstall torch torchvision",
        )
    elif gpu_works and not torch.sees_gpu:
        built = f"built for CUDA {torch.cuda_version}" if torch.cuda_version else "without CUDA"
        yield Mend(f"torch {torch.version}, {built}, sees no GPU: training is slow", _TORCH)


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
