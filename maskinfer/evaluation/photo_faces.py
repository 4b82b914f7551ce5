"""The annotated faces of one photo beside those that a model predicts.

A predicted face counts where it reaches the least score, and is an annotated one where it overlaps
it by half: the best-scored ones choose first.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskinfer.data.boxes import Boxes, iou_xywh
from maskinfer.data.labels import Face
from maskinfer.inference.results import Prediction
from maskinfer.text import printable_name

from .average_precision import match_greedily
from .labelled import call_word, label_word
from .metrics import FOUND_IOU


@dataclass(frozen=True)
class PhotoFaces:
    """The annotated faces of a photo beside those that a model predicts."""

    filename: str  # relative to the data set, with `/`
    size_wh: tuple[int, int]  # of the upright photo in pixels
    labels: tuple[Face, ...]  # the annotated faces, at least one, inside the photo
    predictions: tuple[Prediction, ...]  # every face that the model predicts, the best-scored first
    min_score: float  # least score of a face that counts, 0..1

    @cached_property
    def called(self) -> tuple[Prediction, ...]:
        """The predicted faces that count."""
        return tuple(face for face in self.predictions if face.score >= self.min_score)

    @cached_property
    def matches(self) -> NDArray[np.int64]:
        """For each face of `called`, the index of the annotated one that it is; -1 for none."""
        boxes, labels = (boxes_of(faces) for faces in (self.called, self.labels))
        return match_greedily(iou_xywh(boxes[:, None], labels[None]), FOUND_IOU)

    @cached_property
    def calls(self) -> tuple[bool | None, ...]:
        """What the mask of each annotated face is called; None where the face was missed."""
        calls = (face.proper_mask for face in self.called)
        call_of = dict(zip(self.matches.tolist(), calls, strict=True))
        return tuple(call_of.get(index) for index in range(len(self.labels)))

    @property
    def all_proper(self) -> bool:
        """Whether every mask is worn properly, as labelled."""
        return all(face.proper_mask for face in self.labels)

    @property
    def called_proper(self) -> bool | None:
        """Whether every predicted face's mask is; None where there is no face."""
        return all(face.proper_mask for face in self.called) if self.called else None

    @property
    def correct(self) -> bool:
        """Whether the verdict is right; where no face is seen, nobody is improper."""
        return (self.called_proper is not False) == self.all_proper

    @property
    def missed(self) -> int:
        """Annotated faces that were missed."""
        return self.calls.count(None)

    @property
    def right(self) -> int:
        """Annotated faces that were predicted, their masks called as labelled."""
        labels = (face.proper_mask for face in self.labels)
        return sum(call == label for call, label in zip(self.calls, labels, strict=True))

    @property
    def invented(self) -> int:
        """Predicted faces where none is annotated."""
        return int((self.matches < 0).sum())

    def sides(self) -> list[float]:
        """Of the annotated faces, the root of width times height in percent of the longer side."""
        longest = max(self.size_wh)
        return [100 * (f.box_xywh[2] * f.box_xywh[3]) ** 0.5 / longest for f in self.labels]

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        return {
            "filename": printable_name(self.filename),
            "size_wh": list(self.size_wh),
            "label": label_word(self.all_proper),
            "called": call_word(self.called_proper),
            "correct": self.correct,
            "faces": [
                {
                    "box_xywh": list(face.box_xywh),
                    "label": label_word(face.proper_mask),
                    "called": None if call is None else label_word(call),
                }
                for face, call in zip(self.labels, self.calls, strict=True)
            ],
            "predicted": [
                asdict(face) | {"face": int(match) if match >= 0 else None}
                for face, match in zip(self.called, self.matches, strict=True)
            ],
        }


def boxes_of(faces: Sequence[Face | Prediction]) -> Boxes:
    """(N, 4) xywh."""
    return np.array([face.box_xywh for face in faces], dtype=np.float64).reshape(-1, 4)
