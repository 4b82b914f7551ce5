"""What this machine's processor can do that the speed of a network depends on."""

import platform
import sys
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

# As Linux names them: on x86-64 VNNI in its two encodings and AMX, on ARM the dot product.
_INT8_DOT_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})


def cpu_name() -> str:
    """The name of the processor; empty where it is not known."""
    return proc_value(CPUINFO, "model name") or platform.processor()


def cpu_flags() -> frozenset[str]:
    """Instruction sets as Linux names them, such as `avx2`; empty where they are not known."""
    flags = proc_value(CPUINFO, "flags") or proc_value(CPUINFO, "Features")
    return frozenset(flags.split())


def has_int8_dot_products() -> bool | None:
    """Whether the processor multiplies and sums INT8 in one instruction; None: not known.

    With it (VNNI, AMX, ARM's dot product) sums are 32 bits wide. Without it, on x86-64, pairs of
    products are summed in 16 bits, which is slower and saturates unless weights keep to 7 bits.
    """
    if sys.platform == "darwin":
        return True if platform.machine() == "arm64" else None
    flags = cpu_flags()
    return bool(flags & _INT8_DOT_PRODUCTS) if flags else None


def proc_value(path: Path, key: str) -> str:
    """The first value of a key in a file of Linux's /proc; empty where there is none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
