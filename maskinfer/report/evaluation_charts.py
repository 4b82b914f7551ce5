"""The charts of `maskinfer evaluate --report`, each with what it shows in words."""

from collections.abc import Sequence

import numpy as np

from maskinfer.evaluation.metrics import FOUND_IOU
from maskinfer.evaluation.mistakes import IOU_EDGES, ErrorAnalysis, QuantityBin

from . import figures
from .blocks import Chart

_MOST_POINTS = 200  # of a curve, more than there are pixels to tell them apart


def reliability_chart(analysis: ErrorAnalysis) -> Chart:
    """What was promised against what came true."""
    bins = [found for found in analysis.reliability() if found.images]
    words = (
        f"{found.images} with {found.probability:.2f} on average, of which {found.proper:.2f} are"
        for found in bins
    )
    return figures.reliability(
        "Probabilities against what came true",
        np.array([found.probability for found in bins], dtype=np.float64),
        np.array([found.proper for found in bins], dtype=np.float64),
        [found.images for found in bins],
        f"Images by probability of a proper mask: {'; '.join(words)}.",
    )


def precision_recall_chart(analysis: ErrorAnalysis) -> Chart:
    """A curve for each label that there is."""
    series, words = {}, []
    for word, curve in analysis.precision_recall().items():
        places = np.linspace(0, len(curve.recall) - 1, _MOST_POINTS).astype(int)
        places = np.unique(places)
        # From the axis on, so that a single point is a line too.
        recall = np.append(0.0, curve.recall[places])
        precision = np.append(curve.precision[0], curve.precision[places])
        series[f"{word}, AP {curve.average_precision:.3f}"] = (recall, precision)
        words.append(f"{word}: average precision {curve.average_precision:.3f}")
    return figures.line_chart(
        "Precision over recall, by the label looked for",
        series,
        "recall",
        "precision",
        f"Precision over recall; {', '.join(words)}.",
        ylim=(0, 1.03),
        # Whole steps: between two confidences there is nothing to measure.
        styles={
            name: {"marker": "", "drawstyle": "steps-pre", "linestyle": line}
            for name, line in zip(series, ("-", "--"), strict=False)
        },
    )


def iou_chart(analysis: ErrorAnalysis) -> Chart:
    """How often boxes overlap by how much."""
    values = analysis.ious()
    words = (
        f"{word}: median {np.median(found):.2f}, "
        f"{sum(iou < FOUND_IOU for iou in found)} of {len(found)} below {FOUND_IOU}"
        for word, found in values.items()
    )
    return figures.histogram(
        "Overlap of boxes, by label", values, IOU_EDGES, "IoU", f"IoU of {'; '.join(words)}."
    )


def quality_bars(what: str, bins: Sequence[QuantityBin], unit: str) -> list[Chart]:
    """Accuracy and mean IoU over the bins of a quantity.

    Args:
        what: the quantity is.
        bins: at least one.
        unit: written after their ends, with its space.
    """
    names = [f"{found.low}–{found.high}{unit}" for found in bins]
    counts = {name: found.images for name, found in zip(names, bins, strict=True)}
    charts = []
    for figure in ("accuracy", "mean IoU"):
        found = [b.accuracy if figure == "accuracy" else b.mean_iou for b in bins]
        values = dict(zip(names, found, strict=True))
        words = (
            f"{name}: {'none' if value is None else f'{value:.2f}'} of {counts[name]}"
            for name, value in values.items()
        )
        title = f"{figure[0].upper()}{figure[1:]} by {what}"
        alt = f"{title}, with the number of images: {'; '.join(words)}."
        charts.append(figures.bars(title, values, figure, alt, counts=counts, ylim=(0, 1.1)))
    return charts
