"""`maskinfer predict`: a folder in, a CSV out."""

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import unquote

import typer

from maskinfer.data.dataset import SAMPLE_IMAGES
from maskinfer.data.folders import IMAGE_SUFFIXES
from maskinfer.data.remote import is_address
from maskinfer.data.sources import Source, Survey, open_source, survey
from maskinfer.errors import DatasetError, MaskinferError, UsageError
from maskinfer.inference.detector import MaskDetector
from maskinfer.inference.journal import OutputFiles
from maskinfer.inference.predicting import (
    Interrupted,
    PredictSettings,
    Summary,
    check_settings,
    local_engine,
    predict_source,
)
from maskinfer.runtime.providers import Provider
from maskinfer.text import counted

from . import options
from .console import err, figures_table, images_per_second, percent, progress_bar, say
from .console import out as stdout
from .detector import FAILED_SOME, INTERRUPTED, model_words, open_detector
from .options import argument, option, takes

if TYPE_CHECKING:
    from maskinfer.report.folder import ReportFolder

_TERMINATED = 143  # 128 + SIGTERM, as shells have it
_NO_READER = 141  # 128 + SIGPIPE


@takes(
    PredictSettings,
    out=option("Output file: .csv, .jsonl or .parquet; - is standard output, as CSV.", "FILE"),
    images=argument(
        "A folder of images, one image, or an address such as s3://bucket/photos.", "IMAGES"
    ),
    model=options.MODEL,
    provider=options.PROVIDER,
    provider_options=options.PROVIDER_OPTIONS,
    batch_size=options.BATCH_SIZE,
    **options.FACES,
    threads=option("Threads that decode images. By default one for each usable core.", "N", min=1),
    recursive=option("Search subfolders too."),
    files_from=option(
        "Predict the images in this list, one a line or separated by NUL; - is standard input. "
        "Names start from IMAGES, else from the current folder.",
        "LIST",
    ),
    spreadsheet=option(
        "Write the CSV for Excel and the like: marked as UTF-8, names never taken for formulas.",
        name="--spreadsheet",
    ),
    max_pixels=option("Larger images are not decoded.", "N", min=1),
    annotate=option("Also save every photo there, as a JPEG with its faces drawn on it.", "DIR"),
    crops=option("Also save every predicted face there, as a JPEG.", "DIR"),
    only=option(
        "not-proper, unsure (near the threshold) or no-face: draw only photos with such a "
        "face, or without any, and save only such faces. May be given several times.",
        "KIND",
    ),
    report=option("Also write a page there with the photos that people should look at.", "DIR"),
    engine=option("local, or ray: the machines of a Ray cluster.", "NAME"),
    actor_cpus=option(
        "With --engine ray: CPUs of each process, a fraction of one or a whole number. By default "
        "1; with a GPU, that GPU's share of the machine's.",
        "N",
        min=0.01,
    ),
    actor_gpus=option(
        "With --engine ray: GPUs of each process; 0 for CPUs only. By default 1 where the cluster "
        "has any.",
        "X",
        min=0,
    ),
    resume=option("Continue an interrupted prediction.", name="--resume"),
    retry_failed=option(
        "Predict again what failed in a finished prediction, with the same options.",
        name="--retry-failed",
    ),
    overwrite=options.OVERWRITE,
)
def predict(
    settings: PredictSettings,
    out: Path,
    images: str | None = None,
    files_from: typer.FileBinaryRead | None = None,
) -> None:
    """Predict every image of a folder into a CSV.

    Columns: filename, x, y, w, h, proper_mask, probability, score; with labels
    in the file names also iou, correct. A photo in which no face scores enough
    has empty cells; with --face all each face has a row. Images that cannot be
    read are listed beside it, in preds.errors.csv for preds.csv.

    Exit code 0: done; 1: nothing could be done; 2: wrong usage; 3: done, but
    some images failed.
    """
    resume = settings.resume or settings.retry_failed
    settings = replace(settings, images=_folder_or_address(images), out=out, resume=resume)
    check_settings(settings)
    folder = _choose_report(settings)
    source, contents = _open_source(settings, files_from)
    is_local = settings.engine == "local"
    # This machine need not have the devices that a cluster has.
    here = settings if is_local else replace(settings, provider=Provider.CPU, provider_options=())
    where = None if is_local else "Ray"
    detector = open_detector(settings.model, here, settings.max_pixels, where)
    with _stopping(settings):
        summary = _predict(detector, source, contents, settings, folder)
    _print_outcome(summary, source, detector, settings, folder)


def _folder_or_address(images: str | None) -> Path | str | None:
    if images is None or (is_address(images) and not images.startswith("file://")):
        return images
    return Path(unquote(images.removeprefix("file://")) if is_address(images) else images)


def _open_source(
    settings: PredictSettings, files_from: typer.FileBinaryRead | None
) -> tuple[Source, Survey]:
    """Find the images and count them."""
    try:
        source = open_source(settings.images, files_from, recursive=settings.recursive)
    except UsageError as error:
        if not SAMPLE_IMAGES.is_dir() or files_from is not None:
            raise
        raise UsageError(
            f"{error}. To try the sample images: maskinfer predict {SAMPLE_IMAGES} --out preds.csv"
        ) from None
    contents = survey(source)
    if contents.images == 0:
        if files_from is not None:
            raise DatasetError(f"{source}: no name in this list")
        deeper = "" if settings.recursive else "; its subfolders were not searched"
        endings = " ".join(sorted(IMAGE_SUFFIXES))
        raise DatasetError(f"{source}: no image in it, expected files ending in {endings}{deeper}")
    return source, contents


