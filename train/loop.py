"""The training loop: one for all networks, on one process or several."""

import math
import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list, gather_object
from torch.nn import Module
from torch.optim import Optimizer

from maskinfer.data.labels import Sample
from maskinfer.errors import RunError, TrainingError, UsageError
from maskinfer.train.data.batches import (
    Batch,
    EpochOrder,
    SampleCanvases,
    loader,
    measure_normalisation,
)
from maskinfer.train.data.parts import Parts, read_parts
from maskinfer.train.networks.build import build, load_initial_weights
from maskinfer.train.networks.network import Losses
from maskinfer.train.runs.curves import draw_curves
from maskinfer.train.runs.files import EpochRow, RunConfig, versions
from maskinfer.train.runs.folder import RunFolder, State

from .calibration import Calibration, calibrate
from .display import Display
from .measuring import Figures, measure_samples, to_device, total_loss
from .optimization import build_accelerator, build_optimizer, learning_rate
from .settings import TrainSettings, check

# Training figures are measured on as many training images as there are test images, but no more
# than this, always the same ones.
_TRAIN_SAMPLE = 256


class Trainer:
    """A run in memory: network, optimizer, data, and where it stands."""

    def __init__(
        self, settings: TrainSettings, display: Display, parts: Parts | None = None
    ) -> None:
        """Build everything a run needs, with initial weights, and write nothing.

        Args:
            settings: what to do.
            display: where the run shows how it goes.
            parts: what to learn and to be measured on; None reads the folders of the settings.

        Raises:
            UsageError, DatasetError, TrainingError: settings or data cannot be used.
        """
        check(settings)
        self.settings = settings
        self.accelerator = build_accelerator(settings)
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

        self.optimizer: Optimizer = build_optimizer(settings, self.network)
        self.order = EpochOrder(
            np.array([sample.proper_mask for sample in self.parts.train]),
            settings.balance,
            settings.seed,
            processes,
            self.accelerator.process_index,
        )
        augmented = SampleCanvases(
            self.parts.train, settings.geometry, settings.augment, settings.seed
        )
        self.train_batches = loader(
            augmented,
            self.order,
            settings.batch_size // processes,
            settings.workers,
            whole_batches=True,
        )
        self.steps = len(self.train_batches)
        self.state = State()
        self.history: list[EpochRow] = []

    @property
    def is_main(self) -> bool:
        """Whether this process writes and speaks."""
        return bool(self.accelerator.is_main_process)

    def start(self, runs: Path, now: Any) -> RunFolder:
        """Load initial weights and make the run's folder."""
        with self.accelerator.main_process_first():
            origin = load_initial_weights(self.network, self.settings, self.display.say)
        config = RunConfig(
            self.settings,
            origin,
            self.normalisation,
            self.parts.summary(),
            self._machine(),
            versions(),
        )
        names: list[Any] = [None]
        if self.is_main:
            run = RunFolder.create(runs, self.settings.model, now)
            names = [str(run.path)]
            run.write_config(config)
            run.write_decisions(self.parts.decisions)
        run = RunFolder(Path(broadcast_object_list(names)[0]))
        self._say_parts()
        return run

    def resume(self, run: RunFolder) -> None:
        """Go on from a run's last whole epoch.

        Raises:
            RunError: the run is damaged, or the data is not what it was.
        """
        config = run.read_config()
        was, now = config.data["digest"], self.parts.summary()["digest"]
        if was != now:
            raise RunError(
                f"{run.path}: the data has changed since this run began "
                f"({', '.join(self.settings.data)}); train anew"
            )
        trained_by, here = config.machine, self._machine()
        if trained_by["processes"] != here["processes"]:
            raise RunError(
                f"{run.path}: was trained by {trained_by['processes']} processes, got "
                f"{here['processes']}; the order of its images hangs on that, so use as many"
            )
        if trained_by != here:
            self.display.say(f"This run was begun on {trained_by}, and goes on on {here}")
        self.state = run.read_last(self.network, self.optimizer)
        self.history = run.read_history()[: self.state.epochs_done]
        self._say_parts()

    def fit(self, run: RunFolder) -> None:
        """Train until the last epoch or until validation stops getting better.

        Raises:
            TrainingError: a loss is not a number.
        """
        scaler = self.accelerator.scaler
        if scaler is not None and self.state.scaler:
            scaler.load_state_dict(self.state.scaler)
        model, optimizer = self.accelerator.prepare(self.network, self.optimizer)
        try:
            with self.display.start(run.path, self.state.epochs_done, self.settings.epochs):
                while self.state.epochs_done < self.settings.epochs and not self._is_stuck():
                    began = time.monotonic()
                    epoch = self.state.epochs_done + 1
                    loss, rate = self._train_epoch(model, optimizer, epoch)
                    row, calibration = self._measure_epoch(epoch, loss, rate, began)
                    network = self.accelerator.unwrap_model(model)
                    self._keep(run, row, calibration, network, optimizer)
        except KeyboardInterrupt as stop:
            done = self.state.epochs_done
            path = shlex.quote(str(run.path))
            raise KeyboardInterrupt(
                f"after epoch {done}. Go on with: maskinfer train --resume {path}"
                if done
                else f"before the first epoch ended; {run.path} holds nothing to go on from"
            ) from stop
        self.accelerator.end_training()

    def _train_epoch(self, model: Module, optimizer: Any, epoch: int) -> tuple[float, float]:
        """One pass over the training images; returns the mean loss and the last rate."""
        settings = self.settings
        self.order.epoch = epoch
        # Seeded anew each epoch, so that a resumed run samples proposals as it would have.
        torch.manual_seed((settings.seed * 10_007 + epoch) * 1_009 + self.accelerator.process_index)
        model.train()
        self.display.begin("train", self.steps)
        total, count, rate = 0.0, 0, 0.0
        for step, batch in enumerate(self.train_batches):
            rate = learning_rate(
                settings, (epoch - 1) * self.steps + step, self.steps * settings.epochs
            )
            for group in optimizer.param_groups:
                group["lr"] = rate
            canvases, targets = to_device(batch, self.accelerator)
            with self.accelerator.autocast():
                losses: Losses = model(canvases, targets)
            loss = total_loss(losses)
            value = loss.item()
            if not math.isfinite(value):
                raise TrainingError(_not_finite(losses, batch, rate))
            optimizer.zero_grad()
            self.accelerator.backward(loss)
            if settings.clip_norm is not None:
                self.accelerator.clip_grad_norm_(model.parameters(), settings.clip_norm)
            optimizer.step()
            total, count = total + value * len(canvases), count + len(canvases)
            self.display.step(total / count)
        sums = np.sum(gather_object([(total, count)]), axis=0)
        return float(sums[0] / sums[1]), rate

    def _machine(self) -> dict[str, Any]:
        return {
            "device": self.accelerator.device.type,
            "processes": self.accelerator.num_processes,
            "mixed_precision": self.accelerator.mixed_precision,
        }

    def _measure_epoch(
        self, epoch: int, loss: float, rate: float, began: float
    ) -> tuple[EpochRow, Calibration]:
        if self.accelerator.num_processes > 1:
            # Each process has batch-norm statistics of its own last step; the first one's are kept.
            for buffer in self.network.buffers():
                torch.distributed.broadcast(buffer, 0)
        train = self._measure(
            "measure train", self.parts.train_sample(min(_TRAIN_SAMPLE, len(self.parts.test)))
        )
        test = self._measure("test", self.parts.test)
        validation = (
            self._measure("validation", self.parts.validation) if self.parts.validation else None
        )
        row = EpochRow(
            epoch=epoch,
            seconds=time.monotonic() - began,
            learning_rate=rate,
            train_loss=loss,
            train_accuracy=train.accuracy,
            train_iou=train.iou,
            validation_loss=validation.loss if validation else None,
            validation_accuracy=validation.accuracy if validation else None,
            validation_balanced_accuracy=(validation.balanced_accuracy if validation else None),
            validation_iou=validation.iou if validation else None,
            test_loss=test.loss,
            test_accuracy=test.accuracy,
            test_balanced_accuracy=test.balanced_accuracy,
            test_iou=test.iou,
        )
        if validation is None:
            return row, Calibration()
        return row, calibrate(validation.proper_mask, validation.is_proper)

    def _measure(self, what: str, samples: Sequence[Sample]) -> Figures:
        self.display.begin(what, -(-len(samples) // self.settings.batch_size))
        return measure_samples(
            self.network, samples, self.settings, self.accelerator, self.display.step
        )

    def _keep(
        self,
        run: RunFolder,
        row: EpochRow,
        calibration: Calibration,
        network: Module,
        optimizer: Any,
    ) -> None:
        """Write what the epoch brought, and move the state on."""
        score = row.score
        is_best = score is None or score > self.state.best_score
        scaler = self.accelerator.scaler
        self.state = State(
            epochs_done=row.epoch,
            best_epoch=row.epoch if is_best else self.state.best_epoch,
            best_score=self.state.best_score
            if score is None
            else max(score, self.state.best_score),
            scaler=scaler.state_dict() if scaler is not None else None,
        )
        self.history.append(row)
        if self.is_main:
            run.write_history(self.history)
            if is_best:
                run.write_best(network, row.epoch, calibration)
            run.write_last(network, getattr(optimizer, "optimizer", optimizer), self.state)
            draw_curves(self.history, self.state.best_epoch, run.path.name, run.path / "curves.png")
        self.accelerator.wait_for_everyone()
        self.display.end_epoch(row, is_best)

    def _is_stuck(self) -> bool:
        patience = self.settings.patience
        if patience is None or not self.parts.validation:
            return False
        stuck = self.state.epochs_done - self.state.best_epoch >= patience
        if stuck:
            self.display.say(
                f"Stopped early: no better validation score in {patience} epochs; "
                f"the best was epoch {self.state.best_epoch}"
            )
        return stuck

    def _say_parts(self) -> None:
        dropped = len(self.parts.decisions)
        self.display.say(
            f"{self.settings.model}, {self.settings.backbone} on {self.accelerator.device}: "
            f"{len(self.parts.train)} training, {len(self.parts.validation)} validation and "
            f"{len(self.parts.test)} test images"
            + (f"; {dropped} dropped or repaired, see cleaning.csv" if dropped else "")
        )


def train(
    settings: TrainSettings,
    runs: Path,
    now: Any,
    display: Display,
    parts: Parts | None = None,
) -> RunFolder:
    """Train from the beginning.

    Args:
        settings: what to do.
        runs: where the run's folder is made.
        now: a datetime, for the folder's name.
        display: where the run shows how it goes.
        parts: in place of the folders that the settings name.

    Returns:
        the run's folder.
    """
    trainer = Trainer(settings, display, parts)
    run = trainer.start(runs, now)
    trainer.fit(run)
    return run


def resume(
    run: RunFolder, epochs: int | None, display: Display, parts: Parts | None = None
) -> RunFolder:
    """Go on with a run that was interrupted, exactly as it would have gone on.

    Args:
        run: its folder.
        epochs: a new number of epochs, or None for the one it was told.
        display: where the run shows how it goes.
        parts: those that it was trained with, where `train` was given them.
    """
    config = run.read_config()
    settings = config.settings if epochs is None else replace(config.settings, epochs=epochs)
    trainer = Trainer(settings, display, parts)
    trainer.resume(run)
    if trainer.state.epochs_done >= settings.epochs:
        display.say(
            f"{run.path}: all {settings.epochs} epochs are done; give a higher --epochs to go on"
        )
        return run
    if trainer.is_main and epochs is not None:
        run.write_config(replace(config, settings=settings))
    trainer.fit(run)
    return run


def _not_finite(losses: Losses, batch: Batch, rate: float) -> str:
    values = ", ".join(f"{name} {loss.item():.4g}" for name, loss in losses.items())
    names = ", ".join(sample.path.name for sample in batch.samples[:4])
    more = f" and {len(batch.samples) - 4} more" if len(batch.samples) > 4 else ""
    return (
        f"the loss is not a number ({values}) at learning rate {rate:.4g}, on {names}{more}. "
        "Try a lower --lr"
    )
