"""Find the faces in a photo and say whether their masks are worn properly."""

import importlib
import os
from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:
    from .data.folders import Failure
    from .data.geometry import Geometry, canvas_to_image, place
    from .data.images import load_photo
    from .inference.detector import MaskDetector
    from .inference.drawing import draw
    from .inference.results import ImagePrediction, Prediction
    from .runtime.model_file import ModelMetadata

__all__ = [
    "Failure",
    "Geometry",
    "ImagePrediction",
    "MaskDetector",
    "ModelMetadata",
    "Prediction",
    "__version__",
    "canvas_to_image",
    "draw",
    "load_photo",
    "place",
]

# Otherwise onnxruntime tells its maker what runs here, and keeps an identifier of the machine; it
# asks when it is loaded, so before that (microsoft/onnxruntime pull request 27379).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_MODULES = {
    "Failure": ".data.folders",
    "Geometry": ".data.geometry",
    "ImagePrediction": ".inference.results",
    "MaskDetector": ".inference.detector",
    "ModelMetadata": ".runtime.model_file",
    "Prediction": ".inference.results",
    "canvas_to_image": ".data.geometry",
    "draw": ".inference.drawing",
    "load_photo": ".data.images",
    "place": ".data.geometry",
}


def __getattr__(name: str) -> object:
    """Load a name's module when it is first asked for: `import maskinfer` alone stays light."""
    if name not in _MODULES:
        raise AttributeError(f"module 'maskinfer' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name], __name__), name)
