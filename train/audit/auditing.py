"""An audit by networks that are trained for it: its plan, its report's folder, its folds."""

import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from maskinfer.curation.auditing import SUSPECTS, Audit
from maskinfer.curation.correcting import has_actions
from maskinfer.errors import UsageError
from maskinfer.files import refuse_inside
from maskinfer.report.folder import ReportFolder
from maskinfer.train.display import Display
from maskinfer.train.recipes import recipe_settings
from maskinfer.train.settings import check

from .folds import PLAN, AuditPlan, audit_folds
from .settings import AuditSettings


def audit_by_folds(settings: AuditSettings, display: Display) -> tuple[Audit, ReportFolder]:
    """Start an audit, or resume one.

    Args:
        settings: which of the two, and how.
        display: where the trainings show their progress.

    Returns:
        the audit, and where its report belongs.

    Raises:
        UsageError: what was asked for is impossible, or would replace decisions.
        MaskinferError: the audit to resume or the data is damaged or has changed.
        KeyboardInterrupt: stopped; the message says how to resume.
    """
    if settings.resume is not None:
        plan = AuditPlan.read(settings.resume)
        suspects = settings.resume / SUSPECTS
        if has_actions(suspects):
            raise UsageError(
                f"{suspects}: holds your decisions, which resuming would replace. "
                "Apply it, or move it elsewhere"
            )
        folder = ReportFolder.choose(settings.resume, "audit", overwrite=True)
    else:
        data = settings.named_data()
        plan = _new_plan(settings, data)
        folder = ReportFolder.choose(settings.out, "audit", overwrite=settings.overwrite)
        refuse_inside(folder.path, data, "which it audits. Choose another --out")
    try:
        predictions, decisions = audit_folds(plan, folder.path, display)
    except KeyboardInterrupt as stop:
        if not (folder.path / PLAN).is_file():
            raise KeyboardInterrupt("before the first network began") from stop
        path = shlex.quote(str(folder.path))
        raise KeyboardInterrupt(f"Resume with: maskinfer audit --resume {path}") from stop
    trained = plan.settings
    how = (
        f"Each was asked of a network that did not learn it: {plan.folds} folds, "
        f"{trained.epochs} epochs of {trained.model} at {trained.geometry.canvas} px."
    )
    basis = {"folds": plan.folds, "settings": asdict(trained)}
    return Audit(Path(plan.data), predictions, decisions, how, basis), folder


def _new_plan(settings: AuditSettings, data: Path) -> AuditPlan:
    resolved = str(data.resolve())
    given: dict[str, Any] = {"epochs": settings.epochs, "mixed_precision": settings.mixed_precision}
    changes = {name: value for name, value in given.items() if value is not None}
    trained = replace(recipe_settings("lite", settings.recipe, (resolved,)), **changes)
    check(trained)
    return AuditPlan(resolved, settings.folds, trained)
