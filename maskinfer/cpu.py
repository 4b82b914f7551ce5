"""What this machine's processor can do, as far as the speed of a network hangs on it."""

import math
import os
import platform
import sys
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
CGROUP = Path("/sys/fs/cgroup")

# As Linux names them: on x86-64 VNNI in its two encodings and AMX, on ARM the dot product.
_INT8_DOT_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})


def usable_cores() -> int:
    """Logical cores that this process may use: its affinity, and a container's limit."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    limit = _cgroup_cores()
    return cores if limit is None else max(1, min(cores, math.ceil(limit)))


def _cgroup_cores() -> float | None:
    """Processor time that the control group allows a second, in cores; None where it does not say.

    What a container sees as its root is what limits it: `cpu.max` in version 2 of control groups,
    quota and period in version 1.
    """
    try:
        if (CGROUP / "cpu.max").exists():
            quota, period = (CGROUP / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota, period = (
                (CGROUP / "cpu" / f"cpu.cfs_{name}_us").read_text(encoding="ascii")
                for name in ("quota", "period")
            )
        cores = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # "max" is no number: no limit
        return None
    return cores if cores > 0 else None


def cpu_name() -> str:
    """What the processor calls itself; empty where it cannot be told."""
    return _cpuinfo_value("model name") or platform.processor()


def cpu_flags() -> frozenset[str]:
    """Instruction sets as Linux names them, such as `avx2`; empty where they cannot be told."""
    return frozenset((_cpuinfo_value("flags") or _cpuinfo_value("Features")).split())


def has_int8_dot_products() -> bool | None:
    """Whether the processor multiplies and sums INT8 in one instruction; None: cannot be told.

    With it (VNNI, AMX, ARM's dot product) sums are 32 bits wide. Without it, on x86-64, pairs of
    products are summed in 16 bits, which is slower and saturates unless weights keep to 7 bits.
    """
    if sys.platform == "darwin":
        return True if platform.machine() == "arm64" else None
    flags = cpu_flags()
    return bool(flags & _INT8_DOT_PRODUCTS) if flags else None


def _cpuinfo_value(key: str) -> str:
    """The first value of a key; all cores of a machine say the same."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
