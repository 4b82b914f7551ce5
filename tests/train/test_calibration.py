import numpy as np
import pytest

from maskinfer.evaluation.metrics import expected_calibration_error
from maskinfer.runtime.model_file import WorkingPoint
from maskinfer.train.calibration import Calibration, calibrate


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_calibration_finds_the_temperature(temperature: float) -> None:
    rng = np.random.default_rng(0)
    log_odds = rng.normal(0, 2, 20_000)
    is_proper = rng.random(20_000) < 1 / (1 + np.exp(-log_odds))
    overconfident = 1 / (1 + np.exp(-log_odds * temperature))

    found = calibrate(overconfident, is_proper, Calibration())

    assert found.temperature == pytest.approx(temperature, rel=0.05)
    assert found.images == 20_000
    calibrated = 1 / (1 + np.exp(-log_odds * temperature / found.temperature))
    assert expected_calibration_error(calibrated, is_proper) < 0.02
    if temperature != 1:
        assert expected_calibration_error(overconfident, is_proper) > 0.04


def test_threshold_is_the_best_balanced_one() -> None:
    probabilities = np.array([0.1, 0.3, 0.55, 0.6, 0.7, 0.9, 0.95, 0.99] * 3)
    is_proper = np.array([False, False, False, False, True, True, True, True] * 3)
    found = calibrate(probabilities, is_proper, Calibration())
    odds = (probabilities / (1 - probabilities)) ** (1 / found.temperature)
    called = odds / (1 + odds) >= found.threshold
    assert called.tolist() == is_proper.tolist()


def test_threshold_stays_a_half_where_that_is_as_good() -> None:
    probabilities = np.array([0.1, 0.2, 0.8, 0.9] * 5)
    assert calibrate(probabilities, probabilities > 0.5, Calibration()).threshold == 0.5


def test_certain_probabilities_can_be_calibrated() -> None:
    found = calibrate(
        np.array([0.0, 1.0, 1.0, 0.0] * 5), np.array([False, True, False, True] * 5), Calibration()
    )
    assert np.isfinite(found.temperature)
    assert found.images == 20


@pytest.mark.parametrize("rare", [0, 1, 9])
def test_few_images_of_a_label_calibrate_nothing(rare: int) -> None:
    is_proper = np.arange(100) >= rare
    for labels in (is_proper, ~is_proper):
        earlier = Calibration(2.0, 0.7, 50, WorkingPoint(0.3, 0.7))
        assert calibrate(np.linspace(0, 1, 100), labels, earlier) == earlier


def test_calibration_reads_what_it_wrote() -> None:
    found = Calibration(1.5, 0.4, 20)
    assert Calibration.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"temperature": 0}', '{"threshold": 2}', '{"heat": 1}', '{"temperature": NaN}'],
)
def test_calibration_refuses_what_is_none(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        Calibration.from_json(text)
