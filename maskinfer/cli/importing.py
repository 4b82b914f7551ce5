"""`maskinfer import` and `export-labels`: between annotations of other tools and data sets."""

from pathlib import Path
from typing import Annotated

import typer

from maskinfer.importers.importing import (
    FaceChoice,
    ImportReport,
    ImportSettings,
    Layout,
    import_annotations,
)
from maskinfer.importers.writing import LabelsSettings
from maskinfer.importers.writing import export_labels as write_labels
from maskinfer.text import counted

from . import options
from .console import progress_bar, say
from .detector import FAILED_SOME
from .options import argument, option, takes


def import_(
    layout: Annotated[
        Layout, typer.Argument(metavar="FORMAT", help="The annotations: voc, yolo or coco.")
    ],
    src: Annotated[Path, typer.Argument(metavar="SRC", help="A folder of photos and annotations.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The data set to make, with train/ and test/.")
    ],
    face: Annotated[
        FaceChoice,
        typer.Option(
            help="Label each photo's left-most or largest face, or each face in a crop of its own."
        ),
    ] = ImportSettings.face,
    test_fraction: Annotated[
        float,
        typer.Option(help="Share of the photos held out for testing, where SRC names none."),
    ] = ImportSettings.test_fraction,
    min_face: Annotated[
        int,
        typer.Option(
            metavar="PIXELS", min=1, help="Shorter side of the smallest face that gets a crop."
        ),
    ] = ImportSettings.min_face,
    proper: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Class of properly worn masks. Repeatable."),
    ] = None,
    improper: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Class of faces without, or worn wrongly. Repeatable."),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Class to pass over. Repeatable."),
    ] = None,
    overwrite: options.Overwrite = ImportSettings.overwrite,
) -> None:
    """Make a labelled data set of Pascal VOC, YOLO or COCO annotations.

    Beside train/ and test/, DIR gets sources.csv (which photo each image came from), repaired.csv
    (boxes that reached past their photo and were clipped) and skipped.csv (photos and faces left
    out, each with the reason). --overwrite replaces what an earlier import made, and refuses where
    DIR holds any other file.

    Exit code 0: done; 1: nothing could be imported; 2: wrong usage; 3: done, but some photos could
    not be read.
    """
    settings = ImportSettings(
        layout=layout,
        src=src,
        out=out,
        face=face,
        test_fraction=test_fraction,
        min_face=min_face,
        proper=tuple(proper or ()),
        improper=tuple(improper or ()),
        ignore=tuple(ignore or ()),
        overwrite=overwrite,
    )
    with progress_bar("importing") as show:
        report = import_annotations(settings, show)
    _summarise(report, settings)
    if report.unreadable:
        raise typer.Exit(FAILED_SOME)


@takes(
    LabelsSettings,
    data=argument("A data set: train/ and test/, or a folder of labelled images.", "DATA"),
    out=argument("The folder to make.", "DIR"),
    to=option("The tool's format: voc, yolo or coco."),
)
def export_labels(settings: LabelsSettings) -> None:
    """Write a data set as annotations of another tool, with copies of its images.

    All known faces are written, with one of the classes with_mask, without_mask,
    mask_weared_incorrect, and improper where it is not known which of the last two.
    """
    counts, left_out = write_labels(settings)
    for split, count in counts.items():
        say(f"{settings.out}: {counted(count, 'image')} of {split}")
    if left_out:
        first = f"{left_out[0].filename}: {left_out[0].reason}"
        say(f"left out {counted(len(left_out), 'image')}, the first {first}")
        raise typer.Exit(FAILED_SOME)


def _summarise(report: ImportReport, settings: ImportSettings) -> None:
    out = settings.out
    for split in ("train", "test"):
        proper, improper = report.counts[split, True], report.counts[split, False]
        say(f"{out / split}: {proper + improper} images, {proper} True, {improper} False")
    if report.held_out:
        say(
            f"{settings.src} names no test photos: held out {settings.test_fraction:.0%} by photo "
            "(--test-fraction)"
        )
    if report.repaired:
        say(f"{out / 'repaired.csv'}: {len(report.repaired)} boxes clipped into their photo")
    if report.skipped:
        photos = f", {report.unreadable} of them unreadable photos" if report.unreadable else ""
        say(f"{out / 'skipped.csv'}: {len(report.skipped)} photos or faces left out{photos}")
