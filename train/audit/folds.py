"""Predictions for every labelled image by networks that did not learn it.

The images are dealt into k folds by photo; for each fold a small `lite` is trained on the others
with the project's own loop, and asked about the images of this one.
"""

import hashlib
import json
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from maskinfer.curation.auditing import SUSPECTS, Audit
from maskinfer.curation.correcting import has_actions
from maskinfer.data.cleaning import Decision, repair
from maskinfer.data.images import image_size
from maskinfer.data.labels import Sample
from maskinfer.errors import DatasetError, RunError, UsageError
from maskinfer.evaluation.labelled import LabelledPrediction
from maskinfer.files import refuse_inside, write_text
from maskinfer.inference.results import Prediction
from maskinfer.records import read_record
from maskinfer.report.folder import ReportFolder
from maskinfer.train import loop
from maskinfer.train.data.parts import Parts
from maskinfer.train.data.pool import Pool, deal, read_pool
from maskinfer.train.display import Display
from maskinfer.train.recipes import recipe_settings
from maskinfer.train.runs.checkpoint import Checkpoint
from maskinfer.train.runs.folder import RunFolder
from maskinfer.train.settings import TrainSettings, check

from .answers import Answer, answer_samples
from .settings import AuditSettings

PLAN = "audit.json"
_FOLDS, _ANSWERS = "folds", "answers.json"


@dataclass(frozen=True)
class AuditPlan:
    """How a data set is audited; kept on disk, so that an audit can be resumed."""

    data: str  # the data set
    folds: int  # how many networks are trained
    settings: TrainSettings  # of each of them; the seed grows by one a fold
    digest: str = ""  # of the images' names and of the deal, to recognise changed data

    @classmethod
    def read(cls, folder: Path) -> "AuditPlan":
        """Read the plan of an audit's folder; a `RunError` where it is missing or damaged."""
        path = folder / PLAN
        try:
            return read_record(cls, json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise RunError(f"{folder}: no audit to resume, there is no {PLAN}") from error
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"{path}: damaged ({error})") from error


def audit_by_folds(settings: AuditSettings, display: Display) -> tuple[Audit, ReportFolder]:
    """Start an audit, or resume one; returns it and where its report belongs.

    A `UsageError` where what was asked for is impossible, or would replace decisions; another
    `MaskinferError` where the audit to resume or the data is damaged or has changed. The message of
    a `KeyboardInterrupt` says how to resume.
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


def audit_folds(
    plan: AuditPlan, folder: Path, display: Display
) -> tuple[list[LabelledPrediction], list[Decision]]:
    """Train a network for each fold, and ask it about the images that it did not learn.

    The folder is made where it is missing; folds that it holds are resumed. Returns a prediction
    for each labelled image that can be decoded, in the order of their names, and a decision for
    each other one, and for each impossible box. A `UsageError` where there are fewer photos than
    folds, a `DatasetError` where a fold would have nothing to learn, a `RunError` where the data
    is not what it was when the audit began.
    """
    data = Path(plan.data)
    pool = read_pool(data)
    photos = len(set(pool.photos))
    if plan.folds > photos:
        raise UsageError(f"--folds: got {plan.folds}, expected at most its {photos} photos")
    dealt = deal(pool.photos, plan.folds, plan.settings.seed)
    digest = _digest(pool, dealt)
    if plan.digest and plan.digest != digest:
        raise RunError(f"{folder}: {data} has changed since this audit began; start a new one")
    folder.mkdir(parents=True, exist_ok=True)
    if not plan.digest:  # a new audit, where an earlier one may have been
        shutil.rmtree(folder / _FOLDS, ignore_errors=True)
    write_text(folder / PLAN, json.dumps(asdict(replace(plan, digest=digest)), indent=2) + "\n")
    answers: dict[int, Answer] = {}
    for fold in range(plan.folds):
        held = [i for i, its in enumerate(dealt) if its == fold]
        learned = [i for i, its in enumerate(dealt) if its != fold and pool.possible[i]]
        if not learned:
            raise DatasetError(f"{data}: no possible box to learn from in fold {fold + 1}")
        display.say(f"Fold {fold + 1} of {plan.folds}")
        train, test = ([pool.samples[i] for i in part] for part in (learned, held))
        parts = Parts(train, [], test, [], [data.name])
        settings = replace(plan.settings, seed=plan.settings.seed + fold)
        place = folder / _FOLDS / str(fold + 1)
        answers |= dict(zip(held, _answers(settings, place, parts, display), strict=True))
    predictions = [_prediction(sample, answers[i], data) for i, sample in enumerate(pool.samples)]
    return predictions, pool.decisions


def _digest(pool: Pool, dealt: Sequence[int]) -> str:
    lines = (
        f"{fold}\0{sample.path}\0{sample}" for fold, sample in zip(dealt, pool.samples, strict=True)
    )
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _answers(settings: TrainSettings, place: Path, parts: Parts, display: Display) -> list[Answer]:
    """One fold's answers about its own images, by a network that is trained if need be."""
    path = place / _ANSWERS
    if path.is_file():
        try:
            answers = [Answer(tuple(box), p, s) for box, p, s in json.loads(path.read_text())]
            if len(answers) != len(parts.test):
                raise ValueError(f"{len(answers)} answers for {len(parts.test)} images")
            return answers
        except (OSError, ValueError, TypeError) as error:
            raise RunError(
                f"{path}: damaged ({error!r}); remove it to train that fold anew"
            ) from error
    run = _train(settings, place, parts, display)
    network = Checkpoint.load(run.path).network
    network.to("cuda" if torch.cuda.is_available() else "cpu")
    answers = answer_samples(network, parts.test, settings)
    write_text(path, json.dumps(answers) + "\n")
    shutil.rmtree(run.path / "last", ignore_errors=True)  # as large as all the rest
    return answers


def _train(settings: TrainSettings, place: Path, parts: Parts, display: Display) -> RunFolder:
    begun = sorted(path.parent for path in place.glob("*/config.json"))
    for earlier in begun:
        run = RunFolder(earlier)
        if len(run.read_history()) >= settings.epochs:
            return run
        if run.can_be_resumed:
            return loop.resume(run, None, display, parts)
        shutil.rmtree(earlier)  # stopped in its first epoch
    return loop.train(settings, place, datetime.now(), display, parts)


def _prediction(sample: Sample, answer: Answer, data: Path) -> LabelledPrediction:
    x, y, w, h = answer.box_xywh
    left, top, right, bottom = map(round, (x, y, x + w, y + h))
    box_xywh = repair((left, top, right - left, bottom - top), image_size(sample.path))
    probability = answer.probability
    return LabelledPrediction(
        sample.path.relative_to(data.resolve()).as_posix(),
        sample.box_xywh,
        sample.proper_mask,
        Prediction(box_xywh, probability >= 0.5, probability, answer.score),
    )
