"""`maskinfer audit`: suspected wrong labels, and a corrected copy of the data set."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from maskinfer.data.dataset import splits_of
from maskinfer.errors import UsageError
from maskinfer.runtime.providers import Provider
from maskinfer.text import printable_name
from maskinfer.train.settings import MixedPrecision

from . import options
from .console import err, progress_bar, say
from .console import out as stdout
from .detector import FAILED_SOME, open_detector

if TYPE_CHECKING:
    from maskinfer.data.cleaning import Decision
    from maskinfer.evaluation.labelled import LabelledPrediction
    from maskinfer.report.folder import ReportFolder
    from maskinfer.train.audit.folds import AuditPlan

_SUSPECTS = "suspects.csv"
_BATCH_SIZE = 16
_SHOWN = 10
_IN_SAMPLE = (
    "one model was asked, which may have learned these labels, wrong ones too: what it repeats is "
    "no proof. Without --model, networks are asked that did not see them"
)


# What each way to audit is told by; more would be passed over in silence.
_WAYS = {
    "apply": {"apply", "data", "out"},
    "resume": {"resume"},
    "model": {"model", "provider", "data", "out", "overwrite"},
    "": {"data", "out", "overwrite", "folds", "epochs", "recipe", "mixed_precision"},
}


def audit(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATA",
            help="A folder with train/ and test/, or a folder of labelled images.",
            show_default=False,
        ),
    ] = None,
    out: options.ReportOut = None,
    folds: Annotated[
        int,
        typer.Option(
            metavar="K",
            min=2,
            max=50,
            help="Parts of the data set: for each, a network learns the others.",
        ),
    ] = 4,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Passes of each training over its images.", show_default="by recipe"
        ),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(metavar="NAME|FILE", help="Of the networks: a section [lite], as for train."),
    ] = "audit",
    mixed_precision: Annotated[
        MixedPrecision | None,
        typer.Option(
            help="bf16 is twice as fast on CPUs with AVX512-BF16 or AMX.",
            show_default="auto, on with CUDA",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume", metavar="DIR", help="Go on with an audit that was stopped; nothing else."
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            metavar="FILE",
            help="Ask this model in place of training. Where it learned these images, it hides "
            "their errors.",
            show_default=False,
        ),
    ] = None,
    provider: options.ProviderChoice = Provider.AUTO,
    apply: Annotated[
        Path | None,
        typer.Option(
            "--apply",
            metavar="FILE",
            help="Write a corrected copy of DATA to --out, else to NAME-corrected here, as this "
            "CSV says: suspects.csv with its column action filled, or what the page saved.",
            show_default=False,
        ),
    ] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Rank labels and boxes that may be wrong, by networks that did not see them.

    Writes a folder with report.html, suspects.csv and facts.json. Needs the
    'train' extra, but for --model and --apply.

    Exit code 0: done; 1: nothing could be done; 2: wrong usage; 3: done, but
    some images could not be read.
    """
    _refuse_others(context)
    if apply is not None:
        _apply(apply, data, out)
        return
    from maskinfer.data.images import settle_pillow
    from maskinfer.report.folder import ReportFolder

    settle_pillow()
    if resume is not None:
        from maskinfer.curation.correcting import has_actions
        from maskinfer.train.audit.folds import AuditPlan

        plan = AuditPlan.read(resume)
        if has_actions(resume / _SUSPECTS):
            raise UsageError(
                f"{resume / _SUSPECTS}: holds your decisions, which going on would replace. "
                "Apply it, or move it elsewhere"
            )
        folder = ReportFolder.choose(resume, "audit", datetime.now(), overwrite=True)
        _audit_by_folds(plan, folder)
        return
    if data is None:
        raise UsageError("no data set named: maskinfer audit DATA")
    splits_of(data)
    if model is not None:
        folder = ReportFolder.choose(out, "audit", datetime.now(), overwrite=overwrite)
        _audit_by_model(data, model, provider, folder)
        return
    from maskinfer.train.audit.folds import AuditPlan
    from maskinfer.train.recipes import recipe_settings
    from maskinfer.train.settings import check

    given: dict[str, Any] = {"epochs": epochs, "mixed_precision": mixed_precision}
    settings = recipe_settings("lite", recipe, (str(data.resolve()),))
    settings = replace(settings, **{k: v for k, v in given.items() if v is not None})
    check(settings)
    folder = ReportFolder.choose(out, "audit", datetime.now(), overwrite=overwrite)
    if folder.path.resolve().is_relative_to(data.resolve()):
        raise UsageError(f"{folder.path}: lies in {data}, which it audits. Choose another --out")
    _audit_by_folds(AuditPlan(str(data.resolve()), folds, settings), folder)


