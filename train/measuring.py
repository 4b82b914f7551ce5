"""Loss, IoU and accuracy of a network over samples, on one process or several."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray
from torch import Tensor

from maskinfer.data.boxes import Boxes, iou_xywh
from maskinfer.data.geometry import canvas_to_image
from maskinfer.data.labels import Face, Sample
from maskinfer.evaluation.metrics import Metrics, measure
from maskinfer.train.data.augmentation import Changes
from maskinfer.train.data.batches import Batch, MeasuredBatches
from maskinfer.train.data.parts import Parts
from maskinfer.train.networks.network import Losses, Network, Targets
from maskinfer.train.runs.files import measured_of_training

from .calibration import Calibration, calibrate
from .display import Display
from .settings import TrainSettings


class Figures(NamedTuple):
    """What one part of the data measured."""

    loss: float  # the mean
    metrics: Metrics  # of the labelled face
    nearest: Metrics | None  # of the known face nearest to the answer, if the network learns all
    proper_mask: NDArray[np.float64]  # (N,) probabilities
    is_proper: NDArray[np.bool_]  # (N,) labels, of the nearest face where that is measured


def batches_to_measure(
    parts: Parts, settings: TrainSettings, accelerator: Accelerator
) -> dict[str, MeasuredBatches]:
    """What this process measures of each part with samples: `train`, `validation`, `test`."""
    most = measured_of_training(len(parts.train), len(parts.test))
    # Evenly spaced, so always the same ones.
    places = np.linspace(0, len(parts.train) - 1, most).round().astype(int)
    few = [parts.train[place] for place in places]
    tested = parts.test if settings.measure_test else []
    named = {"train": few, "test": tested, "validation": parts.validation}
    process = (accelerator.num_processes, accelerator.process_index)
    return {
        name: MeasuredBatches(samples, settings, *process)
        for name, samples in named.items()
        if samples
    }


def measure_parts(
    network: Network,
    parts: dict[str, MeasuredBatches],
    accelerator: Accelerator,
    display: Display,
    earlier: Calibration,
) -> tuple[dict[str, Any], Calibration]:
    """Measure a network after an epoch, which is put in evaluation mode.

    Returns figures of the `parts`, by the names of `EpochRow`, and what the validation part teaches
    about its probabilities, else what was known `earlier`, of the weights that the run began with.
    """
    measured = {}
    for name, batches in parts.items():
        display.begin("measure train" if name == "train" else name, len(batches))
        measured[name] = measure_samples(network, batches, accelerator, display.step)
    figures: dict[str, Any] = {}
    for part in ("train", "validation", "test"):
        those = measured.get(part)
        figures |= {
            f"{part}_loss": those and those.loss,
            f"{part}_accuracy": those and those.metrics.accuracy,
            f"{part}_balanced_accuracy": those and those.metrics.balanced_accuracy,
            f"{part}_iou": those and those.metrics.mean_iou,
        }
        if those and those.nearest and part != "train":
            figures[f"{part}_nearest_iou"] = those.nearest.mean_iou
            figures[f"{part}_nearest_balanced_accuracy"] = those.nearest.balanced_accuracy
    if validation := measured.get("validation"):
        earlier = calibrate(validation.proper_mask, validation.is_proper, earlier)
    return figures, earlier


def measure_samples(
    network: Network,
    batches: MeasuredBatches,
    accelerator: Accelerator,
    on_batch: Callable[[float], None],
) -> Figures:
    """Measure a network, which is on the accelerator's device and put in evaluation mode.

    The batches are this process's share, of at least one sample; boxes lie in their images.
    `on_batch` is told the mean loss so far after each of them.
    """
    network.eval()
    loss_sum, rows = 0.0, list[tuple[float, bool, float, bool, float]]()
    for batch in batches:
        canvases, targets = to_device(batch, accelerator)
        with torch.no_grad(), accelerator.autocast():
            losses, detections = network.measure(canvases, targets)
        boxes = canvas_to_image(detections.boxes_xywh.float().cpu().numpy(), batch.placements)
        columns: list[Sequence[float]] = []
        labelled = [s.faces[0] for s in batch.samples]
        nearest = [_nearest(box, s) for box, s in zip(boxes, batch.samples, strict=True)]
        for faces in (labelled, nearest):
            columns.append(iou_xywh(boxes, [face.box_xywh for face in faces]).tolist())
            columns.append([face.proper_mask for face in faces])
        rows += zip(*columns, detections.proper_mask.tolist(), strict=True)
        loss_sum += total_loss(losses).item() * len(canvases)
        on_batch(loss_sum / len(rows))
    loss_sum = float(np.sum(gather_object([loss_sum])))
    gathered = zip(*gather_object(rows), strict=True)
    overlap, proper, near_overlap, near_proper, probability = map(np.array, gathered)
    metrics, nearest_metrics = measure(overlap, proper, probability >= 0.5), None
    if network.learns_all_faces:
        proper = near_proper
        nearest_metrics = measure(near_overlap, near_proper, probability >= 0.5)
    return Figures(loss_sum / batches.count, metrics, nearest_metrics, probability, proper)


def _nearest(box_xywh: Boxes, sample: Sample) -> Face:
    """The known face that a box overlaps most; the labelled one where it overlaps none."""
    faces = sample.faces
    overlap = iou_xywh(np.tile(box_xywh, (len(faces), 1)), [face.box_xywh for face in faces])
    return faces[int(overlap.argmax())]


def to_device(batch: Batch, accelerator: Accelerator) -> tuple[Tensor, Targets]:
    """A batch's canvases and targets on the device that computes, changed where they are to be."""
    device = accelerator.device
    targets = Targets(*(tensor.to(device, non_blocking=True) for tensor in batch.targets))
    canvases = batch.canvases.to(device, non_blocking=True)
    if batch.changes is None:
        return canvases, targets
    changes = Changes(*(tensor.to(device, non_blocking=True) for tensor in batch.changes))
    return changes.make(canvases, targets)


def total_loss(losses: Losses) -> Tensor:
    """The sum that is minimised."""
    return torch.stack([loss.float() for loss in losses.values()]).sum()
