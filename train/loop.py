"""The training loop: one for all networks, on one process or several.

`train` and `resume` prepare a `Trainer`, which repeats `train_one_epoch`, measures and writes. A
resumed run computes bit for bit what it would have computed without the interruption.
"""

import math
import shlex
import time
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate.utils import broadcast_object_list, gather_object
from timm.layers.norm_act import convert_sync_batchnorm
from torch.nn import Module

from maskinfer.data.labels import Sample
from maskinfer.errors import RunError, TrainingError, UsageError
from maskinfer.train.data.batches import EpochOrder, SampleCanvases, loader, measure_normalisation
from maskinfer.train.data.decoded import DecodedPhotos
from maskinfer.train.data.parts import Parts, read_parts
from maskinfer.train.networks.build import build
from maskinfer.train.networks.network import Losses, Network
from maskinfer.train.runs.curves import draw_curves
from maskinfer.train.runs.files import DECODED, PARTS, EpochRow, RunConfig, versions
from maskinfer.train.runs.folder import RunFolder, State

from .averaging import MovingAverage
from .calibration import Calibration
from .display import Display
from .initial_weights import load_initial_weights
from .measuring import batches_to_measure, measure_parts, to_device, total_loss
from .memory import bound_kept_memory, kept_memory
from .optimization import build_accelerator, build_optimizer, learning_rate
from .settings import TrainSettings, check

# Steps on a GPU whose losses are read together, as it is waited for at each reading. What a loss
# that is not a number updated meanwhile is never written.
_UNREAD = 16


def train(
    settings: TrainSettings, runs: Path, now: datetime, display: Display, parts: Parts | None = None
) -> RunFolder:
    """Train from the beginning, in a new folder under `runs` that is named by `now`.

    `parts` are trained on in place of the folders that the settings name. A `UsageError`,
    `DatasetError` or `TrainingError` where settings or data cannot be used.
    """
    trainer = Trainer(settings, display, parts)
    run = trainer.start(runs, now)
    trainer.fit(run)
    return run


def resume(
    run: RunFolder, epochs: int | None, display: Display, parts: Parts | None = None
) -> RunFolder:
    """Continue an interrupted run, on the `parts` that `train` was given, if it was.

    `epochs` is a new number of them; None leaves the one in the run's settings. A `RunError` where
    the run is damaged, or the data is not what it was.
    """
    config = run.read_config()
    settings = config.settings if epochs is None else replace(config.settings, epochs=epochs)
    trainer = Trainer(settings, display, parts)
    trainer.restore(run, config)
    if trainer.state.epochs_done >= settings.epochs:
        display.say(
            f"{run.path}: all {settings.epochs} epochs are done; give a higher --epochs to train on"
        )
        return run
    if trainer.is_main and epochs is not None:
        run.write_config(replace(config, settings=settings))
    trainer.fit(run)
    return run


