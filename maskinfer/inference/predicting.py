"""What `maskinfer predict` does: from a source of images to a complete output."""

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice, permutations
from pathlib import Path
from typing import Literal

from maskinfer.data.folders import Failure
from maskinfer.data.images import MAX_PIXELS
from maskinfer.data.sources import ListSource, Source, Survey
from maskinfer.errors import MaskinferError, UsageError
from maskinfer.files import check_folder, refuse_inside
from maskinfer.runtime.providers import named_options
from maskinfer.text import printable_name
from maskinfer.threads import map_ahead

from .choosing import DetectorSettings, Kind
from .detector import MaskDetector
from .journal import Journal, OutputFiles, check_files
from .pictures import Pictures
from .pipeline import predict_images
from .results import STDOUT, KeptPrediction, Result, RowStream, check_format

EngineName = Literal["local", "ray"]
Results = Generator[Result, None, None]
# Names in, results out, one for each and in the same order.
Engine = Callable[[Iterable[str | Result]], Results]


@dataclass(frozen=True)
class PredictSettings(DetectorSettings):
    """Settings of `maskinfer predict`."""

    # A folder of images, one image, as text an address such as `s3://bucket/photos`, or several
    # folders, images and patterns such as `photos/**/*.jpg`; None for the current folder.
    images: Path | str | tuple[str, ...] | None = None
    # What to write, `.csv`, `.jsonl` or `.parquet`; `-` is standard output.
    out: Path = Path("predictions.csv")
    model: Path | None = None  # the model file; None for the newest export, else the one that ships
    threads: int | None = None  # how many decode; None for one a core
    recursive: bool = True  # whether to look into folders in the folder
    limit: int | None = None  # no more images than this, the first ones; None for all
    spreadsheet: bool = False  # whether the CSV is for spreadsheets: `results.for_spreadsheet`
    max_pixels: int = MAX_PIXELS  # images of more pixels are not decoded
    annotate: Path | None = None  # folder for the photos with their faces drawn on; None for none
    crops: Path | None = None  # folder for the faces alone; None for no such pictures
    only: tuple[Kind, ...] = ()  # kinds of photos to draw, and of faces to save; all where empty
    report: Path | None = None  # folder for a page of photos to look at; None for no page
    overwrite: bool = False  # whether an existing `out` is replaced
    resume: bool = False  # whether to continue an interrupted prediction of the same `out`
    retry_failed: bool = False  # whether, with `resume`, to predict what failed in a finished one
    engine: EngineName = "local"  # this process, or a Ray cluster
    # CPUs of each process on the cluster: a part of one, or whole ones; None for 1, or, where it
    # has a GPU, the share of the machine's that goes with it.
    actor_cpus: float | None = None
    # GPUs likewise; 0 for CPUs only, None for 1 where the cluster has any.
    actor_gpus: float | None = None

    @property
    def to_stdout(self) -> bool:
        """Whether rows go to standard output."""
        return str(self.out) == STDOUT


