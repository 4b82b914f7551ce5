"""`maskinfer evaluate`: a model against labelled images."""

from collections import Counter
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from maskinfer.data.dataset import Dataset, sample_images
from maskinfer.errors import UsageError
from maskinfer.evaluation.all_faces import AllFacesEvaluation, evaluate_faces
from maskinfer.evaluation.evaluating import EvaluateSettings, Evaluation, Measured, evaluate_folder
from maskinfer.evaluation.face_metrics import AllFacesMetrics
from maskinfer.evaluation.mistakes import analyse
from maskinfer.report.all_faces_page import all_faces_page
from maskinfer.report.evaluation_page import evaluation_page
from maskinfer.report.folder import ReportFolder
from maskinfer.text import counted, decimals, images_per_second, percent

from . import options
from .console import check_json, figures_table, make_table, progress_bar, say, write_json
from .detector import FAILED_SOME, model_words, open_detector
from .options import argument, option, takes


@takes(
    EvaluateSettings,
    data=argument(options.LABELLED, "DATA"),
    model=options.MODEL,
    provider=options.PROVIDER,
    provider_options=options.PROVIDER_OPTIONS,
    batch_size=options.BATCH_SIZE,
    **options.FACES,
    json=options.JSON,
    report=option("Write a page with the mistakes as photos and charts to this folder.", "DIR"),
    overwrite=options.OVERWRITE,
)
def evaluate(settings: EvaluateSettings) -> None:
    """Measure a model on labelled images: IoU, accuracy, confusion.

    With --face all, every annotated face is measured: the one in each image's
    name, and those that other_faces.csv lists.

    Impossible boxes are repaired, not left out; the JSON and the report list
    each repair.

    Exit code 0: done; 1: nothing could be done; 2: wrong usage; 3: done, but
    some images failed.
    """
    console = check_json(settings.json, overwrite=settings.overwrite)
    data = Dataset.open(settings.data or sample_images("maskinfer evaluate DATA"))
    report = _choose_report(settings)
    detector = open_detector(settings.model, settings)
    measure = evaluate_faces if settings.face == "all" else evaluate_folder
    with progress_bar("evaluating") as show:
        evaluation = measure(detector, data.test_part().path, show)
    write_json(settings.json, evaluation.to_dict)
    if isinstance(evaluation, AllFacesEvaluation):
        _print_all_faces(evaluation, console)
        if evaluation.only_named:
            say(
                "note: the data names one face a photo, so each other face counts as wrong; "
                "other_faces.csv names others"
            )
    else:
        _print_evaluation(evaluation, console)
    if report is not None:
        _write_report(report, evaluation)
    where = "" if settings.json or settings.report else " To see each: --json FILE"
    _say_left_out(evaluation, where)
    if evaluation.failed:
        raise typer.Exit(FAILED_SOME)


def _choose_report(settings: EvaluateSettings) -> ReportFolder | None:
    if settings.report is None:
        return None
    folder = ReportFolder.choose(settings.report, "evaluate", overwrite=settings.overwrite)
    if settings.json is not None and settings.json.resolve() in folder.files():
        raise UsageError(f"--json {settings.json}: is a file of the report; name another")
    return folder


def _write_report(folder: ReportFolder, evaluation: Evaluation | AllFacesEvaluation) -> None:
    if isinstance(evaluation, AllFacesEvaluation):
        page = all_faces_page(evaluation)
    else:
        with progress_bar("looking at the photos") as show:
            analysis = analyse(evaluation, show)
        page = evaluation_page(evaluation, analysis)
    with progress_bar("drawing the report") as show:
        folder.write(page, show)
    say(f"report: {folder.page}")


def _print_evaluation(evaluation: Evaluation, console: Console) -> None:
    metrics, session = evaluation.metrics, evaluation.detector.session
    lines: dict[str, object] = {
        "data": evaluation.folder,
        "images": metrics.images,
        **{
            name: percent(value) if "accuracy" in name else decimals(value)
            for name, value in metrics.figures().items()
        },
        "images/s": images_per_second(metrics.images, evaluation.seconds),
        "model": f"{session.path} [{model_words(session)}]",
        "provider": session.provider,
    }
    console.print(figures_table(lines))
    console.print()
    rows = ((label, *counts, percent(share)) for label, *counts, share in metrics.rows())
    headings = ("label", "called proper", "called improper", "no face", "right")
    console.print(make_table(headings, rows, title="Confusion (images)"))


def _print_all_faces(evaluation: AllFacesEvaluation, console: Console) -> None:
    metrics, detector = evaluation.metrics, evaluation.detector
    session, choice = detector.session, detector.choice
    worn = metrics.incorrectly
    lines: dict[str, object] = {
        "data": evaluation.folder,
        "photos": metrics.photos,
        "faces": metrics.any_label.faces,
        "AP50": decimals(metrics.ap50),
        "AP50:95": decimals(metrics.ap50_95),
        "photos judged right": percent(metrics.verdict.accuracy),
        "balanced accuracy": f"{percent(metrics.verdict.balanced_accuracy)} of photos",
        **({"worn incorrectly": f"{percent(worn.recall)} of {worn.faces} right"} if worn else {}),
        "images/s": images_per_second(metrics.photos, evaluation.seconds),
        "canvas": f"{session.geometry.canvas} px",
        "counted": f"score >= {choice.min_score:.3f}, proper from {choice.threshold:.3f}",
        "model": f"{session.path} [{model_words(session)}]",
        "provider": session.provider,
    }
    tables = (_faces_by_label(metrics), _faces_by_size(metrics), _photos_table(metrics))
    for part in (figures_table(lines), *tables):
        console.print(part)
        console.print()


def _faces_by_label(metrics: AllFacesMetrics) -> Table:
    rows = []
    for word, faces, called, _, *shares in metrics.rows():
        precisions = ("", "") if word == "any" else map(decimals, shares[-2:])
        rows.append((word, faces, called, *map(decimals, shares[:-2]), *precisions))
    headings = ("label", "faces", "called", "precision", "recall", "F1", "AP50", "AP50:95")
    return make_table(headings, rows, title="Faces")


def _faces_by_size(metrics: AllFacesMetrics) -> Table:
    headings = ("side, % of photo's", "faces", "missed", "share", "called wrongly")
    rows = (
        (size.name, size.faces, size.missed, percent(size.missed / size.faces), size.miscalled)
        for size in metrics.sizes
    )
    return make_table(headings, rows, title="Faces by size")


def _photos_table(metrics: AllFacesMetrics) -> Table:
    headings = ("every mask", "called proper", "called improper", "no face", "right")
    words = {"proper": "worn properly", "improper": "not so"}
    rows = ((words[w], *counts, percent(share)) for w, *counts, share in metrics.verdict.rows())
    return make_table(headings, rows, title="Photos, as a whole")


def _say_left_out(evaluation: Measured[Any, Any], where: str) -> None:
    actions = Counter(decision.action for decision in evaluation.decisions)
    if rounded := actions["rounded"]:
        say(f"note: rounded {counted(rounded, 'box', 'boxes')} with fractions of pixels.{where}")
    if repaired := actions["repaired"]:
        say(f"note: repaired {counted(repaired, 'impossible box', 'impossible boxes')}.{where}")
    if evaluation.unlabelled:
        images = counted(len(evaluation.unlabelled), "image")
        say(f"note: left out {images} without a label.{where}")
    if evaluation.failed:
        images = counted(evaluation.failed, "labelled image")
        say(f"warning: could not measure {images}.{where}")