def train_one_epoch(trainer: "Trainer", epoch: int) -> tuple[float, float]:
    """Pass once over the training images; epochs count from 1.

    Returns the mean loss over all processes, and the last learning rate; a `TrainingError` where a
    loss is not a number.
    """
    settings, accelerator, batches = trainer.settings, trainer.accelerator, trainer.train_batches
    model, optimizer, display = trainer.model, trainer.optimizer, trainer.display
    # Seeded anew each epoch, so that a resumed run samples proposals as it would have.
    torch.manual_seed((settings.seed * 10_007 + epoch) * 1_009 + accelerator.process_index)
    model.train()
    display.begin("train", len(batches))
    total, count, rate = 0.0, 0, 0.0
    unread: list[_Step] = []
    steps, group_size = len(batches), settings.accumulate
    for step, batch in enumerate(batches):
        # From the step of the whole run alone, so there is no scheduler whose state could be lost.
        done = (epoch - 1) * steps + step
        rate = learning_rate(settings, done, settings.epochs * steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        canvases, targets = to_device(batch, accelerator)  # (B, S, S, 3) uint8
        with accelerator.autocast():
            losses: Losses = model(canvases, targets)
        loss = total_loss(losses)
        # Each epoch's last group may be smaller.
        accelerator.backward(loss / min(group_size, steps - step // group_size * group_size))
        if (step + 1) % group_size == 0 or step + 1 == steps:
            if settings.clip_norm is not None:
                accelerator.clip_grad_norm_(model.parameters(), settings.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            if trainer.average:
                trainer.average.update(done // group_size)
        bound_kept_memory()
        unread.append(_Step({k: v.detach() for k, v in losses.items()}, batch.samples, rate))
        if not (canvases.is_cuda and count) or len(unread) == _UNREAD or step + 1 == steps:
            total, count = total + _read_losses(unread), count + sum(len(s.samples) for s in unread)
            unread.clear()
        display.step(total / count)
    total, count = np.sum(gather_object([(total, count)]), axis=0)
    return float(total / count), rate


class _Step(NamedTuple):
    """What is kept of a step until its loss is read."""

    losses: Losses
    samples: list[Sample]
    rate: float


def _read_losses(steps: list[_Step]) -> float:
    """The sum over all samples of their losses; a `TrainingError` where one is not a number."""
    values = torch.stack([total_loss(step.losses) for step in steps]).tolist()
    for step, value in zip(steps, values, strict=True):
        if not math.isfinite(value):
            parts = ", ".join(f"{name} {loss.item():.4g}" for name, loss in step.losses.items())
            names = ", ".join(sample.path.name for sample in step.samples[:4])
            more = f" and {len(step.samples) - 4} more" if len(step.samples) > 4 else ""
            raise TrainingError(
                f"the loss is not a number ({parts}) at learning rate {step.rate:.4g}, on "
                f"{names}{more}. Try a lower --lr"
            )
    return float(sum(v * len(s.samples) for v, s in zip(values, steps, strict=True)))


class Trainer:
    """A run in memory: network, optimizer, data, and how far it has come."""

    def __init__(self, settings: TrainSettings, display: Display, parts: Parts | None) -> None:
        """Build everything a run needs, without initial weights, and write nothing."""
        check(settings)
        self.settings = settings
        self.accelerator = build_accelerator(settings)
        self.is_main: bool = self.accelerator.is_main_process  # which writes the files
        processes = self.accelerator.num_processes
        if settings.batch_size % processes:
            raise UsageError(
                f"--batch-size: got {settings.batch_size}, expected a multiple of the "
                f"{processes} processes"
            )
        self.display = display
        self.parts = parts or read_parts(settings.data, settings.validation, settings.seed)
        torch.manual_seed(settings.seed)
        self.network = build(settings)

        mean, std = measure_normalisation(self.parts.train, settings.geometry, settings.seed)
        self.normalisation = {"mean": mean, "std": std}
        self.network.mean.copy_(torch.tensor(mean))
        self.network.std.copy_(torch.tensor(std))

        # Both as they are until `_prepare`.
        self.model: Module = self.network
        self.optimizer = build_optimizer(settings, self.network)
        self.average: MovingAverage | None = None
        samples, geometry = self.parts.train, settings.geometry
        self.order = EpochOrder(samples, settings, processes, self.accelerator.process_index)
        self.canvases = SampleCanvases(
            samples, geometry, settings.augment, settings.seed, settings.canvases
        )
        self.train_batches = loader(self.canvases, self.order, settings, processes)
        self.measured = batches_to_measure(self.parts, settings, self.accelerator)
        self.state = State()
        self.history: list[EpochRow] = []
        # Of the weights that the run begins with.
        self.calibration = Calibration()
        self.begins_whole = False
        self.machine: dict[str, Any] = {
            "device": self.accelerator.device.type,
            "processes": processes,
            "mixed_precision": self.accelerator.mixed_precision,
        }

    def start(self, runs: Path, now: datetime) -> RunFolder:
        """Load initial weights and make the run's folder."""
        # The first process fetches the weights, the others read its copy.
        with self.accelerator.main_process_first():
            initial = load_initial_weights(self.network, self.settings, self.display.say)
        self.calibration, self.begins_whole = initial.calibration, initial.whole
        self._prepare(initial.origin)
        if initial.whole:  # and so with its own normalisation
            mean, std = self.network.mean.tolist(), self.network.std.tolist()
            self.normalisation = {"mean": mean, "std": std}
        names: list[Any] = [None]
        if self.is_main:
            run = RunFolder.create(runs, self.settings.model, now)
            names = [str(run.path)]
            config = RunConfig(
                self.settings,
                initial.origin,
                self.normalisation,
                self.parts.summary(),
                self.machine,
                versions(),
                initial.calibration,
            )
            run.write_config(config)
            run.write_decisions(self.parts.decisions)
            run.write_parts(self.parts.by_name)
        return RunFolder(Path(broadcast_object_list(names)[0]))

    def restore(self, run: RunFolder, config: RunConfig) -> None:
        """Load a run's state after its last whole epoch.

        A `RunError` where the run is damaged, or its data or number of processes has changed.
        """
        if config.data["digest"] != self.parts.summary()["digest"]:
            raise RunError(
                f"{run.path}: the data has changed since this run began "
                f"({', '.join(self.settings.data)}); train anew"
            )
        if config.machine["processes"] != self.machine["processes"]:
            raise RunError(
                f"{run.path}: was trained by {config.machine['processes']} processes, got "
                f"{self.machine['processes']}; the order of its images depends on that, so use "
                "as many"
            )
        if config.machine != self.machine:
            self.display.say(f"This run began on {config.machine} and continues on {self.machine}")
        self._prepare(config.initial_weights)
        self.state = run.read_last(self._networks(), self.optimizer)
        if self.accelerator.scaler is not None and self.state.scaler:
            self.accelerator.scaler.load_state_dict(self.state.scaler)
        # A run stopped between writing its history and its state has a row too many.
        done = self.state.epochs_done
        self.history = [row for row in run.read_history() if row.epoch <= done]
        self.calibration = config.initial_calibration

    def _prepare(self, origin: str) -> None:
        """Place network and optimizer on the device, once it is known where the weights are from.

        Before the optimizer has a state: else Adam's step counts would be moved to the GPU too,
        which stops whenever one of them is read.
        """
        self.network.begin_from(origin)
        if self.settings.freeze_statistics:
            self.network.keeps_statistics_of = ""
        if self.accelerator.num_processes > 1 and self.accelerator.device.type == "cuda":
            # Not torch's, which would leave out the activations that timm's layers hold.
            self.network = convert_sync_batchnorm(self.network)  # type: ignore[no-untyped-call]
        built = torch.compile(self.network) if self.settings.compile else self.network
        self.model, self.optimizer = self.accelerator.prepare(built, self.optimizer)
        if self.settings.average:
            self.average = MovingAverage(self.network, self.settings.average)

    def _networks(self) -> list[Network]:
        """What is trained, and its average if there is one: the last is measured and kept."""
        return [self.network, *([self.average.network] if self.average else [])]

    @kept_memory()
    def fit(self, run: RunFolder) -> None:
        """Train until the last epoch or until validation stops improving."""
        settings, accelerator = self.settings, self.accelerator
        dropped, measured = len(self.parts.decisions), self.measured["train"].count
        few = f" ({measured} of them measured)" if measured < len(self.parts.train) else ""
        self.display.say(
            f"{settings.model}, {settings.backbone} on {accelerator.device}: "
            f"{len(self.parts.train)} training{few}, {len(self.parts.validation)} validation and "
            f"{len(self.parts.test)} test images"
            + (f"; {dropped} dropped or repaired, see cleaning.csv" if dropped else "")
        )
        for folder in self.parts.divided:
            self.display.say(
                f"{folder}: no train/ and test/ in it, so a fifth of its photos is for testing, "
                f"with their copies; {run.path / PARTS} says which"
            )
        labels = {sample.proper_mask for sample in self.parts.train}
        if len(labels) == 1:
            self.display.say(
                f"Every training image is labelled {labels.pop()}, so the network will answer "
                "nothing else"
            )
        if settings.log is not None:
            accelerator.project_configuration.logging_dir = str(run.path)
            words = {name: str(value) for name, value in asdict(settings).items()}
            accelerator.init_trackers("maskinfer", words)
        decoded = DecodedPhotos(run.path / DECODED, accelerator.num_processes)
        self.canvases.decoded = decoded
        try:
            with self.display.start(run.path, self.state.epochs_done, settings.epochs):
                if self.begins_whole:
                    self._measure(run, 0, time.monotonic())
                while self.state.epochs_done < settings.epochs and not self._is_stuck():
                    began = time.monotonic()
                    self.order.epoch = epoch = self.state.epochs_done + 1
                    loss, rate = train_one_epoch(self, epoch)
                    if accelerator.num_processes > 1:
                        # Batch norm's statistics differ by process; those of the first are kept.
                        for network in self._networks():
                            for buffer in network.buffers():
                                torch.distributed.broadcast(buffer, 0)
                    self._measure(run, epoch, began, learning_rate=rate, train_loss=loss)
        except KeyboardInterrupt as stop:
            done = self.state.epochs_done
            raise KeyboardInterrupt(
                f"after epoch {done}. Continue with: maskinfer train --resume "
                f"{shlex.quote(str(run.path))}"
                if self.history
                else f"before the first epoch ended; {run.path} holds nothing to resume"
            ) from stop
        except RuntimeError as error:
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise
            why = " ".join(str(error).split())[:200]
            raise TrainingError(
                f"--compile: torch cannot compile the network ({why}). It needs a C++ compiler, or "
                "Triton on a GPU; train without --compile"
            ) from error
        finally:
            decoded.remove()
        if fault := self.history[-1].fault:
            self.display.say(f"Warning: the network {fault}")
        accelerator.end_training()

    def _measure(self, run: RunFolder, epoch: int, began: float, **trained: float) -> None:
        """Measure the network after an epoch, write the results, and advance the state.

        Epoch 0 is before the first; `began` is of the monotonic clock, `trained` what only
        training tells.
        """
        answering = self._networks()[-1]
        figures, calibration = measure_parts(
            answering, self.measured, self.accelerator, self.display, self.calibration
        )
        if epoch == 0 and self.calibration.images:  # which knows the same weights from more images
            calibration = self.calibration
        seconds = time.monotonic() - began
        row = EpochRow(epoch, seconds, **({"learning_rate": 0.0} | figures | trained))
        was, score, scaler = self.state, row.score, self.accelerator.scaler
        is_best = score is None or score > was.best_score
        self.state = State(
            epochs_done=epoch,
            best_epoch=epoch if is_best else was.best_epoch,
            best_score=was.best_score if score is None else max(score, was.best_score),
            scaler=scaler.state_dict() if scaler is not None else None,
        )
        self.history.append(row)
        if self.is_main:
            # The state comes last: until then, resuming repeats the epoch.
            run.write_history(self.history)
            if is_best:
                run.write_best(answering, epoch, calibration)
            run.write_last(self._networks(), self.optimizer, self.state)
            measured = {name: batches.count for name, batches in self.measured.items()}
            path = run.path / "curves.png"
            draw_curves(self.history, self.state.best_epoch, measured, run.path.name, path)
        figures = {name: value for name, value in asdict(row).items() if value is not None}
        self.accelerator.log(figures, step=epoch)
        self.accelerator.wait_for_everyone()
        self.display.end_epoch(row, is_best)

    def _is_stuck(self) -> bool:
        patience, state = self.settings.patience, self.state
        if patience is None or not self.parts.validation:
            return False
        if state.epochs_done - state.best_epoch < patience:
            return False
        self.display.say(
            f"Stopped early: no better validation score in {patience} epochs; "
            f"the best was epoch {state.best_epoch}"
        )
        return True