def _refuse_others(context: typer.Context) -> None:
    """An option that this way to audit does not know would be passed over.

    Raises:
        UsageError: there is one.
    """
    given = options.given_options(context)
    way = next((name for name in _WAYS if name in given), "")
    others = [word for name, word in given.items() if name not in _WAYS[way]]
    if others:
        beside = f"beside --{way}" if way else "without --model"
        raise UsageError(f"{', '.join(others)}: means nothing {beside}; leave it out")


def _audit_by_folds(plan: "AuditPlan", folder: "ReportFolder") -> None:
    from maskinfer.train.audit.folds import PLAN, audit_folds
    from maskinfer.train.display import display_for

    try:
        opinions, decisions = audit_folds(plan, folder.path, display_for(err), datetime.now)
    except KeyboardInterrupt as stop:
        if not (folder.path / PLAN).is_file():
            raise KeyboardInterrupt("before the first network began") from stop
        path = shlex.quote(str(folder.path))
        raise KeyboardInterrupt(f"Go on with: maskinfer audit --resume {path}") from stop
    how = (
        f"Each was asked of a network that did not learn it: {plan.folds} folds, "
        f"{plan.settings.epochs} epochs of {plan.settings.model} at "
        f"{plan.settings.geometry.canvas} px."
    )
    facts = {"folds": plan.folds, "settings": plan.settings.to_dict()}
    _finish(Path(plan.data), folder, opinions, decisions, how, [], facts)


def _audit_by_model(data: Path, model: Path, provider: Provider, folder: "ReportFolder") -> None:
    from maskinfer.data.cleaning import Decision
    from maskinfer.data.dataset import Dataset
    from maskinfer.evaluation.labelled import predict_samples

    samples, decisions, unlabelled = Dataset.open(data).samples("test")
    detector = open_detector(model, provider, _BATCH_SIZE)
    with progress_bar("auditing") as show:
        opinions, failures = predict_samples(detector, data, samples, show)
    decisions += unlabelled
    decisions += [Decision.unreadable(f.filename, f.error) for f in failures]
    say(f"warning: {_IN_SAMPLE}")
    how = f"Each was asked of {detector.session.path}."
    facts = {"model": printable_name(str(model)), "sha256": detector.session.sha256}
    _finish(data, folder, opinions, decisions, how, [_IN_SAMPLE], facts)


def _finish(
    data: Path,
    folder: "ReportFolder",
    opinions: "Sequence[LabelledPrediction]",
    decisions: "Sequence[Decision]",
    how: str,
    warnings: Sequence[str],
    facts: dict[str, Any],
) -> None:
    from maskinfer.curation.opinions import (
        by_label,
        self_confidence,
        write_suspects,
    )
    from maskinfer.data.cleaning import FaultKind
    from maskinfer.errors import DatasetError
    from maskinfer.evaluation.labelled import label_word
    from maskinfer.report.audit_page import audit_page

    if not opinions:
        raise DatasetError(f"{data}: none of its labelled images can be read")
    suspects = folder.path / _SUSPECTS
    page = audit_page(opinions, decisions, data, how, warnings, facts)
    with progress_bar("drawing the report") as show:
        folder.write(page, show)
    write_suspects(suspects, opinions)
    table = Table("label", "probability", "overlap", "image", title="Labels most likely wrong")
    for opinion in by_label(opinions)[:_SHOWN]:
        word = label_word(opinion.label_proper)
        cells = (word, f"{self_confidence(opinion):.3f}", f"{opinion.iou:.2f}")
        table.add_row(*cells, Text(printable_name(opinion.filename), overflow="fold"))
    stdout.print(table)
    say(f"report: {folder.page}")
    say(f"to judge: {suspects}")
    if any(decision.kind is FaultKind.UNREADABLE for decision in decisions):
        raise typer.Exit(FAILED_SOME)


def _apply(list_: Path, data: Path | None, out: Path | None) -> None:
    from maskinfer.curation.correcting import apply_corrections, read_corrections

    corrections = read_corrections(list_)
    data = data or _audited(list_)
    out = out or Path(f"{data.resolve().name}-corrected")
    done = apply_corrections(data, corrections, out)
    words = ", ".join(f"{count} {action}" for action, count in sorted(done.counts.items()))
    say(f"{done.files} files written to {out}; corrected: {words or 'none'}")
    if done.passed_over:
        say(
            f"note: {len(done.passed_over)} links to folders or special files were not copied, "
            f"the first: {done.passed_over[0]}"
        )


def _audited(list_: Path) -> Path:
    """The data set that the list lies beside the facts of."""
    facts = list_.parent / "facts.json"
    try:
        return Path(json.loads(facts.read_text(encoding="utf-8"))["data"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(
            f"{list_}: does not lie in an audit's folder, so name the data set: "
            "maskinfer audit DATA --apply FILE"
        ) from None
