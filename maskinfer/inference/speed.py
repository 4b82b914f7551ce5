"""How fast one setup predicts, measured in this process.

The session is timed alone, on canvases that are drawn already, before and after `predict_images`:
whatever else the machine is doing slows both.
"""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path
from typing import NamedTuple

import numpy as np

from maskinfer.data.folders import Failure
from maskinfer.data.geometry import Placement
from maskinfer.data.images import ImageSource
from maskinfer.data.pixels import Pixels
from maskinfer.data.sources import Source
from maskinfer.errors import DatasetError, ImageError
from maskinfer.runtime.cpu import proc_value
from maskinfer.runtime.providers import Provider, default_streams
from maskinfer.runtime.session import Session

from .detector import MaskDetector
from .pipeline import predict_images
from .results import ImagePrediction

_STATUS = Path("/proc/self/status")
# Images tried to fill one batch of canvases, where many cannot be read.
_MOST_TRIED = 1000
_WARM_UP_BATCHES = 2
_LEAST_BATCHES = 3


@dataclass(frozen=True)
class Setup:
    """What a line is measured with."""

    provider: Provider  # what computes
    threads: int  # those that decode
    batch_size: int  # images per batch
    provider_options: tuple[tuple[str, str], ...] = ()  # the provider's own, as names and values


@dataclass(frozen=True)
class Speed:
    """What was measured."""

    provider: Provider  # what computed, never `auto`
    note: str  # the session's, on why it is that provider; may be empty
    images: int  # predicted in the time measured
    images_per_s: float  # from files to rows
    session_images_per_s: float  # of the session alone, on ready canvases
    latency_p50_ms: float  # half of the session's batches took no longer
    latency_p95_ms: float  # likewise 95 % of them
    # Processor time of reading, decoding and drawing on canvases, as a share of all processor time
    # that the process took from files to rows.
    decode_share: float
    # Most resident memory of the process in MB; None where it is not known.
    peak_memory_mb: float | None
    unreadable: list[Failure]  # the images without a prediction, each once

    @property
    def ratio(self) -> float:
        """The share of the session's speed that is reached from files to rows."""
        return self.images_per_s / self.session_images_per_s


def measure(model: Path, source: Source, setup: Setup, seconds: float) -> Speed:
    """Measure a setup, for so many seconds without loading and warming up; images are repeated.

    A `MaskinferError` where the model or the provider fails, or no image can be read.
    """
    detector = _TimedDetector(model, setup)
    session = detector.session
    canvases = _ready_canvases(detector, source)
    before = time_session(session, canvases, seconds / 4)
    images, taken, decode_share, unreadable = _time_pipeline(
        detector, source, setup.threads, seconds / 2
    )
    after = time_session(session, canvases, seconds / 4)
    if images == 0:
        raise DatasetError(f"{source}: no image could be predicted in the time that counts")
    p50, p95 = np.percentile(before.latencies_s + after.latencies_s, (50, 95))
    return Speed(
        provider=session.provider,
        note=session.note,
        images=images,
        images_per_s=images / taken,
        session_images_per_s=(before.images + after.images) / (before.seconds + after.seconds),
        latency_p50_ms=float(p50) * 1e3,
        latency_p95_ms=float(p95) * 1e3,
        decode_share=decode_share,
        peak_memory_mb=_peak_memory_mb(),
        unreadable=unreadable,
    )


class _TimedDetector(MaskDetector):
    """A detector that measures processor time of `make_canvas` so far, of all threads together."""

    def __init__(self, model: Path, setup: Setup) -> None:
        super().__init__(
            model,
            setup.provider,
            setup.batch_size,
            streams=default_streams(),
            provider_options=dict(setup.provider_options),
        )
        self.decode_seconds = 0.0
        self._lock = threading.Lock()

    def make_canvas(self, source: ImageSource) -> tuple[Pixels, Placement]:
        start = time.thread_time()
        try:
            return super().make_canvas(source)
        finally:
            with self._lock:
                self.decode_seconds += time.thread_time() - start


class SessionTime(NamedTuple):
    """What the session alone took for a number of images, and for each batch of them."""

    images: int
    seconds: float
    latencies_s: list[float]


def _ready_canvases(detector: MaskDetector, source: Source) -> Pixels:
    """A whole batch of canvases, (batch size, S, S, 3), of the first images that can be read."""
    canvases: list[Pixels] = []
    reason = ""
    for name in islice(source, max(_MOST_TRIED, detector.session.batch_size)):
        try:
            if isinstance(name, Failure):
                raise ImageError(name.error)
            canvases.append(detector.make_canvas(source.image(name))[0])
        except ImageError as error:
            reason = reason or str(error)
        if len(canvases) == detector.session.batch_size:
            break
    if not canvases:
        raise DatasetError(f"{source}: no image that can be read; the first: {reason}")
    return np.resize(canvases, (detector.session.batch_size, *canvases[0].shape))


def time_session(session: Session, canvases: Pixels, seconds: float) -> SessionTime:
    """Compute one batch of (N, S, S, 3) again and again, on all streams of the session.

    For so many seconds; each stream computes `_LEAST_BATCHES` at least.
    """

    def run() -> float:
        began = time.perf_counter()
        session.run(canvases)
        return time.perf_counter() - began

    def stream() -> list[float]:
        latencies_s: list[float] = []
        while len(latencies_s) < _LEAST_BATCHES or time.perf_counter() - start < seconds:
            latencies_s.append(run())
        return latencies_s

    with ThreadPoolExecutor(session.streams) as pool:
        # The first batches allocate memory, or meet what the pipeline had begun.
        for warm_up in [pool.submit(run) for _ in range(session.streams * _WARM_UP_BATCHES)]:
            warm_up.result()
        start = time.perf_counter()
        streams = [pool.submit(stream) for _ in range(session.streams)]
        latencies_s = [latency_s for done in streams for latency_s in done.result()]
        taken = time.perf_counter() - start
    return SessionTime(len(latencies_s) * len(canvases), taken, latencies_s)


def _time_pipeline(
    detector: _TimedDetector, source: Source, threads: int, seconds: float
) -> tuple[int, float, float, list[Failure]]:
    """Predict for a while, from the end of one batch to that of another: the pipeline stays full.

    Returns images predicted, the time, the share of decoding, and images without a prediction.
    """

    def clocks() -> tuple[float, float, float]:
        return time.perf_counter(), time.process_time(), detector.decode_seconds

    unreadable: dict[str, Failure] = {}
    images, before = 0, clocks()
    names = chain.from_iterable(repeat(source))
    with closing(predict_images(detector, source.image, names, threads)) as results:
        for done, result in enumerate(results, start=1):
            if isinstance(result, Failure):
                unreadable.setdefault(result.filename, result)
            images += isinstance(result, ImagePrediction)
            batches, rest = divmod(done, detector.session.batch_size)
            if rest or batches < _WARM_UP_BATCHES:
                continue
            if batches == _WARM_UP_BATCHES:
                images, before = 0, clocks()
            elif batches >= _WARM_UP_BATCHES + _LEAST_BATCHES and (
                time.perf_counter() - before[0] >= seconds
            ):
                break
        taken, processor, decode = np.subtract(clocks(), before).tolist()
    return images, taken, decode / max(processor, 1e-9), list(unreadable.values())


def _peak_memory_mb() -> float | None:
    # Not from getrusage, which starts at the parent process's peak.
    if most_kb := proc_value(_STATUS, "VmHWM").removesuffix(" kB"):
        return int(most_kb) * 1024 / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024) / 1e6
