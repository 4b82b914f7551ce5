"""Predictions of every labelled image by a network that did not learn it.

The images are dealt into k folds by photo; for each fold a network learns the others with the
project's own loop, and says what it sees in the images of this one.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskinfer.atomic import replacing
from maskinfer.boxes import Boxes, iou_xywh
from maskinfer.cleaning import Decision
from maskinfer.dataset import Sample
from maskinfer.geometry import canvas_to_image, image_to_canvas

from . import loop
from .batches import SampleCanvases, Share, loader
from .detections import Candidates, Network
from .display import Display
from .networks import build
from .parts import Parts
from .run_folder import RunFolder
from .settings import TrainSettings

# Consecutive names are often shots of one scene: they stay in one fold.
_BLOCKS = 10  # a fold


def deal(photos: Sequence[str], folds: int, seed: int) -> list[int]:
    """Deal images into folds, photo by photo, in blocks of consecutive photos.

    Args:
        photos: (N,) the photo each image was cut from, in the order of the images' names.
        folds: at least 2, at most as many as there are photos.
        seed: of the deal.

    Returns:
        (N,) the fold of each image, from 0.
    """
    distinct = list(dict.fromkeys(photos))
    blocks = min(len(distinct), folds * _BLOCKS)
    rng = np.random.default_rng(seed)
    # Each round of k blocks gives one to every fold, so that folds are of about one size.
    fold_of_block = np.concatenate([rng.permutation(folds) for _ in range(-(-blocks // folds))])
    fold_of = {
        photo: int(fold_of_block[place * blocks // len(distinct)])
        for place, photo in enumerate(distinct)
    }
    return [fold_of[photo] for photo in photos]


@dataclass(frozen=True)
class Answer:
    """What a network says of one image.

    Attributes:
        box_xywh: the face, in pixels of the upright image.
        probability: that its mask is worn properly, 0..1.
        score: confidence in the box, 0..1.
    """

    box_xywh: tuple[float, float, float, float]
    probability: float
    score: float


def answer_samples(
    network: Network, samples: Sequence[Sample], settings: TrainSettings
) -> list[Answer]:
    """What a network of several faces says of the face that each image is labelled with.

    Of all faces that it considers, the one that is a face most surely and overlaps the label most;
    the best-scored one where none overlaps it.
    """
    device = next(network.parameters()).device
    batches = loader(
        SampleCanvases(samples, settings.geometry),
        Share(len(samples), 1, 0),
        settings.batch_size,
        settings.workers,
        whole_batches=False,
    )
    network.eval()
    answers: list[Answer] = []
    for batch in batches:
        with torch.inference_mode():
            candidates = network.candidates(batch.canvases.to(device))
        labelled = image_to_canvas([s.box_xywh for s in batch.samples], batch.placements)
        chosen = [_choose(*pair) for pair in zip(candidates, labelled, strict=True)]
        boxes = canvas_to_image([box for box, _, _ in chosen], batch.placements)
        answers += [
            Answer((x, y, w, h), probability, score)
            for (x, y, w, h), (_, probability, score) in zip(boxes.tolist(), chosen, strict=True)
        ]
    return answers


def _choose(candidates: Candidates, label_xywh: Boxes) -> tuple[list[float], float, float]:
    """Box x, y, w, h in canvas pixels, probability and score."""
    boxes = candidates.boxes_xyxy.float().cpu().numpy().astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    score = candidates.score.float().cpu().numpy()
    overlap = iou_xywh(boxes, label_xywh) * score
    best = int(overlap.argmax() if overlap.max() > 0 else score.argmax())
    return boxes[best].tolist(), float(candidates.proper_mask[best]), float(score[best])
