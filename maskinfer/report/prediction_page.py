"""The page of `maskinfer predict --report`: photos that people should look at. It needs no labels.

Each photo counts for the first of these that it is: a photo with someone not properly masked, one
whose answer is unsure, one without a face. Few are kept while results pass by: however many photos
there are, the page shows at most 500 of them.
"""

import heapq
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from maskinfer.data.folders import Failure
from maskinfer.data.labels import label_of
from maskinfer.data.sources import LocalSource, Source
from maskinfer.evaluation.labelled import label_word
from maskinfer.inference.choosing import Kind, is_unsure, photo_kinds, unsure_range
from maskinfer.inference.detector import MaskDetector
from maskinfer.inference.journal import OutputFiles
from maskinfer.inference.predicting import PredictSettings, Summary
from maskinfer.inference.results import ImagePrediction, Prediction, Result
from maskinfer.text import counted, strict_json

from .blocks import Card, Gallery, Page, Section, Table
from .predictions import model_properties, models_table
from .thumbnails import LABEL, OTHER, PREDICTED, Outline, RemotePhoto

# The answer about a photo in short, and the title of such photos.
_WORDS = {
    Kind.NOT_PROPER: ("someone not properly masked", "Someone not properly masked: surest first"),
    Kind.UNSURE: ("unsure", "Called proper, but unsure: nearest to the threshold first"),
    Kind.NO_FACE: ("no face", "No face"),
}
_MOST = 500  # photos of a page
_LEAST = 100  # of each kind, where there are so many
_MOST_PROBABILITIES = 4  # under a photo


