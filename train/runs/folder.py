"""A run on disk: its settings, its figures, its weights, and what resuming needs.

```
runs/resnet-20260102-030405/
    config.json        all that is needed to repeat the run
    history.csv        a row an epoch
    curves.png         loss, accuracy and IoU over the epochs
    cleaning.csv       samples dropped or repaired, and why
    parts.csv          which sample is for training, validation and testing
    best.safetensors   the network at its best epoch
    last/              network, optimizer and state after the last whole epoch
    decoded/           large photos, while it trains
```

Everything is written beside its destination and then renamed. Nothing is pickled: tensors are
safetensors, the rest is JSON, so a run folder from anywhere is safe to read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from maskinfer.errors import RunError
from maskinfer.files import find_folder, replacing, replacing_folder, write_text
from maskinfer.train.calibration import Calibration

from .files import WEIGHTS, RunFiles

_LAST = "last"
_NETWORKS = ("network.safetensors", "average.safetensors")  # in it, the second where there is one
EPOCH, CALIBRATION = "epoch", "calibration"  # in the header of WEIGHTS, whose values are text


@dataclass(frozen=True)
class State:
    """What resuming needs besides tensors."""

    epochs_done: int = 0  # whole ones
    best_epoch: int = 0  # so far; 0 before any, or where that is the best
    best_score: float = float("-inf")
    scaler: dict[str, Any] | None = None  # state of the loss scaler of FP16 training


class RunFolder(RunFiles):
    """One run's folder, with the tensors in it."""

    @classmethod
    def create(cls, runs: Path, model: str, now: datetime) -> "RunFolder":
        """A new folder under `runs`, named by model and time."""
        name = f"{model}-{now:%Y%m%d-%H%M%S}"
        for attempt in range(1, 100):
            path = runs / (name if attempt == 1 else f"{name}-{attempt}")
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            except OSError as error:
                raise RunError(f"{path}: cannot be made, {error.strerror}") from error
            return cls(path)
        raise RunError(f"{runs / name}: a hundred runs of that name exist")

    def write_best(self, network: nn.Module, epoch: int, calibration: Calibration) -> None:
        """Write the weights that `Checkpoint.load` reads."""
        header = {EPOCH: str(epoch), CALIBRATION: calibration.to_json()}
        write_tensors(self.path / WEIGHTS, network.state_dict(), header)

    def write_last(self, networks: Sequence[nn.Module], optimizer: Optimizer, state: State) -> None:
        """Replace `last/` as a whole; `networks` are what is trained and perhaps its average."""
        optimizer_state = optimizer.state_dict()
        tensors = {
            f"{index}.{name}": value
            for index, values in optimizer_state["state"].items()
            for name, value in values.items()
            if isinstance(value, Tensor)
        }
        values = {**asdict(state), "param_groups": optimizer_state["param_groups"]}
        with replacing_folder(self.path / _LAST) as fresh:
            for network, name in zip(networks, _NETWORKS, strict=False):
                write_tensors(fresh / name, network.state_dict())
            write_tensors(fresh / "optimizer.safetensors", tensors)
            write_text(fresh / "state.json", json.dumps(values))

    def read_last(self, networks: Sequence[nn.Module], optimizer: Optimizer) -> State:
        """Load what resuming needs; a `RunError` where it is missing or damaged."""
        last = find_folder(self.path / _LAST)
        if last is None:
            raise RunError(f"{self.path}: stopped before its first epoch ended; train anew")
        for network, name in zip(networks, _NETWORKS, strict=False):
            read_tensors(network, last / name)
        try:
            values = json.loads((last / "state.json").read_text(encoding="utf-8"))
            groups = values.pop("param_groups")
            state: dict[int, dict[str, Tensor]] = {}
            for key, tensor in load_tensors(last / "optimizer.safetensors")[0].items():
                index, name = key.split(".", 1)
                state.setdefault(int(index), {})[name] = tensor
            for group in groups:  # of this machine, which may be another
                group["fused"] = optimizer.defaults["fused"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})
            return State(**values)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{last}: damaged ({error!r})") from error

    @property
    def can_be_resumed(self) -> bool:
        """Whether a whole epoch was written, which `read_last` can read."""
        return find_folder(self.path / _LAST) is not None


def read_calibration(header: Mapping[str, str], path: Path) -> Calibration:
    """What the header of a file of weights states of their probabilities.

    A `RunError`, which names the path, where it is damaged.
    """
    stated = header.get(CALIBRATION)
    try:
        return Calibration() if stated is None else Calibration.from_json(stated)
    except (ValueError, TypeError) as error:
        raise RunError(f"{path}: damaged, its calibration is {stated!r}") from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A safetensors file's tensors and header; else an `OSError` or `SafetensorError`."""
    with safe_open(path, framework="pt") as file:
        names = file.keys()  # it cannot be iterated itself
        return {name: file.get_tensor(name) for name in names}, file.metadata() or {}


def read_tensors(network: nn.Module, path: Path) -> dict[str, str]:
    """Load tensors into a network; returns the file's header."""
    try:
        tensors, header = load_tensors(path)
        network.load_state_dict(tensors)
        return header
    except FileNotFoundError as error:
        raise RunError(f"{path}: missing; the run has no whole epoch yet") from error
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: damaged ({error})") from error
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise RunError(
            f"{path}: weights of another network than config.json names ({first[0].strip()[:120]})"
        ) from error


def write_tensors(
    path: Path, tensors: dict[str, Tensor], header: dict[str, str] | None = None
) -> None:
    """Write tensors beside their place, then rename the file."""
    plain = {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    with replacing(path) as beside:
        # Not `save_file`, whose files nobody else may read.
        beside.write_bytes(save(plain, header))
