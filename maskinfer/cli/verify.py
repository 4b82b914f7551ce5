"""`maskinfer verify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table

from maskinfer.export.settings import VERIFIED_ON

from .console import make_table, percent
from .options import argument, option

if TYPE_CHECKING:
    from maskinfer.export.parity import Parity

_AGAINST = {"traced": "traced network", "checkpoint": "checkpoint itself"}


def verify(
    model: Annotated[Path, argument("A model file.", "MODEL")],
    against: Annotated[
        Path, option("The run or the weights that it was exported from.", "RUN|FILE|shipped")
    ],
    data: Annotated[
        Path | None,
        option(
            "A data set, whose test images are used, or any folder of photos.",
            "DIR",
            show_default="the run's own",
        ),
    ] = None,
    images: Annotated[
        int, option("Images to compare on at most, evenly spaced over all.", min=1)
    ] = VERIFIED_ON,
) -> None:
    """Compare the faces that a model file finds with its checkpoint's, on real images.

    Exit code 1 where they differ by more than the file's precision explains.
    """
    from maskinfer.errors import ExportError
    from maskinfer.export.verification import verify_file

    from .console import err, out

    with err.status(f"Verifying {model}"):
        parity, faults = verify_file(model, against, data, images)
    out.print(parity_table(parity))
    if faults:
        raise ExportError(f"{model}: does not predict what {against} does; {'; '.join(faults)}")


def parity_table(parity: "Parity") -> Table:
    """Make a table with a row per comparison."""
    headings = (
        *("compared with", "batch", "faces", "unmatched"),
        *("labels", "mean IoU", "largest px", "largest p"),
    )
    rows = (
        (
            *(_AGAINST[one.against], one.batch_size, one.faces, one.unmatched),
            percent(one.label_agreement),
            *(f"{one.mean_iou:.4f}", f"{one.box_px:.2g}", f"{one.probability:.1g}"),
        )
        for one in parity.comparisons
    )
    title = f"Agreement on {parity.images} images"
    return make_table(headings, rows, title=title, box=None, pad_edge=False)
