"""The page of `maskinfer audit`: labels and boxes that may be wrong, to be judged."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from maskinfer.curation.opinions import (
    FOUND_COLUMNS,
    Action,
    by_box,
    by_label,
    contradicts,
    self_confidence,
    suggestion,
    suspicion,
)
from maskinfer.data.cleaning import Decision
from maskinfer.evaluation.labelled import LabelledPrediction, label_word
from maskinfer.evaluation.metrics import FOUND_IOU
from maskinfer.text import printable_name

from . import figures
from .blocks import Block, Card, Choice, Gallery, Notes, Section, Table, bounded_table
from .folder import ReportFolder
from .thumbnails import FOUND, LABEL, Outline

_MOST_CARDS = 60
_TENTHS = np.linspace(0, 1, 21)
_CHOICES = {
    "": "keep as it is",
    Action.flip: "the mask's label is wrong",
    Action.box: "the box is wrong: take the model's",
    Action.both: "both are wrong",
    Action.drop: "leave the image out",
}


def audit_sections(
    opinions: Sequence[LabelledPrediction],
    decisions: Sequence[Decision],
    data: Path,
    folder: ReportFolder,
    how: str,
    warnings: Sequence[str],
) -> list[Section]:
    """Make the page's sections.

    Args:
        opinions: of all images.
        decisions: images that have none, and impossible boxes.
        data: the data set.
        folder: where the page goes, for links.
        how: one sentence, who was asked.
        warnings: what a reader must know.
    """
    doubtful = [opinion for opinion in opinions if suggestion(opinion) is not Action.keep]
    flips = [o for o in doubtful if suggestion(o) in (Action.flip, Action.both)]
    labels = by_label(opinions)[:_MOST_CARDS]
    shown = {opinion.filename for opinion in labels}
    boxes = [o for o in by_box(opinions) if o.filename not in shown][:_MOST_CARDS]
    summary = (
        f"{len(opinions)} labels were looked at: {len(flips)} masks and "
        f"{len(doubtful) - len(flips)} boxes more are doubtful. {how}"
    )
    return [
        Section(
            "How to judge",
            "The label's box is the whole blue line, the model's the dashed orange one. Decide "
            "below each photo that is wrong, press “Save decisions”, and run: maskinfer audit "
            "DATA --apply decisions.csv. Or fill the column “action” of "
            "suspects.csv, which holds every image.",
            [Notes([summary]), *([Notes(warnings, "warning")] if warnings else [])],
        ),
        Section(
            "Masks",
            "Least probability of the label there is first.",
            [_gallery("Labels most likely wrong", labels, len(opinions), data, folder)],
        ),
        Section(
            "Boxes",
            "Least overlap of the two boxes first, those shown above left out.",
            [_gallery("Boxes most likely wrong", boxes, len(opinions), data, folder)],
        ),
        Section("All labels", "", [*_charts(opinions), _table(opinions, data, folder)]),
        *_left_out(decisions),
    ]


def _gallery(
    title: str, opinions: Sequence[LabelledPrediction], total: int, data: Path, folder: ReportFolder
) -> Gallery:
    return Gallery(title, [_card(opinion, data, folder) for opinion in opinions], total)


def _card(opinion: LabelledPrediction, data: Path, folder: ReportFolder) -> Card:
    path = data / opinion.filename
    label = label_word(opinion.label_proper)
    cells = {
        "filename": printable_name(opinion.filename),
        **dict(zip(FOUND_COLUMNS, map(str, opinion.box_xywh), strict=True)),
    }
    return Card(
        folder.link(path, opinion.filename),
        path,
        (Outline(opinion.label_xywh, LABEL), Outline(opinion.box_xywh, FOUND, dashed=True)),
        f"{opinion.filename} with the label's and the model's box",
        (
            f"label: {label}",
            f"probability of it: {self_confidence(opinion):.2f}",
            f"overlap of boxes: {opinion.iou:.2f}",
        ),
        label,
        not contradicts(opinion),
        Choice(cells, _CHOICES),
    )


def _charts(opinions: Sequence[LabelledPrediction]) -> Iterator[Block]:
    confidence = {
        word: [self_confidence(o) for o in opinions if o.label_proper == proper]
        for word, proper in (("labelled proper", True), ("labelled improper", False))
    }
    against = sum(contradicts(o) for o in opinions)
    yield figures.histogram(
        "Probability of the label there is",
        {word: values for word, values in confidence.items() if values},
        _TENTHS,
        "self-confidence",
        f"{against} of {len(opinions)} labels are contradicted.",
    )
    overlaps = [o.iou for o in opinions]
    yield figures.histogram(
        "Overlap of label and found box",
        {"all": overlaps},
        _TENTHS,
        "IoU",
        f"{sum(iou < FOUND_IOU for iou in overlaps)} of {len(opinions)} boxes overlap by less than "
        f"a half; the median is {np.median(overlaps):.2f}.",
    )


def _table(opinions: Sequence[LabelledPrediction], data: Path, folder: ReportFolder) -> Table:
    ranked = sorted(opinions, key=lambda opinion: -suspicion(opinion))
    return bounded_table(
        "Most suspicious first; suspects.csv holds all",
        ("image", "label", "probability of it", "overlap of boxes", "score", "suggestion"),
        ranked,
        lambda opinion: (
            folder.link(data / opinion.filename, opinion.filename),
            label_word(opinion.label_proper),
            self_confidence(opinion),
            opinion.iou,
            opinion.score,
            suggestion(opinion).value,
        ),
    )


def _left_out(decisions: Sequence[Decision]) -> Iterator[Section]:
    if decisions:
        table = bounded_table(
            "Files without an opinion, and impossible boxes",
            ("file", "what", "why"),
            decisions,
            lambda decision: (decision.filename, decision.action, decision.reason),
        )
        yield Section("Left out or repaired first", "", [table])
