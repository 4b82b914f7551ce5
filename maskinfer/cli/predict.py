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
from rich.console import Console

from maskinfer.data.dataset import SAMPLE_IMAGES
from maskinfer.data.folders import IMAGE_SUFFIXES
from maskinfer.data.remote import is_address
from maskinfer.data.sources import Source, Survey, is_pattern, open_source, survey
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
from maskinfer.text import counted, images_per_second, percent, printable_name

from . import options
from .console import STDOUT, check_json, err, figures_table, progress_bar, say, write_json
from .console import out as stdout
from .detector import FAILED_SOME, INTERRUPTED, model_words, open_detector
from .options import argument, option, panel, takes

if TYPE_CHECKING:
    from maskinfer.report.folder import ReportFolder

_TERMINATED = 143  # 128 + SIGTERM, as shells have it
_NO_READER = 141  # 128 + SIGPIPE


@takes(
    PredictSettings,
    images=argument(
        "Folders of images, images, patterns such as 'photos/**/*.jpg', or an address such as "
        "s3://bucket/photos.",
        "[IMAGES]...",
    ),
    **panel(
        "Input",
        recursive=option("Search subfolders too."),
        files_from=option(
            "Predict the images in this list, one a line or separated by NUL; - is standard input. "
            "Names start from IMAGES, else from the current folder.",
            "LIST",
        ),
        limit=option("Predict only the first images.", "N", min=1),
        max_pixels=option("Larger images are not decoded.", "N", min=1),
    ),
    **panel(
        "Model",
        model=options.MODEL,
        provider=options.PROVIDER,
        provider_options=options.PROVIDER_OPTIONS,
        **options.FACES,
    ),
    **panel(
        "Output",
        out=option("Output file: .csv, .jsonl or .parquet; - is standard output, as CSV.", "FILE"),
        spreadsheet=option(
            "Write the CSV for Excel and the like: marked as UTF-8, names never taken for "
            "formulas.",
            name="--spreadsheet",
        ),
        annotate=option("Save every photo there too, as a JPEG with its faces drawn on it.", "DIR"),
        crops=option("Save every predicted face there too, as a JPEG.", "DIR"),
        only=option(
            "not-proper, unsure (near the threshold) or no-face: draw only photos with such a "
            "face, or without any, and save only such faces. May be given several times.",
            "KIND",
        ),
        report=option("Write a page there with the photos that people should look at.", "DIR"),
        json=options.JSON,
        quiet=option("Say only what is wrong.", name="--quiet -q"),
        resume=option("Continue an interrupted prediction.", name="--resume"),
        retry_failed=option(
            "Predict again what failed in a finished prediction, with the same options.",
            name="--retry-failed",
        ),
        overwrite=options.OVERWRITE,
    ),
    **panel(
        "Speed",
        batch_size=options.BATCH_SIZE,
        threads=option("Threads that decode images.", "N", min=1, show_default="by cores"),
    ),
    **panel(
        "Ray",
        engine=option("local, or ray: the machines of a Ray cluster.", "NAME"),
        actor_cpus=option(
            "CPUs of each process, a fraction of one or a whole number.",
            "N",
            min=0.01,
            show_default="1; with a GPU, that GPU's share of the machine's",
        ),
        actor_gpus=option(
            "GPUs of each process; 0 for CPUs only.",
            "X",
            min=0,
            show_default="1 where the cluster has any",
        ),
    ),
)
def predict(
    settings: PredictSettings,
    images: list[str] | None = None,
    files_from: typer.FileBinaryRead | None = None,
    json: Path | None = None,
    quiet: bool = False,
) -> None:
    """Find the faces in photos, a folder or many, and write a CSV.

    Columns: filename, x, y, w, h, proper_mask, probability, score; with labels
    in the file names also iou, correct. A photo in which no face scores enough
    has empty cells; with --face all each face has a row. Images that cannot be
    read are listed beside it, in preds.errors.csv for preds.csv.

    Exit code 0: done; 1: nothing could be done; 2: wrong usage; 3: done, but
    some images failed.
    """
    resume = settings.resume or settings.retry_failed
    settings = replace(settings, images=_inputs(images or []), resume=resume)
    if settings.to_stdout and json == STDOUT:
        raise UsageError("--out - and --json -: expected one of them on standard output")
    console = check_json(json, overwrite=settings.overwrite or resume)
    stdout.quiet = stdout.quiet or quiet
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
    write_json(json, lambda: _figures(summary, detector, settings))
    _print_outcome(summary, source, detector, settings, folder, console)


def _inputs(images: list[str]) -> Path | str | tuple[str, ...] | None:
    """One folder, image or address, or several folders, images and patterns."""
    places = [
        unquote(text.removeprefix("file://")) if text.startswith("file://") else text
        for text in images
    ]
    if len(places) == 1 and (is_address(places[0]) or not is_pattern(places[0])):
        return places[0] if is_address(places[0]) else Path(places[0])
    for address in filter(is_address, places):
        raise UsageError(f"{address}: an address is predicted alone, got {len(places)} inputs")
    return tuple(places) or None


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
            f"{error}. To try the sample images: maskinfer predict {SAMPLE_IMAGES}"
        ) from None
    contents = survey(source, settings.limit)
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
    """End on Ctrl-C and SIGTERM with the command that resumes, and wait for no thread."""
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


def _figures(
    summary: Summary, detector: MaskDetector, settings: PredictSettings
) -> dict[str, object]:
    counts = {name: value for name, value in vars(summary).items() if not name.startswith("_")}
    return counts | {
        "mean_iou": summary.mean_iou,
        "accuracy": summary.accuracy,
        "model": printable_name(str(detector.session.path)),
        "model_sha256": detector.session.sha256,
        "provider": detector.session.provider,
        "out": printable_name(str(settings.out)),
    }


def _print_outcome(
    summary: Summary,
    source: Source,
    detector: MaskDetector,
    settings: PredictSettings,
    folder: "ReportFolder | None",
    console: Console,
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
    if not (summary.already_complete or stdout.quiet):
        # Standard output may be the CSV.
        console = err if settings.to_stdout else console
        console.print(figures_table(_summary(summary, detector, settings)))
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


def _summary(
    summary: Summary, detector: MaskDetector, settings: PredictSettings
) -> dict[str, object]:
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
    return lines | {
        "model": f"{session.path} [{model_words(session)}]",
        "provider": session.provider,
        "written to": "standard output" if settings.to_stdout else settings.out,
    }
