"""How well a model finds every face, and judges photos as a whole, at several canvases.

    maskinfer import voc VOC --out whole --face left
    python benchmarks/faces.py whole [--model FILE] [--canvas 224 --canvas 416 --canvas 640]

`whole` holds whole photos and lists all their faces. On its test part: average precision as COCO
defines it, by label, and images per second with decoding; then whether someone in a photo wears no
proper mask, judged by one face and by all; a photo without a predicted face is judged wrongly. Each
verdict is given twice: at the model's own working point, and at the least score and threshold of
the best balanced accuracy on the training part. By one face only the threshold is chosen. The last
line of the output is JSON.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from materials import report
from rich.console import Console
from rich.table import Table

from maskinfer.data.dataset import Dataset
from maskinfer.evaluation.all_faces import AllFacesEvaluation, evaluate_faces
from maskinfer.evaluation.face_metrics import PhotoVerdicts, measure_faces
from maskinfer.evaluation.photo_faces import PhotoFaces
from maskinfer.inference.choosing import Choice
from maskinfer.inference.detector import MaskDetector
from maskinfer.inference.pipeline import predict_images
from maskinfer.inference.results import ImagePrediction

_CANVASES = [224, 416, 640]
_SCORES = np.round(np.arange(0.2, 0.85, 0.05), 2)
_THRESHOLDS = np.round(np.arange(0.02, 1.0, 0.02), 2)


@dataclass(frozen=True)
class Verdicts:
    """Photos judged by one face or by all, at one working point."""

    face: str
    point: str
    min_score: float
    threshold: float
    confusion: PhotoVerdicts

    def facts(self) -> dict[str, Any]:
        """Fit for JSON."""
        figures = {"balanced_accuracy": self.confusion.balanced_accuracy}
        return {**vars(self), "confusion": vars(self.confusion)} | figures


def main(
    data: Annotated[Path, typer.Argument(help="Whole photos with train/ and test/.")],
    model: Annotated[Path | None, typer.Option(help="By default the one that ships.")] = None,
    canvas: Annotated[list[int], typer.Option(help="Side in pixels; repeatable.")] = _CANVASES,
    batch_size: Annotated[int, typer.Option(help="Images per batch.")] = 8,
) -> None:
    """Measure and print."""
    dataset = Dataset.open(data)
    table = Table("canvas", "images/s", "AP50", "AP50:95", "proper", "improper", title="Faces")
    photos = Table(
        *("canvas", "face", "working point", "score", "threshold", "balanced accuracy"),
        *("someone improper, seen", "everyone proper, seen", "no face"),
        title="Is anyone not properly masked? Test photos",
    )
    measured = []
    for side in canvas:
        detector = MaskDetector(model, "cpu", batch_size, face="all", canvas=side)
        test = evaluate_faces(detector, dataset.split("test"))
        train = evaluate_faces(detector, dataset.split("train"))
        metrics = test.metrics
        speed = len(test.photos) / test.seconds
        table.add_row(
            f"{side} px",
            f"{speed:.1f}",
            f"{metrics.ap50:.3f}",
            f"{metrics.ap50_95:.3f}",
            *(f"{ap.ap50:.3f} / {ap.ap50_95:.3f}" for ap in metrics.ap.values()),
        )
        verdicts = list(_verdicts(detector, train, test))
        for verdict in verdicts:
            proper, improper = (share for *_, share in verdict.confusion.rows())
            unseen = verdict.confusion.proper_no_face + verdict.confusion.improper_no_face
            photos.add_row(
                *(f"{side} px", verdict.face, verdict.point),
                *(f"{figure:.2f}" for figure in (verdict.min_score, verdict.threshold)),
                f"{verdict.confusion.balanced_accuracy:.3f}",
                *(f"{share:.3f}" for share in (improper or 0.0, proper or 0.0)),
                str(unseen),
            )
        measured.append(
            {
                "canvas": side,
                "images_per_second": round(speed, 2),
                "metrics": metrics.to_dict(),
                "verdicts": [verdict.facts() for verdict in verdicts],
            }
        )
    Console(width=100).print(table)
    report(photos, model=str(detector.session.path), photos=len(test.photos), canvases=measured)


def _verdicts(
    detector: MaskDetector, train: AllFacesEvaluation, test: AllFacesEvaluation
) -> Iterator[Verdicts]:
    one_face = Choice.of(detector.session.metadata)
    for choice in (one_face, detector.choice):
        learned, judged = train.photos, test.photos
        if choice.face != "all":
            learned = _of_one_face(detector, train, choice)
            judged = _of_one_face(detector, test, choice)
        yield _judge(judged, choice, "the model's own")
        scores = _SCORES if choice.face == "all" else [choice.min_score]
        yield _judge(judged, _best_point(learned, choice, scores), "by training photos")


def _of_one_face(
    detector: MaskDetector, evaluation: AllFacesEvaluation, choice: Choice
) -> list[PhotoFaces]:
    """The photos with the one face that is predicted in each."""
    by_name = {photo.filename: photo for photo in evaluation.answers}
    results = predict_images(detector, evaluation.folder.joinpath, by_name, choice=choice)
    return [
        replace(by_name[r.filename], predictions=r.faces, min_score=choice.min_score)
        for r in results
        if isinstance(r, ImagePrediction)
    ]


def _best_point(photos: Sequence[PhotoFaces], choice: Choice, scores: Sequence[float]) -> Choice:
    """The least score and threshold of the best balanced accuracy; of equal ones the middle."""
    label = np.array([photo.all_proper for photo in photos])
    figures = np.empty((len(scores), len(_THRESHOLDS)))
    for row, score in enumerate(scores):
        lowest = [
            min((f.probability for f in photo.predictions if f.score >= score), default=np.nan)
            for photo in photos
        ]
        for column, threshold in enumerate(_THRESHOLDS):
            called = np.array(lowest) >= threshold
            seen = ~np.isnan(lowest)
            figures[row, column] = PhotoVerdicts.count(label, called, seen).balanced_accuracy
    best = np.argwhere(figures >= figures.max() - 1e-9)
    row, column = best[len(best) // 2]
    return replace(choice, min_score=float(scores[row]), threshold=float(_THRESHOLDS[column]))


def _judge(photos: Sequence[PhotoFaces], choice: Choice, point: str) -> Verdicts:
    at_point = [
        replace(
            photo,
            min_score=choice.min_score,
            predictions=tuple(
                replace(face, proper_mask=face.probability >= choice.threshold)
                for face in photo.predictions
            ),
        )
        for photo in photos
    ]
    verdict = measure_faces(at_point).verdict
    return Verdicts(choice.face, point, choice.min_score, choice.threshold, verdict)


if __name__ == "__main__":
    typer.run(main)
