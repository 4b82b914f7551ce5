"""What a network that predicts several faces answers about the labelled face of each image."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from maskinfer.data.boxes import Boxes, iou_xywh
from maskinfer.data.geometry import canvas_to_image, image_to_canvas
from maskinfer.data.labels import Sample
from maskinfer.train.data.batches import SampleCanvases, Share, loader
from maskinfer.train.networks.network import Candidates, Network
from maskinfer.train.settings import TrainSettings

# A network trained on zoomed photos sees more on a larger canvas than it was trained on. Measured
# on planted noise: docs/experiments.md.
_FINER = 1.5


class Answer(NamedTuple):
    """A network's answer about one image: in pixels of the upright image, and 0..1."""

    box_xywh: tuple[float, float, float, float]
    probability: float
    score: float


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
    geometry = replace(
        settings.geometry,
        canvas=network.canvas,
        resize=round(settings.geometry.resize * network.canvas / side),
    )
    batches = loader(SampleCanvases(samples, geometry), Share(len(samples), 1, 0), settings)
    network.eval()
    answers: list[Answer] = []
    for batch in batches:
        canvases = batch.canvases.to(device)
        labelled = image_to_canvas([s.box_xywh for s in batch.samples], batch.placements)
        straight = _choose_all(network, canvases, labelled)
        mirror = labelled.copy()
        mirror[:, 0] = network.canvas - labelled[:, 0] - labelled[:, 2]
        mirrored = _choose_all(network, canvases.flip(2), mirror)
        boxes = canvas_to_image([face.box_xywh for face in straight], batch.placements)
        answers += [
            Answer(tuple(box), _sigmoid((a.logit + b.logit) / 2), (a.score + b.score) / 2)
            for box, a, b in zip(boxes.tolist(), straight, mirrored, strict=True)
        ]
    return answers


class _Chosen(NamedTuple):
    """The candidate that is meant: in canvas pixels, log-odds of a proper mask, 0..1."""

    box_xywh: Boxes
    logit: float
    score: float


def _choose_all(network: Network, canvases: Tensor, labelled_xywh: Boxes) -> list[_Chosen]:
    with torch.inference_mode():
        candidates = network.candidates(canvases)
    return [_choose(*pair) for pair in zip(candidates, labelled_xywh, strict=True)]


def _choose(candidates: Candidates, label_xywh: Boxes) -> _Chosen:
    boxes = candidates.boxes_xyxy.double().cpu().numpy()
    boxes[:, 2:] -= boxes[:, :2]
    score = candidates.score.double().cpu().numpy()
    overlap = iou_xywh(boxes, label_xywh) * score
    best = int(overlap.argmax() if overlap.max() > 0 else score.argmax())
    logit = torch.logit(candidates.proper_mask[best].double(), eps=1e-6)
    return _Chosen(boxes[best], float(logit), float(score[best]))


def _sigmoid(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))
