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
from maskinfer.train.data.batches import Batch, SampleCanvases, loader, share
from maskinfer.train.data.parts import Parts
from maskinfer.train.networks.network import Losses, Network, Targets

from .calibration import Calibration, calibrate
from .display import Display
from .settings import TrainSettings

# Training figures are measured on as many training images as there are test images, but no more
# than this, always the same ones.
_TRAIN_SAMPLE = 256


class Figures(NamedTuple):
    """What one part of the data measured.

    A network that learns all faces is measured on the known face that its box overlaps most.
    """

    loss: float  # the mean
    metrics: Metrics
    proper_mask: NDArray[np.float64]  # (N,) probabilities
    is_proper: NDArray[np.bool_]  # (N,) labels


def measure_parts(
    network: Network,
    parts: Parts,
    settings: TrainSettings,
    accelerator: Accelerator,
    display: Display,
    earlier: Calibration,
) -> tuple[dict[str, Any], Calibration]:
    """Measure a network after an epoch, which is put in evaluation mode.

    `earlier` is what is known of the probabilities of the weights that the run began with.

    Returns:
        figures by the names of `EpochRow`, and what the validation part teaches about its
        probabilities.
    """

    def measure_part(name: str, samples: Sequence[Sample]) -> Figures:
        display.begin(name, -(-len(samples) // settings.batch_size))
        return measure_samples(network, samples, settings, accelerator, display.step)

    few = parts.train_sample(min(_TRAIN_SAMPLE, len(parts.test)))
    train = measure_part("measure train", few)
    test = measure_part("test", parts.test)
    validation = measure_part("validation", parts.validation) if parts.validation else None
    figures: dict[str, Any] = {
        "train_loss": train.loss,
        "train_accuracy": train.metrics.accuracy,
        "train_iou": train.metrics.mean_iou,
    }
    for part, measured in (("validation", validation), ("test", test)):
        figures |= {
            f"{part}_loss": measured and measured.loss,
            f"{part}_accuracy": measured and measured.metrics.accuracy,
            f"{part}_balanced_accuracy": measured and measured.metrics.balanced_accuracy,
            f"{part}_iou": measured and measured.metrics.mean_iou,
        }
    if validation is None:
        return figures, earlier
    return figures, calibrate(validation.proper_mask, validation.is_proper, earlier)


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
        on_batch: called with the mean loss so far after each batch of this process.
    """
    processes = accelerator.num_processes
    own = share(len(samples), processes, accelerator.process_index)
    batches = loader(SampleCanvases(samples, settings.geometry), own, settings, processes)
    network.eval()
    loss_sum, rows = 0.0, list[tuple[float, bool, float]]()
    for batch in batches:
        canvases, targets = to_device(batch, accelerator)
        with torch.no_grad(), accelerator.autocast():
            losses, detections = network.measure(canvases, targets)
        boxes = canvas_to_image(detections.boxes_xywh.float().cpu().numpy(), batch.placements)
        if network.learns_all_faces:
            faces = [_nearest(box, s) for box, s in zip(boxes, batch.samples, strict=True)]
        else:
            faces = [s.faces[0] for s in batch.samples]
        overlap = iou_xywh(boxes, [face.box_xywh for face in faces])
        truth = [face.proper_mask for face in faces]
        rows += zip(overlap.tolist(), truth, detections.proper_mask.tolist(), strict=True)
        loss_sum += total_loss(losses).item() * len(canvases)
        on_batch(loss_sum / len(rows))
    loss_sum = float(np.sum(gather_object([loss_sum])))
    gathered = gather_object(rows)
    overlaps, truths, probabilities = (np.array(c) for c in zip(*gathered, strict=True))
    metrics = measure(overlaps, truths, probabilities >= 0.5)
    return Figures(loss_sum / len(samples), metrics, probabilities, truths)


def _nearest(box_xywh: Boxes, sample: Sample) -> Face:
    """The known face that a box overlaps most; the labelled one where it overlaps none."""
    faces = sample.faces
    overlap = iou_xywh(np.tile(box_xywh, (len(faces), 1)), [face.box_xywh for face in faces])
    return faces[int(overlap.argmax())]


def to_device(batch: Batch, accelerator: Accelerator) -> tuple[Tensor, Targets]:
    """A batch's canvases and targets on the device that computes."""
    device = accelerator.device
    targets = Targets(*(tensor.to(device, non_blocking=True) for tensor in batch.targets))
    return batch.canvases.to(device, non_blocking=True), targets


def total_loss(losses: Losses) -> Tensor:
    """The sum that is minimised."""
    return torch.stack([loss.float() for loss in losses.values()]).sum()
