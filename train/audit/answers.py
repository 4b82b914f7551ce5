"""What a network that predicts several faces answers about the labelled face of each image."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskinfer.data.boxes import Boxes, iou_xywh, xyxy_to_xywh
from maskinfer.data.geometry import canvas_to_image, image_to_canvas
from maskinfer.data.labels import Sample
from maskinfer.train.data.batches import MeasuredBatches
from maskinfer.train.memory import kept_memory
from maskinfer.train.networks.network import Network
from maskinfer.train.settings import TrainSettings

# A network trained on zoomed photos sees more on a larger canvas than it was trained on. Measured
# on planted noise: docs/experiments.md.
_FINER = 1.5


class Answer(NamedTuple):
    """A network's answer about one image: in pixels of the upright image, and 0..1."""

    box_xywh: tuple[float, float, float, float]
    probability: float
    score: float


@kept_memory()
def answer_samples(
    network: Network, samples: Sequence[Sample], settings: TrainSettings
) -> list[Answer]:
    """Ask a network about images that it did not learn.

    Of all faces that it considers, the one that is a face most surely and overlaps the label most;
    the best-scored one where none overlaps it. Asked on a finer canvas than it was trained on, of
    the photo and of its mirror image, whose log-odds are averaged.
    """
    device = next(network.parameters()).device
    side = settings.geometry.canvas
    network.canvas = round(_FINER * side / 32) * 32
    resize = round(settings.geometry.resize * network.canvas / side)
    geometry = replace(settings.geometry, canvas=network.canvas, resize=resize)
    network.eval()
    answers: list[Answer] = []
    for batch in MeasuredBatches(samples, replace(settings, geometry=geometry)):
        canvases = batch.canvases.to(device)
        labelled = image_to_canvas([s.box_xywh for s in batch.samples], batch.placements)
        boxes, logits, scores = _choose(network, canvases, labelled)
        mirror = labelled.copy()
        mirror[:, 0] = network.canvas - labelled[:, 0] - labelled[:, 2]
        _, mirrored_logits, mirrored_scores = _choose(network, canvases.flip(2), mirror)
        boxes = canvas_to_image(boxes, batch.placements)
        probabilities = 1 / (1 + np.exp(-(logits + mirrored_logits) / 2))
        columns = (probabilities.tolist(), ((scores + mirrored_scores) / 2).tolist())
        rows = zip(boxes.tolist(), *columns, strict=True)
        answers += [Answer(tuple(box), probability, score) for box, probability, score in rows]
    return answers


def _choose(
    network: Network, canvases: Tensor, labelled_xywh: Boxes
) -> tuple[Boxes, NDArray[np.float64], NDArray[np.float64]]:
    """The candidates meant in B canvases: boxes (B, 4), log-odds of a proper mask, scores (B,)."""
    with torch.inference_mode():
        images = network.candidates(canvases)
    chosen = []
    for candidates, label_xywh in zip(images, labelled_xywh, strict=True):
        boxes = xyxy_to_xywh(candidates.boxes_xyxy.cpu().numpy())
        score = candidates.score.double().cpu().numpy()
        overlap = iou_xywh(boxes, label_xywh) * score
        best = int(overlap.argmax() if overlap.max() > 0 else score.argmax())
        logit = torch.logit(candidates.proper_mask[best].double(), eps=1e-6)
        chosen.append((boxes[best], logit.item(), score[best]))
    boxes, logits, scores = map(np.array, zip(*chosen, strict=True))
    return boxes, logits, scores
