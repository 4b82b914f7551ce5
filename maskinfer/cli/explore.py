"""`maskinfer explore`: what a data set holds, and what is wrong with it."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from maskinfer.data.dataset import SAMPLE_IMAGES, splits_of
from maskinfer.errors import UsageError
from maskinfer.runtime.providers import Provider

from . import options
from .console import out as stdout
from .console import progress_bar, say
from .detector import FAILED_SOME, open_detector

_BATCH_SIZE = 16


def explore(
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATA",
            help="A folder with train/ and test/, or a folder of images. By default "
            "sample_images/.",
            show_default=False,
        ),
    ] = None,
    out: options.ReportOut = None,
    model: options.Model = None,
    ask_model: Annotated[
        bool,
        typer.Option(
            "--ask-model/--no-model",
            help="Whether a model is asked about each label, which takes most of the time.",
        ),
    ] = True,
    provider: options.ProviderChoice = Provider.AUTO,
    overwrite: options.Overwrite = False,
) -> None:
    """Show what a data set holds: counts, boxes, colours, copies, faults, samples.

    Writes a folder with report.html and facts.json.

    Exit code 0: done; 1: nothing could be done; 2: wrong usage; 3: done, but
    some images could not be read.
    """
    from maskinfer.curation.exploring import explore as explore_data
    from maskinfer.data.images import settle_pillow
    from maskinfer.report.exploration_page import exploration_page
    from maskinfer.report.folder import ReportFolder

    if data is None:
        if not SAMPLE_IMAGES.is_dir():
            raise UsageError("no data set named: maskinfer explore DATA")
        data = SAMPLE_IMAGES
    settle_pillow()
    splits_of(data)
    if not ask_model and (model is not None or provider is not Provider.AUTO):
        raise UsageError("--no-model: asks none, so --model and --provider mean nothing beside it")
    folder = ReportFolder.choose(out, "explore", datetime.now(), overwrite=overwrite)
    detector = open_detector(model, provider, _BATCH_SIZE) if ask_model else None
    with progress_bar("exploring") as show:
        found = explore_data(data, detector, show)
    with progress_bar("drawing the report") as show:
        folder.write(exploration_page(found), show)

    table = Table("split", "images", "proper", "improper", "no label", "impossible", "unreadable")
    for column in table.columns[1:]:
        column.justify = "right"
    for split in found.splits.values():
        counts = (len(split.filenames), split.count(True), split.count(False))
        faults = (split.unlabelled_count, len(split.impossible), len(split.unreadable))
        table.add_row(Text(split.name), *map(str, (*counts, *faults)))
    stdout.print(table)
    for warning in found.warnings():
        stdout.print(f"- {warning}", markup=False, highlight=False, soft_wrap=True)
    say(f"report: {folder.page}")
    if any(split.unreadable for split in found.splits.values()):
        raise typer.Exit(FAILED_SOME)
