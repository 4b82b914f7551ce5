"""What pages about predictions share: photos with boxes, figures, and what was not measured."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from maskinfer.lookahead import map_ahead
from maskinfer.pipeline import decode_threads
from maskinfer.runtime import Session

from .blocks import Cell, Link, Table
from .thumbnails import Outline, thumbnail

MOST_CARDS = 48  # of a gallery
_MOST_ROWS = 300  # of a table

Rows = Sequence[Sequence[Cell | Link]]


def make_thumbnails(
    folder: Path,
    outlines: Mapping[str, Sequence[Outline]],
    on_progress: Callable[[int, int], object],
) -> dict[str, str | None]:
    """Make thumbnails in threads, one of each photo, however often it is shown.

    Args:
        folder: where the photos are.
        outlines: drawn on each photo, by its path from the folder.
        on_progress: called with the number of photos done so far, and of all.

    Returns:
        data URIs by the same paths; None where a photo cannot be read.
    """
    threads = decode_threads()
    made: dict[str, str | None] = {}

    def make(name: str) -> str | None:
        return thumbnail(folder / name, outlines[name])

    with closing(map_ahead(make, outlines, threads=threads, ahead=4 * threads)) as pictures:
        for name, picture in zip(outlines, pictures, strict=True):
            made[name] = picture
            on_progress(len(made), len(outlines))
    return made


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
