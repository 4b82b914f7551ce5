"""`maskinfer report`: training runs compared."""

from rich.table import Table
from rich.text import Text

from maskinfer.text import visible
from maskinfer.train.runs.comparison import ReportSettings, RunComparison

from . import options
from .console import out as stdout
from .console import say
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
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("\nrun", overflow="fold")
    table.add_column("\nnetwork", no_wrap=True)
    for heading in ("\nepochs", "\nbest", *_OF_BEST, "\nmin."):
        table.add_column(heading, justify="right", no_wrap=True)
    for run in comparison.runs:
        best, settings = run.best, run.config.settings
        shares = (f"{getattr(best, name):.3f}" if best else "–" for name in _OF_BEST.values())
        table.add_row(
            Text(run.name),
            settings.model,
            f"{run.epochs_done}/{settings.epochs}",
            str(best.epoch) if best else "–",
            *shares,
            f"{run.minutes:.1f}" if run.history else "–",
        )
    return table