@dataclass
class Summary:
    """What came of predicting images, counted as results pass by."""

    images: int = 0  # results in the output, failures among them
    failed: int = 0  # images without a prediction
    faces: int = 0  # predicted, of all images
    proper: int = 0  # faces called properly masked
    no_face: int = 0  # readable images in which no face scores enough
    not_proper: int = 0  # images with at least one face that is not called properly masked
    labelled: int = 0  # predicted images with figures of their label
    kept: int = 0  # results from before an interruption, or of a finished prediction
    dropped: int = 0  # results from before an interruption that had to be discarded
    seconds: float = 0.0  # wall-clock time from the first image after that to the last row
    already_complete: bool = False  # nothing was left to do; only `images` and `failed` are known
    _correct: int = 0
    _iou: float = 0.0

    def add(self, result: Result) -> None:
        """Count one more."""
        self.images += 1
        if isinstance(result, Failure):
            self.failed += 1
            return
        proper = sum(face.proper_mask for face in result.faces)
        self.faces += len(result.faces)
        self.proper += proper
        self.no_face += not result.faces
        self.not_proper += proper < len(result.faces)
        if result.iou is not None:
            self.labelled += 1
            self._correct += bool(result.correct)
            self._iou += result.iou

    @property
    def mean_iou(self) -> float | None:
        """Over the images that have a label; None where there is none."""
        return self._iou / self.labelled if self.labelled else None

    @property
    def accuracy(self) -> float | None:
        """Likewise."""
        return self._correct / self.labelled if self.labelled else None


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM while predicting."""

    def __init__(self, progress: str, *, resumable: bool) -> None:
        """Take how far it came, and whether results are kept, which `resume` continues from."""
        super().__init__(progress)
        self.resumable = resumable


def check_settings(settings: PredictSettings) -> None:
    """Refuse outputs that cannot be written, and options that contradict each other."""
    if settings.overwrite and settings.resume:
        raise UsageError("--overwrite and --resume or --retry-failed: expected one of them")
    if settings.engine == "local" and (settings.actor_cpus or settings.actor_gpus is not None):
        raise UsageError("--actor-cpus, --actor-gpus: only for --engine ray")
    if settings.spreadsheet and settings.out.suffix != ".csv":
        raise UsageError(f"--spreadsheet: only for a CSV file, got --out {settings.out}")
    if settings.to_stdout:
        if sys.stdout is None:
            raise UsageError("--out -: standard output is closed")
        if settings.resume:
            raise UsageError("--resume: standard output cannot be resumed")
    else:
        check_format(settings.out)
        check_files(
            OutputFiles.of(settings.out), overwrite=settings.overwrite, resume=settings.resume
        )
    named_options(settings.provider_options)
    _check_pictures(settings)


def _check_pictures(settings: PredictSettings) -> None:
    folders = [folder for folder in (settings.annotate, settings.crops) if folder is not None]
    if settings.only and not folders:
        raise UsageError("--only: expected with --annotate or --crops, whose pictures it limits")
    images = settings.images
    several = map(Path, images) if isinstance(images, tuple) else [images]
    searched = [place for place in several if isinstance(place, Path)]
    for folder in folders:
        for place in searched:
            why = "where its pictures would be predicted too; choose a folder beside it"
            refuse_inside(folder, place, why)
        check_folder(folder, overwrite=settings.overwrite or settings.resume)
    for inner, outer in permutations(folders, 2):
        refuse_inside(inner, outer, "where names could clash; choose a folder beside it")


def predict_source(
    engine: Engine,
    detector: MaskDetector,
    source: Source,
    survey: Survey,
    settings: PredictSettings,
    on_progress: Callable[[int], object] = lambda done: None,
    on_failure: Callable[[Failure], object] = lambda failure: None,
    on_result: Callable[[Result], object] = lambda result: None,
    on_last: Callable[[Summary], object] = lambda summary: None,
) -> Summary:
    """Predict images and write the results, by settings that `check_settings` passed.

    Called are `on_progress` with the number of images done so far; `on_failure` with each failure,
    where the output is standard output; `on_result` with each result of the output in order, with
    those from before an interruption too, but not where nothing was left to do; and `on_last` after
    those, before the output is complete: what fails or is stopped in it is done anew when the
    prediction is resumed.

    A `UsageError` where the prediction to resume was begun otherwise, another `MaskinferError`
    where the model fails or the files cannot be written; its text, and that of `Interrupted`, says
    how far it came.
    """
    summary = Summary()
    labelled = survey.labelled and settings.face != "all"

    def count(result: Result) -> None:
        summary.add(result)
        on_result(result)

    sink: Journal | RowStream
    if settings.to_stdout:
        sink = RowStream(sys.stdout.buffer, on_failure, labelled=labelled)
    else:
        sink = _open_journal(detector, source, settings, labelled=labelled)
        if settings.resume and (complete := sink.complete()):
            images, failed = sum(complete), complete[1]
            if not (settings.retry_failed and failed):
                return Summary(images, failed, kept=images, already_complete=True)
    with sink if isinstance(sink, Journal) else nullcontext():
        left: Iterator[str | Result] = islice(source, settings.limit)
        if settings.resume and isinstance(sink, Journal):
            left = sink.retry(source) if settings.retry_failed else left
            left = sink.resume(left, count, is_sorted=source.sorted)
            summary.kept, summary.dropped = summary.images, sink.dropped
        else:
            sink.begin()
        on_progress(summary.kept)
        start = time.perf_counter()
        try:
            with closing(_with_pictures(engine, detector, source, settings)(left)) as results:
                for result in results:
                    sink.write(result)
                    count(result)
                    summary.kept += isinstance(result, KeptPrediction)
                    on_progress(summary.images)
            summary.seconds = time.perf_counter() - start
            on_last(summary)
            start = time.perf_counter()
            sink.finish()
            summary.seconds += time.perf_counter() - start
        except KeyboardInterrupt as stop:
            resumable = summary.images > 0 and not settings.to_stdout
            raise Interrupted(_progress(summary, survey, settings), resumable=resumable) from stop
        except MaskinferError as error:
            # In place, since a class may be made of other arguments than a text.
            error.args = (f"{error}; {_progress(summary, survey, settings)}",)
            raise
        return summary


def local_engine(detector: MaskDetector, source: Source, settings: PredictSettings) -> Engine:
    """Predict in this process."""
    return lambda names: predict_images(
        detector, source.image, names, settings.threads, is_reachable=source.is_reachable
    )


def _with_pictures(
    engine: Engine, detector: MaskDetector, source: Source, settings: PredictSettings
) -> Engine:
    """Save pictures of the results, in threads of this process, where that is asked for."""
    if settings.annotate is None and settings.crops is None:
        return engine
    threshold = detector.choice.threshold
    pictures = Pictures(
        settings.annotate, settings.crops, settings.only, threshold, settings.max_pixels
    )
    save = partial(pictures.save, source)
    return lambda names: map_ahead(save, engine(names), threads=settings.threads)


def _open_journal(
    detector: MaskDetector, source: Source, settings: PredictSettings, *, labelled: bool
) -> Journal:
    """The journal of a prediction; nothing is touched yet."""
    session = detector.session
    match settings.images:
        case str(address):
            images: object = printable_name(address)
        case tuple(several):
            images = [printable_name(str(Path(one).resolve())) for one in several]
        case place:
            images = printable_name(str((place or Path()).resolve()))
    # On a cluster each process finds out for itself.
    provider = settings.provider if settings.engine == "ray" else session.provider
    # What rows depend on, so that a prediction is only resumed with the same.
    identity = {
        "model_sha256": session.sha256,
        "provider": " ".join([provider, *settings.provider_options]),
        "images": images,
        "files_from": isinstance(source, ListSource),
        "recursive": settings.recursive,
        "limit": settings.limit,
        "max_pixels": settings.max_pixels,
        "spreadsheet": settings.spreadsheet,
        "face": settings.face,
        "min_score": detector.choice.min_score,
        "threshold": detector.choice.threshold,
        "canvas": session.geometry.canvas,
        "annotate": settings.annotate is not None,
        "crops": settings.crops is not None,
        "only": sorted(set(settings.only)),
    }
    facts = {"model": printable_name(str(session.path)), "output": settings.out.name}
    return Journal(
        OutputFiles.of(settings.out), identity, facts, labelled=labelled, stamp=source.stamp
    )


def _progress(summary: Summary, survey: Survey, settings: PredictSettings) -> str:
    """How far a prediction that ends early has come, and where its results are."""
    progress = f"{summary.images} of {max(survey.images, summary.images)} images are done"
    if settings.to_stdout or not summary.images:
        return progress
    return f"{progress}, kept in {OutputFiles.of(settings.out).journal}"
