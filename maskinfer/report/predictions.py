"""What pages about predictions share: photos with boxes, the model, and what was not measured."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from maskinfer.data.cleaning import Decision
from maskinfer.data.labels import BoxXywh
from maskinfer.evaluation.labelled import LabelledPrediction, label_word
from maskinfer.runtime.session import Session

from .blocks import Card, Cell, Choice, Link, Table, bounded_table
from .thumbnails import LABEL, OTHER, PREDICTED, Outline

Rows = Sequence[Sequence[Cell | Link]]


def label_card(
    data: Path,
    filename: str,
    label_xywh: BoxXywh,
    label_proper: bool,
    lines: Iterable[str] = (),
    predicted: Mapping[str, BoxXywh] | None = None,
    *,
    correct: bool | None = None,
    choice: Choice | None = None,
) -> Card:
    """A photo with its label: the label's box whole, at most two predicted boxes dashed.

    Args:
        data: the data set.
        filename: relative to it.
        label_xywh: the labelled box.
        label_proper: whether the label says that the mask is worn properly.
        lines: below the label's word.
        predicted: boxes by whose they are.
        correct: whether the model is right, to filter by.
        choice: what may be decided about the photo.
    """
    boxes = {"label's": label_xywh, **(predicted or {})}
    colors = (LABEL, PREDICTED, OTHER)
    return Card(
        data / filename,
        filename,
        tuple(
            Outline(box, color, dashed=color != LABEL)
            for box, color in zip(boxes.values(), colors, strict=False)
        ),
        f"{filename}: " + ", ".join(f"{whose} box {list(box)}" for whose, box in boxes.items()),
        (f"label: {label_word(label_proper)}", *lines),
        label_word(label_proper),
        correct,
        choice,
    )


def prediction_card(
    data: Path,
    prediction: LabelledPrediction,
    lines: Iterable[str],
    *,
    correct: bool | None = None,
    choice: Choice | None = None,
) -> Card:
    """A photo with its label and what one model predicts; see `label_card`."""
    return label_card(
        data,
        prediction.filename,
        prediction.label_xywh,
        prediction.label_proper,
        lines,
        {"model's": prediction.box_xywh},
        correct=correct,
        choice=choice,
    )


def not_measured(
    decisions: Iterable[Decision], left_out: Table, unlabelled: Sequence[str]
) -> list[Table]:
    """What was repaired, left out or has no label: the tables that hold something.

    Args:
        decisions: of which the repairs are listed here.
        left_out: labelled images that were not measured.
        unlabelled: a line for each image without a label.
    """
    tables = (
        bounded_table(
            "Repaired boxes",
            ("image", "why", "box after repair"),
            [decision for decision in decisions if decision.action == "repaired"],
            lambda decision: (
                decision.filename,
                decision.reason,
                str(list(decision.box_xywh or ())),
            ),
        ),
        left_out,
        bounded_table("Images without a label", ("why",), unlabelled, lambda line: (line,)),
    )
    return [table for table in tables if table.rows]


def model_cells(session: Session) -> dict[str, Cell]:
    """A model file's properties, by name; the JSON holds all of them."""
    metadata = session.metadata
    return {
        "model file": str(session.path),
        "network": f"{metadata.network} {metadata.backbone}".strip(),
        "precision": metadata.precision,
        "threshold": f"{metadata.threshold:.3f}",
        "provider": str(session.provider),
        "SHA-256": f"{session.sha256[:12]}…",
    }
