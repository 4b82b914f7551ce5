"""Where things are kept that take long to make and can be made again."""

import os
import sys
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """The folder of a kind of things, in the platform's own place; it may not exist yet."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "maskinfer" / kind
