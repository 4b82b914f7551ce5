"""`maskinfer verify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table

from maskinfer.export.settings import VERIFIED_ON

from .console import percent
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
    table = Table(
        title=f"Agreement on {parity.images} images", title_justify="left", box=None, pad_edge=False
    )
    table.add_column("compared with", no_wrap=True)
    for name in ("batch", "faces", "unmatched", "labels", "mean IoU", "largest px", "largest p"):
        table.add_column(name, justify="right")
    for agreement in parity.comparisons:
        table.add_row(
            _AGAINST[agreement.against],
            str(agreement.batch_size),
            str(agreement.faces),
            str(agreement.unmatched),
            percent(agreement.label_agreement),
            f"{agreement.mean_iou:.4f}",
            f"{agreement.box_px:.2g}",
            f"{agreement.probability:.1g}",
        )
    return table
