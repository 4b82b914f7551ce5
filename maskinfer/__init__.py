"""Find the one face in a photo and say whether its mask is worn properly."""

from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:
    from .inference.detector import MaskDetector, Prediction

__all__ = ["MaskDetector", "Prediction", "__version__"]


def __getattr__(name: str) -> object:
    """Load the detector when it is first asked for: `import maskinfer` alone stays light."""
    if name in ("MaskDetector", "Prediction"):
        from .inference import detector

        return getattr(detector, name)
    raise AttributeError(f"module 'maskinfer' has no attribute {name!r}")
