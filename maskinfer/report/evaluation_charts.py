"""The charts of `maskinfer evaluate --report`, each with what it shows in words."""

from collections.abc import Iterator, Sequence

import numpy as np

from maskinfer.evaluation.metrics import FOUND_IOU
from maskinfer.evaluation.mistakes import IOU_EDGES, ErrorAnalysis, QuantityBin

from . import figures
from .blocks import Chart

_MOST_POINTS = 200  # of a curve, more than there are pixels to tell them apart


def reliability_chart(analysis: ErrorAnalysis) -> Chart:
    """Predicted probabilities against what came true."""
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


def precision_recall_chart(analysis: ErrorAnalysis) -> Chart:
    """A curve for each label that occurs; none where no face was predicted."""
    series, words = {}, []
    for word, curve in analysis.precision_recall().items():
        places = np.unique(np.linspace(0, len(curve.recall) - 1, _MOST_POINTS).astype(int))
        # Starting at the axis, so that a single point is a line, too.
        recall = np.append(0.0, curve.recall[places])
        precision = np.append(curve.precision[0], curve.precision[places])
        series[f"{word}, AP {curve.average_precision:.3f}"] = (recall, precision)
        words.append(f"{word}: average precision {curve.average_precision:.3f}")
    return figures.line_chart(
        "Precision over recall, by label",
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
    """How much boxes overlap."""
    values = analysis.ious()
    words = (
        f"{word}: median {np.median(ious):.2f}, "
        f"{sum(iou < FOUND_IOU for iou in ious)} of {len(ious)} below {FOUND_IOU}"
        for word, ious in values.items()
    )
    return figures.histogram(
        "Overlap of boxes, by label", values, IOU_EDGES, "IoU", f"IoU of {'; '.join(words)}."
    )


def quality_bars(what: str, bins: Sequence[QuantityBin], unit: str) -> Iterator[Chart]:
    """Accuracy and mean IoU over the bins of a quantity; nothing without bins.

    Args:
        what: the quantity is.
        bins: of images.
        unit: written after their ends, with its space.
    """
    if not bins:
        return
    for figure, values in {
        "accuracy": [group.accuracy for group in bins],
        "mean IoU": [group.mean_iou for group in bins],
    }.items():
        bars, words = {}, []
        for group, value in zip(bins, values, strict=True):
            name = f"{group.low}–{group.high}{unit}"
            bars[f"{name}\n{group.images}"] = value
            words.append(f"{name}: {'none' if value is None else f'{value:.2f}'} of {group.images}")
        title = f"{figure[0].upper()}{figure[1:]} by {what}"
        alt = f"{title}, with the number of images: {'; '.join(words)}."
        yield figures.bars(title, bars, figure, alt, ylim=(0, 1.1))
