from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskinfer.evaluation.significance import accuracy_interval, bootstrap_interval, mcnemar_p

counts = st.integers(0, 400)


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [
        pytest.param(0, 0, 1.0, id="none"),
        pytest.param(0, 1, 1.0, id="one"),
        pytest.param(1, 9, 0.021484375, id="ten"),
        pytest.param(3, 12, 0.03515625, id="fifteen"),
        pytest.param(5, 5, 1.0, id="even"),
        pytest.param(0, 10, 2 / 1024, id="one-sided"),
        pytest.param(2500, 2500, 1.0, id="even-thousands"),
        pytest.param(0, 5000, 0.0, id="beyond-what-a-float-holds"),
    ],
)
def test_mcnemar_gives_known_probabilities(only_a: int, only_b: int, p: float) -> None:
    assert mcnemar_p(only_a, only_b) == p


def test_mcnemar_stays_exact_for_thousands() -> None:
    tail = sum(comb(8000, k) for k in range(3900))
    assert mcnemar_p(3899, 4101) == 2 * tail / 2**8000


@given(counts, counts)
def test_mcnemar_is_symmetric_and_a_probability(only_a: int, only_b: int) -> None:
    p = mcnemar_p(only_a, only_b)
    assert 0 <= p <= 1
    assert p == mcnemar_p(only_b, only_a)


@given(st.integers(0, 100), st.integers(1, 100))
def test_mcnemar_falls_as_the_split_grows_uneven(less: int, more: int) -> None:
    total = less + more
    assert mcnemar_p(0, total) <= mcnemar_p(min(less, more), max(less, more))


differences = st.lists(st.floats(-1, 1), min_size=1, max_size=30)


@given(differences)
def test_interval_lies_among_the_differences_and_repeats(values: list[float]) -> None:
    interval = bootstrap_interval(values, resamples=200)
    assert bootstrap_interval(values, resamples=200) == interval
    assert (interval is None) == (len(set(values)) == 1)
    if interval is not None:
        assert min(values) - 1e-12 <= interval.low <= interval.high <= max(values) + 1e-12


@pytest.mark.parametrize("differences", [[0.0] * 50, [1.0], [0.25] * 3])
def test_no_interval_is_known_where_no_draw_can_differ(differences: list[float]) -> None:
    assert bootstrap_interval(differences) is None


def test_accuracy_interval_is_newcombes() -> None:
    # His table's example for the tenth method: 36, 12, 2 and 0 of 50.
    assert accuracy_interval(36, 2, 12, 0) == pytest.approx((0.0569, 0.3404), abs=5e-5)


few = st.integers(0, 60)


@given(few, few, few, few)
def test_accuracy_interval_is_around_the_difference_and_never_cut_at_it(
    both: int, only_a: int, only_b: int, neither: int
) -> None:
    images = max(1, both + only_a + only_b + neither)
    if images != both + only_a + only_b + neither:
        return
    low, high = accuracy_interval(both, only_a, only_b, neither)
    difference = (only_b - only_a) / images
    assert -1 - 1e-9 <= low <= difference <= high <= 1 + 1e-9
    if abs(difference) < 1:
        assert low < difference < high
    mirrored = accuracy_interval(both, only_b, only_a, neither)
    assert (-mirrored.high, -mirrored.low) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize("images", [40, 300])
@pytest.mark.parametrize(
    "shares", [(0.8, 0.03, 0.07, 0.1), (0.5, 0.1, 0.25, 0.15), (0.95, 0.0, 0.02, 0.03)]
)
def test_accuracy_interval_covers_what_it_promises(images: int, shares: tuple[float, ...]) -> None:
    rows = np.random.default_rng(0).multinomial(images, shares, 2000).tolist()
    intervals = [accuracy_interval(*row) for row in rows]
    difference = shares[2] - shares[1]
    covered = np.mean([low <= difference <= high for low, high in intervals])
    assert 0.935 < covered <= 1.0


def test_interval_is_about_two_standard_errors_wide() -> None:
    values = np.random.default_rng(1).normal(0.3, 0.1, 400)
    low, high = bootstrap_interval(values) or (0.0, 0.0)
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


def test_interval_of_more_images_than_are_drawn_at_once() -> None:
    values = np.tile([-1.0, 1.0], 600_000)
    low, high = bootstrap_interval(values, resamples=20) or (0.0, 0.0)
    assert -0.01 < low < high < 0.01
