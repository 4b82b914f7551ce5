"""The page of `evaluate --report --face all`: every face, and whole photos."""

from pathlib import Path

from maskinfer.evaluation.all_faces import AllFacesEvaluation
from maskinfer.evaluation.average_precision import RECALLS
from maskinfer.evaluation.face_metrics import AllFacesMetrics
from maskinfer.evaluation.labelled import label_word
from maskinfer.evaluation.photo_faces import PhotoFaces
from maskinfer.text import counted, percent

from . import figures
from .blocks import Block, Card, Chart, Gallery, Notes, Page, Section, Table
from .evaluation_page import not_measured_section
from .predictions import models_table
from .thumbnails import LABEL, OTHER, Outline

_ONLY_NAMED = (
    "The data names one face a photo, so each other face that is predicted counts as invented: "
    "other_faces.csv, which maskinfer import writes, names the others."
)


def all_faces_page(evaluation: AllFacesEvaluation) -> Page:
    """Make the page of what was measured."""
    metrics = evaluation.metrics
    return Page(
        f"Evaluation of {evaluation.detector.session.path.name}, every face",
        f"{counted(metrics.any_label.faces, 'face')} in {counted(metrics.photos, 'photo')} of "
        f"{evaluation.folder}",
        [
            Section(
                "Figures",
                "Average precision is COCO's: each predicted face is a detection of either label, "
                "with its score times the probability of the label. The other figures count faces "
                "from the least score on, right where they overlap a face by half and are called "
                "as it is labelled.",
                _figures(evaluation),
            ),
            _photos(evaluation),
            Section(
                "Faces",
                "Size is the root of width times height, in percent of the photo's longer side.",
                [_precision_chart(metrics), *_size_blocks(metrics)],
            ),
            not_measured_section(evaluation),
        ],
        evaluation.to_dict(),
        f"Whether everyone wears a mask properly is judged rightly for "
        f"{percent(metrics.verdict.accuracy)} of {counted(metrics.photos, 'photo')}.",
        {
            "AP50": metrics.ap50,
            "AP50:95": metrics.ap50_95,
            "photos judged rightly": metrics.verdict.accuracy,
            "the same, balanced": metrics.verdict.balanced_accuracy,
        },
    )


def _figures(evaluation: AllFacesEvaluation) -> list[Block]:
    metrics = evaluation.metrics
    headings = (
        *("label", "faces", "predicted", "right", "precision", "recall", "F1"),
        *("AP50", "AP50:95"),
    )
    verdict = metrics.verdict
    judged = {"accuracy": verdict.accuracy, "balanced accuracy": verdict.balanced_accuracy}
    return [
        Notes([_ONLY_NAMED] if evaluation.only_named else [], "warning"),
        Table(
            "Faces by label",
            headings,
            [*metrics.rows(), ("mean", *[None] * 6, metrics.ap50, metrics.ap50_95)],
        ),
        Table(
            "Photos: is every mask worn properly?",
            ("label", "called proper", "called improper", "no face", "share correct"),
            verdict.rows(),
        ),
        Table("Photos judged right", ("figure", "value"), list(judged.items())),
        models_table("The model", {"value": evaluation.detector}),
    ]


def _photos(evaluation: AllFacesEvaluation) -> Section:
    def card(photo: PhotoFaces) -> Card:
        return faces_card(evaluation.folder, photo, faces_lines(photo), photo.correct)

    wrong = [photo for photo in evaluation.answers if photo.called and not photo.correct]
    galleries = {
        "Someone not properly masked, photo called proper": sorted(
            (photo for photo in wrong if not photo.all_proper), key=_least_doubt, reverse=True
        ),
        "Everyone properly masked, photo called improper": sorted(
            (photo for photo in wrong if photo.all_proper), key=_least_doubt
        ),
        "No face predicted": [photo for photo in evaluation.answers if not photo.called],
        "Most faces missed": _ranked(evaluation.answers, "missed"),
        "Most faces invented": _ranked(evaluation.answers, "invented"),
    }
    return Section(
        "Photos to look at",
        "Solid boxes are annotated, dashed ones predicted; blue means a properly worn mask, pink "
        "any other face. A dashed box hides in a solid one of its colour. The most confident "
        "mistakes come first.",
        [Gallery.of(title, photos, card) for title, photos in galleries.items()],
    )


def _least_doubt(photo: PhotoFaces) -> float:
    return min(face.probability for face in photo.called)


def _ranked(photos: list[PhotoFaces], count: str) -> list[PhotoFaces]:
    """Photos with at least one of something, those with most first."""
    some = [photo for photo in photos if getattr(photo, count)]
    return sorted(some, key=lambda photo: -getattr(photo, count))


def faces_card(
    folder: Path, photo: PhotoFaces, lines: tuple[str, ...], correct: bool | None = None
) -> Card:
    """A photo with the annotated faces, whole; of one model also the predicted ones, dashed.

    Then `correct` says whether it is right.
    """
    colors = {True: LABEL, False: OTHER}
    labels = [Outline(face.box_xywh, colors[face.proper_mask]) for face in photo.labels]
    called = [
        Outline(face.box_xywh, colors[face.proper_mask], dashed=True)
        for face in photo.called
        if correct is not None
    ]
    name, outlines, word = photo.filename, (*labels, *called), label_word(photo.all_proper)
    alt = f"{name}: {counted(len(labels), 'annotated face')}, {len(called)} predicted"
    return Card(folder / name, name, outlines, alt, lines, word, correct)


def faces_lines(photo: PhotoFaces) -> tuple[str, ...]:
    """Counts of a photo: labels, calls, differences."""
    proper = sum(face.proper_mask for face in photo.labels)
    called = sum(face.proper_mask for face in photo.called)
    return (
        f"label: {proper} proper, {len(photo.labels) - proper} improper",
        f"called: {called} proper, {len(photo.called) - called} improper",
        f"{photo.missed} missed, {photo.invented} invented",
    )


def _precision_chart(metrics: AllFacesMetrics) -> Chart:
    words = {f"{word}, AP50 {ap.ap50:.3f}": ap.precision for word, ap in metrics.ap.items()}
    return figures.precision_over_recall(
        "Precision over recall of faces, by label",
        {word: (RECALLS, precision) for word, precision in words.items()},
        f"Best precision at each recall or more, of overlaps by half; {'; '.join(words)}.",
    )


def _size_blocks(metrics: AllFacesMetrics) -> list[Block]:
    bins = metrics.sizes
    shares = {f"{group.name}\n{group.faces}": group.missed / group.faces for group in bins}
    words = (f"{group.name}: {group.missed} of {group.faces}" for group in bins)
    rows = [(g.name, g.faces, g.missed, g.missed / g.faces, g.miscalled) for g in bins]
    headings = ("side of the face", "faces", "missed", "share missed", "called wrongly")
    alt = f"Faces missed by size: {'; '.join(words)}."
    return [
        figures.bars("Faces missed, by size", shares, "share missed", alt),
        Table("Faces by size", headings, rows),
    ]
