"""What pages about predictions share: photos with boxes, the model, and what was not measured."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from maskinfer.evaluation.evaluating import Measured
from maskinfer.evaluation.labelled import LabelledPrediction, label_word
from maskinfer.inference.detector import MaskDetector
from maskinfer.inference.results import Prediction

from .blocks import Card, Choice, Table
from .thumbnails import LABEL, OTHER, PREDICTED, Outline

# How properties of models are shown that are not shown as they are.
_SHOWN = {"canvas": "{} px", "least score": "{:.3f}", "threshold": "{:.3f}", "SHA-256": "{:.12}…"}


def prediction_card(
    data: Path,
    prediction: LabelledPrediction,
    lines: Iterable[str],
    predicted: Mapping[str, Prediction | None] | None = None,
    *,
    correct: bool | None = None,
    choice: Choice | None = None,
) -> Card:
    """A photo of a data set with the label's box, whole, and what was predicted, dashed.

    That is at most two faces by whose they are, None where that one predicts no face; by default
    the one predicted.
    """
    name, label = prediction.filename, label_word(prediction.label_proper)
    predicted = predicted or {"model's": prediction.face}
    dashed = zip(predicted.values(), (PREDICTED, OTHER), strict=False)
    faces = {whose: face.box_xywh for whose, face in predicted.items() if face}
    boxes = {"label's": prediction.label_xywh, **faces}
    return Card(
        data / name,
        name,
        (
            Outline(prediction.label_xywh, LABEL),
            *(Outline(face.box_xywh, color, dashed=True) for face, color in dashed if face),
        ),
        f"{name}: " + ", ".join(f"{whose} box {list(box)}" for whose, box in boxes.items()),
        (f"label: {label}", *lines),
        label,
        correct,
        choice,
    )


def not_measured(evaluation: Measured[Any, Any], left_out: Table) -> list[Table]:
    """What was repaired, left out or has no label: the tables that hold something."""
    tables = (
        Table.of(
            "Repaired boxes",
            ("image", "why", "box after repair"),
            [decision for decision in evaluation.decisions if decision.action == "repaired"],
            lambda fixed: (fixed.filename, fixed.reason, str(list(fixed.box_xywh or ()))),
        ),
        left_out,
        Table.of("Images without a label", ("why",), evaluation.unlabelled, lambda line: (line,)),
    )
    return [table for table in tables if table.rows]


def models_table(caption: str, detectors: Mapping[str, MaskDetector]) -> Table:
    """Properties of models, a column each under its heading; the JSON holds all of them."""
    models = [model_properties(detector) for detector in detectors.values()]
    rows = [
        (name, *(_SHOWN.get(name, "{}").format(model[name]) for model in models))
        for name in models[0]
    ]
    return Table(caption, ("property", *detectors), rows)


def model_properties(detector: MaskDetector) -> dict[str, Any]:
    """Which model this is and what it is asked, by the words that pages have for it."""
    session, choice, metadata = detector.session, detector.choice, detector.session.metadata
    return {
        "model file": str(session.path),
        "network": f"{metadata.network} {metadata.backbone}".strip(),
        "precision": metadata.precision,
        "canvas": session.geometry.canvas,
        "face": choice.face,
        "least score": choice.min_score,
        "threshold": choice.threshold,
        "provider": str(session.provider),
        "SHA-256": session.sha256,
    }
