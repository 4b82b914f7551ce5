"""`maskinfer doctor`: what on this machine decides where models run, and how to repair it."""

import sysconfig
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.padding import Padding
from rich.text import Text

from maskinfer.runtime import cpu
from maskinfer.runtime.doctor import Findings, Gpu, OnnxRuntime, Torch, examine
from maskinfer.runtime.gpu import Library
from maskinfer.runtime.providers import Provider
from maskinfer.runtime.remedies import conclude, find_remedies
from maskinfer.text import strict_json, visible
from maskinfer.threads import usable_cores

from .console import check_json, err, out, print_heading, print_section, write_json
from .options import JSON, OVERWRITE


def doctor(
    json: Annotated[Path | None, JSON] = None, overwrite: Annotated[bool, OVERWRITE] = False
) -> None:
    """Show versions, libraries, and which providers really run a model.

    Each problem comes with the command that repairs it.

    Exit code 0: the shipped model runs here, if only on the CPU; 1: it does
    not.
    """
    console = check_json(json, overwrite=overwrite)
    with err.status("Examining this machine"):
        findings = examine()
    write_json(json, lambda: strict_json(_facts(findings)))
    if console is out:
        _print(findings)
    if findings.auto is None or findings.shipped.fault:
        raise typer.Exit(1)


def _facts(findings: Findings) -> dict[str, Any]:
    remedies = [asdict(remedy) for remedy in find_remedies(findings)]
    return asdict(findings) | {"conclusion": conclude(findings), "remedies": remedies}


def _print(findings: Findings) -> None:
    print_section("Versions", findings.versions)
    print_section("ONNX Runtime", dict(_onnxruntime_rows(findings.onnxruntime)))
    print_section("CPU", dict(_cpu_rows()))
    print_section("GPU", dict(_gpu_rows(findings.gpu)))
    print_section("CUDA's and TensorRT's libraries", dict(map(_library_row, findings.libraries)))
    print_section("Providers, running a small network", dict(_provider_rows(findings)))
    if findings.torch is not None:
        print_section("Training", {"torch": _torch_words(findings.torch)})
    print_heading("In short")
    _print_line(conclude(findings))
    for remedy in find_remedies(findings):
        out.print()
        _print_line(f"Problem: {remedy.problem}", style="yellow")
        # Unwrapped, to be copied.
        out.print(Text(f"    {remedy.command}", style="bold"), soft_wrap=True)


def _onnxruntime_rows(runtime: OnnxRuntime) -> Iterator[tuple[str, str]]:
    yield from runtime.packages.items()
    if not runtime.packages:
        yield "package", "not installed"
    if runtime.fault:
        yield "fault", runtime.fault
    else:
        yield "built for CUDA", runtime.cuda_version or "no"
        yield "built in", ", ".join(runtime.built_in)


def _cpu_rows() -> Iterator[tuple[str, object]]:
    yield "processor", cpu.cpu_name() or "unknown"
    yield "usable cores", usable_cores()
    if flags := cpu.cpu_flags():
        yield "AVX2", "yes" if "avx2" in flags else "no"
    words = {
        True: "yes: INT8 models are at their fastest",
        False: "no (no VNNI): INT8 models gain less, and need a reduced range",
        None: "unknown",
    }
    yield "INT8 dot products", words[cpu.has_int8_dot_products()]


def _gpu_rows(gpu: Gpu) -> Iterator[tuple[str, object]]:
    if gpu.driver is None:
        yield "driver", "not found"
    else:
        shown = gpu.driver.devices
        yield "driver", f"runs CUDA up to {gpu.driver.cuda_version}; GPUs it shows: {shown}"
    if gpu.cards:
        yield "NVIDIA cards", gpu.cards
    if gpu.nvidia_smi.fault:
        yield "nvidia-smi", gpu.nvidia_smi.fault
    for number, line in enumerate(gpu.nvidia_smi.gpus):
        yield f"GPU {number}", line
    if gpu.hidden_by is not None:
        yield "CUDA_VISIBLE_DEVICES", repr(gpu.hidden_by)


def _library_row(library: Library) -> tuple[str, str]:
    if library.path is None:
        return library.name, "missing"
    packages = Path(sysconfig.get_path("purelib")).resolve()
    if library.path.is_relative_to(packages):
        return library.name, f"pip: {library.path.parent.relative_to(packages)}"
    return library.name, str(library.path.parent) if library.path.parent.name else "found"


def _provider_rows(findings: Findings) -> Iterator[tuple[str, str]]:
    for provider, obstacle in findings.obstacles.items():
        if not obstacle:
            yield provider, "runs"
        elif provider is Provider.OPENVINO:
            yield provider, f"installed, does not run: {obstacle}"
        elif findings.onnxruntime.has(provider):
            yield provider, f"built in, does not run: {obstacle}"
        else:
            yield provider, f"not built in: {obstacle}"
    if findings.auto is not None:
        note = f" ({findings.auto_note})" if findings.auto_note else ""
        yield Provider.AUTO, f"takes {findings.auto}{note}"
        yield "shipped model", findings.shipped.fault or f"runs on {findings.auto}"


def _torch_words(torch: Torch) -> str:
    if torch.fault:
        return f"{torch.version} cannot be imported ({torch.fault})"
    built = f"built for CUDA {torch.cuda_version}" if torch.cuda_version else "built without CUDA"
    where = "sees a GPU" if torch.sees_gpu else "sees no GPU: training runs on the CPU"
    return f"{torch.version}, {built}, {where}"


def _print_line(words: str, style: str = "") -> None:
    out.print(Padding(Text(visible(words), style=style), (0, 0, 0, 2), expand=False))
