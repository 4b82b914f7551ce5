"""A trained network, loaded from a run's folder or from one file, with what is known of it."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open

from maskinfer.errors import RunError
from maskinfer.records import read_record
from maskinfer.train.calibration import Calibration
from maskinfer.train.networks.build import build
from maskinfer.train.networks.network import Network

from .files import WEIGHTS, EpochRow, RunConfig, RunFiles, weights_path
from .folder import CALIBRATION, EPOCH, read_calibration, read_tensors, write_tensors

_CONFIG, _FIGURES = "config", "figures"  # in the header of a file of its own


def run_config(run: Path) -> RunConfig:
    """What a run was given, by whatever `Checkpoint.load` takes; a `RunError` as there."""
    path = weights_path(str(run))
    if path.name == WEIGHTS:
        return RunFiles(path.parent).read_config()
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = file.metadata() or {}
        read_record(EpochRow, json.loads(header[_FIGURES]))
        return read_record(RunConfig, json.loads(header[_CONFIG]))
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such file") from error
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise RunError(
            f"{path}: not a file of weights that maskinfer export wrote ({error})"
        ) from error


class Checkpoint(NamedTuple):
    """A trained network and all that is known of it."""

    path: Path  # the run's folder, or the file
    config: RunConfig  # a file's names no folders
    network: Network  # in evaluation mode, on the CPU
    calibration: Calibration
    figures: EpochRow  # the row of the history that measured these weights

    @classmethod
    def load(cls, run: Path) -> "Checkpoint":
        """Load the best weights of a run, which may still be training, or what `write` wrote.

        `run` is the run's folder, its file of weights, any other file of weights, or `shipped`. A
        `RunError` where there is none, or it is damaged, without weights or of another network's.
        """
        config = run_config(run)
        weights = weights_path(str(run))
        network = build(config.settings).eval()
        header = read_tensors(network, weights)
        calibration = read_calibration(header, weights)
        if _CONFIG in header:
            row = read_record(EpochRow, json.loads(header[_FIGURES]))
            return cls(weights, config, network, calibration, row)
        run, epoch = weights.parent, header.get(EPOCH)
        # Read after the weights: a run writes an epoch's row before its weights.
        history = RunFiles(run).read_history()
        figures = next((row for row in history if str(row.epoch) == epoch), None)
        if figures is None:
            raise RunError(f"{run}: damaged, epoch {epoch} of {WEIGHTS} is not in its history")
        return cls(run, config, network, calibration, figures)

    def write(self, path: Path) -> None:
        """Write all of it into one file: matrices in half precision, no path of this machine."""
        settings = replace(self.config.settings, data=(), weights=self.config.initial_weights)
        header = {
            _CONFIG: json.dumps(asdict(replace(self.config, settings=settings))),
            _FIGURES: json.dumps(asdict(self.figures)),
            CALIBRATION: self.calibration.to_json(),
        }
        tensors = {
            name: tensor.half() if tensor.dim() > 1 and tensor.dtype == torch.float32 else tensor
            for name, tensor in self.network.state_dict().items()
        }
        write_tensors(path, tensors, header)
