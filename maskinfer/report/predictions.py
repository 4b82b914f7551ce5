"""What pages about predictions share: bounds, figures, and what was not measured."""

from collections.abc import Sequence

from maskinfer.runtime import Session

from .blocks import Cell, Link, Table

MOST_CARDS = 48  # of a gallery
_MOST_ROWS = 300  # of a table

Rows = Sequence[Sequence[Cell | Link]]


def bounded_table(caption: str, headings: Sequence[str], rows: Rows) -> Table:
    """A table of the first rows; the others are in the JSON alone."""
    return Table(caption, headings, rows[:_MOST_ROWS], max(0, len(rows) - _MOST_ROWS))


def filled_tables(*tables: Table) -> list[Table]:
    """Those that hold something."""
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
