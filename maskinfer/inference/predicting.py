"""One run of `maskinfer predict`: from a source of images to a whole output."""

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from maskinfer.data.folders import Failure
from maskinfer.data.images import MAX_PIXELS
from maskinfer.data.sources import ListSource, Source, Survey
from maskinfer.errors import MaskinferError, UsageError
from maskinfer.runtime.providers import Provider
from maskinfer.text import printable_name
from maskinfer.threads import map_ahead

from .detector import MaskDetector
from .drawing import annotate, check_annotated
from .journal import Journal, Places, check_places
from .outputs import STDOUT, RowStream, check_format
from .pipeline import decode_threads, predict_images
from .results import Row

EngineName = Literal["local", "ray"]
Results = Generator[Row | Failure, None, None]
# Names in, results out, one for each and in the same order.
Engine = Callable[[Iterable[str | Failure]], Results]


@dataclass(frozen=True)
class PredictSettings:
    """What `maskinfer predict` does.

    Attributes:
        images: a folder of images, one image, or as text an address such as `s3://bucket/photos`;
            None for the current folder.
        out: what to write, `.csv`, `.jsonl` or `.parquet`; `-` is standard output.
        model: the model file; None for the newest export, else the one that ships.
        provider: what computes.
        batch_size: images a run.
        threads: that decode; None for one a core.
        recursive: whether to look into folders in the folder.
        max_pixels: images of more are not decoded.
        annotate: folder for the photos with box and label drawn; None for none.
        overwrite: whether an existing `out` is replaced.
        resume: whether to go on where an interrupted run of the same `out` was.
        engine: this process, or a Ray cluster.
        actor_cpus: CPUs of each process on the cluster: a part of one, or whole ones; None for 1,
            or, where it has a GPU, the share of the machine's that goes with it.
        actor_gpus: GPUs likewise; 0 for CPUs only, None for 1 where the cluster has any.
    """

    images: Path | str | None = None
    out: Path = Path(STDOUT)
    model: Path | None = None
    provider: Provider = Provider.AUTO
    batch_size: int = 16
    threads: int | None = None
    recursive: bool = True
    max_pixels: int = MAX_PIXELS
    annotate: Path | None = None
    overwrite: bool = False
    resume: bool = False
    engine: EngineName = "local"
    actor_cpus: float | None = None
    actor_gpus: float | None = None

    @property
    def to_stdout(self) -> bool:
        """Whether rows go to standard output."""
        return str(self.out) == STDOUT


@dataclass(frozen=True)
class Summary:
    """What came of predicting images.

    Attributes:
        images: results in the output, failures among them.
        kept: of those, the ones of an earlier session.
        proper: images called properly masked.
        improper: images called not properly masked.
        failed: images without a prediction.
        seconds: wall-clock time from the first image to the last row, of this session.
        labelled: predicted images that have a label.
        mean_iou: over those; None where there is none.
        accuracy: likewise.
        dropped: results of an earlier session that could not stay.
    """

    images: int
    kept: int
    proper: int
    improper: int
    failed: int
    seconds: float
    labelled: int
    mean_iou: float | None
    accuracy: float | None
    dropped: int


class _Tally:
    """Counts results as they pass by."""

    def __init__(self) -> None:
        self.images = 0
        self._proper = 0
        self._failed = 0
        self._labelled = 0
        self._correct = 0
        self._iou = 0.0

    def add(self, result: Row | Failure) -> None:
        """Count one more."""
        self.images += 1
        if isinstance(result, Failure):
            self._failed += 1
            return
        self._proper += result.proper_mask
        if result.iou is not None:
            self._labelled += 1
            self._correct += bool(result.correct)
            self._iou += result.iou

    def summary(self, seconds: float, kept: int = 0, dropped: int = 0) -> Summary:
        """All of it, after a session of so many seconds."""
        return Summary(
            images=self.images,
            kept=kept,
            proper=self._proper,
            improper=self.images - self._failed - self._proper,
            failed=self._failed,
            seconds=seconds,
            labelled=self._labelled,
            mean_iou=self._iou / self._labelled if self._labelled else None,
            accuracy=self._correct / self._labelled if self._labelled else None,
            dropped=dropped,
        )


