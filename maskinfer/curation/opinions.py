"""Which labels are suspicious: what was found in each image, against what its label says.

Images are ranked by self-confidence, the probability that is given to the label there is (Northcutt
et al. 2021, Confident learning, arXiv 1911.00068), and by how little the found box overlaps the
labelled one. Both mean something only where the answer comes from a network that has not learned
the label: a large one learns wrong labels by heart.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from maskinfer.data.boxes import iou_xywh
from maskinfer.data.cleaning import Decision, clean
from maskinfer.data.dataset import Sample, read_folder, splits_of
from maskinfer.data.folders import Failure
from maskinfer.data.labels import BoxXywh
from maskinfer.data.sources import FolderSource, survey
from maskinfer.errors import DatasetError
from maskinfer.evaluation.metrics import FOUND_IOU
from maskinfer.files import write_text
from maskinfer.inference.detector import MaskDetector
from maskinfer.inference.pipeline import predict_images
from maskinfer.text import csv_line, printable_name

# Boxes that overlap by less are of different faces, so that what is said of the one mask says
# nothing of the other. Measured on planted noise: docs/results.md.
_SAME_FACE_IOU = 0.3


class Action(StrEnum):
    """What is done about a label."""

    keep = "keep"
    flip = "flip"
    box = "box"
    both = "both"
    drop = "drop"


FOUND_COLUMNS = ("found_x", "found_y", "found_w", "found_h")
COLUMNS = (
    *("filename", "action", "suggestion", "suspicion", "self_confidence", "iou"),
    *("proper_mask", "x", "y", "w", "h"),
    *("probability", "score", *FOUND_COLUMNS),
)


@dataclass(frozen=True)
class Opinion:
    """What was found in an image beside what its label says.

    Attributes:
        filename: relative to the data set, with `/`.
        proper_mask: the label.
        box_xywh: the label's, inside the image.
        probability: that the mask is worn properly, 0..1.
        found_xywh: the face that was found.
        score: confidence in that box, 0..1.
        threshold: least probability that counts as worn properly, 0..1.
    """

    filename: str
    proper_mask: bool
    box_xywh: BoxXywh
    probability: float
    found_xywh: BoxXywh
    score: float
    threshold: float = 0.5

    @property
    def self_confidence(self) -> float:
        """Probability of the label there is, 0..1."""
        return self.probability if self.proper_mask else 1 - self.probability

    @property
    def iou(self) -> float:
        """Overlap of the two boxes, 0..1."""
        return float(iou_xywh(self.box_xywh, self.found_xywh))

    @property
    def is_of_label(self) -> bool:
        """Whether what was found is the labelled face, and so tells of its mask."""
        return self.iou >= _SAME_FACE_IOU

    @property
    def contradicts(self) -> bool:
        """Whether the labelled face was found, and its mask called otherwise."""
        return self.is_of_label and (self.probability >= self.threshold) != self.proper_mask

    @property
    def suspicion(self) -> float:
        """0..1, the worse of both doubts."""
        return max(1 - self.self_confidence if self.is_of_label else 0.0, 1 - self.iou)

    @property
    def suggestion(self) -> Action:
        """What the answer, were it right, would have done."""
        box = self.iou < FOUND_IOU
        if self.contradicts and box:
            return Action.both
        return Action.flip if self.contradicts else Action.box if box else Action.keep


def by_label(opinions: Iterable[Opinion]) -> list[Opinion]:
    """The labels most likely wrong first; last those whose face was not what was found."""

    def doubt(opinion: Opinion) -> tuple[bool, float, str]:
        return not opinion.is_of_label, opinion.self_confidence, opinion.filename

    return sorted(opinions, key=doubt)


def by_box(opinions: Iterable[Opinion]) -> list[Opinion]:
    """The boxes most likely wrong first."""
    return sorted(opinions, key=lambda opinion: (opinion.iou, opinion.filename))


def write_suspects(path: Path, opinions: Iterable[Opinion]) -> None:
    """Write all opinions as a CSV, most suspicious first, to be judged in the column `action`."""
    ranked = sorted(opinions, key=lambda opinion: (-opinion.suspicion, opinion.filename))
    write_text(path, "".join(map(csv_line, [COLUMNS, *map(_cells, ranked)])))


def _cells(opinion: Opinion) -> list[str]:
    figures = (opinion.suspicion, opinion.self_confidence, opinion.iou)
    return [
        opinion.filename,
        "",
        opinion.suggestion,
        *(f"{figure:.4f}" for figure in figures),
        str(opinion.proper_mask),
        *map(str, opinion.box_xywh),
        f"{opinion.probability:.4f}",
        f"{opinion.score:.4f}",
        *map(str, opinion.found_xywh),
    ]


def opinion_facts(opinion: Opinion) -> dict[str, Any]:
    """An opinion, fit for JSON."""
    return {
        **asdict(opinion),
        "filename": printable_name(opinion.filename),
        "self_confidence": opinion.self_confidence,
        "iou": opinion.iou,
        "suspicion": opinion.suspicion,
        "suggestion": opinion.suggestion.value,
    }


def labelled_samples(data: Path) -> tuple[list[Sample], list[Decision]]:
    """Every labelled image of a data set, impossible boxes repaired.

    Returns:
        the samples, and a decision for each image that has no label, cannot be read or was
        repaired; names are relative to the data set.

    Raises:
        UsageError: there is no such folder.
        DatasetError: not one labelled image is in it.
    """
    samples: list[Sample] = []
    decisions: list[Decision] = []
    for folder in labelled_splits(data):
        labelled = read_folder(folder)
        kept, decided = clean(labelled.samples, "test", data)
        samples += kept
        decisions += decided
        prefix = "" if folder == data else f"{folder.name}/"
        decisions += [
            Decision(printable_name(prefix + name), "dropped", why)
            for name, why in labelled.unlabelled.items()
        ]
    return samples, decisions


def labelled_splits(data: Path) -> list[Path]:
    """The splits of a data set that hold a labelled image.

    Raises:
        UsageError: there is no such folder.
        DatasetError: none does.
    """
    folders = list(splits_of(data).values())
    found = [folder for folder in folders if survey(FolderSource(folder)).labelled]
    if not found:
        raise DatasetError(f"{data}: no labelled image in it")
    return found


def ask_model(
    detector: MaskDetector,
    data: Path,
    samples: Sequence[Sample],
    on_progress: Callable[[int, int], object],
) -> tuple[list[Opinion], list[Failure]]:
    """What one model says of the images, which it may have learned.

    Returns:
        an opinion of each image that could be decoded, and a failure for each other.
    """
    names = [sample.path.relative_to(data).as_posix() for sample in samples]
    opinions: list[Opinion] = []
    failures: list[Failure] = []
    results = predict_images(detector, data.joinpath, names)
    for done, (name, sample, row) in enumerate(zip(names, samples, results, strict=True), start=1):
        if isinstance(row, Failure):
            failures.append(Failure(printable_name(name), row.error))
        else:
            assert row.probability is not None
            opinions.append(
                Opinion(
                    name,
                    sample.proper_mask,
                    sample.box_xywh,
                    row.probability,
                    row.box_xywh,
                    row.score,
                    detector.session.metadata.threshold,
                )
            )
        on_progress(done, len(names))
    return opinions, failures
