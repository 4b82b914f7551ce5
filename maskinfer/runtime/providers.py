"""What computes a model: the choices, and how many batches at a time suit this CPU."""

from enum import StrEnum

from maskinfer.threads import usable_cores

# Each holds a batch's activations, 100 MB and more.
_MOST_RUNS = 8


class Provider(StrEnum):
    """What computes: a choice on the command line, and (but for `auto`) the answer."""

    AUTO = "auto"
    TENSORRT = "tensorrt"
    CUDA = "cuda"
    CPU = "cpu"


def concurrent_runs() -> int:
    """Runs of a network at the same time that get the most out of this machine's CPU."""
    return min(usable_cores(), _MOST_RUNS)