class WorstPhotos:
    """The photos that people should look at first, kept while results pass by."""

    def __init__(self, threshold: float, most: int = _MOST) -> None:
        """Keep none yet, and of each kind at most `most`."""
        self.threshold = threshold  # least probability that counts as a properly worn mask
        self.counts: Counter[Kind] = Counter()  # photos of each kind, kept or not
        self._most = most
        # By how much each is worth looking at; of equals the first is worth more.
        self._heaps: dict[Kind, list[tuple[float, int, ImagePrediction]]] = {k: [] for k in Kind}

    def add(self, result: Result) -> None:
        """Take one more result."""
        if isinstance(result, Failure):
            return
        kinds = photo_kinds(result.faces, self.threshold)
        kind = next((kind for kind in Kind if kind in kinds), None)
        if kind is None:
            return
        self.counts[kind] += 1
        worst = self.worst_face(result)
        distance = abs(worst.probability - self.threshold) if worst else 0.0
        worth = distance if kind is Kind.NOT_PROPER else -distance
        heap, item = self._heaps[kind], (worth, -self.counts[kind], result)
        heapq.heappush(heap, item)
        if len(heap) > self._most:
            heapq.heappop(heap)

    def worst_face(self, prediction: ImagePrediction) -> Prediction | None:
        """The face that is least likely to be masked properly; None without a face."""
        return min(prediction.faces, key=lambda face: face.probability, default=None)

    def photos(self) -> dict[Kind, list[ImagePrediction]]:
        """Those to show of each kind, the worst first; at most `most` of all together."""
        shown = {kind: min(self.counts[kind], _LEAST, self._most // len(Kind)) for kind in Kind}
        for kind in Kind:
            left = self._most - sum(shown.values())
            shown[kind] += min(left, len(self._heaps[kind]) - shown[kind])
        return {
            kind: [item[2] for item in sorted(heap, reverse=True)[: shown[kind]]]
            for kind, heap in self._heaps.items()
        }


def prediction_page(
    worst: WorstPhotos,
    summary: Summary,
    detector: MaskDetector,
    source: Source,
    settings: PredictSettings,
) -> Page:
    """Make the page of all results, which passed by `worst` and `summary`."""
    counts = {
        "photos": summary.images,
        "faces": summary.faces,
        "faces properly masked": summary.proper,
        "faces not properly masked": summary.faces - summary.proper,
        "photos with someone not properly masked": worst.counts[Kind.NOT_PROPER],
        "other photos with an unsure answer": worst.counts[Kind.UNSURE],
        "photos without a face": worst.counts[Kind.NO_FACE],
        "failed": summary.failed,
    }
    facts = {
        "images": str(source),
        "counts": counts,
        "model": model_properties(detector),
        "photos": [
            {"filename": p.filename, "kind": kind, "faces": [face.values() for face in p.faces]}
            for kind, photos in worst.photos().items()
            for p in photos
        ],
    }
    errors = OutputFiles.of(settings.out).errors.name
    why = f"Why images failed is in {errors}." if summary.failed and not settings.to_stdout else ""
    models = models_table("What predicted, and how", {"value": detector})
    return Page(
        f"Predictions of {detector.session.path.name}",
        f"{counted(summary.images, 'photo')} of {source}",
        [
            Section("Counts", why, [Table("All photos", ("what", "count"), [*counts.items()])]),
            _galleries(worst, source, settings),
            Section("The model", "", [models]),
        ],
        strict_json(facts),
        f"Someone is not properly masked in {worst.counts[Kind.NOT_PROPER]} of "
        f"{counted(summary.images, 'photo')}."
        + (f" {summary.failed} could not be read." if summary.failed else ""),
        {name: counts[name] for name in list(counts)[:4]},
    )


def _galleries(worst: WorstPhotos, source: Source, settings: PredictSettings) -> Section:
    photos = worst.photos()
    galleries = [
        Gallery(_WORDS[kind][1], [_card(p, kind, worst, source) for p in some], worst.counts[kind])
        for kind, some in photos.items()
    ]
    where = "the output" if settings.to_stdout else settings.out.name
    low, high = unsure_range(worst.threshold)
    all_shown = sum(map(len, photos.values())) == worst.counts.total()
    rest = "" if all_shown else f" Only the worst are shown; all of them are in {where}."
    return Section(
        "Photos to look at",
        "Solid blue boxes: called proper; solid pink ones: called proper, but unsure; dashed "
        "orange ones: called not proper. The numbers are probabilities of a properly worn mask: "
        f"called proper from {worst.threshold:.2f}, unsure from {low:.2f} to {high:.2f}. Where "
        f"the face that matters most is small, only its part of the photo is shown.{rest}",
        galleries,
    )


def _card(prediction: ImagePrediction, kind: Kind, worst: WorstPhotos, source: Source) -> Card:
    name, faces, threshold = prediction.filename, prediction.faces, worst.threshold
    focus = worst.worst_face(prediction)
    improper = sum(not face.proper_mask for face in faces)
    counts = f"{counted(len(faces), 'face')}, {improper} not proper" if faces else "no face"
    label = None if prediction.correct is None else label_of(name)
    outlines = tuple(
        Outline(f.box_xywh, _color(f, threshold), dashed=not f.proper_mask, in_view=f is focus)
        for f in faces
    )
    return Card(
        Path(str(source.image(name)))
        if isinstance(source, LocalSource)
        else RemotePhoto(name, source.image),
        name,
        outlines,
        f"{name}: {counts}",
        _lines(faces, threshold),
        None if label is None else label_word(label.proper_mask),
        prediction.correct,
        answer=_WORDS[kind][0],
    )


def _color(face: Prediction, threshold: float) -> str:
    if not face.proper_mask:
        return PREDICTED
    return OTHER if is_unsure(face.probability, threshold) else LABEL


def _lines(faces: Iterable[Prediction], threshold: float) -> list[str]:
    ordered = sorted(faces, key=lambda face: face.probability)
    called = {
        "not proper": [face for face in ordered if not face.proper_mask],
        "proper, unsure": [
            face for face in ordered if face.proper_mask and is_unsure(face.probability, threshold)
        ],
    }
    lines = []
    for words, some in called.items():
        if some:
            shown = ", ".join(f"{face.probability:.2f}" for face in some[:_MOST_PROBABILITIES])
            lines.append(f"{words}: {shown}{', …' if len(some) > _MOST_PROBABILITIES else ''}")
    if len(ordered) > 1:
        lines.append(counted(len(ordered), "face"))
    return lines
