"""The installed version, from the package's own metadata."""

from importlib.metadata import version

__version__ = version("maskinfer")
