import sys
from pathlib import Path

import pytest

from maskinfer import cpu

X86 = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: fpu avx2 {}\n\nprocessor\t: 1\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd {}\n"


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no /proc")
@pytest.mark.parametrize(
    ("cpuinfo", "answer"),
    [
        ("", None),
        ("processor\t: 0\n", None),
        (X86.format(""), False),
        (X86.format("avx512f avx512_vnni"), True),
        (X86.format("avx_vnni"), True),
        (X86.format("amx_int8"), True),
        (ARM.format(""), False),
        (ARM.format("asimddp"), True),
    ],
    ids=["empty", "no flags", "avx2", "avx512 vnni", "avx vnni", "amx", "old arm", "arm"],
)
def test_int8_dot_products_by_flags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpuinfo: str, answer: bool | None
) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(cpu, "CPUINFO", tmp_path / "cpuinfo")
    assert cpu.has_int8_dot_products() is answer


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no /proc")
def test_what_cannot_be_told_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "CPUINFO", tmp_path / "not there")
    assert cpu.cpu_flags() == frozenset()
    assert cpu.has_int8_dot_products() is None


@pytest.mark.parametrize(("machine", "answer"), [("arm64", True), ("x86_64", None)])
def test_int8_dot_products_of_a_mac(
    monkeypatch: pytest.MonkeyPatch, machine: str, answer: bool | None
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(cpu.platform, "machine", lambda: machine)
    assert cpu.has_int8_dot_products() is answer


def test_cpu_name_and_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text(X86.format(""))
    monkeypatch.setattr(cpu, "CPUINFO", tmp_path / "cpuinfo")
    assert cpu.cpu_name() == "Some CPU @ 2 GHz"
    assert cpu.usable_cores() >= 1


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "9900000 100000\n"}, 8),
        ({"cpu.max": "junk"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "0\n"}, 8),
    ],
)
def test_a_container_s_limit_is_respected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(cpu, "CGROUP", tmp_path)
    monkeypatch.setattr(cpu.os, "sched_getaffinity", lambda pid: range(8), raising=False)
    assert cpu.usable_cores() == cores
