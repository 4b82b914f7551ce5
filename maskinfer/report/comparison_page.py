"""The page of `maskinfer compare`: both models' figures, and the photos where they differ."""

from typing import Any

from maskinfer.evaluation.comparing import (
    SIGNIFICANT,
    AllFacesComparison,
    Comparison,
    OneFaceComparison,
    Pair,
    p_words,
)
from maskinfer.evaluation.labelled import LabelledPrediction, call_word
from maskinfer.evaluation.photo_faces import PhotoFaces
from maskinfer.evaluation.significance import RESAMPLES
from maskinfer.inference.detector import MaskDetector
from maskinfer.text import counted

from .all_faces_page import faces_card, faces_lines
from .blocks import Card, Gallery, Page, Row, Section, Table
from .predictions import models_table, not_measured, prediction_card

# Each ends in the interval that is drawn.
_INTRO = "Over the images that both models measured. The interval of the IoU"
_ALL_FACES_INTRO = (
    "Over the photos that both models measured. A photo is right where it is called proper and "
    "every mask in it is, or called improper and one is not. The interval of the balanced accuracy"
)


def comparison_page(comparison: OneFaceComparison | AllFacesComparison) -> Page:
    """Make the page."""
    detectors = {"A": comparison.a.detector, "B": comparison.b.detector}
    title = ", and ".join(f"{name}, {d.session.path.name}" for name, d in detectors.items())
    if isinstance(comparison, AllFacesComparison):
        title += ", every face"
        noun, photos, intro = "photo", _photos_of_faces(comparison), _ALL_FACES_INTRO
    else:
        noun, photos, intro = "image", _photos(comparison), _INTRO
    differences = _differences(comparison, detectors, intro)
    return Page(
        f"Comparison of {title}",
        f"{counted(len(comparison.pairs), noun)} of {comparison.a.folder}",
        [_verdict(comparison), differences, photos, _left_out(comparison)],
        comparison.to_dict(),
        comparison.verdict(),
        {f"{figure.name}, B minus A": figure.difference for figure in comparison.figures[:4]},
        "good" if comparison.p < SIGNIFICANT else "plain",
    )


def _verdict(comparison: Comparison[Any]) -> Section:
    calls = [*comparison.calls().items()]
    return Section(
        "Which is better",
        "By McNemar's exact test on the images that only one of the two calls correctly; at "
        "p = 0.05 and above, a difference may well be chance.",
        [
            Table(f"Images by which is right, {p_words(comparison.p)}", ("calls", "images"), calls),
        ],
    )


def _differences(
    comparison: Comparison[Any], detectors: dict[str, MaskDetector], intro: str
) -> Section:
    rows: list[Row] = [
        (figure.name, figure.a, figure.b, figure.difference, figure.interval_words())
        for figure in comparison.figures
    ]
    return Section(
        "Figures",
        f"{intro} contains 95 % of {RESAMPLES:,} means, each of as many images drawn with "
        "replacement, and there is none where the models do not differ; that of the accuracy is "
        "Newcombe's for pairs, and may differ from the test at the margin.",
        [
            Table("Figures", ("figure", "A", "B", "B minus A", "95 % interval"), rows),
            models_table("The models", detectors),
        ],
    )


def _photos(comparison: OneFaceComparison) -> Section:
    def card(pair: Pair[LabelledPrediction]) -> Card:
        lines = (f"A: {_words(pair.a)}", f"B: {_words(pair.b)}")
        faces = {"A's": pair.a.face, "B's": pair.b.face}
        return prediction_card(comparison.a.folder, pair.a, lines, faces)

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
    word = call_word(prediction.proper_mask)
    if prediction.face is None:
        return word
    return f"{word}, {prediction.face.probability:.2f}, IoU {prediction.iou:.2f}"


def _photos_of_faces(comparison: AllFacesComparison) -> Section:
    def card(pair: Pair[PhotoFaces]) -> Card:
        lines = (faces_lines(pair.a)[0], f"A: {_faces_words(pair.a)}", f"B: {_faces_words(pair.b)}")
        return faces_card(comparison.a.folder, pair.a, lines, predicted=False)

    galleries = {
        "Only A is right: furthest apart first": comparison.a_right,
        "Only B is right: furthest apart first": comparison.b_right,
    }
    return Section(
        "Where they differ",
        "The boxes are the annotated ones: blue means a properly worn mask, pink any other face. "
        "Furthest apart are the photos with the greatest difference in faces called rightly.",
        [Gallery.of(title, pairs, card) for title, pairs in galleries.items()],
    )


def _faces_words(photo: PhotoFaces) -> str:
    word = call_word(photo.called_proper)
    return f"{word}, {photo.right} of {len(photo.labels)} faces right, {photo.invented} invented"


def _left_out(comparison: Comparison[Any]) -> Section:
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
