"""`maskinfer verify`."""

from pathlib import Path
from typing import Annotated

import typer

from maskinfer.export.settings import VERIFIED_ON


def verify(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file.")],
    against: Annotated[
        Path, typer.Option(metavar="RUN", help="The run folder that it was exported from.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A data set, of which the test images are taken, or any folder of photos.",
            show_default="the run's own",
        ),
    ] = None,
    images: Annotated[
        int, typer.Option(min=1, help="Compare on at most so many, evenly spaced over all.")
    ] = VERIFIED_ON,
) -> None:
    """Compare a model file with the checkpoint it came from, on real images.

    Exit code 1 where they differ by more than the file's precision explains.
    """
    from maskinfer.errors import ExportError, UsageError
    from maskinfer.export.verification import verify_file
    from maskinfer.train.run_folder import WEIGHTS, RunFolder

    from .console import err, out
    from .parity_table import parity_table

    if against.is_file() and against.name != WEIGHTS:
        raise UsageError(f"--against: got {against}, expected a run folder or its {WEIGHTS}")
    run = RunFolder(against.parent if against.is_file() else against)
    with err.status(f"Verifying {model}"):
        parity, faults = verify_file(model, run, data, images)
    out.print(parity_table(parity))
    if faults:
        raise ExportError(f"{model}: does not predict what {run.path} does; {'; '.join(faults)}")
