"""A run's best weights, loaded, with what its folder states about them."""

from pathlib import Path
from typing import NamedTuple

from maskinfer.errors import RunError
from maskinfer.train.calibration import Calibration
from maskinfer.train.networks.build import build
from maskinfer.train.networks.network import Network

from .files import WEIGHTS, EpochRow, RunConfig, RunFiles, best_row
from .folder import CALIBRATION, EPOCH, read_tensors


class Checkpoint(NamedTuple):
    """A trained network and all that is known of it.

    Attributes:
        path: the run's folder.
        config: what the run was given.
        network: in evaluation mode, on the CPU.
        calibration: of its probabilities.
        figures: the row of the history that measured these weights.
    """

    path: Path
    config: RunConfig
    network: Network
    calibration: Calibration
    figures: EpochRow

    @classmethod
    def load(cls, run: Path) -> "Checkpoint":
        """Load the best weights of a run, which may still be training.

        Raises:
            RunError: the folder is no run, or its weights are missing, damaged, or of another
                network than its configuration names.
        """
        files = RunFiles(run)
        config = files.read_config()
        network = build(config.settings).eval()
        header = read_tensors(network, run / WEIGHTS)
        # Read after the weights: a run writes an epoch's row before its weights.
        history = files.read_history()
        try:
            stated = header.get(CALIBRATION)
            calibration = Calibration() if stated is None else Calibration.from_json(stated)
        except (ValueError, TypeError) as error:
            raise RunError(f"{run / WEIGHTS}: damaged, its calibration is {stated!r}") from error
        # Early files of maskinfer 0.1.0 have no header.
        best = None if EPOCH in header else best_row(history)
        epoch = header.get(EPOCH, str(best and best.epoch))
        figures = next((row for row in history if str(row.epoch) == epoch), None)
        if figures is None:
            raise RunError(f"{run}: damaged, epoch {epoch} of {WEIGHTS} is not in its history")
        return cls(run, config, network, calibration, figures)
