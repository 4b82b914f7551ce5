import importlib.metadata
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest
from support.cli import RunCli

from maskinfer.runtime import default_model, doctor, gpu
from maskinfer.runtime.doctor import Findings, Gpu, OnnxRuntime, ShippedModel, Torch
from maskinfer.runtime.providers import Provider
from maskinfer.runtime.remedies import find_remedies

HAS_CUDA_BUILD = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
ALL_BUILT_IN = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")


@pytest.fixture
def no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a trace of NVIDIA, with lines that do not wrap."""
    monkeypatch.setattr(gpu, "has_nvidia_driver", lambda: False)
    monkeypatch.setattr(gpu, "ask_driver", lambda: None)
    monkeypatch.setattr(gpu, "PCI_DEVICES", tmp_path / "no bus")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.usefixtures("no_gpu")
def test_doctor_finds_nothing_wrong_with_a_machine_without_a_gpu(run_cli: RunCli) -> None:
    done = run_cli("doctor")
    assert (done.code, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "driver not found" in lines
    assert "cpu runs" in lines
    assert any(line.startswith("auto takes cpu (no CUDA: ") for line in lines)
    assert "No NVIDIA GPU was found; models run on the CPU" in done.stdout
    assert f"onnxruntime-gpu {onnxruntime.__version__}" in lines or not HAS_CUDA_BUILD
    assert "Problem" not in done.stdout


@pytest.mark.usefixtures("no_gpu")
def test_doctor_tells_machines_what_it_tells_people(run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli("doctor", "--json", "-")
    assert done.code == 0
    facts = json.loads(done.stdout)
    assert facts["auto"] == "cpu"
    assert facts["obstacles"]["cpu"] == ""
    assert facts["remedies"] == []
    assert facts["conclusion"].startswith("No NVIDIA GPU was found")
    file = tmp_path / "facts.json"
    assert "Versions" in run_cli("doctor", "--json", file).stdout
    assert json.loads(file.read_text()).keys() == facts.keys()
    assert run_cli("doctor", "--json", file).code != 0  # it is there


@pytest.mark.usefixtures("no_gpu")
def test_doctor_fails_where_not_even_the_cpu_runs(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "PROBE", tmp_path / "not-there.onnx")
    done = run_cli("doctor")
    assert done.code == 1
    assert "not even the CPU provider starts" in done.stdout
    assert "    pip install --force-reinstall onnxruntime" in done.stdout


@pytest.mark.usefixtures("no_gpu")
def test_doctor_tells_a_missing_model_from_a_broken_provider(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(default_model, "SHIPPED", "not-there.onnx")
    done = run_cli("doctor")
    assert done.code == 1
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "cpu runs" in lines
    assert "Problem: the shipped model: " in done.stdout
    assert "no such model file" in done.stdout
    assert "    pip install --force-reinstall .   # in maskinfer's folder\n" in done.stdout


@pytest.mark.usefixtures("no_gpu")
def test_doctor_reports_an_onnxruntime_that_cannot_be_imported(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after one of two packages was uninstalled: an empty folder, which imports."""
    monkeypatch.setitem(sys.modules, "onnxruntime", type(sys)("onnxruntime"))
    done = run_cli("doctor")
    assert (done.code, done.stderr) == (1, "")
    assert "onnxruntime cannot be imported (" in done.stdout
    assert "pip install --force-reinstall onnxruntime" in done.stdout


@pytest.mark.usefixtures("no_gpu")
def test_doctor_finds_two_onnxruntimes(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("onnxruntime", "onnxruntime-gpu"):
        folder = tmp_path / f"{name.replace('-', '_')}-1.31.1.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.31.1\n")
        (folder / "top_level.txt").write_text("onnxruntime\n")
    monkeypatch.syspath_prepend(tmp_path)
    done = run_cli("doctor")
    assert done.code == 0
    assert "onnxruntime and onnxruntime-gpu are both installed" in done.stdout
    assert "    pip uninstall -y onnxruntime onnxruntime-gpu && pip install " in done.stdout


