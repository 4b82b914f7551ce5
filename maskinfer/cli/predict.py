"""`maskinfer predict`: a folder in, a CSV out."""

from pathlib import Path
from typing import Annotated

import typer

from maskinfer.detector import MaskDetector
from maskinfer.errors import MaskinferError
from maskinfer.pipeline import PredictSettings, Summary, find_images, predict_folder
from maskinfer.results import check_out, errors_path

from . import detecting, options
from .console import out as stdout
from .console import say


def predict(
    images: Annotated[
        Path, typer.Argument(metavar="IMAGES", help="A folder of images, or one image.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="CSV", help="The CSV to write.")],
    model: options.Model = PredictSettings.model,
    provider: options.ProviderChoice = PredictSettings.provider,
    batch_size: options.BatchSize = PredictSettings.batch_size,
    recursive: Annotated[
        bool,
        typer.Option("--recursive/--no-recursive", help="Look into folders in the folder."),
    ] = PredictSettings.recursive,
    overwrite: options.Overwrite = PredictSettings.overwrite,
) -> None:
    """Predict every image of a folder into a CSV.

    Columns: filename, x, y, w, h, proper_mask, score; with labels in the file
    names also iou, correct. What cannot be read is listed beside it, in
    preds.errors.csv for preds.csv.

    Exit code 0: done; 1: nothing could be done; 2: wrong usage; 3: done, but
    some images failed.
    """
    settings = PredictSettings(images, out, model, provider, batch_size, recursive, overwrite)
    check_out(settings.out, overwrite=settings.overwrite)
    folder, names = find_images(settings.images, recursive=settings.recursive)
    detector = detecting.open_detector(settings.model, settings.provider, settings.batch_size)
    with detecting.progress_bar("predicting") as show:
        summary = predict_folder(
            detector, folder, names, settings.out, lambda done: show(done, len(names))
        )
    if summary.failed == summary.images:
        raise MaskinferError(
            f"{settings.images}: none of {summary.images} images could be predicted. "
            f"Why is in {errors_path(settings.out)}"
        )
    _print_summary(summary, detector, settings.out)
    if summary.failed:
        say(
            f"warning: {summary.failed} of {summary.images} images failed. "
            f"Why is in {errors_path(settings.out)}"
        )
        raise typer.Exit(detecting.FAILED_SOME)


def _print_summary(summary: Summary, detector: MaskDetector, out: Path) -> None:
    table = detecting.figures_table()
    session = detector.session
    speed = detecting.images_per_second(summary.images, summary.seconds)
    lines: dict[str, object] = {
        "images": summary.images,
        "mask proper": summary.proper,
        "mask improper": summary.improper,
        "failed": summary.failed,
        "images/s": speed,
    }
    if summary.metrics is not None:
        of = f" (of {summary.metrics.images} labelled)"
        lines["mean IoU"] = f"{summary.metrics.mean_iou:.3f}{of}"
        lines["accuracy"] = f"{detecting.percent(summary.metrics.accuracy)}{of}"
    lines |= {
        "model": f"{session.path} [{detecting.model_words(session)}]",
        "provider": session.provider,
        "written to": out,
    }
    for name, value in lines.items():
        detecting.add_figure(table, name, value)
    stdout.print(table)
