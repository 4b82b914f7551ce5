"""The page of `maskinfer evaluate --report`: figures, mistakes, and what lies behind them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from maskinfer.evaluation.evaluating import Evaluation, Measured
from maskinfer.evaluation.labelled import LabelledPrediction, call_word, label_word
from maskinfer.evaluation.metrics import FOUND_IOU
from maskinfer.evaluation.mistakes import IOU_EDGES, ErrorAnalysis, QuantityBin
from maskinfer.text import counted, decimals, percent

from . import figures
from .blocks import Card, Chart, Gallery, Link, Page, Row, Section, Table
from .predictions import models_table, not_measured, prediction_card

_MOST_POINTS = 200  # of a curve, more than there are pixels to tell them apart


def evaluation_page(evaluation: Evaluation, analysis: ErrorAnalysis) -> Page:
    """Make the page of what was measured, and of the same image by image."""
    metrics = evaluation.metrics
    charts = [draw(analysis) for draw in (_reliability_chart, _precision_recall_chart, _iou_chart)]
    return Page(
        f"Evaluation of {evaluation.detector.session.path.name}",
        f"{counted(evaluation.metrics.images, 'image')} of {evaluation.folder}",
        [
            _figures(evaluation),
            Section("Probabilities and boxes", "", charts),
            _kinds(analysis),
            _photos(evaluation, analysis),
            _worst(evaluation, analysis),
            not_measured_section(evaluation),
        ],
        evaluation.to_dict() | analysis.to_dict(),
        f"{percent(metrics.accuracy)} of {counted(metrics.images, 'mask')} are judged rightly; "
        f"overlap of the boxes with the labelled ones: {decimals(metrics.mean_iou)} on average.",
        dict(list(metrics.figures().items())[:4]),
    )


def _figures(evaluation: Evaluation) -> Section:
    metrics = evaluation.metrics
    headings = ("label", "called proper", "called improper", "no face", "share correct")
    rows: list[Row] = [("images", metrics.images), *metrics.figures().items()]
    tables = [
        Table("Over all measured images", ("figure", "value"), rows),
        Table("Confusion, images", headings, metrics.rows()),
        models_table("The model", {"value": evaluation.detector}),
    ]
    return Section("Figures", "", tables)


def _photos(evaluation: Evaluation, analysis: ErrorAnalysis) -> Section:
    def card(prediction: LabelledPrediction) -> Card:
        called: str = call_word(prediction.proper_mask)
        if prediction.face:
            called = f"called: {called}, {prediction.face.probability:.3f}"
        lines = (called, f"IoU: {prediction.iou:.2f}")
        return prediction_card(evaluation.folder, prediction, lines, correct=prediction.correct)

    galleries = {
        "Called proper, labelled improper: most confident first": analysis.wrong_calls(False),
        "Called improper, labelled proper: most confident first": analysis.wrong_calls(True),
        "No face predicted": analysis.no_face(),
        "Lowest IoU of all images": analysis.lowest_iou(),
        "Called correctly, closest to the threshold": analysis.least_sure(),
    }
    return Section(
        "Photos to look at",
        "The solid blue box is the label's, the dashed orange one the model's. Under each photo "
        "is the probability of a proper mask; the model calls masks proper from "
        f"{evaluation.detector.choice.threshold:.3f}. Where boxes are small, only their part of "
        "the photo is shown.",
        [Gallery.of(title, predictions, card) for title, predictions in galleries.items()],
    )


def _worst(evaluation: Evaluation, analysis: ErrorAnalysis) -> Section:
    worst = analysis.worst()

    def cells(prediction: LabelledPrediction) -> Row:
        measured = (prediction.box_share, prediction.brightness)
        return (
            Link(evaluation.folder / prediction.filename, prediction.filename),
            label_word(prediction.label_proper),
            call_word(prediction.proper_mask),
            prediction.probability,
            prediction.face.score if prediction.face else None,
            prediction.iou,
            *(None if value is None else round(value) for value in measured),
        )

    headings = (
        *("image", "label", "called", "probability", "score", "IoU"),
        *("side of box, % of photo's", "brightness of face"),
    )
    caption = "Wrong calls, most confident first; then no face; then wrong boxes"
    return Section(
        "All mistakes",
        f"{counted(len(worst), 'image')} called wrongly, without a face, or with a box that "
        f"overlaps the label's by less than {FOUND_IOU}. Select a heading to sort by its column.",
        [Table.of(caption, headings, worst, cells)],
    )


def _kinds(analysis: ErrorAnalysis) -> Section:
    charts = [
        *_quality_bars("size of the box", analysis.by("box_share"), " %"),
        *_quality_bars("brightness of the face", analysis.by("brightness"), ""),
    ]
    return Section(
        "By kind of photo",
        "Size is the square root of the labelled box's share of the photo's area, in percent; "
        "brightness is the mean luma of the labelled face, 0 to 255. Under each bin is its number "
        "of images.",
        charts,
    )


def _reliability_chart(analysis: ErrorAnalysis) -> Chart:
    bins = [group for group in analysis.reliability() if group.images]
    words = (
        f"{group.images} with {group.probability:.2f} on average, of which {group.proper:.2f} are"
        for group in bins
    )
    return figures.reliability(
        "Probabilities against what came true",
        np.array([group.probability for group in bins], dtype=np.float64),
        np.array([group.proper for group in bins], dtype=np.float64),
        [group.images for group in bins],
        f"Images by probability of a proper mask: {'; '.join(words)}.",
    )


def _precision_recall_chart(analysis: ErrorAnalysis) -> Chart:
    """A curve for each label that occurs; none where no face was predicted."""
    series, words = {}, []
    for word, curve in analysis.precision_recall().items():
        places = np.unique(np.linspace(0, len(curve.recall) - 1, _MOST_POINTS).astype(int))
        # Starting at the axis, so that a single point is a line, too.
        recall = np.append(0.0, curve.recall[places])
        precision = np.append(curve.precision[0], curve.precision[places])
        series[f"{word}, AP {curve.average_precision:.3f}"] = (recall, precision)
        words.append(f"{word}: average precision {curve.average_precision:.3f}")
    title, alt = "Precision over recall, by label", f"Precision over recall; {', '.join(words)}."
    # Whole steps: between two confidences there is nothing to measure.
    return figures.precision_over_recall(title, series, alt, drawstyle="steps-pre")


def _iou_chart(analysis: ErrorAnalysis) -> Chart:
    values = analysis.ious()
    words = (
        f"{word}: median {np.median(ious):.2f}, "
        f"{sum(iou < FOUND_IOU for iou in ious)} of {len(ious)} below {FOUND_IOU}"
        for word, ious in values.items()
    )
    return figures.histogram(
        "Overlap of boxes, by label", values, IOU_EDGES, "IoU", f"IoU of {'; '.join(words)}."
    )


def _quality_bars(what: str, bins: Sequence[QuantityBin], unit: str) -> Iterator[Chart]:
    """Accuracy and mean IoU over the bins of a quantity; nothing without bins."""
    for figure, attribute in {"accuracy": "accuracy", "mean IoU": "mean_iou"}.items():
        bars, words = {}, []
        for group in bins:
            value = getattr(group, attribute)
            name = f"{group.low}–{group.high}{unit}"
            bars[f"{name}\n{group.images}"] = value
            words.append(f"{name}: {'none' if value is None else f'{value:.2f}'} of {group.images}")
        title = f"{figure[0].upper()}{figure[1:]} by {what}"
        alt = f"{title}, with the number of images: {'; '.join(words)}."
        if bins:
            yield figures.bars(title, bars, figure, alt)


def not_measured_section(evaluation: Measured[Any, Any]) -> Section:
    """What was repaired, and what no figure is about."""
    left_out: list[Row] = [
        *((d.filename, d.reason) for d in evaluation.decisions if d.action == "dropped"),
        *((failure.filename, failure.error) for failure in evaluation.failures),
    ]
    table = Table.of("Labelled images left out", ("image", "why"), left_out, tuple)
    tables = not_measured(evaluation, table)
    nothing = "Every image has a possible label and was measured."
    return Section("Repaired and left out", "" if tables else nothing, tables)
