"""Loss, IoU and accuracy of a network over samples, on one process or several."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from maskinfer.boxes import iou_xywh
from maskinfer.dataset import Sample
from maskinfer.geometry import canvas_to_image
from maskinfer.metrics import measure

from .batches import Batch, SampleCanvases, Share, loader
from .detections import Losses, Network, Targets
from .settings import TrainSettings


@dataclass(frozen=True)
class Figures:
    """What one part of the data measured; IoU and accuracies are means in 0..1."""

    loss: float
    iou: float
    accuracy: float
    balanced_accuracy: float


def measure_samples(
    network: Network,
    samples: Sequence[Sample],
    settings: TrainSettings,
    accelerator: Accelerator,
    on_batch: Callable[[float], None],
) -> Figures:
    """Measure a network, which is put in evaluation mode.

    Args:
        network: on the accelerator's device.
        samples: at least one; their boxes lie in their images.
        settings: geometry, batch size and workers.
        accelerator: the processes among which the samples are shared out.
        on_batch: told the mean loss so far after each batch of this process.
    """
    share = Share(len(samples), accelerator.num_processes, accelerator.process_index)
    batches = loader(
        SampleCanvases(samples, settings.geometry),
        share,
        settings.batch_size // accelerator.num_processes,
        settings.workers,
        whole_batches=False,
    )
    network.eval()
    loss_sum, rows = 0.0, list[tuple[float, bool, bool]]()
    for batch in batches:
        canvases, targets = to_device(batch, accelerator)
        with torch.no_grad(), accelerator.autocast():
            losses, found = network.measure(canvases, targets)
        boxes = canvas_to_image(found.boxes_xywh.float().cpu().numpy(), batch.placements)
        overlap = iou_xywh(boxes, [sample.box_xywh for sample in batch.samples])
        truth = [sample.proper_mask for sample in batch.samples]
        rows += zip(overlap.tolist(), truth, (found.proper_mask >= 0.5).tolist(), strict=True)
        loss_sum += total_loss(losses).item() * len(canvases)
        on_batch(loss_sum / len(rows))
    loss_sum = float(np.sum(gather_object([loss_sum])))
    columns: list[Any] = [np.array(column) for column in zip(*gather_object(rows), strict=True)]
    metrics = measure(*columns)
    assert metrics.mean_iou is not None
    assert metrics.accuracy is not None
    assert metrics.balanced_accuracy is not None
    return Figures(
        loss_sum / len(samples), metrics.mean_iou, metrics.accuracy, metrics.balanced_accuracy
    )


def to_device(batch: Batch, accelerator: Accelerator) -> tuple[Tensor, Targets]:
    """A batch's canvases and targets on the device that computes."""
    device = accelerator.device
    targets = Targets(*(tensor.to(device, non_blocking=True) for tensor in batch.targets))
    return batch.canvases.to(device, non_blocking=True), targets


def total_loss(losses: Losses) -> Tensor:
    """The sum that is minimised."""
    return torch.stack([loss.float() for loss in losses.values()]).sum()
