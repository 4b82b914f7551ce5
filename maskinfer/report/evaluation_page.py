"""The page of `maskinfer evaluate --report`: figures, mistakes, and what lies behind them."""

from collections.abc import Callable, Sequence

from maskinfer.evaluation.evaluating import Evaluation
from maskinfer.evaluation.labelled import LabelledPrediction, label_word
from maskinfer.evaluation.metrics import FOUND_IOU, Confusion
from maskinfer.evaluation.mistakes import ErrorAnalysis
from maskinfer.inference.detector import MaskDetector

from .blocks import Card, Cell, Chart, Gallery, Link, Section, Table, bounded_table
from .evaluation_charts import iou_chart, precision_recall_chart, quality_bars, reliability_chart
from .folder import ReportFolder
from .predictions import MOST_CARDS, Rows, model_cells, not_measured
from .thumbnails import FOUND, LABEL, Outline


def write_evaluation(
    folder: ReportFolder,
    evaluation: Evaluation,
    analysis: ErrorAnalysis,
    detector: MaskDetector,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> None:
    """Write the page and its facts.

    Args:
        folder: where they go.
        evaluation: what was measured.
        analysis: the same, image by image.
        detector: the model.
        on_progress: called with the number of thumbnails done so far, and of all.

    Raises:
        MaskinferError: the disk is full, or otherwise refuses.
    """
    images = evaluation.metrics.images
    folder.write(
        f"Evaluation of {detector.session.path.name}",
        f"{images} image{'s' if images != 1 else ''} of {evaluation.folder}",
        [
            _figures(evaluation, detector),
            _photos(evaluation, analysis, folder),
            _worst(evaluation, analysis, folder),
            _probabilities(analysis),
            _kinds(analysis),
            _not_measured(evaluation),
        ],
        evaluation.to_dict(detector) | analysis.to_dict(),
        on_progress,
    )


def _figures(evaluation: Evaluation, detector: MaskDetector) -> Section:
    metrics = evaluation.metrics
    rows: Rows = [["images", metrics.images], *map(list, metrics.figures().items())]
    return Section(
        "Figures",
        "",
        [
            Table("Over all measured images", ("figure", "value"), rows),
            _confusion(metrics.confusion),
            Table(
                "The model",
                ("property", "value"),
                [*map(list, model_cells(detector.session).items())],
            ),
        ],
    )


def _confusion(counts: Confusion) -> Table:
    rows: Rows = [
        [
            "proper",
            counts.proper_called_proper,
            counts.proper_called_improper,
            counts.proper_called_proper / counts.proper if counts.proper else None,
        ],
        [
            "improper",
            counts.improper_called_proper,
            counts.improper_called_improper,
            counts.improper_called_improper / counts.improper if counts.improper else None,
        ],
    ]
    headings = ("label", "called proper", "called improper", "share right")
    return Table("Confusion, images", headings, rows)


def _photos(
    evaluation: Evaluation,
    analysis: ErrorAnalysis,
    folder: ReportFolder,
) -> Section:
    galleries = {
        "Called proper, labelled improper: the surest first": analysis.false_positives(),
        "Called improper, labelled proper: the surest first": analysis.false_negatives(),
        "Lowest IoU of all images": analysis.lowest_iou(),
        "Called rightly, closest to the threshold": analysis.least_sure(),
    }
    return Section(
        "Photos to look at",
        "The whole blue line is the label's box, the dashed orange one the model's. Under each "
        f"photo stands the probability of a proper mask; from {analysis.threshold:.3f} on the "
        "model calls it proper. Where boxes are small, their part of the photo is shown.",
        [
            Gallery(
                title,
                [_card(case, evaluation, folder) for case in cases[:MOST_CARDS]],
                len(cases),
            )
            for title, cases in galleries.items()
        ],
    )


def _card(case: LabelledPrediction, evaluation: Evaluation, folder: ReportFolder) -> Card:
    return Card(
        _link(case, evaluation, folder),
        evaluation.folder / case.filename,
        (Outline(case.label_xywh, LABEL), Outline(case.box_xywh, FOUND, dashed=True)),
        f"{case.filename}: label's box {list(case.label_xywh)}, model's box {list(case.box_xywh)}",
        (
            f"label: {label_word(case.label_proper)}",
            f"called: {label_word(case.proper_mask)}, {case.probability:.3f}",
            f"IoU: {case.iou:.2f}",
        ),
        label_word(case.label_proper),
        case.correct,
    )


def _link(case: LabelledPrediction, evaluation: Evaluation, folder: ReportFolder) -> Link:
    return folder.link(evaluation.folder / case.filename, case.filename)


def _worst(evaluation: Evaluation, analysis: ErrorAnalysis, folder: ReportFolder) -> Section:
    worst = analysis.worst()

    def cells(case: LabelledPrediction) -> Sequence[Cell | Link]:
        return (
            _link(case, evaluation, folder),
            label_word(case.label_proper),
            label_word(case.proper_mask),
            case.probability,
            case.score,
            case.iou,
            None if case.box_share is None else round(case.box_share),
            None if case.brightness is None else round(case.brightness),
        )

    headings = (
        *("image", "label", "called", "probability", "score", "IoU"),
        *("box side, % of photo's", "brightness of face"),
    )
    images = f"{len(worst)} image{'s' if len(worst) != 1 else ''}"
    return Section(
        "All mistakes",
        f"{images} called wrongly, or whose box overlaps the label's by less than {FOUND_IOU}. "
        "A heading sorts by its column.",
        [bounded_table("Wrong calls, the surest first; then wrong boxes", headings, worst, cells)],
    )


def _probabilities(analysis: ErrorAnalysis) -> Section:
    return Section(
        "Probabilities and boxes",
        "",
        [reliability_chart(analysis), precision_recall_chart(analysis), iou_chart(analysis)],
    )


def _kinds(analysis: ErrorAnalysis) -> Section:
    quantities = {
        "size of the box": (analysis.by_box_share(), " %"),
        "brightness of the face": (analysis.by_brightness(), ""),
    }
    charts: list[Chart] = []
    for what, (bins, unit) in quantities.items():
        if bins:
            charts += quality_bars(what, bins, unit)
    return Section(
        "On what kind of photos",
        "Size is the root of the labelled box's share of the photo's area, in percent; brightness "
        "the mean luma of the labelled face, 0 to 255. The number of images stands under each bin.",
        charts,
    )


def _not_measured(evaluation: Evaluation) -> Section:
    dropped = [d for d in evaluation.decisions if d.action == "dropped"]
    left_out: Rows = [
        *((d.filename, d.reason) for d in dropped),
        *((failure.filename, failure.error) for failure in evaluation.failures),
    ]
    tables = not_measured(
        evaluation.decisions,
        bounded_table("Labelled images that were left out", ("image", "why"), left_out, tuple),
        evaluation.unlabelled,
    )
    nothing = "Every image has a label that is possible, and was measured."
    return Section("Repaired and left out", "" if tables else nothing, tables)
