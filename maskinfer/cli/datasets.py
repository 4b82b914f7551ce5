"""`maskinfer import`, `export-labels` and `synth`: data sets from annotations, and drawn."""

from dataclasses import replace
from pathlib import Path

import typer

from maskinfer.importers.importing import ImportReport, ImportSettings, import_annotations
from maskinfer.importers.writing import LabelsSettings
from maskinfer.importers.writing import export_labels as write_labels
from maskinfer.text import counted
from maskinfer.train.synthetic.samples import SynthSettings, write_samples

from . import options
from .console import progress_bar, say
from .detector import FAILED_SOME
from .options import argument, option, takes


@takes(
    ImportSettings,
    layout=argument(
        "voc, yolo, coco, csv, cvat or labelstudio; classes: labels without boxes; auto: what SRC "
        "looks like.",
        "FORMAT",
    ),
    src=argument("A folder of photos and annotations.", "SRC"),
    out=option("The data set to make, with train/ and test/.", "DIR"),
    labels=option("Folder or file of annotations that lie outside SRC.", "PATH"),
    columns=option(
        "csv: what the columns are, where no header says: filename, class, and xmin, ymin, xmax, "
        "ymax or x, y, w, h.",
        "A,B,...",
    ),
    face=option("Label each photo's left-most or largest face, or each face in a crop of its own."),
    test_fraction=option("Share of the photos held out for testing, where SRC names none."),
    min_face=option("Shorter side of the smallest face that gets a crop.", "PIXELS", min=1),
    proper=option("Class of properly worn masks. Repeatable.", "NAME"),
    improper=option("Class of faces without, or worn wrongly. Repeatable.", "NAME"),
    ignore=option("Class to pass over. Repeatable.", "NAME"),
    follow_links=option("Also take files that are links to outside SRC."),
    overwrite=options.OVERWRITE,
)
def import_(settings: ImportSettings, columns: str = "") -> None:
    """Make a labelled data set of another tool's annotations.

    Beside train/ and test/, DIR gets sources.csv (which photo each image came from), repaired.csv
    (boxes that were mended, as they reached past their photo or had their corners swapped) and
    skipped.csv (photos and faces left out, each with the reason). --overwrite replaces what an
    earlier import made, and refuses where DIR holds any other file.

    Exit code 0: done; 1: nothing could be imported; 2: wrong usage; 3: done, but some photos could
    not be read, a split is empty, or all labels are the same.
    """
    settings = replace(settings, columns=tuple(filter(None, columns.split(","))))
    with progress_bar("importing") as show:
        report = import_annotations(settings, show)
    _summarise(report, settings)
    if report.unreadable or report.shortcomings:
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


@takes(
    SynthSettings,
    folder=argument("Where the images are written.", "DIR"),
    count=option("Number of images.", min=1, max=999_999),
    seed=option("The same seed draws the same images.", min=0),
    size_px=option("The images' longer side, in pixels.", name="--size", min=64, max=2048),
    overwrite=option(
        "Replace what synth drew into DIR; refused where DIR holds other labelled images.",
        name="--overwrite",
    ),
)
def synth(settings: SynthSettings, folder: Path) -> None:
    """Draw labelled sample images: faces with masks worn properly, wrongly, and not at all."""
    with progress_bar("drawing") as show:
        write_samples(folder, settings, show)
    say(f"{settings.count} images written to {folder}")


def _summarise(report: ImportReport, settings: ImportSettings) -> None:
    out = settings.out
    for split in ("train", "test"):
        proper, improper = report.counts[split, True], report.counts[split, False]
        say(f"{out / split}: {proper + improper} images, {proper} True, {improper} False")
    for note in report.notes:
        say(note)
    if report.held_out:
        say(
            f"{settings.src} names no test photos: held out {settings.test_fraction:.0%} by photo "
            "(--test-fraction)"
        )
    if report.repaired:
        say(f"{out / 'repaired.csv'}: {len(report.repaired)} boxes mended")
    if report.skipped:
        photos = f", {report.unreadable} of them unreadable photos" if report.unreadable else ""
        say(f"{out / 'skipped.csv'}: {len(report.skipped)} photos or faces left out{photos}")
    if report.shortcomings:
        say(f"{out}: {', '.join(report.shortcomings)}; both splits need photos, of both labels")
