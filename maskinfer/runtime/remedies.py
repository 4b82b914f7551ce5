"""From what `maskinfer doctor` found to the command that repairs it.

A machine without a GPU is complete: what only a GPU needs is named only where there is one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from . import gpu
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
class Remedy:
    """What is wrong, in a sentence, and the command that repairs it."""

    problem: str
    command: str


def find_remedies(findings: Findings) -> tuple[Remedy, ...]:
    """List what is wrong, in the order in which it must be repaired."""
    for_runtime = tuple(_for_onnxruntime(findings))
    obstacle = findings.obstacles.get(Provider.OPENVINO)
    command = "pip install --force-reinstall openvino"
    for_openvino = (Remedy(f"openvino: {obstacle}", command),) if obstacle else ()
    for_shipped = tuple(_for_shipped(findings))
    if not findings.gpu.is_there:
        rest = _for_torch(findings, gpu_works=False)
        return (*for_runtime, *for_shipped, *for_openvino, *rest)
    for_driver = tuple(_for_driver(findings)) if findings.obstacles[Provider.CUDA] else ()
    # With another driver or onnxruntime, other libraries may be missing.
    for_libraries = () if for_runtime or for_driver else tuple(_for_libraries(findings))
    rest = _for_torch(findings, not for_driver)
    return (*for_runtime, *for_shipped, *for_openvino, *for_driver, *for_libraries, *rest)


def conclude(findings: Findings) -> str:
    """Say in a sentence what models run on here."""
    if findings.auto is None:
        return "No model can run here: not even the CPU provider starts."
    if findings.shipped.fault:
        return f"The shipped model does not run on {findings.auto}, which runs others."
    if findings.auto.on_gpu:
        return f"Models run on the GPU, with the provider {findings.auto}."
    if findings.gpu.is_there:
        return "This machine has a GPU, and models run on the CPU."
    return (
        "No NVIDIA GPU was found; models run on the CPU, which is all they need. If there is one "
        f"after all, it lacks its driver ({_DRIVER_PAGE}), or its container --gpus all."
    )


def _for_onnxruntime(findings: Findings) -> Iterator[Remedy]:
    runtime = findings.onnxruntime
    names, suited = list(runtime.packages), runtime.suited
    if len(names) > 1:
        yield Remedy(
            f"{' and '.join(names)} are both installed, and overwrite each other's files",
            f"pip uninstall -y {' '.join(names)} && pip install {suited}",
        )
    elif runtime.fault:
        yield Remedy(runtime.fault, f"pip install --force-reinstall {suited}")
    elif findings.obstacles[Provider.CPU]:
        yield Remedy(
            f"cpu: {findings.obstacles[Provider.CPU]}",
            f"pip install --force-reinstall {suited}",
        )
    elif names and names[0] != suited and findings.gpu.is_there and not runtime.has(Provider.CUDA):
        yield Remedy(
            f"{names[0]} is built without CUDA",
            f"pip uninstall -y {names[0]} && pip install {suited}",
        )


def _for_shipped(findings: Findings) -> Iterator[Remedy]:
    if shipped := findings.shipped.fault:
        again = findings.shipped.is_damaged or findings.auto is Provider.CPU
        command = _REINSTALL if again else "maskinfer predict FOLDER --provider cpu"
        yield Remedy(f"the shipped model: {shipped}", command)


def _for_driver(findings: Findings) -> Iterator[Remedy]:
    driver, wanted = findings.gpu.driver, findings.onnxruntime.cuda_version
    if driver is None:
        command = _START_CONTAINER if findings.gpu.in_container else _INSTALL_DRIVER
        yield Remedy("there is an NVIDIA card, and no driver for it", command)
    elif not driver.devices:
        if findings.gpu.hidden_by is not None:
            yield Remedy(
                f"CUDA_VISIBLE_DEVICES is {findings.gpu.hidden_by!r}, which hides the GPU",
                "unset CUDA_VISIBLE_DEVICES",
            )
        else:
            command = _START_CONTAINER if findings.gpu.in_container else "sudo reboot"
            yield Remedy("the driver is there and shows no GPU", command)
    elif wanted and gpu.major(driver.cuda_version) < gpu.major(wanted):
        yield Remedy(
            f"the driver runs CUDA {driver.cuda_version} at most, and onnxruntime is built for "
            f"CUDA {wanted}",
            _INSTALL_DRIVER,
        )


def _for_libraries(findings: Findings) -> Iterator[Remedy]:
    if not findings.onnxruntime.has(Provider.CUDA):
        return
    obstacle = findings.obstacles[Provider.CUDA]
    lacking = [library for library in findings.libraries if library.path is None]
    of_cuda = ", ".join(library.name for library in lacking if not library.tensorrt)
    of_tensorrt = ", ".join(library.name for library in lacking if library.tensorrt)
    if obstacle and of_cuda:
        yield Remedy(f"missing: {of_cuda}", _CUDA_LIBRARIES)
    elif obstacle:
        # All present, in versions that do not fit: the set that onnxruntime itself names.
        yield Remedy(f"cuda: {obstacle}", f"{_CUDA_LIBRARIES} --upgrade --force-reinstall")
    if of_tensorrt:
        yield Remedy(f"missing, for --provider tensorrt alone: {of_tensorrt}", _TENSORRT)
    elif not obstacle and findings.obstacles[Provider.TENSORRT]:
        yield Remedy(
            f"tensorrt: {findings.obstacles[Provider.TENSORRT]}",
            f"{_TENSORRT} --upgrade --force-reinstall",
        )


def _for_torch(findings: Findings, gpu_works: bool) -> Iterator[Remedy]:
    torch = findings.torch
    if torch is None:
        return
    if torch.fault:
        yield Remedy(
            f"torch {torch.version} cannot be imported ({torch.fault})",
            "pip install --force-reinstall torch torchvision",
        )
    elif gpu_works and not torch.sees_gpu:
        built = f"built for CUDA {torch.cuda_version}" if torch.cuda_version else "without CUDA"
        yield Remedy(f"torch {torch.version}, {built}, sees no GPU: training is slow", _TORCH)
