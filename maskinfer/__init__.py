"""Find the one face in a photo and say whether its mask is worn properly."""

from maskinfer.version import __version__

__all__ = ["__version__"]
