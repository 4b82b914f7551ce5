"""From which figures on an answer counts, measured on validation photos."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskinfer.data.boxes import Boxes, iou_xywh
from maskinfer.data.geometry import Placement, decode_wh, image_to_canvas, place
from maskinfer.data.images import load_photo
from maskinfer.data.labels import Sample
from maskinfer.data.pixels import Pixels
from maskinfer.errors import DatasetError
from maskinfer.evaluation.average_precision import match_greedily
from maskinfer.inference.choosing import Choice, choose
from maskinfer.runtime.model_file import ModelMetadata, WorkingPoint
from maskinfer.runtime.providers import Provider
from maskinfer.runtime.session import Session
from maskinfer.threads import map_ahead
from maskinfer.train.data.parts import read_parts
from maskinfer.train.runs.checkpoint import Checkpoint
from maskinfer.train.synthetic.photo import develop, draw_background

from .parity import in_batches

_MAY_BE_LOST = 0.01  # share of labelled faces
_MAY_BE_SEEN = 0.02  # share of pictures without anyone
_PICTURES, _SEED = 200, 0  # of nobody, half of them noise
_SAME_FACE_IOU = 0.5
_LEAST_PHOTOS = 50  # with a labelled face; of fewer, one hundredth is nothing
_LEAST_OF_A_KIND = 10  # photos with somebody not properly masked, and without; fewer say too little
# Pairs that are tried for photos as a whole. The least score is what two evaluations of one network
# agree on: below it faces come and go with the precision.
_MIN_SCORES = np.linspace(0.2, 0.8, 61)
_THRESHOLDS = np.linspace(0.02, 0.98, 97)
_NEIGHBOURS = 10  # thresholds on either side
# On which models that read any canvas are asked about photos of several faces besides their own.
_CROWD_CANVAS = 640
_MOST_CROWDS = 500


class Photo(NamedTuple):
    """A labelled photo and what a model says of it."""

    boxes_xywh: NDArray[np.float32]  # (K, 4) in canvas pixels
    proper_mask: NDArray[np.float32]  # (K,) in 0..1
    score: NDArray[np.float32]  # (K,) in 0..1, best first, 0 where there is no face
    faces_xywh: Boxes  # (F, 4) in canvas pixels: the labelled face, then each other annotated one
    labels: tuple[bool, ...]  # (F,) proper or not


@dataclass(frozen=True)
class WorkingPoints:
    """Of answers about one face of a photo, and about all."""

    # Its score is the lowest at which 2 % of pictures without anyone have a face, or the highest
    # that loses at most 1 % of labelled faces, where that is lower.
    one_face: WorkingPoint
    # Its score is that of the best F1 of faces; its threshold has the best balanced accuracy of
    # "somebody is not properly masked", as a mean over its neighbours.
    all_faces: WorkingPoint
    photos: int = 0  # how many `one_face.min_score` was measured on; 0 where they were too few
    # How many `all_faces` was measured on, those with other faces annotated; 0 where they were too
    # few, and it is `one_face`.
    photos_of_all: int = 0
    balanced_accuracy: tuple[float, ...] = ()  # on those photos, one figure a canvas


def measure_file(session: Session, checkpoint: Checkpoint) -> tuple[ModelMetadata, str]:
    """A file's metadata with its working points, and what to say where they are not measured.

    They are measured on the images that its run held out of training, where these are still there.
    """
    metadata, earlier = session.metadata, checkpoint.calibration
    trained = checkpoint.config.settings
    try:
        samples = read_parts(trained.data, trained.validation, trained.seed).validation
    except DatasetError:  # it is gone, or was never named
        samples = []
    photos = list(_answers(session, samples))
    larger: list[Photo] = []
    if metadata.free_canvas:
        crowds = [sample for sample in samples if sample.others]
        crowds = crowds[:: -(-len(crowds) // _MOST_CROWDS) or 1]
        batch_size = session.batch_size
        on_larger = Session(session.path, Provider.CPU, batch_size, canvas=_CROWD_CANVAS)
        larger = list(_answers(on_larger, crowds))
    measured = len(photos) >= _LEAST_PHOTOS and session.metadata.faces > 1
    empty = _nobody(session).tolist() if measured else []
    canvas, threshold = session.geometry.canvas, metadata.one_face.threshold
    points = measure(photos, threshold, canvas, larger, empty)
    if not points.photos and earlier.one_face is not None:
        one_face = replace(earlier.one_face, threshold=earlier.threshold)
        points = replace(points, one_face=one_face, all_faces=one_face)
    if not points.photos_of_all and earlier.all_faces is not None:
        points = replace(points, all_faces=earlier.all_faces)
    facts = asdict(points)
    metadata = replace(
        metadata,
        one_face=WorkingPoint(**facts.pop("one_face")),
        all_faces=WorkingPoint(**facts.pop("all_faces")),
        metrics=metadata.metrics | {"working_points": facts},
    )
    if points.photos:
        return metadata, ""
    if earlier.one_face is not None:
        return metadata, "from which score on a face counts was measured on earlier weights"
    lack = f"only {len(samples)} validation images" if samples else "no validation images"
    return metadata, f"{lack}, so every face counts, whatever its score: predict with --min-score"


def _answers(session: Session, samples: list[Sample]) -> Iterator[Photo]:
    """What a model says of labelled images that can be read."""

    def draw(sample: Sample) -> tuple[Sample, Pixels, Placement]:
        return sample, *place(load_photo(sample.path, partial(decode_wh, geometry)), geometry)

    geometry = session.geometry
    drawn = map_ahead(draw, samples, ahead=2 * session.batch_size)
    while batch := list(islice(drawn, session.batch_size)):
        labelled, canvases, placements = zip(*batch, strict=True)
        answers = zip(labelled, placements, *session.run(np.stack(canvases)), strict=True)
        for sample, placement, boxes, proper, score in answers:
            known = [face.box_xywh for face in sample.faces]
            faces = image_to_canvas(known, [placement] * len(known))
            labels = tuple(face.proper_mask for face in sample.faces)
            yield Photo(boxes, proper, score, faces, labels)


def _nobody(session: Session) -> NDArray[np.float32]:
    """The best score (E,) that a model gives in drawn pictures of nobody and in noise."""
    rng, side, canvases = np.random.default_rng(_SEED), session.geometry.canvas, []
    for index in range(_PICTURES):
        if index % 2:
            picture = np.array(develop(rng, draw_background(rng, (side, side))))
        else:
            cells = int(rng.choice([8, 32, side]))
            noise = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
            resized = Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)
            picture = np.array(resized)
        canvases.append(picture)
    return in_batches(session.run, np.stack(canvases), session.batch_size).score[:, 0]


def measure(
    photos: Sequence[Photo],
    threshold: float,
    canvas: int,
    larger: Sequence[Photo] = (),
    empty: Sequence[float] = (),
) -> WorkingPoints:
    """Choose both working points, by photos of the validation part, of which there may be none.

    The threshold is the least calibrated probability that counts as a properly worn mask, the
    canvas a side in pixels. `larger` are those with other faces again, on a larger canvas, of a
    model that reads any: what suits one canvas does not suit the other, so the pair suits both.
    `empty` is the best score in each picture of nobody.
    """
    enough = len(photos) >= _LEAST_PHOTOS
    least = _least_score(photos, canvas) if enough else 0.0
    if len(empty):
        least = min(least, float(np.ceil(np.quantile(empty, 1 - _MAY_BE_SEEN) * 1000) / 1000))
    one_face = WorkingPoint(least, threshold)
    counted = len(photos) if enough else 0
    crowds = [photo for photo in photos if len(photo.labels) > 1 and len(photo.score) > 1]
    if not _are_enough(crowds):
        return WorkingPoints(one_face, one_face, counted)
    parts = [part for part in (crowds, larger) if _are_enough(part)]
    best = int(np.mean([_f1(part) for part in parts], axis=0).argmax())
    each = np.stack([_balanced_accuracy(part, _MIN_SCORES[best]) for part in parts])  # (P, T)
    # Few photos make a ragged curve: its highest tip is chance.
    beside = (_NEIGHBOURS, _NEIGHBOURS)
    padded = np.pad(each.mean(axis=0), beside, mode="edge")
    smooth = np.convolve(padded, np.ones(2 * _NEIGHBOURS + 1), mode="valid")  # (T,)
    highest = np.flatnonzero(smooth >= smooth.max() - 1e-9)
    # Of equals the nearest to the threshold for one face.
    chosen = highest[np.abs(_THRESHOLDS[highest] - threshold).argmin()]
    pair = WorkingPoint(round(float(_MIN_SCORES[best]), 3), round(float(_THRESHOLDS[chosen]), 3))
    return WorkingPoints(one_face, pair, counted, len(crowds), tuple(each[:, chosen].tolist()))


def _are_enough(photos: Sequence[Photo]) -> bool:
    """Whether photos with somebody not properly masked, and without, are enough to measure on."""
    proper = sum(all(photo.labels) for photo in photos)
    return min(proper, len(photos) - proper) >= _LEAST_OF_A_KIND


def _least_score(photos: Sequence[Photo], canvas: int) -> float:
    """The highest score that at most 1 % of the labelled faces that are found fall short of."""
    any_score = Choice("main", 0.0, 0.5)
    scores = []
    for photo in photos:
        for index in choose(photo.boxes_xywh, photo.score, any_score, canvas):
            if iou_xywh(photo.boxes_xywh[index], photo.faces_xywh[0]) >= _SAME_FACE_IOU:
                scores.append(float(photo.score[index]))
    may_be_lost = int(_MAY_BE_LOST * len(photos))
    if len(scores) <= may_be_lost:
        return 0.0
    return float(np.floor(np.sort(scores)[may_be_lost] * 1000) / 1000)


def _f1(photos: Sequence[Photo]) -> NDArray[np.float64]:
    """Of finding every face, at each least score that is tried: (M,)."""
    right, wrong = [], []
    for photo in photos:
        overlap = [iou_xywh(photo.faces_xywh, box) for box in photo.boxes_xywh]  # (K, F)
        is_face = match_greedily(np.array(overlap), _SAME_FACE_IOU) >= 0
        right.append(photo.score[is_face])
        wrong.append(photo.score[~is_face])
    found, invented = (
        (np.concatenate(scores)[:, None] >= _MIN_SCORES).sum(axis=0) for scores in (right, wrong)
    )
    faces = sum(len(photo.labels) for photo in photos)
    f1: NDArray[np.float64] = 2 * found / (found + invented + faces)
    return f1


def _balanced_accuracy(photos: Sequence[Photo], min_score: float) -> NDArray[np.float64]:
    """Of "somebody is not properly masked", at each threshold that is tried: (T,)."""
    someone = np.array([not all(photo.labels) for photo in photos], dtype=bool)  # (P,)
    # The probability of the face that is least properly masked.
    least = np.array(
        [photo.proper_mask[photo.score >= min_score].min(initial=np.inf) for photo in photos]
    )
    verdicts = least < _THRESHOLDS[:, None]  # (T, P)
    right = verdicts[:, someone].mean(axis=1) + (~verdicts[:, ~someone]).mean(axis=1)
    balanced: NDArray[np.float64] = right / 2
    return balanced
