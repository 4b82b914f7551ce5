"""What an audit is asked to do."""

from dataclasses import dataclass
from pathlib import Path

from maskinfer.data.dataset import Dataset
from maskinfer.errors import UsageError
from maskinfer.runtime.providers import Provider
from maskinfer.train.settings import MixedPrecision


@dataclass(frozen=True)
class AuditSettings:
    """The options of `maskinfer audit`; each way to audit reads its own.

    Attributes:
        data: the data set; None where an audit is resumed or the list to apply tells it.
        out: the report's folder, a new one where None; with `apply`, the corrected copy's.
        folds: how many networks are trained, each on all images but its fold's.
        epochs: passes of each training over its images; None for the recipe's number.
        recipe: of the networks, with a section for `lite`.
        mixed_precision: of the trainings; None for the recipe's.
        resume: the folder of an interrupted audit.
        model: a model to ask in place of training.
        provider: what computes that model.
        apply: a judged list, by which a corrected copy is written instead of auditing.
        overwrite: whether an existing report may be replaced.
    """

    data: Path | None = None
    out: Path | None = None
    folds: int = 4
    epochs: int | None = None
    recipe: str = "audit"
    mixed_precision: MixedPrecision | None = None
    resume: Path | None = None
    model: Path | None = None
    provider: Provider = Provider.AUTO
    apply: Path | None = None
    overwrite: bool = False

    def named_data(self) -> Path:
        """The data set that was named.

        Raises:
            UsageError: none was, or there is no such folder.
        """
        if self.data is None:
            raise UsageError("no data set named: maskinfer audit DATA")
        return Dataset.open(self.data).path
