"""Folder -> decode threads -> batches -> session -> rows, as a stream of bounded memory.

Decoding runs ahead of the network by a fixed number of images, and canvases are all that waits.
Rows come in the order of the names, whatever the batch size and the number of threads; an image
that cannot be read becomes a failure with a reason, and the run goes on.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from .boxes import iou_xywh
from .cleaning import repair
from .cpu import usable_cores
from .dataset import IMAGE_SUFFIXES, SAMPLE_IMAGES, list_images
from .detector import NOT_FINITE, MaskDetector, Prediction
from .errors import DatasetError, ImageError, LabelError, MaskinferError, UsageError
from .geometry import Placement
from .images import Pixels
from .labels import is_labelled, parse_name
from .lookahead import map_ahead
from .metrics import Metrics, measure
from .results import Failure, ResultsWriter, Row
from .runtime import Provider

# Past this many, threads only take memory from each other.
_MAX_THREADS = 32


@dataclass(frozen=True)
class PredictSettings:
    """What `maskinfer predict` does.

    Attributes:
        images: a folder of images, or one image.
        out: the CSV to write.
        model: the model file; None for the newest export, else the one that ships.
        provider: what computes.
        batch_size: images a run.
        recursive: whether to look into folders in the folder.
        overwrite: whether an existing `out` is replaced.
    """

    images: Path
    out: Path
    model: Path | None = None
    provider: Provider = Provider.AUTO
    batch_size: int = 16
    recursive: bool = True
    overwrite: bool = False


@dataclass(frozen=True)
class Summary:
    """What came of predicting a folder.

    Attributes:
        images: files that were found.
        proper: images called properly masked.
        improper: images called not properly masked.
        failed: images without a prediction.
        seconds: wall-clock time from the first file to the last row.
        metrics: against the labels; None where no predicted image has one.
    """

    images: int
    proper: int
    improper: int
    failed: int
    seconds: float
    metrics: Metrics | None


class _Drawn(NamedTuple):
    canvas: Pixels  # (S, S, 3)
    placement: Placement


def find_images(images: Path, *, recursive: bool = True) -> tuple[Path, list[str]]:
    """Find what to predict.

    Args:
        images: a folder, or one image file.
        recursive: whether to look into folders in the folder.

    Returns:
        a folder, and the images' paths relative to it, with `/`, sorted.

    Raises:
        UsageError: there is no such folder or file.
        DatasetError: there is no image in the folder.
    """
    if images.is_file():
        return images.parent, [images.name]
    if not images.is_dir():
        hint = ""
        if SAMPLE_IMAGES.is_dir():
            hint = f". To try the sample images: maskinfer predict {SAMPLE_IMAGES} --out preds.csv"
        raise UsageError(f"{images}: no such folder or image{hint}")
    names = list_images(images, recursive=recursive)
    if not names:
        deeper = "" if recursive else "; folders in it were not looked into (--no-recursive)"
        endings = " ".join(sorted(IMAGE_SUFFIXES))
        raise DatasetError(f"{images}: no image in it, expected files ending in {endings}{deeper}")
    return images, names


def predict_images(
    detector: MaskDetector, folder: Path, names: Iterable[str], threads: int | None = None
) -> Generator[Row | Failure, None, None]:
    """Predict images, decoding ahead in threads.

    Args:
        detector: the model.
        folder: where the images are.
        names: paths relative to the folder, with `/`; taken only as fast as they are predicted.
        threads: that decode; None for one a core.

    Yields:
        one result for each name, in the order of the names, with figures where it has a label.

    Raises:
        MaskinferError: the model fails.
    """

    def draw(name: str) -> tuple[str, _Drawn | Failure]:
        try:
            return name, _Drawn(*detector.make_canvas(folder / name))
        except ImageError as error:
            return name, Failure(name, _reason(error))

    batch_size = detector.session.batch_size
    threads = threads or min(usable_cores(), _MAX_THREADS)
    # While the network has one batch, the next is drawn; each thread has one more in hand.
    ahead = batch_size + threads
    with closing(map_ahead(draw, names, threads=threads, ahead=ahead)) as drawn:
        while batch := list(islice(drawn, batch_size)):
            yield from _predict_batch(detector, batch)


def predict_folder(
    detector: MaskDetector,
    folder: Path,
    names: list[str],
    out: Path,
    on_progress: Callable[[int], object] = lambda done: None,
) -> Summary:
    """Predict images and write the prediction CSV and, where some fail, the errors CSV.

    Args:
        detector: the model.
        folder: where the images are.
        names: paths relative to the folder, with `/`, sorted.
        out: the CSV to write, as `check_out` passed it.
        on_progress: called with the number of images done so far.

    Raises:
        MaskinferError: the model fails, or the files cannot be written.
        KeyboardInterrupt: with a message that says what is kept, as the other has.
    """
    tally = Tally()
    start = time.perf_counter()
    labelled = any(is_labelled(PurePosixPath(name)) for name in names)
    with ResultsWriter(out, labelled=labelled) as writer:
        try:
            with closing(predict_images(detector, folder, names)) as results:
                for result in results:
                    writer.write(result)
                    tally.add(result)
                    on_progress(tally.images)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_progress(tally, names, writer)) from None
        except MaskinferError as error:
            raise type(error)(f"{error}; {_progress(tally, names, writer)}") from error
        assert writer.rows + writer.failures == len(names), "an image is in neither file or in both"
    return tally.summary(time.perf_counter() - start)


def _progress(tally: "Tally", names: list[str], writer: ResultsWriter) -> str:
    """How far a run that ends early has come, and where that is."""
    where = f", kept in {writer.partial}" if tally.images else ""
    return f"{tally.images} of {len(names)} images are done{where}"


class Tally:
    """Counts results as they pass by; keeps five numbers for a labelled image, else none."""

    def __init__(self) -> None:
        self.images = 0
        self._proper = 0
        self._failed = 0
        # IoU, label, call, probability and score of each labelled image.
        self._measured: list[tuple[float, bool, bool, float, float]] = []

    def add(self, result: Row | Failure) -> None:
        """Count one more."""
        self.images += 1
        if isinstance(result, Failure):
            self._failed += 1
            return
        self._proper += result.proper_mask
        if result.iou is not None:
            label = result.proper_mask == result.correct
            assert result.probability is not None
            self._measured.append(
                (result.iou, label, result.proper_mask, result.probability, result.score)
            )

    def summary(self, seconds: float) -> Summary:
        """All of it, after a run of so many seconds."""
        return Summary(
            images=self.images,
            proper=self._proper,
            improper=self.images - self._failed - self._proper,
            failed=self._failed,
            seconds=seconds,
            metrics=measure(*zip(*self._measured, strict=True)) if self._measured else None,
        )


def _predict_batch(
    detector: MaskDetector, batch: list[tuple[str, _Drawn | Failure]]
) -> Iterator[Row | Failure]:
    drawn = [item for _, item in batch if isinstance(item, _Drawn)]
    predictions = iter(
        detector.predict_canvases([d.canvas for d in drawn], [d.placement for d in drawn])
    )
    for name, item in batch:
        if isinstance(item, Failure):
            yield item
            continue
        prediction = next(predictions)
        if prediction is None:
            yield Failure(name, NOT_FINITE)
        else:
            yield _row(name, prediction, item.placement.size_wh)


def _row(name: str, prediction: Prediction, size_wh: tuple[int, int]) -> Row:
    iou: float | None = None
    correct: bool | None = None
    try:
        label = parse_name(PurePosixPath(name).name)
    except LabelError:
        pass
    else:
        iou = float(iou_xywh(prediction.box_xywh, repair(label.box_xywh, size_wh)))
        correct = prediction.proper_mask == label.proper_mask
    return Row(
        name,
        prediction.box_xywh,
        prediction.proper_mask,
        prediction.score,
        iou,
        correct,
        prediction.probability,
    )


def _reason(error: ImageError) -> str:
    """Why an image failed, without its path, which has a column of its own."""
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return " ".join(str(error).split())
