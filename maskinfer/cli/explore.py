"""`maskinfer explore`: what a data set holds, and what is wrong with it."""

import typer

from maskinfer.curation.exploration import Exploration
from maskinfer.curation.exploring import ExploreSettings
from maskinfer.curation.exploring import explore as explore_data
from maskinfer.data.dataset import Dataset, sample_images
from maskinfer.data.images import settle_pillow
from maskinfer.errors import UsageError
from maskinfer.inference.choosing import DetectorSettings
from maskinfer.report.exploration_page import exploration_page
from maskinfer.report.folder import ReportFolder
from maskinfer.text import counted, visible

from . import options
from .console import make_table, progress_bar, say
from .console import out as stdout
from .detector import FAILED_SOME, open_detector
from .options import argument, option, takes


@takes(
    ExploreSettings,
    data=argument(
        "A folder with train/ and test/, or a folder of images. By default sample_images/.", "DATA"
    ),
    out=options.REPORT_OUT,
    model=options.MODEL,
    ask_model=option(
        "Whether a model is asked about each label, which takes most of the time.",
        name="--ask-model/--no-model",
    ),
    provider=options.PROVIDER,
    overwrite=options.OVERWRITE,
)
def explore(settings: ExploreSettings) -> None:
    """Show what a data set holds: counts, boxes, colours, duplicates, faults, samples.

    Writes a folder with report.html and facts.json.

    Exit code 0: done; 1: nothing could be done; 2: wrong usage; 3: done, but
    some images could not be read.
    """
    asked = (settings.model, settings.provider)
    if not settings.ask_model and asked != (ExploreSettings.model, ExploreSettings.provider):
        raise UsageError("--no-model: no model is asked, so leave out --model and --provider")
    settle_pillow()
    dataset = Dataset.open(settings.data or sample_images("maskinfer explore DATA"))
    folder = ReportFolder.choose(settings.out, "explore", overwrite=settings.overwrite)
    provider = DetectorSettings(provider=settings.provider)
    detector = open_detector(settings.model, provider) if settings.ask_model else None
    with progress_bar("exploring") as show:
        exploration = explore_data(dataset.path, detector, show)
    with progress_bar("drawing the report") as show:
        folder.write(exploration_page(exploration), show)
    _print(exploration, folder)


def _print(exploration: Exploration, folder: ReportFolder) -> None:
    headings = ("split", "images", "proper", "improper", "no label", "impossible", "unreadable")
    rows = (
        (
            *(split.name, len(split.filenames), split.count(True), split.count(False)),
            *(len(split.unlabelled), len(split.impossible), len(split.unreadable)),
        )
        for split in exploration.splits.values()
    )
    stdout.print(make_table(headings, rows))
    for warning in exploration.warnings():
        stdout.print(f"- {visible(warning)}", markup=False, highlight=False, soft_wrap=True)
    if exploration.model is not None:
        doubted = counted(len(exploration.doubted), "label")
        say(f"model: {exploration.model} contradicts {doubted}")
    say(f"report: {folder.page}")
    if any(split.unreadable for split in exploration.splits.values()):
        raise typer.Exit(FAILED_SOME)
