"""Which of the faces that a model found an answer is about, and from which figures on they count.

Every command, the Python API and servers read a model's numbers by these rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskinfer.errors import UsageError
from maskinfer.runtime.model_file import ModelMetadata
from maskinfer.runtime.providers import DEFAULT_BATCH_SIZE, Provider, named_options

from .results import Prediction

FaceRule = Literal["main", "left", "largest", "best", "all"]


class Kind(StrEnum):
    """What people look for in answers: a face that is one of the first two, a photo without any."""

    NOT_PROPER = "not-proper"
    UNSURE = "unsure"
    NO_FACE = "no-face"


# Least score of a face among which the main, left-most or largest is chosen: the one that served
# best on validation photos (docs/experiments.md).
RIVAL_SCORE = 0.4
# How much less a face may score than one that stands a canvas's width to its right and still be the
# main one: the largest that costs photos of one dominant face 0.001 in IoU (docs/experiments.md).
LEAN = 0.4
# How near the threshold a probability is that people should look at themselves.
_UNSURE_WITHIN, _UNSURE_SHARE = 0.2, 0.4


@dataclass(frozen=True, kw_only=True)
class DetectorSettings:
    """How commands open a detector, and what they ask about the faces in a photo."""

    provider: Provider = Provider.AUTO  # what computes
    provider_options: tuple[str, ...] = ()  # the provider's own, each as NAME=VALUE
    batch_size: int = DEFAULT_BATCH_SIZE  # images per batch
    face: FaceRule = "main"  # which face of several, or `all`
    min_score: float | None = None  # least score of a face; None for the model's own
    # Least probability that counts as a properly worn mask; None likewise.
    threshold: float | None = None
    canvas: int | None = None  # side in pixels of what the network sees of a photo; None likewise

    def asked(self) -> dict[str, Any]:
        """By the names of `MaskDetector`'s arguments; malformed options are a `UsageError`."""
        given = {field.name: getattr(self, field.name) for field in fields(DetectorSettings)}
        return given | {"provider_options": named_options(self.provider_options)}


@dataclass(frozen=True)
class Choice:
    """What an answer is about."""

    # `best`: the best-scored face; `main`: the same, unless one further left scores nearly as well;
    # `left`, `largest`: of the faces that score `RIVAL_SCORE`; `all`: every face.
    face: FaceRule
    min_score: float  # least score of a face, 0..1; where none reaches it, the answer is "no face"
    threshold: float  # least probability that counts as a properly worn mask, 0..1

    @classmethod
    def of(
        cls,
        metadata: ModelMetadata,
        face: FaceRule = "main",
        min_score: float | None = None,
        threshold: float | None = None,
    ) -> "Choice":
        """A choice with the model's own working point where no figure is given.

        A `UsageError` where there is no such rule, a figure is not in 0..1, or every face is asked
        of a model that finds one.
        """
        if face not in get_args(FaceRule):
            raise UsageError(f"face: got {face!r}, expected {', '.join(get_args(FaceRule))}")
        for name, value in (("min-score", min_score), ("threshold", threshold)):
            if value is not None and not 0 <= value <= 1:
                raise UsageError(f"--{name}: got {value}, expected 0 to 1")
        if face == "all" and metadata.faces == 1:
            raise UsageError(
                f"--face all: this {metadata.network} finds one face a photo; for every face use "
                "a lite or fasterrcnn model"
            )
        default = metadata.all_faces if face == "all" else metadata.one_face
        return cls(
            face,
            default.min_score if min_score is None else min_score,
            default.threshold if threshold is None else threshold,
        )


def choose(
    boxes_xywh: ArrayLike, scores: ArrayLike, choice: Choice, canvas: int
) -> NDArray[np.int64]:
    """The faces that an answer is about, best first; none where no face scores enough.

    Boxes (K, 4) are in pixels of a canvas of that side; scores (K,) in 0..1 come best first, 0
    where there is no face. Returns indices into K.
    """
    boxes, score = np.asarray(boxes_xywh, np.float64), np.asarray(scores, np.float64)
    faces = np.flatnonzero((score >= choice.min_score) & (score > 0))
    if choice.face == "all" or not len(faces):
        return faces
    rivals = faces[score[faces] >= RIVAL_SCORE]
    if choice.face == "best" or not len(rivals):
        return faces[:1]
    if choice.face == "left":
        order = boxes[rivals, 0]
    elif choice.face == "main":
        order = boxes[rivals, 0] * (LEAN / canvas) - score[rivals]
    else:
        order = -boxes[rivals, 2] * boxes[rivals, 3]
    return rivals[[int(order.argmin())]]


def is_unsure(probability: float, threshold: float) -> bool:
    """Whether a probability is so near the threshold that people should look themselves."""
    low, high = unsure_range(threshold)
    return low <= probability <= high


def unsure_range(threshold: float) -> tuple[float, float]:
    """Within 0.2 of the threshold, but no more than two fifths of the way to certainty."""
    return (
        threshold - min(_UNSURE_WITHIN, _UNSURE_SHARE * threshold),
        threshold + min(_UNSURE_WITHIN, _UNSURE_SHARE * (1 - threshold)),
    )


def face_kinds(face: Prediction, threshold: float) -> frozenset[Kind]:
    """What a face is an instance of: `not-proper`, `unsure`, both or neither."""
    kinds = {
        Kind.NOT_PROPER: not face.proper_mask,
        Kind.UNSURE: is_unsure(face.probability, threshold),
    }
    return frozenset(kind for kind, is_one in kinds.items() if is_one)


def photo_kinds(faces: Sequence[Prediction], threshold: float) -> frozenset[Kind]:
    """What a photo is an instance of: all that its faces are, or `no-face` without any."""
    if not faces:
        return frozenset((Kind.NO_FACE,))
    return frozenset().union(*(face_kinds(face, threshold) for face in faces))
