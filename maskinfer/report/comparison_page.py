"""The page of `maskinfer compare`: both models' figures, and the photos where they differ."""

from typing import Any

from maskinfer.evaluation.comparing import (
    SIGNIFICANT,
    AllFacesComparison,
    Comparison,
    OneFaceComparison,
    Pair,
)
from maskinfer.evaluation.labelled import LabelledPrediction, call_word
from maskinfer.evaluation.photo_faces import PhotoFaces
from maskinfer.evaluation.significance import RESAMPLES
from maskinfer.inference.detector import MaskDetector
from maskinfer.text import counted

from .all_faces_page import faces_card, faces_lines
from .blocks import Card, Gallery, Page, Row, Section, Table
from .predictions import models_table, not_measured, prediction_card

_PHOTOS = (
    "The solid blue box is the label's, the dashed orange one A's, the dashed pink one B's, which "
    "hides A's where both are the same. Each model's call is followed by its probability of a "
    "proper mask. Where boxes are small, only their part of the photo is shown."
)
_ALL_FACES_PHOTOS = (
    "The boxes are the annotated ones: blue means a properly worn mask, pink any other face. "
    "Furthest apart are the photos with the greatest difference in faces called rightly."
)
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
        noun, intro, photos_intro = "photo", _ALL_FACES_INTRO, _ALL_FACES_PHOTOS
    else:
        noun, intro, photos_intro = "image", _INTRO, _PHOTOS
    differences = _differences(comparison, detectors, intro)
    photos = Section("Where they differ", photos_intro, _galleries(comparison))
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
    caption = f"Images by which is right, {comparison.p_words()}"
    return Section(
        "Which is better",
        "By McNemar's exact test on the images that only one of the two calls correctly; at "
        "p = 0.05 and above, a difference may well be chance.",
        [Table(caption, ("calls", "images"), [*comparison.calls().items()])],
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


def _galleries(comparison: OneFaceComparison | AllFacesComparison) -> list[Gallery]:
    def card(pair: Pair[Any]) -> Card:
        lines = (f"A: {_words(pair.a)}", f"B: {_words(pair.b)}")
        if isinstance(pair.a, PhotoFaces):
            return faces_card(comparison.a.folder, pair.a, (faces_lines(pair.a)[0], *lines))
        faces = {"A's": pair.a.face, "B's": pair.b.face}
        return prediction_card(comparison.a.folder, pair.a, lines, faces)

    galleries: dict[str, list[Pair[Any]]] = {
        "Only A is right: furthest apart first": comparison.by_call["only A right"],
        "Only B is right: furthest apart first": comparison.by_call["only B right"],
    }
    if isinstance(comparison, OneFaceComparison):
        galleries["Greatest difference in IoU"] = comparison.box_differences()
    return [Gallery.of(title, pairs, card) for title, pairs in galleries.items()]


def _words(answer: LabelledPrediction | PhotoFaces) -> str:
    if isinstance(answer, PhotoFaces):
        right = f"{answer.right} of {len(answer.labels)} faces right"
        return f"{call_word(answer.called_proper)}, {right}, {answer.invented} invented"
    word = call_word(answer.proper_mask)
    if answer.face is None:
        return word
    return f"{word}, {answer.face.probability:.2f}, IoU {answer.iou:.2f}"


def _left_out(comparison: Comparison[Any]) -> Section:
    dropped = [d for d in comparison.a.decisions if d.action == "dropped"]
    left_out: list[Row] = [
        *((decision.filename, "both", decision.reason) for decision in dropped),
        *((failure.filename, "A", failure.error) for failure in comparison.a.failures),
        *((failure.filename, "B", failure.error) for failure in comparison.b.failures),
    ]
    table = Table.of("Labelled images left out", ("image", "by", "why"), left_out, tuple)
    intro = (
        f"Measured by A alone: {len(comparison.only_a)}; by B alone: {len(comparison.only_b)}. "
        "These images are left out of all figures."
        if comparison.only_a or comparison.only_b
        else "Both models measured the same labelled images."
    )
    return Section("Repaired and left out", intro, not_measured(comparison.a, table))
