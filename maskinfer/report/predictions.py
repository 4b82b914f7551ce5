"""What pages about predictions share: bounds, figures, and what was not measured."""

from collections.abc import Iterable, Sequence

from maskinfer.data.cleaning import Decision
from maskinfer.runtime.session import Session

from .blocks import Cell, Link, Table, bounded_table

MOST_CARDS = 48  # of a gallery

Rows = Sequence[Sequence[Cell | Link]]


def not_measured(
    decisions: Iterable[Decision], left_out: Table, unlabelled: Sequence[str]
) -> list[Table]:
    """What was repaired, left out or has no label, those tables that hold something.

    Args:
        decisions: of which the repairs are listed here.
        left_out: labelled images that were not measured.
        unlabelled: a line for each image without a label.
    """
    tables = (
        bounded_table(
            "Boxes that were repaired",
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
    """What a model file is, by name; the JSON has it whole."""
    metadata = session.metadata
    return {
        "model file": str(session.path),
        "network": f"{metadata.network} {metadata.backbone}".strip(),
        "precision": metadata.precision,
        "threshold": f"{metadata.threshold:.3f}",
        "provider": str(session.provider),
        "SHA-256": f"{session.sha256[:12]}…",
    }
