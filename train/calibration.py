"""From a network's probabilities to calibrated ones, learned from the validation part.

Temperature scaling: every log-odds is divided by one number (Guo et al. 2017, arXiv 1706.04599).
And the threshold from which a mask counts as properly worn.
"""

import json
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from maskinfer.records import read_record
from maskinfer.runtime.model_file import WorkingPoint

THRESHOLD = 0.5  # without a validation part that is large enough
_LEAST_IMAGES = 10  # of either label; fewer say too little
LEAST_PROBABILITY = 1e-6  # log-odds end here, in the exported graph too
# Log temperatures that are tried: a twentieth to twentyfold, in steps of less than 1 %.
_LOG_TEMPERATURES = np.linspace(-3, 3, 1001)


@dataclass(frozen=True)
class Calibration:
    """What was learned from the validation part."""

    temperature: float = 1.0  # divides the log-odds of a properly worn mask; 1 leaves them
    # Least calibrated probability that counts as properly worn: the share of masks that are, at
    # which such probabilities promise the best balanced accuracy.
    threshold: float = THRESHOLD
    images: int = 0  # how many it was learned from; 0 where they were too few
    # From which figures on an answer about one face counts, and one about all, as an earlier export
    # measured them; None where none did.
    one_face: WorkingPoint | None = None
    all_faces: WorkingPoint | None = None

    def to_json(self) -> str:
        """One line that `from_json` reads back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Calibration":
        """Read what `to_json` wrote; anything else is a `ValueError`."""
        calibration = read_record(cls, json.loads(text))
        if not (calibration.temperature > 0 and 0 <= calibration.threshold <= 1):
            raise ValueError(f"not a temperature and threshold: {calibration}")
        return calibration


def calibrate(
    probabilities: NDArray[np.float64], is_proper: NDArray[np.bool_], earlier: Calibration
) -> Calibration:
    """Learn temperature and threshold, where there are at least ten images of either label.

    From probabilities of a properly worn mask (N,), N at least 1, and labels (N,). Of fewer images,
    `earlier` stays, of the weights that training began with.
    """
    if min(is_proper.sum(), (~is_proper).sum()) < _LEAST_IMAGES:
        return earlier
    clipped = np.clip(probabilities, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    logits = np.log(clipped) - np.log1p(-clipped)
    signed = np.where(is_proper, -logits, logits)  # log-odds of being wrong
    temperatures = np.exp(_LOG_TEMPERATURES)
    losses = [np.logaddexp(0, signed / temperature).mean() for temperature in temperatures]
    temperature = float(temperatures[int(np.argmin(losses))])
    share = int(1000 * is_proper.mean()) / 1000
    return replace(earlier, temperature=temperature, threshold=share, images=len(probabilities))
