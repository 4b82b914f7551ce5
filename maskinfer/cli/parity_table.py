"""A verification's outcome as a table, for the commands that verify."""

from rich.table import Table

from maskinfer.export.parity import Parity

from .detecting import percent

_AGAINST = {"traced": "traced network", "checkpoint": "checkpoint itself"}


def parity_table(parity: Parity) -> Table:
    """One row a comparison."""
    table = Table(
        title=f"Agreement on {parity.images} images", title_justify="left", box=None, pad_edge=False
    )
    table.add_column("compared with", no_wrap=True)
    for name in ("batch", "labels", "mean IoU", "largest px", "largest p"):
        table.add_column(name, justify="right")
    for found in parity.comparisons:
        table.add_row(
            _AGAINST[found.against],
            str(found.batch_size),
            percent(found.label_agreement),
            f"{found.mean_iou:.4f}",
            f"{found.box_px:.2g}",
            f"{found.probability:.1g}",
        )
    return table