def check_settings(settings: PredictSettings) -> None:
    """Refuse what cannot be done, before any work is done for it.

    Raises:
        UsageError: the output cannot be written there, exists, or needs what is not installed; or
            options contradict each other.
    """
    if settings.overwrite and settings.resume:
        raise UsageError("--resume and --overwrite: expected one of them")
    if settings.engine == "local" and (settings.actor_cpus or settings.actor_gpus is not None):
        raise UsageError("--actor-cpus, --actor-gpus: these are about --engine ray")
    if settings.to_stdout:
        if sys.stdout is None:
            raise UsageError("--out -: standard output is closed")
        if settings.resume:
            raise UsageError("--resume: there is nothing to go on with on standard output")
    else:
        check_format(settings.out)
        check_places(Places.of(settings.out), overwrite=settings.overwrite, resume=settings.resume)
    if settings.annotate is not None:
        images = settings.images
        if isinstance(images, Path) and settings.annotate.resolve().is_relative_to(
            images.resolve()
        ):
            raise UsageError(
                f"--annotate {settings.annotate}: lies in {images}, where the drawn photos would "
                "be predicted too; choose a folder beside it"
            )
        check_annotated(settings.annotate, new=not (settings.overwrite or settings.resume))


def predict_source(
    engine: Engine,
    detector: MaskDetector,
    source: Source,
    found: Survey,
    settings: PredictSettings,
    on_progress: Callable[[int], object] = lambda done: None,
    on_failure: Callable[[Failure], object] = lambda failure: None,
) -> Summary:
    """Predict images and write them down.

    Args:
        engine: what predicts.
        detector: the model, of which is written down what it was.
        source: the images.
        found: what the source holds.
        settings: as `check_settings` passed them.
        on_progress: called with the number of images done so far.
        on_failure: called with each failure, where the output is standard output.

    Raises:
        UsageError: the run that is resumed was started otherwise.
        MaskinferError: the model fails, or the files cannot be written.
        KeyboardInterrupt: with a message that says what is kept, as the other has.
    """
    tally = _Tally()
    sink: Journal | RowStream
    if settings.to_stdout:
        sink = RowStream(sys.stdout.buffer, on_failure, labelled=found.labelled)
    else:
        sink = open_journal(detector, source, found, settings)
    with sink:
        left: Iterator[str | Failure] = iter(source)
        if settings.resume and isinstance(sink, Journal):
            left = sink.resume(source, tally.add)
        else:
            sink.begin()
        kept = tally.images
        on_progress(kept)
        start = time.perf_counter()
        try:
            with closing(_annotating(engine, source, settings)(left)) as results:
                for result in results:
                    sink.write(result)
                    tally.add(result)
                    on_progress(tally.images)
            sink.finish()
        except KeyboardInterrupt as stop:
            stop.args = (_progress(tally, found, sink),)
            raise
        except MaskinferError as error:
            raise type(error)(f"{error}; {_progress(tally, found, sink)}") from error
        seconds = time.perf_counter() - start
        return tally.summary(seconds, kept, sink.dropped)


def local_engine(detector: MaskDetector, source: Source, settings: PredictSettings) -> Engine:
    """Predict in this process."""
    return lambda names: predict_images(detector, source.image, names, settings.threads)


def _annotating(engine: Engine, source: Source, settings: PredictSettings) -> Engine:
    """Draw on the photos, in threads of this process, where that is asked for."""
    if settings.annotate is None:
        return engine
    draw = partial(annotate, source.image, settings.annotate, settings.max_pixels)
    threads = settings.threads or decode_threads()
    return lambda names: map_ahead(draw, engine(names), threads=threads, ahead=4 * threads)


def open_journal(
    detector: MaskDetector, source: Source, found: Survey, settings: PredictSettings
) -> Journal:
    """The journal of a run; nothing is touched yet."""
    session = detector.session
    images = settings.images
    if not isinstance(images, str):
        images = str((images or Path()).resolve())
    # What rows hang on, so that a run can only go on with the same.
    identity = {
        "model_sha256": session.sha256,
        # Elsewhere it is for each process to find out.
        "provider": str(settings.provider if settings.engine == "ray" else session.provider),
        "images": printable_name(images),
        "files_from": isinstance(source, ListSource),
        "recursive": settings.recursive,
        "max_pixels": settings.max_pixels,
        "annotate": settings.annotate is not None,
    }
    facts = {"model": printable_name(str(session.path))}
    return Journal(Places.of(settings.out), identity, facts, labelled=found.labelled)


def _progress(tally: _Tally, found: Survey, sink: Journal | RowStream) -> str:
    """How far a run that ends early has come, and where that is."""
    where = f", kept in {sink.kept_in}" if tally.images and sink.kept_in else ""
    return f"{tally.images} of {max(found.images, tally.images)} images are done{where}"
