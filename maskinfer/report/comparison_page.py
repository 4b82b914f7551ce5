"""The page of `maskinfer compare`: both models' figures, and the photos where they differ."""

from maskinfer.evaluation.comparing import Comparison, Pair, p_words
from maskinfer.evaluation.labelled import LabelledPrediction, label_word
from maskinfer.evaluation.significance import RESAMPLES
from maskinfer.inference.detector import MaskDetector

from .blocks import Card, Notes, Page, Section, Table, bounded_gallery, bounded_table
from .predictions import Rows, label_card, model_cells, not_measured


def comparison_page(
    comparison: Comparison, detector_a: MaskDetector, detector_b: MaskDetector
) -> Page:
    """Make the page.

    Args:
        comparison: what was measured.
        detector_a: one model.
        detector_b: the other.
    """
    images = len(comparison.pairs)
    names = (detector.session.path.name for detector in (detector_a, detector_b))
    return Page(
        "Comparison of A, {}, and B, {}".format(*names),
        f"{images} image{'s' if images != 1 else ''} of {comparison.folder}",
        [
            _verdict(comparison),
            _figures(comparison, detector_a, detector_b),
            _photos(comparison),
            _not_measured(comparison),
        ],
        comparison.to_dict(detector_a, detector_b),
    )


def _verdict(comparison: Comparison) -> Section:
    calls: Rows = [
        ("both right", comparison.both_right),
        ("only A right", len(comparison.a_right)),
        ("only B right", len(comparison.b_right)),
        ("both wrong", comparison.both_wrong),
    ]
    return Section(
        "Which is better",
        "By McNemar's exact test on the images that only one of the two calls correctly; from "
        "p = 0.05, a difference may well be chance.",
        [
            Notes([comparison.verdict()]),
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
        "Over the images that both models measured. The interval of the IoU contains 95 % of "
        f"{RESAMPLES:,} means, each of as many images drawn with replacement; that of the accuracy "
        "comes from the same test as the verdict. Where the models do not differ, there is none.",
        [
            Table("Figures", ("figure", "A", "B", "B − A", "95 % interval"), rows),
            Table(
                "The models",
                ("property", "A", "B"),
                [[name, of_a, of_b] for (name, of_a), of_b in models],
            ),
        ],
    )


def _photos(comparison: Comparison) -> Section:
    def card(pair: Pair) -> Card:
        a, b = pair.a, pair.b
        return label_card(
            comparison.folder,
            a.filename,
            a.label_xywh,
            a.label_proper,
            (f"A: {_words(a)}", f"B: {_words(b)}"),
            {"A's": a.box_xywh, "B's": b.box_xywh},
        )

    galleries = {
        "Only A is right: furthest apart first": comparison.a_right,
        "Only B is right: furthest apart first": comparison.b_right,
        "Greatest difference in IoU": comparison.box_differences(),
    }
    return Section(
        "Where they differ",
        "The solid blue box is the label's, the dashed orange one A's, the dashed pink one B's, "
        "which hides A's where both are the same. Each model's call is followed by its "
        "probability of a proper mask. Where boxes are small, only their part of the photo is "
        "shown.",
        [bounded_gallery(title, pairs, card) for title, pairs in galleries.items()],
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
        else "Both models measured the same labelled images."
    )
    return Section("Repaired and left out", intro, tables)
