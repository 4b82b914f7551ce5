"""A model file's answers about the validation photos of the run that it comes from."""

from collections.abc import Iterator
from functools import partial
from itertools import islice

import numpy as np

from maskinfer.data.geometry import Placement, decode_wh, image_to_canvas, place
from maskinfer.data.images import load_photo
from maskinfer.data.labels import Sample
from maskinfer.data.pixels import Pixels
from maskinfer.errors import DatasetError
from maskinfer.runtime.session import Session
from maskinfer.threads import map_ahead, usable_cores
from maskinfer.train.data.parts import read_parts
from maskinfer.train.runs.files import RunConfig

from .working_points import Photo


def validation_samples(config: RunConfig) -> list[Sample]:
    """The images that a run held out of its training; none where its data is gone."""
    settings = config.settings
    try:
        return read_parts(settings.data, settings.validation, settings.seed).validation
    except DatasetError:
        return []


def answer_samples(session: Session, samples: list[Sample]) -> Iterator[Photo]:
    """What a model says of labelled images.

    Args:
        session: the model.
        samples: images that can be read.
    """

    def draw(sample: Sample) -> tuple[Pixels, Placement]:
        return place(load_photo(sample.path, partial(decode_wh, geometry)), geometry)

    geometry, threads = session.geometry, usable_cores()
    drawn = map_ahead(draw, samples, threads=threads, ahead=2 * session.batch_size)
    for start in range(0, len(samples), session.batch_size):
        batch = samples[start : start + session.batch_size]
        canvases, placements = zip(*islice(drawn, len(batch)), strict=True)
        outputs = session.run(np.stack(canvases))
        drawn_batch = zip(batch, placements, *outputs, strict=True)
        for sample, placement, boxes, proper, score in drawn_batch:
            [label] = image_to_canvas([sample.box_xywh], [placement])
            labels = tuple(face.proper_mask for face in sample.faces)
            yield Photo(boxes, proper, score, label, labels)
