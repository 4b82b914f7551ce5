"""Whether the difference of two models on the same images is more than chance."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES = 10_000
SEED = 0
_COVERAGE = 0.95
_BISECTIONS = 50
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


def accuracy_interval(only_a: int, only_b: int, images: int) -> Interval | None:
    """The 95 % interval of the difference in accuracy, the second model's minus the first's.

    It follows from Clopper and Pearson's interval (1934, The use of confidence or fiducial limits)
    of the share of the disagreements that the second model wins. That inverts the binomial test of
    `mcnemar_p`, which takes the same counts, so the interval holds 0 exactly where that p is at
    least 0.05. The images are all that were compared, at least 1. None without a disagreement.
    """
    total = only_a + only_b
    if not total:
        return None
    low, high = _share_limit(only_b, total), 1 - _share_limit(only_a, total)
    return Interval(*((2 * share - 1) * total / images for share in (low, high)))


def _share_limit(won: int, total: int) -> float:
    """The least share at which winning `won` or more of `total` is not improbable."""
    if not won:
        return 0.0
    counts = np.arange(won, total + 1, dtype=np.float64)
    log_ways = np.array(
        [math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) for k in counts]
    )
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        share = (low + high) / 2
        logs = log_ways + counts * math.log(share) + (total - counts) * math.log1p(-share)
        if np.exp(logs).sum() < (1 - _COVERAGE) / 2:
            low = share
        else:
            high = share
    return low


def bootstrap_interval(differences: ArrayLike, resamples: int = RESAMPLES) -> Interval | None:
    """The 95 % interval of the mean of (N,) differences, N at least 1, by resampling the images.

    Percentile method of the paired bootstrap (Efron and Tibshirani 1993, An introduction to the
    bootstrap, chapter 13): each image has a figure of either model, so differences, the second's
    minus the first's, are drawn, with replacement. None where all are equal.
    """
    values = np.asarray(differences, dtype=np.float64)
    if np.ptp(values) == 0:
        return None
    generator = np.random.default_rng(SEED)
    rows = max(1, _MOST_INDICES // len(values))
    means = np.empty(resamples)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = generator.integers(len(values), size=(count, len(values)))
        means[start : start + count] = values[drawn].mean(axis=1)
    tail = (1 - _COVERAGE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(low), float(high))