def _choose_report(settings: PredictSettings) -> "ReportFolder | None":
    if settings.report is None:
        return None
    from maskinfer.report.folder import ReportFolder

    replaces = settings.overwrite or settings.resume
    return ReportFolder.choose(settings.report, "predict", overwrite=replaces)


def _predict(
    detector: MaskDetector,
    source: Source,
    contents: Survey,
    settings: PredictSettings,
    folder: "ReportFolder | None",
) -> Summary:
    """Predict, write the output, and the report where one is wanted."""
    engine = local_engine
    if settings.engine == "ray":
        from maskinfer.inference.ray_engine import ray_engine as engine
    with ExitStack() as bars:
        show = bars.enter_context(progress_bar("predicting"))
        run = partial(
            predict_source,
            engine(detector, source, settings),
            detector,
            source,
            contents,
            settings,
            on_progress=lambda done: show(done, max(done, contents.images)),
            on_failure=lambda failure: say(f"failed: {failure.filename}: {failure.error}"),
        )
        if folder is None:
            return run()
        from maskinfer.report.prediction_page import WorstPhotos, prediction_page

        worst = WorstPhotos(detector.choice.threshold)

        def write_report(summary: Summary) -> None:
            bars.close()  # there is room for one bar
            with progress_bar("drawing the report") as show_drawn:
                page = prediction_page(worst, summary, detector, source, settings)
                folder.write(page, show_drawn)

        return run(on_result=worst.add, on_last=write_report)


@contextmanager
def _stopping(settings: PredictSettings) -> Iterator[None]:
    """End at once on Ctrl-C and SIGTERM, with the command that resumes.

    At once: threads that decode or predict are not waited for; results so far are on disk.
    """
    code = INTERRUPTED

    def terminate(number: int, frame: object) -> None:
        nonlocal code
        code = _TERMINATED
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt as stop:
        resumable = isinstance(stop, Interrupted) and stop.resumable
        how_on = f". Resume with: {_resume_line()}" if resumable else ""
        say(f"stopped: {stop}{how_on}" if str(stop) else "stopped")
        _exit(code)
    except BrokenPipeError:
        if not settings.to_stdout:
            raise
        _exit(_NO_READER)
    finally:
        signal.signal(signal.SIGTERM, before)


def _resume_line() -> str:
    name, *arguments = (text for text in sys.argv[1:] if text not in ("--resume", "--overwrite"))
    return shlex.join(["maskinfer", name, "--resume", *arguments])


def _exit(code: int) -> NoReturn:
    with suppress(OSError):
        sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _print_outcome(
    summary: Summary,
    source: Source,
    detector: MaskDetector,
    settings: PredictSettings,
    folder: "ReportFolder | None",
) -> None:
    """Print what came of it; an error where no image could be predicted, an exit where some not."""
    if summary.already_complete:
        say(f"{settings.out}: already complete")
    if summary.dropped:
        say(
            f"note: discarded {counted(summary.dropped, 'earlier result')}, from the first on that "
            "is damaged or whose image has changed; those that still exist were predicted again"
        )
    reasons = "" if settings.to_stdout else f". Why is in {OutputFiles.of(settings.out).errors}"
    if summary.failed == summary.images:
        images = counted(summary.images, "image")
        raise MaskinferError(f"{source}: none of {images} could be predicted{reasons}")
    if not summary.already_complete:
        _print_summary(summary, detector, settings)
    if folder is not None and (folder.page.is_file() or not summary.already_complete):
        say(f"report: {folder.page}")
    elif folder is not None:
        say("note: no report, since nothing was left to predict; to make one: --overwrite")
    if summary.failed:
        say(f"warning: {summary.failed} of {counted(summary.images, 'image')} failed{reasons}")
        raise typer.Exit(FAILED_SOME)


def _counts(summary: Summary, settings: PredictSettings) -> dict[str, object]:
    improper = summary.faces - summary.proper
    if settings.face != "all":
        return {
            "images": summary.images,
            "mask proper": summary.proper,
            "mask improper": improper,
            "no face": summary.no_face,
        }
    where = f", in {counted(summary.not_proper, 'photo')}" if improper else ""
    return {
        "photos": summary.images,
        "faces": summary.faces,
        "mask proper": counted(summary.proper, "face"),
        "mask improper": f"{counted(improper, 'face')}{where}",
        "no face": counted(summary.no_face, "photo"),
    }


def _print_summary(summary: Summary, detector: MaskDetector, settings: PredictSettings) -> None:
    session = detector.session
    predicted = summary.images - summary.kept
    lines: dict[str, object] = {
        **_counts(summary, settings),
        "failed": summary.failed,
        "images/s": images_per_second(predicted, summary.seconds),
    }
    if summary.kept:
        lines["kept"] = f"{summary.kept} predicted earlier"
    if summary.mean_iou is not None:
        of = f" (of {summary.labelled} labelled)"
        lines["mean IoU"] = f"{summary.mean_iou:.3f}{of}"
        lines["accuracy"] = f"{percent(summary.accuracy)}{of}"
    lines |= {
        "model": f"{session.path} [{model_words(session)}]",
        "provider": settings.provider if settings.engine == "ray" else session.provider,
        "written to": "standard output" if settings.to_stdout else settings.out,
    }
    # Standard output may be the CSV.
    (err if settings.to_stdout else stdout).print(figures_table(lines))
