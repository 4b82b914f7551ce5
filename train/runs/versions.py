"""Which versions made a run, for its record."""

import platform
from importlib.metadata import version


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a run's numbers depend on."""
    packages = ("maskinfer", "torch", "torchvision", "numpy", "pillow", "accelerate")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
