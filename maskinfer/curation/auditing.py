"""An audit of a data set: its labels, what networks predict, and the list to judge."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maskinfer.data.cleaning import Decision
from maskinfer.data.dataset import Dataset
from maskinfer.errors import DatasetError, UsageError
from maskinfer.evaluation.labelled import LabelledPrediction, predict_samples
from maskinfer.inference.detector import MaskDetector
from maskinfer.text import printable_name
from maskinfer.threads import Progress, unheard

from .correcting import Corrected, apply_corrections, read_corrections
from .opinions import opinion_facts

SUSPECTS = "suspects.csv"
_IN_SAMPLE = (
    "one model was asked, which may have learned these labels, wrong ones too: what it repeats is "
    "no proof. Without --model, networks are asked that did not see them"
)


@dataclass(frozen=True)
class Audit:
    """The labels of a data set beside what was predicted for their images."""

    data: Path
    predictions: Sequence[LabelledPrediction]  # of all labelled images that can be decoded
    decisions: Sequence[Decision]  # one for each other image, and for each impossible box
    how: str  # one sentence, which networks were asked
    basis: Mapping[str, Any]  # the same, fit for JSON
    warnings: Sequence[str] = ()  # what a reader must know

    def to_dict(self) -> dict[str, Any]:
        """All of it, fit for JSON."""
        return {
            "data": printable_name(str(self.data.resolve())),
            **self.basis,
            "warnings": list(self.warnings),
            "decisions": [asdict(decision) for decision in self.decisions],
            "opinions": [opinion_facts(prediction) for prediction in self.predictions],
        }


def audit_by_model(data: Path, detector: MaskDetector, on_progress: Progress = unheard) -> Audit:
    """Audit a data set by one model, which may have learned these labels.

    A `UsageError` where there is no such folder, a `DatasetError` where none of its images is
    labelled and can be read, a `MaskinferError` where the model fails.
    """
    samples, decisions, unlabelled = Dataset.open(data).samples("test")
    predictions, failures = predict_samples(detector, data, samples, on_progress)
    if not predictions:
        raise DatasetError(f"{data}: none of its labelled images can be read")
    decisions += unlabelled
    decisions += [Decision.unreadable(f.filename, f.error) for f in failures]
    session = detector.session
    basis = {"model": printable_name(str(session.path)), "sha256": session.sha256}
    how = f"Each was asked of {session.path}."
    return Audit(data, predictions, decisions, how, basis, [_IN_SAMPLE])


def correct(decisions: Path, data: Path | None, out: Path | None) -> tuple[Corrected, Path]:
    """Write a copy of a data set, corrected as a judged list says, see `correcting`.

    Without `data` it is the data set that was audited, where the list lies in the audit's folder;
    without `out` it is `NAME-corrected` in the current folder. Returns what was done, and where the
    copy is; a `UsageError` or `DatasetError` where list, data set or folder is not as expected.
    """
    corrections = read_corrections(decisions)
    data = data or _audited(decisions)
    out = out or Path(f"{data.resolve().name}-corrected")
    return apply_corrections(data, corrections, out), out


def _audited(decisions: Path) -> Path:
    """The data set that the facts beside a list are about."""
    try:
        facts = json.loads((decisions.parent / "facts.json").read_text(encoding="utf-8"))
        return Path(facts["data"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(
            f"{decisions}: not in an audit's folder, so name the data set: "
            "maskinfer audit DATA --apply FILE"
        ) from None
