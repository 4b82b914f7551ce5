"""The page of `maskinfer compare`: both models' figures, and the photos where they part."""

from collections.abc import Callable

from maskinfer.evaluation.comparing import Comparison, Pair, p_words
from maskinfer.evaluation.labelled import LabelledPrediction, label_word
from maskinfer.evaluation.significance import RESAMPLES
from maskinfer.inference.detector import MaskDetector

from .blocks import Card, Gallery, Notes, Section, Table, bounded_table
from .folder import ReportFolder
from .predictions import MOST_CARDS, Rows, model_cells, not_measured
from .thumbnails import FOUND, LABEL, OTHER, Outline


def write_comparison(
    folder: ReportFolder,
    comparison: Comparison,
    detector_a: MaskDetector,
    detector_b: MaskDetector,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> None:
    """Write the page and its facts.

    Args:
        folder: where they go.
        comparison: what was measured.
        detector_a: one model.
        detector_b: the other.
        on_progress: called with the number of thumbnails done so far, and of all.

    Raises:
        MaskinferError: the disk is full, or otherwise refuses.
    """
    images = len(comparison.pairs)
    names = (detector.session.path.name for detector in (detector_a, detector_b))
    folder.write(
        "Comparison of A, {}, and B, {}".format(*names),
        f"{images} image{'s' if images != 1 else ''} of {comparison.folder}",
        [
            _verdict(comparison),
            _figures(comparison, detector_a, detector_b),
            _photos(comparison, folder),
            _not_measured(comparison),
        ],
        comparison.to_dict(detector_a, detector_b),
        on_progress,
    )


def _verdict(comparison: Comparison) -> Section:
    calls: Rows = [
        ["both right", comparison.both_right],
        ["only A right", len(comparison.a_right)],
        ["only B right", len(comparison.b_right)],
        ["both wrong", comparison.both_wrong],
    ]
    return Section(
        "Which is better",
        "By McNemar's exact test on the images that only one of the two calls rightly; from "
        "p = 0.05 on a difference may well be chance.",
        [
            Notes([comparison.verdict()], "plain"),
            Table(f"Images by who is right, {p_words(comparison.p)}", ("calls", "images"), calls),
        ],
    )


def _figures(comparison: Comparison, detector_a: MaskDetector, detector_b: MaskDetector) -> Section:
    rows: Rows = [
        [figure.name, figure.a, figure.b, figure.difference, figure.interval_words()]
        for figure in comparison.figures
    ]
    models = zip(
        model_cells(detector_a.session).items(),
        model_cells(detector_b.session).values(),
        strict=True,
    )
    return Section(
        "Figures",
        "Over the images that both models measured. The interval of the IoU holds 95 % of "
        f"{RESAMPLES:,} means, each of as many images drawn with replacement; that of the accuracy "
        "is of the same test as the verdict. None is known where the models do not differ.",
        [
            Table("Figures", ("figure", "A", "B", "B − A", "95 % interval"), rows),
            Table(
                "The models",
                ("property", "A", "B"),
                [[name, of_a, of_b] for (name, of_a), of_b in models],
            ),
        ],
    )


def _photos(comparison: Comparison, folder: ReportFolder) -> Section:
    galleries = {
        "Only A is right: the furthest apart first": comparison.a_right,
        "Only B is right: the furthest apart first": comparison.b_right,
        "Greatest difference in IoU": comparison.box_differences(),
    }
    return Section(
        "Where they part",
        "The whole blue line is the label's box, the dashed orange one A's, the dashed pink one "
        "B's, which hides A's where both are the same. Beside each model's word stands its "
        "probability of a proper mask. Where boxes are small, their part of the photo is shown.",
        [
            Gallery(
                title,
                [_card(pair, comparison, folder) for pair in pairs[:MOST_CARDS]],
                len(pairs),
            )
            for title, pairs in galleries.items()
        ],
    )


def _card(pair: Pair, comparison: Comparison, folder: ReportFolder) -> Card:
    name = pair.a.filename
    boxes = (list(box) for box in (pair.a.label_xywh, pair.a.box_xywh, pair.b.box_xywh))
    return Card(
        folder.link(comparison.folder / name, name),
        comparison.folder / name,
        (
            Outline(pair.a.label_xywh, LABEL),
            Outline(pair.a.box_xywh, FOUND, dashed=True),
            Outline(pair.b.box_xywh, OTHER, dashed=True),
        ),
        name + ": label's box {}, A's box {}, B's box {}".format(*boxes),
        (
            f"label: {label_word(pair.a.label_proper)}",
            f"A: {_words(pair.a)}",
            f"B: {_words(pair.b)}",
        ),
        label_word(pair.a.label_proper),
    )


def _words(prediction: LabelledPrediction) -> str:
    word = label_word(prediction.proper_mask)
    return f"{word}, {prediction.probability:.2f}, IoU {prediction.iou:.2f}"


def _not_measured(comparison: Comparison) -> Section:
    decisions = comparison.a.decisions
    left_out: Rows = [
        *([d.filename, "both", d.reason] for d in decisions if d.action == "dropped"),
        *([failure.filename, "A", failure.error] for failure in comparison.a.failures),
        *([failure.filename, "B", failure.error] for failure in comparison.b.failures),
    ]
    alone = len(comparison.only_a) + len(comparison.only_b)
    tables = not_measured(
        decisions,
        bounded_table("Labelled images left out", ("image", "by", "why"), left_out, tuple),
        comparison.a.unlabelled,
    )
    intro = (
        f"Measured by A alone: {len(comparison.only_a)}; by B alone: {len(comparison.only_b)}. "
        "These images are left out of all figures."
        if alone
        else "Every labelled image that one model measured, the other measured too."
    )
    return Section("Repaired and left out", intro, tables)
