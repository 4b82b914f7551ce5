"""What commands that use a model share: opening it, and saying which it is."""

from pathlib import Path

from maskinfer.data.images import MAX_PIXELS, settle_pillow
from maskinfer.inference.choosing import DetectorSettings
from maskinfer.inference.detector import MaskDetector
from maskinfer.runtime.providers import Provider, default_streams
from maskinfer.runtime.session import Session

from .console import say

FAILED_SOME = 3
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def open_detector(
    model: Path | None,
    settings: DetectorSettings,
    max_pixels: int = MAX_PIXELS,
    where: str | None = None,
) -> MaskDetector:
    """Load a model and name it on stderr, with where it runs: `where`, else its provider."""
    settle_pillow(max_pixels)
    if settings.provider is Provider.TENSORRT:
        say("tensorrt: the first use of a model builds an engine, which takes minutes")
    detector = MaskDetector(
        model, **settings.asked(), max_pixels=max_pixels, streams=default_streams()
    )
    session = detector.session
    note = f" ({session.note})" if session.note else ""
    place = where or f"{session.provider}{note}"
    say(f"model: {session.path} [{model_words(session)}] on {place}")
    return detector


def model_words(session: Session) -> str:
    """Name a model's network, backbone and precision."""
    metadata = session.metadata
    return f"{metadata.network} {metadata.backbone} {metadata.precision}".replace("  ", " ")
