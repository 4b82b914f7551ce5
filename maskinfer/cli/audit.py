"""`maskinfer audit`: suspected wrong labels, and a corrected copy of the data set."""

from pathlib import Path

import typer

from maskinfer.curation.auditing import SUSPECTS, Audit, audit_by_model, correct
from maskinfer.curation.opinions import by_label, write_suspects
from maskinfer.data.cleaning import FaultKind
from maskinfer.data.images import settle_pillow
from maskinfer.errors import UsageError
from maskinfer.evaluation.labelled import label_word
from maskinfer.inference.choosing import DetectorSettings
from maskinfer.report.audit_page import audit_page
from maskinfer.report.folder import ReportFolder
from maskinfer.train.audit.settings import AuditSettings

from . import options
from .console import err, make_table, progress_bar, say
from .console import out as stdout
from .detector import FAILED_SOME, open_detector
from .options import argument, option, takes

_SHOWN = 10
# The options that each way to audit reads; others would be ignored silently.
_WAYS = {
    "apply": {"apply", "data", "out"},
    "resume": {"resume"},
    "model": {"model", "provider", "data", "out", "overwrite"},
    "": {"data", "out", "overwrite", "folds", "epochs", "recipe", "mixed_precision"},
}


@takes(
    AuditSettings,
    data=argument("A folder with train/ and test/, or a folder of labelled images.", "DATA"),
    out=options.REPORT_OUT,
    folds=option(
        "Parts of the data set: for each, a network is trained on the others.", "K", min=2, max=50
    ),
    epochs=option("Passes of each training over its images.", min=1, show_default="by recipe"),
    recipe=option("Of the networks: a section [lite], as for train.", "NAME|FILE"),
    mixed_precision=option(
        "bf16 is twice as fast on CPUs with AVX512-BF16 or AMX.", show_default="auto, on with CUDA"
    ),
    resume=option("Resume an interrupted audit; takes no other option.", "DIR"),
    model=option(
        "Ask this model in place of training. If it was trained on these images, it hides their "
        "errors.",
        "FILE",
    ),
    provider=options.PROVIDER,
    apply=option(
        "Write a copy of DATA, corrected by this CSV, to --out, by default NAME-corrected here. It "
        "is suspects.csv with the column action filled in, or what the page saved.",
        "FILE",
    ),
    overwrite=options.OVERWRITE,
)
def audit(settings: AuditSettings, context: typer.Context) -> None:
    """Rank labels and boxes that may be wrong, by networks that did not see them.

    Writes a folder with report.html, suspects.csv and facts.json. Needs the
    'train' extra, except with --model or --apply.

    Exit code 0: done; 1: nothing could be done; 2: wrong usage; 3: done, but
    some images could not be read.
    """
    given = options.given_options(context)
    way = next((name for name in _WAYS if name in given), "")
    others = [word for name, word in given.items() if name not in _WAYS[way]]
    if others:
        beside = f"with --{way}" if way else "without --model"
        raise UsageError(f"{', '.join(others)}: has no meaning {beside}; leave it out")
    if settings.apply is not None:
        _correct(settings.apply, settings)
        return
    settle_pillow()
    if settings.model is None:
        from maskinfer.train.audit.folds import audit_by_folds
        from maskinfer.train.display import display_for

        findings, folder = audit_by_folds(settings, display_for(err))
    else:
        findings, folder = _by_model(settings)
    with progress_bar("drawing the report") as show:
        folder.write(audit_page(findings), show)
    write_suspects(folder.path / SUSPECTS, findings.predictions)
    _print(findings, folder)


def _by_model(settings: AuditSettings) -> tuple[Audit, ReportFolder]:
    data = settings.named_data()
    folder = ReportFolder.choose(settings.out, "audit", overwrite=settings.overwrite)
    detector = open_detector(settings.model, DetectorSettings(provider=settings.provider))
    with progress_bar("auditing") as show:
        findings = audit_by_model(data, detector, show)
    for warning in findings.warnings:
        say(f"warning: {warning}")
    return findings, folder


def _print(findings: Audit, folder: ReportFolder) -> None:
    rows = (
        (
            label_word(suspect.label_proper),
            "no face" if (sure := suspect.self_confidence) is None else f"{sure:.3f}",
            f"{suspect.iou:.2f}",
            suspect.filename,
        )
        for suspect in by_label(findings.predictions)[:_SHOWN]
    )
    headings = ("label", "probability", "overlap", "image")
    stdout.print(make_table(headings, rows, left=4, title="Labels most likely wrong"))
    say(f"report: {folder.page}")
    say(f"to judge: {folder.path / SUSPECTS}")
    if any(decision.kind is FaultKind.UNREADABLE for decision in findings.decisions):
        raise typer.Exit(FAILED_SOME)


def _correct(decisions: Path, settings: AuditSettings) -> None:
    done, out = correct(decisions, settings.data, settings.out)
    words = ", ".join(f"{count} {action}" for action, count in sorted(done.counts.items()))
    say(f"{done.files} files written to {out}; corrected: {words or 'none'}")
    if done.passed_over:
        say(
            f"note: {len(done.passed_over)} links to folders or special files were not copied, "
            f"the first: {done.passed_over[0]}"
        )
