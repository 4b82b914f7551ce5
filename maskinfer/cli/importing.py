"""`maskinfer import`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from maskinfer.cli.console import err, say
from maskinfer.importing import ImportReport, ImportSettings, import_annotations


class Layout(StrEnum):
    """The formats that are read."""

    voc = "voc"
    yolo = "yolo"
    coco = "coco"


class FaceChoice(StrEnum):
    """Which face of a photo is labelled."""

    left = "left"
    largest = "largest"
    each = "each"


def import_(
    layout: Annotated[Layout, typer.Argument(help="Format of the annotations.", metavar="FORMAT")],
    src: Annotated[Path, typer.Argument(help="Folder with photos and annotations.")],
    out: Annotated[Path, typer.Option(help="Data set to make: train/, test/ and lists.")],
    face: Annotated[
        FaceChoice,
        typer.Option(
            help="Label each photo's left-most or largest face, or each face in a crop of its own."
        ),
    ] = FaceChoice.left,
    test_fraction: Annotated[
        float,
        typer.Option(help="Share of the photos held out for testing, where SRC names no split."),
    ] = ImportSettings.test_fraction,
    min_face: Annotated[
        int,
        typer.Option(min=1, help="With --face each: least pixels of a face's shorter side."),
    ] = ImportSettings.min_face,
    proper: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Class that means a properly worn mask. Repeatable."),
    ] = None,
    improper: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Class that means no mask, or one worn wrongly. Repeatable."
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Class to pass over. Repeatable."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier import at --out.")
    ] = False,
) -> None:
    """Make a labelled data set of Pascal VOC, YOLO or COCO annotations.

    FORMAT is voc, yolo or coco.
    """
    settings = ImportSettings(
        layout=layout.value,
        src=src,
        out=out,
        face=face.value,
        test_fraction=test_fraction,
        min_face=min_face,
        proper=tuple(proper or ()),
        improper=tuple(improper or ()),
        ignore=tuple(ignore or ()),
        overwrite=overwrite,
    )
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("importing", total=None)
        report = import_annotations(
            settings, lambda done, total: progress.update(task, completed=done, total=total)
        )
    _summarise(report, settings)
    if report.unreadable:
        raise typer.Exit(3)


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
        say(f"{out / 'repaired.csv'}: {len(report.repaired)} boxes clipped into their image")
    if report.skipped:
        photos = f", {report.unreadable} of them unreadable photos" if report.unreadable else ""
        say(f"{out / 'skipped.csv'}: {len(report.skipped)} photos or faces left out{photos}")
