"""`maskinfer compare`: two models on the same labelled images."""

from typing import Any

import typer

from maskinfer.data.dataset import Dataset, sample_images
from maskinfer.evaluation.comparing import (
    AllFacesComparison,
    CompareSettings,
    Comparison,
    OneFaceComparison,
)
from maskinfer.report.comparison_page import comparison_page
from maskinfer.report.folder import ReportFolder
from maskinfer.text import counted, decimals

from . import options
from .console import make_table, progress_bar, say
from .console import out as stdout
from .detector import FAILED_SOME, open_detector
from .options import argument, option, takes


@takes(
    CompareSettings,
    model_a=argument("A model file.", "A"),
    model_b=argument("Another, or the same.", "B"),
    data=option(options.LABELLED, "DIR"),
    provider=options.PROVIDER,
    provider_options=options.PROVIDER_OPTIONS,
    batch_size=options.BATCH_SIZE,
    **options.FACES,
    out=options.REPORT_OUT,
    overwrite=options.OVERWRITE,
)
def compare(settings: CompareSettings) -> None:
    """Say which of two models is better, whether by chance, and on which photos.

    Writes a folder with report.html and facts.json. Differences are B minus A.
    With --face all, an image is right where it is known whether everyone in it
    wears a mask properly.

    Exit code 0: done; 1: nothing could be done; 2: wrong usage; 3: done, but
    some images failed.
    """
    data = Dataset.open(settings.data or sample_images("maskinfer compare A B --data DIR"))
    report = ReportFolder.choose(settings.out, "compare", overwrite=settings.overwrite)
    detector_a, detector_b = (
        open_detector(model, settings) for model in (settings.model_a, settings.model_b)
    )
    kind = AllFacesComparison if settings.face == "all" else OneFaceComparison
    with progress_bar("comparing") as show:
        comparison = kind.of(detector_a, detector_b, data.test_part().path, show)
    _print_comparison(comparison)
    with progress_bar("drawing the report") as show:
        report.write(comparison_page(comparison), show)
    say(f"report: {report.page}")
    _say_left_out(comparison)
    if comparison.failed:
        raise typer.Exit(FAILED_SOME)


def _print_comparison(comparison: Comparison[Any]) -> None:
    rows = (
        (
            figure.name,
            *map(decimals, (figure.a, figure.b)),
            "none" if figure.difference is None else f"{figure.difference:+.3f}",
            figure.interval_words(),
        )
        for figure in comparison.figures
    )
    title = f"Figures over {len(comparison.pairs)} images"
    stdout.print(make_table(("figure", "A", "B", "B minus A", "95 % interval"), rows, title=title))
    calls = comparison.calls()
    title = f"Calls (images), {comparison.p_words()}"
    stdout.print(make_table(calls, [calls.values()], left=0, title=title))
    stdout.print(comparison.verdict(), highlight=False, soft_wrap=True)


def _say_left_out(comparison: Comparison[Any]) -> None:
    for name, alone in (("A", comparison.only_a), ("B", comparison.only_b)):
        if alone:
            say(f"note: left out {counted(len(alone), 'image')} that only {name} could measure")
    if comparison.failed:
        images = counted(comparison.failed, "image")
        say(f"warning: A or B could not measure {images}; the report says why")
