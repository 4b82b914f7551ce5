import sys
from pathlib import Path

import pytest

from maskinfer.runtime import cpu

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
def test_without_cpuinfo_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_cpu_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text(X86.format(""))
    monkeypatch.setattr(cpu, "CPUINFO", tmp_path / "cpuinfo")
    assert cpu.cpu_name() == "Some CPU @ 2 GHz"
