"""What computes a model: the choices, and what suits this machine where nobody chose."""

from collections.abc import Iterable
from enum import StrEnum

from maskinfer.errors import MaskinferError, ProviderError, UsageError
from maskinfer.threads import usable_cores

DEFAULT_BATCH_SIZE = 16
# Each holds a batch's activations, 100 MB and more.
_MOST_STREAMS = 8


class Provider(StrEnum):
    """What computes: a choice on the command line and, but for `auto`, what was chosen."""

    AUTO = "auto"
    TENSORRT = "tensorrt"
    CUDA = "cuda"
    OPENVINO = "openvino"
    CPU = "cpu"

    @property
    def on_gpu(self) -> bool:
        """Whether it computes on a GPU; `auto` is not known to."""
        return self in (Provider.TENSORRT, Provider.CUDA)


def default_streams() -> int:
    """Batches computed at the same time that get the most out of this machine's CPU."""
    return min(usable_cores(), _MOST_STREAMS)


def named_options(options: Iterable[str]) -> dict[str, str]:
    """A provider's own options, by name, of words NAME=VALUE; another word is a `UsageError`."""
    parts = [(option, *option.partition("=")) for option in options]
    for option, name, equals, _ in parts:
        if not (name and equals):
            raise UsageError(f"--provider-option: got {option!r}, expected NAME=VALUE")
    return {name: value for _, name, _, value in parts}


def explain(error: Exception) -> str:
    """Why a model does not run on a provider, in one line; providers may raise anything."""
    if isinstance(error, ProviderError):
        return error.obstacle
    if isinstance(error, MaskinferError):
        return str(error)
    return " ".join(f"{type(error).__name__}: {error}".split())
