"""Whether the difference of two models on the same images is more than chance."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES, _SEED = 10_000, 0
BOOTSTRAP = {"resamples": RESAMPLES, "seed": _SEED}
_COVERAGE = 0.95
_Z = 1.959964  # deviations of a normal distribution that hold as much of it
_MOST_INDICES = 1 << 20  # drawn at a time, 8 MB


class Interval(NamedTuple):
    """Two limits of a mean difference."""

    low: float
    high: float


def mcnemar_p(only_a: int, only_b: int) -> float:
    """The p-value of McNemar's exact test: how probable disagreements this uneven are by chance.

    Only images that one of two models calls correctly tell which is better; equal models each win
    such an image with probability one half (McNemar 1947, Note on the sampling error of the
    difference between correlated proportions or percentages). The two-sided binomial test on them
    is exact: whole numbers, divided once. Without any such image, it is 1.
    """
    total = only_a + only_b
    ways = term = 1  # to choose none of them
    for chosen in range(min(only_a, only_b)):
        term = term * (total - chosen) // (chosen + 1)
        ways += term
    return min(1.0, 2 * ways / (1 << total))


def accuracy_interval(both: int, only_a: int, only_b: int, neither: int) -> Interval:
    """The 95 % interval of the difference in accuracy, the second model's minus the first's.

    Newcombe's tenth method (1998, Improved confidence intervals for the difference between binomial
    proportions based on paired data), of the images that both models, one, the other, and neither
    call correctly: Wilson's intervals of both accuracies, and how far the models agree.
    """
    images = both + only_a + only_b + neither
    right_a, right_b = both + only_a, both + only_b
    a, b = right_a / images, right_b / images
    (low_a, high_a), (low_b, high_b) = _wilson(right_a, images), _wilson(right_b, images)
    product = both * neither - only_a * only_b
    scale = math.sqrt(right_a * (images - right_a) * right_b * (images - right_b))
    agreement = min(product, max(product - images / 2, 0)) / scale if scale else 0.0

    def reach(x: float, y: float) -> float:
        return math.sqrt(max(x * x - 2 * agreement * x * y + y * y, 0.0))

    return Interval(b - a - reach(b - low_b, high_a - a), b - a + reach(high_b - b, a - low_a))


def _wilson(right: int, images: int) -> tuple[float, float]:
    """Wilson's interval of a share (1927, Probable inference and statistical inference)."""
    centre = right + _Z**2 / 2
    reach = _Z * math.sqrt(right * (images - right) / images + _Z**2 / 4)
    return (centre - reach) / (images + _Z**2), (centre + reach) / (images + _Z**2)


def bootstrap_interval(differences: ArrayLike, resamples: int = RESAMPLES) -> Interval | None:
    """The 95 % interval of the mean of (N,) differences, N at least 1, by resampling the images.

    Percentile method of the paired bootstrap (Efron and Tibshirani 1993, An introduction to the
    bootstrap, chapter 13): each image has a figure of either model, so differences, the second's
    minus the first's, are drawn, with replacement. None where all are equal.
    """
    values = np.asarray(differences, dtype=np.float64)
    if np.ptp(values) == 0:
        return None
    generator = np.random.default_rng(_SEED)
    rows = max(1, _MOST_INDICES // len(values))
    means = np.empty(resamples)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = generator.integers(len(values), size=(count, len(values)))
        means[start : start + count] = values[drawn].mean(axis=1)
    tail = (1 - _COVERAGE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(low), float(high))
