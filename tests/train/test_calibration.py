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


def test_threshold_is_the_share_of_proper_masks_and_best_balanced() -> None:
    rng = np.random.default_rng(0)
    log_odds = rng.normal(1.5, 2, 50_000)
    probabilities = 1 / (1 + np.exp(-log_odds))
    is_proper = rng.random(50_000) < probabilities
    found = calibrate(probabilities, is_proper, Calibration())
    assert found.threshold == pytest.approx(is_proper.mean(), abs=1e-3)

    def balanced(threshold: float) -> float:
        called = probabilities >= threshold
        return float(called[is_proper].mean() + (~called)[~is_proper].mean()) / 2

    best = max(balanced(threshold) for threshold in np.linspace(0.05, 0.95, 91))
    assert balanced(found.threshold) > best - 0.003
    assert balanced(0.5) < best - 0.02


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
