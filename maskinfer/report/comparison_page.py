"""The page of `maskinfer compare`: both models' figures, and the photos where they differ."""

from maskinfer.evaluation.comparing import Comparison, Pair, p_words
from maskinfer.evaluation.labelled import LabelledPrediction, label_word
from maskinfer.evaluation.significance import RESAMPLES
from maskinfer.inference.detector import MaskDetector
from maskinfer.text import counted

from .blocks import Card, Gallery, Notes, Page, Row, Section, Table
from .predictions import models_table, not_measured, prediction_card


def comparison_page(
    comparison: Comparison, detector_a: MaskDetector, detector_b: MaskDetector
) -> Page:
    """Make the page."""
    names = (detector.session.path.name for detector in (detector_a, detector_b))
    return Page(
        "Comparison of A, {}, and B, {}".format(*names),
        f"{counted(len(comparison.pairs), 'image')} of {comparison.folder}",
        [
            _verdict(comparison),
            _figures(comparison, detector_a, detector_b),
            _photos(comparison),
            _not_measured(comparison),
        ],
        comparison.to_dict(detector_a, detector_b),
    )


def _verdict(comparison: Comparison) -> Section:
    calls: list[Row] = [
        ("both right", comparison.both_right),
        ("only A right", len(comparison.a_right)),
        ("only B right", len(comparison.b_right)),
        ("both wrong", comparison.both_wrong),
    ]
    return Section(
        "Which is better",
        "By McNemar's exact test on the images that only one of the two calls correctly; at "
        "p = 0.05 and above, a difference may well be chance.",
        [
            Notes([comparison.verdict()]),
            Table(f"Images by which is right, {p_words(comparison.p)}", ("calls", "images"), calls),
        ],
    )


def _figures(comparison: Comparison, detector_a: MaskDetector, detector_b: MaskDetector) -> Section:
    rows: list[Row] = [
        (figure.name, figure.a, figure.b, figure.difference, figure.interval_words())
        for figure in comparison.figures
    ]
    return Section(
        "Figures",
        "Over the images that both models measured. The interval of the IoU contains 95 % of "
        f"{RESAMPLES:,} means, each of as many images drawn with replacement; that of the accuracy "
        "comes from the same test as the verdict. Where the models do not differ, there is none.",
        [
            Table("Figures", ("figure", "A", "B", "B − A", "95 % interval"), rows),
            models_table("The models", {"A": detector_a.session, "B": detector_b.session}),
        ],
    )


def _photos(comparison: Comparison) -> Section:
    def card(pair: Pair) -> Card:
        lines = (f"A: {_words(pair.a)}", f"B: {_words(pair.b)}")
        boxes = {"A's": pair.a.box_xywh, "B's": pair.b.box_xywh}
        return prediction_card(comparison.folder, pair.a, lines, boxes)

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
        [Gallery.of(title, pairs, card) for title, pairs in galleries.items()],
    )


def _words(prediction: LabelledPrediction) -> str:
    word = label_word(prediction.proper_mask)
    return f"{word}, {prediction.probability:.2f}, IoU {prediction.iou:.2f}"


def _not_measured(comparison: Comparison) -> Section:
    dropped = [d for d in comparison.a.decisions if d.action == "dropped"]
    left_out: list[Row] = [
        *((decision.filename, "both", decision.reason) for decision in dropped),
        *((failure.filename, "A", failure.error) for failure in comparison.a.failures),
        *((failure.filename, "B", failure.error) for failure in comparison.b.failures),
    ]
    alone = len(comparison.only_a) + len(comparison.only_b)
    table = Table.of("Labelled images left out", ("image", "by", "why"), left_out, tuple)
    intro = (
        f"Measured by A alone: {len(comparison.only_a)}; by B alone: {len(comparison.only_b)}. "
        "These images are left out of all figures."
        if alone
        else "Both models measured the same labelled images."
    )
    return Section("Repaired and left out", intro, not_measured(comparison.a, table))
