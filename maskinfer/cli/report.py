"""`maskinfer report`: training runs compared."""

from rich.table import Table

from maskinfer.text import visible
from maskinfer.train.runs.comparison import ReportSettings, RunComparison

from . import options
from .console import make_table, say
from .console import out as stdout
from .options import argument, takes

# Columns of the best epoch's figures, by their headings.
_OF_BEST = {
    "train\nIoU": "train_iou",
    "test\nIoU": "test_iou",
    "train\nacc.": "train_accuracy",
    "test\nacc.": "test_accuracy",
    "test\nbal.": "test_balanced_accuracy",
}


@takes(
    ReportSettings,
    runs=argument(
        "Folders that `maskinfer train` made. By default the newest under runs/.",
        "[RUN]...",
        show_default=False,
    ),
    out=options.REPORT_OUT,
    overwrite=options.OVERWRITE,
)
def report(settings: ReportSettings) -> None:
    """Compare training runs: figures, curves, settings, warnings.

    Writes a folder with report.html and facts.json.
    """
    from maskinfer.train.runs.page import report_runs

    comparison, page = report_runs(settings)
    stdout.print(_table(comparison))
    for warning in comparison.warnings():
        stdout.print(f"- {visible(warning)}", markup=False, highlight=False, soft_wrap=True)
    say(f"report: {page}")


def _table(comparison: RunComparison) -> Table:
    headings = ("\nrun", "\nnetwork", "\nepochs", "\nbest", *_OF_BEST, "\nmin.")
    rows = (
        (
            *(run.name, run.config.settings.model),
            f"{run.epochs_done}/{run.config.settings.epochs}",
            run.best.epoch if run.best else "–",
            *(_shown(getattr(run.best, name, None)) for name in _OF_BEST.values()),
            f"{run.minutes:.1f}" if run.history else "–",
        )
        for run in comparison.runs
    )
    return make_table(headings, rows, left=2, box=None, pad_edge=False, padding=(0, 1, 0, 0))


def _shown(figure: float | None) -> str:
    return "–" if figure is None else f"{figure:.3f}"