@pytest.mark.skipif(
    not (HAS_CUDA_BUILD and sys.platform == "linux" and shutil.which("cc")),
    reason="needs a C compiler, and onnxruntime-gpu on Linux",
)
def test_doctor_notices_a_driver_that_is_too_old(tmp_path: Path, run_process: RunCli) -> None:
    """With a library in the place of NVIDIA's that answers as such a driver does."""
    (tmp_path / "driver.c").write_text(
        "int cuDriverGetVersion(int *version) { *version = 12040; return 0; }\n"
        "int cuInit(unsigned flags) { return 0; }\n"
        "int cuDeviceGetCount(int *count) { *count = 1; return 0; }\n"
    )
    library, source = tmp_path / "libcuda.so.1", tmp_path / "driver.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    write_nvidia_smi(tmp_path, "echo 'NVIDIA L4, 550.54.15, 23034 MiB, 8.9'")
    env = {
        "LD_LIBRARY_PATH": str(tmp_path),
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "XDG_CACHE_HOME": str(tmp_path),
        "COLUMNS": "200",
    }
    done = run_process("doctor", env=env)
    assert (done.code, done.stderr) == (0, "")
    assert "runs CUDA up to 12.4; GPUs it shows: 1" in done.stdout
    assert "NVIDIA L4, 550.54.15, 23034 MiB, 8.9" in done.stdout
    assert "This machine has a GPU, and models run on the CPU." in done.stdout
    assert "the driver runs CUDA 12.4 at most, and onnxruntime is built for CUDA" in done.stdout
    assert "ubuntu-drivers install" in done.stdout or "docker run --gpus" in done.stdout


def write_nvidia_smi(folder: Path, script: str) -> None:
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "nvidia-smi").chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
@pytest.mark.parametrize(
    ("script", "gpus", "fault"),
    [
        (None, (), "not found"),
        ("exit 0", (), "lists no GPU"),
        ("echo A, 1; echo B, 2", ("A, 1", "B, 2"), ""),
        ("echo NVIDIA-SMI has failed; echo more; exit 9", (), "NVIDIA-SMI has failed"),
        ("echo broken >&2; exit 1", (), "broken"),
        ("exit 3", (), "failed with exit code 3"),
        ("exec /bin/sleep 60", (), "no answer in 0.2 s; the driver may be stuck"),
    ],
    ids=["absent", "none", "two", "no driver", "stderr", "silent", "stuck"],
)
def test_nvidia_smi_is_asked_and_not_waited_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str | None,
    gpus: tuple[str, ...],
    fault: str,
) -> None:
    if script is not None:
        write_nvidia_smi(tmp_path, script)
    if "sleep" in (script or ""):
        monkeypatch.setattr(gpu, "_NVIDIA_SMI_SECONDS", 0.2)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.ask_nvidia_smi() == gpu.NvidiaSmi(gpus, fault)


def test_cards_are_counted_without_a_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = {"gpu": ("0x10de", "0x030200"), "sound": ("0x10de", "0x040300")}
    devices["other"] = ("0x8086", "0x030000")
    for name, (vendor, kind) in devices.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(f"{vendor}\n")
        (tmp_path / name / "class").write_text(f"{kind}\n")
    (tmp_path / "unreadable").mkdir()
    monkeypatch.setattr(gpu, "PCI_DEVICES", tmp_path)
    assert gpu.count_nvidia_cards() == 1


@pytest.mark.skipif(not HAS_CUDA_BUILD, reason="is about onnxruntime-gpu")
def test_the_extras_that_are_named_exist() -> None:
    extras = importlib.metadata.metadata("onnxruntime-gpu").get_all("Provides-Extra")
    assert {"cuda", "cudnn"} <= set(extras or ())


STARTS = dict.fromkeys((Provider.CPU, Provider.CUDA, Provider.TENSORRT), "")
NO_CUDA = STARTS | {Provider.CUDA: "did not start", Provider.TENSORRT: "did not start"}
CUDA_LIBRARY = gpu.Library("libcudnn.so.9", False, Path("/lib/libcudnn.so.9"))
TENSORRT_LIBRARY = gpu.Library("libnvinfer.so.10", True, Path("/lib/libnvinfer.so.10"))
HEALTHY = Findings(
    versions={},
    onnxruntime=OnnxRuntime("onnxruntime-gpu", {"onnxruntime-gpu": "1.31.1"}, "13.0", ALL_BUILT_IN),
    gpu=Gpu(gpu.Driver("13.0", 1), gpu.NvidiaSmi(("NVIDIA L4",), ""), 1, None, False),
    libraries=(CUDA_LIBRARY, TENSORRT_LIBRARY),
    obstacles=STARTS,
    auto=Provider.CUDA,
    auto_note="",
    shipped=ShippedModel(),
    torch=Torch("2.14", "13.0", True),
)
FALLEN_BACK = replace(HEALTHY, obstacles=NO_CUDA, auto=Provider.CPU)
NO_GPU = Gpu(None, gpu.NvidiaSmi((), "not found"), 0, None, False)
NO_DEVICE = replace(HEALTHY.gpu, driver=gpu.Driver("13.0", 0))
CPU_BUILD = OnnxRuntime("onnxruntime-gpu", {"onnxruntime": "1.31.1"}, "", ALL_BUILT_IN[2:])
MISSING = tuple(replace(library, path=None) for library in HEALTHY.libraries)


