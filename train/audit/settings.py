"""What an audit is asked to do."""

from dataclasses import dataclass
from pathlib import Path

from maskinfer.data.dataset import Dataset
from maskinfer.errors import UsageError
from maskinfer.runtime.providers import Provider
from maskinfer.train.settings import MixedPrecision


@dataclass(frozen=True)
class AuditSettings:
    """The options of `maskinfer audit`; each way to audit reads its own."""

    data: Path | None = None  # None where an audit is resumed or the list to apply tells it
    out: Path | None = None  # the report's folder, None: a new one; with `apply`, the copy's
    folds: int = 4  # how many networks are trained, each on all images but its fold's
    epochs: int | None = None  # passes of each training over its images; None: the recipe's
    recipe: str = "audit"  # of the networks, with a section for `lite`
    mixed_precision: MixedPrecision | None = None  # of the trainings; None: the recipe's
    resume: Path | None = None  # the folder of an interrupted audit
    model: Path | None = None  # a model to ask in place of training
    provider: Provider = Provider.AUTO  # what computes that model
    apply: Path | None = None  # a judged list, by which a corrected copy is written instead
    overwrite: bool = False  # whether an existing report may be replaced

    def named_data(self) -> Path:
        """The data set that was named; a `UsageError` where none was, or it is no folder."""
        if self.data is None:
            raise UsageError("no data set named: maskinfer audit DATA")
        return Dataset.open(self.data).path
