"""Names -> decode threads -> batches -> session -> results, as a stream of bounded memory.

Canvases are drawn into a few batch buffers that are used again and again. While the network has
some, the next is being filled. Results come in the order of the names, whatever the
batch size and the number of threads. An image that cannot be read becomes a failure with a reason,
and the others are predicted.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from queue import SimpleQueue
from typing import NamedTuple, Protocol

import numpy as np

from maskinfer.data.boxes import iou_xywh
from maskinfer.data.cleaning import repair
from maskinfer.data.folders import Failure
from maskinfer.data.geometry import Placement
from maskinfer.data.images import ImageSource
from maskinfer.data.labels import label_of
from maskinfer.data.patience import read_patiently, reason_of
from maskinfer.data.pixels import Pixels
from maskinfer.errors import ImageError, MaskinferError, UsageError
from maskinfer.runtime.session import Session
from maskinfer.threads import decode_threads, map_ahead

from .choosing import Choice
from .results import NOT_FINITE, ImagePrediction, Prediction, Result

# Besides those that the network has: a full one, and one being filled.
_BUFFERS_AHEAD = 2


class CanvasDetector(Protocol):
    """What predicts here: a `MaskDetector`."""

    session: Session
    choice: Choice

    def make_canvas(self, source: ImageSource) -> tuple[Pixels, Placement]: ...

    def predict_canvases(
        self, canvases: Pixels, placements: Sequence[Placement], choice: Choice
    ) -> list[tuple[Prediction, ...] | None]: ...


class _Batch(NamedTuple):
    canvases: Pixels  # (batch size, S, S, 3), one of the buffers
    names: list[str]
    drawn: "list[Future[Placement | Result]]"  # as many


def predict_images(
    detector: CanvasDetector,
    image: Callable[[str], ImageSource],
    names: Iterable[str | Result],
    threads: int | None = None,
    choice: Choice | None = None,
    is_reachable: Callable[[str], bool] = lambda name: True,
) -> Generator[Result, None, None]:
    """Predict images, decoding ahead in threads: one result for each name, in their order.

    Names are taken only as fast as they are predicted; a result among them is handed through in its
    place. Where one face is asked for and the name has a label, a result has figures. A
    `MaskinferError` where the model fails, an `UnreachableError` where the place of the images does
    not answer for half a minute.

    Args:
        detector: the model.
        image: what to decode for a name; called in threads, may raise an `ImageError`.
        names: of the images.
        threads: that decode; None for one a core.
        choice: which faces are asked for; None for the detector's own.
        is_reachable: whether the place of the image of a name answers: where it does not, an image
            that cannot be read is waited for.
    """
    asked_for = choice or detector.choice
    streams, batch_size = detector.session.streams, detector.session.batch_size
    side = detector.session.geometry.canvas
    shape = (batch_size, side, side, 3)
    try:
        all_buffers = [np.zeros(shape, np.uint8) for _ in range(streams + _BUFFERS_AHEAD)]
    except (MemoryError, ValueError) as error:
        raise UsageError(f"--batch-size {batch_size}: no memory for so many canvases") from error
    # Waiting for a free one is what holds the stream's memory within bounds.
    buffers: SimpleQueue[Pixels] = SimpleQueue()
    for buffer in all_buffers:
        buffers.put(buffer)

    def draw(name: str | Result, canvas: Pixels) -> Placement | Result:
        if not isinstance(name, str):
            return name
        try:
            canvas[:], placement = read_patiently(
                lambda: detector.make_canvas(image(name)),
                lambda: is_reachable(name),
                stopping.wait,
            )
        except ImageError as error:
            return Failure(name, reason_of(error))
        except MaskinferError:
            raise
        except Exception as error:  # whatever it is, the other images are none the worse for it
            text = " ".join(str(error).split())
            return Failure(name, f"{type(error).__name__}{text and f': {text}'}")
        return placement

    def fill() -> Iterator[_Batch]:
        remaining = iter(names)
        while chunk := list(islice(remaining, batch_size)):
            canvases = buffers.get()
            batch = _Batch(canvases, [], [])
            for name, canvas in zip(chunk, canvases, strict=False):
                batch.names.append(name if isinstance(name, str) else name.filename)
                batch.drawn.append(pool.submit(draw, name, canvas))
            yield batch

    def predict(batch: _Batch) -> list[Result]:
        results = _predict_batch(detector, batch, asked_for)
        buffers.put(batch.canvases)
        return results

    stopping = threading.Event()
    pool = ThreadPoolExecutor(threads or decode_threads(), thread_name_prefix="maskinfer-decode")
    try:
        with (
            detector.session.locked_pages(all_buffers),
            closing(map_ahead(predict, fill(), threads=streams, ahead=len(all_buffers))) as batches,
        ):
            for results in batches:
                yield from results
    finally:
        stopping.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _predict_batch(detector: CanvasDetector, batch: _Batch, choice: Choice) -> list[Result]:
    drawn = [future.result() for future in batch.drawn]
    placements = [placement for placement in drawn if isinstance(placement, Placement)]
    canvases = batch.canvases[: len(drawn)]
    if len(placements) < len(drawn):
        canvases = canvases[[isinstance(placement, Placement) for placement in drawn]]
    predictions = iter(detector.predict_canvases(canvases, placements, choice))
    one_face = choice.face != "all"
    return [
        _result(name, next(predictions), placement.size_wh, one_face=one_face)
        if isinstance(placement, Placement)
        else placement
        for name, placement in zip(batch.names, drawn, strict=True)
    ]


def _result(
    name: str, faces: tuple[Prediction, ...] | None, size_wh: tuple[int, int], *, one_face: bool
) -> Result:
    if faces is None:
        return Failure(name, NOT_FINITE)
    label = label_of(name) if one_face else None
    if label is None:
        return ImagePrediction(name, faces)
    if not faces:
        return ImagePrediction(name, faces, 0.0, correct=False)
    (face,) = faces
    iou = float(iou_xywh(face.box_xywh, repair(label.box_xywh, size_wh)))
    return ImagePrediction(name, faces, iou, face.proper_mask == label.proper_mask)