@pytest.mark.parametrize(
    ("findings", "commands"),
    [
        (HEALTHY, []),
        (replace(FALLEN_BACK, gpu=NO_GPU, libraries=MISSING, torch=None), []),
        (replace(FALLEN_BACK, gpu=NO_GPU, onnxruntime=CPU_BUILD, torch=Torch("2.14")), []),
        (
            replace(FALLEN_BACK, onnxruntime=CPU_BUILD, libraries=()),
            ["pip uninstall -y onnxruntime && pip install onnxruntime-gpu"],
        ),
        (
            replace(FALLEN_BACK, onnxruntime=replace(CPU_BUILD, suited="onnxruntime")),
            [],  # as on ARM, where there is no other
        ),
        (replace(FALLEN_BACK, gpu=replace(HEALTHY.gpu, driver=None)), ["sudo ubuntu-drivers"]),
        (
            replace(FALLEN_BACK, gpu=replace(HEALTHY.gpu, driver=None, in_container=True)),
            ["docker run --gpus all"],
        ),
        (
            replace(FALLEN_BACK, gpu=replace(NO_DEVICE, hidden_by="")),
            ["unset CUDA_VISIBLE_DEVICES"],
        ),
        (replace(FALLEN_BACK, gpu=NO_DEVICE), ["sudo reboot"]),
        (
            replace(
                FALLEN_BACK,
                gpu=replace(HEALTHY.gpu, driver=gpu.Driver("12.8", 1)),
                libraries=MISSING,
            ),
            ["sudo ubuntu-drivers"],  # first; what is still missing shows afterwards
        ),
        (
            replace(FALLEN_BACK, libraries=MISSING),
            ["pip install 'onnxruntime-gpu[cuda,cudnn]'", "pip install 'tensorrt<11'"],
        ),
        (
            FALLEN_BACK,
            ["pip install 'onnxruntime-gpu[cuda,cudnn]' --upgrade --force-reinstall"],
        ),
        (
            replace(
                HEALTHY, libraries=MISSING, obstacles=STARTS | {Provider.TENSORRT: "not found"}
            ),
            ["pip install 'tensorrt<11'"],
        ),
        (
            replace(HEALTHY, torch=Torch("2.14")),
            ["pip install --force-reinstall torch torchvision --index-url"],
        ),
        (
            replace(HEALTHY, torch=Torch("2.14", fault="no libtorch")),
            ["pip install --force-reinstall torch torchvision"],
        ),
        (replace(HEALTHY, torch=None), []),
        (
            replace(HEALTHY, shipped=ShippedModel("damaged", is_damaged=True)),
            ["pip install --force-reinstall ."],
        ),
        (
            replace(HEALTHY, shipped=ShippedModel("failed on cuda: out of memory")),
            ["maskinfer predict FOLDER --provider cpu"],
        ),
        (
            replace(FALLEN_BACK, gpu=NO_GPU, shipped=ShippedModel("failed on cpu")),
            ["pip install --force-reinstall ."],
        ),
        (
            replace(
                FALLEN_BACK,
                gpu=NO_GPU,
                obstacles=dict.fromkeys(NO_CUDA, "broken"),
                auto=None,
                onnxruntime=OnnxRuntime("onnxruntime", {}, fault="broken"),
            ),
            ["pip install --force-reinstall onnxruntime"],
        ),
    ],
    ids=[
        "healthy",
        "no gpu",
        "no gpu, cpu builds",
        "cpu build",
        "arm",
        "no driver",
        "container",
        "hidden",
        "no device",
        "old driver",
        "missing libraries",
        "unfit libraries",
        "no tensorrt",
        "torch without cuda",
        "broken torch",
        "no torch",
        "damaged model",
        "model too large",
        "model fails on the CPU",
        "no onnxruntime",
    ],
)
def test_each_problem_has_its_command(findings: Findings, commands: list[str]) -> None:
    remedies = find_remedies(findings)
    assert len(remedies) == len(commands), remedies
    for remedy, command in zip(remedies, commands, strict=True):
        assert remedy.command.startswith(command)
