"""The page of `maskinfer audit`: labels and boxes that may be wrong, to be judged."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from maskinfer.curation.auditing import Audit
from maskinfer.curation.opinions import (
    Action,
    by_box,
    by_label,
    contradicts,
    found_cells,
    suggestion,
    suspicion,
)
from maskinfer.data.cleaning import Decision
from maskinfer.evaluation.labelled import LabelledPrediction, label_word
from maskinfer.evaluation.metrics import FOUND_IOU
from maskinfer.text import printable_name

from . import figures
from .blocks import Block, Card, Choice, Gallery, Link, Notes, Page, Section, Table
from .predictions import prediction_card

_MOST_CARDS = 60
_DOUBTFUL = 0.5  # a label of a probability below it
_EDGES = np.linspace(0, 1, 21)
_CHOICES = {
    "": "keep as it is",
    Action.flip: "the mask's label is wrong",
    Action.box: "the box is wrong: take the model's",
    Action.both: "both are wrong",
    Action.drop: "leave the image out",
}
_WITHOUT_BOX = ("", Action.flip, Action.drop)


def audit_page(audit: Audit) -> Page:
    """Make the page."""
    data, predictions = audit.data, audit.predictions

    def card(prediction: LabelledPrediction) -> Card:
        cells = {"filename": printable_name(prediction.filename), **found_cells(prediction)}
        confidence = prediction.self_confidence
        lines = (
            "no face" if confidence is None else f"probability of it: {confidence:.2f}",
            f"overlap of boxes: {prediction.iou:.2f}",
        )
        # Without a predicted box there is none to take.
        choices = _CHOICES if prediction.face else {k: _CHOICES[k] for k in _WITHOUT_BOX}
        right, choice = not contradicts(prediction), Choice(cells, choices)
        return prediction_card(data, prediction, lines, correct=right, choice=choice)

    suggestions = Counter(map(suggestion, predictions))
    masks, outlines = suggestions[Action.flip] + suggestions[Action.both], suggestions[Action.box]
    labels = by_label(predictions)
    doubtful = [p for p in labels if (p.self_confidence or 0.0) < _DOUBTFUL]
    others = [p for p in labels if (p.self_confidence or 0.0) >= _DOUBTFUL]
    room = max(_MOST_CARDS - len(doubtful), 0)
    shown = {p.filename for p in (doubtful[:_MOST_CARDS] + others[:room])}
    boxes = [p for p in by_box(predictions) if p.filename not in shown]
    return Page(
        f"Labels of {data.resolve().name}",
        audit.how,
        [
            Section(
                "How to judge",
                "The solid blue box is the label's, the dashed orange one the model's. Decide for "
                "each photo with its buttons or, where one has the focus, the keys k, f, b, o and "
                "d, press “Save decisions”, and run: maskinfer audit DATA --apply decisions.csv. "
                "Or fill in the column “action” of suspects.csv, which lists every image.",
                [Notes(audit.warnings, "warning")],
            ),
            Section(
                "Masks",
                "Lowest probability of the given label first.",
                [
                    Gallery.of("Labels most likely wrong", doubtful, card, _MOST_CARDS),
                    Gallery.of("More likely right", others, card, room, folded=True),
                ],
            ),
            Section(
                "Boxes",
                "Smallest overlap of the two boxes first, without the photos shown above.",
                [Gallery.of("Boxes most likely wrong", boxes, card, _MOST_CARDS)],
            ),
            Section("All labels", "", [*_charts(predictions), _table(predictions, data)]),
            *_left_out(audit.decisions),
        ],
        audit.to_dict(),
        f"{len(predictions)} labels were examined: {masks} masks and "
        f"{outlines} further boxes are doubtful.",
        {"labels": len(predictions), "doubtful masks": masks, "doubtful boxes": outlines},
    )


def _charts(predictions: Sequence[LabelledPrediction]) -> Iterator[Block]:
    confidence = {
        f"labelled {label_word(proper)}": [
            p.self_confidence
            for p in predictions
            if p.label_proper == proper and p.self_confidence is not None
        ]
        for proper in (True, False)
    }
    yield figures.histogram(
        "Probability of the given label",
        {word: values for word, values in confidence.items() if values},
        _EDGES,
        "self-confidence",
        f"{sum(map(contradicts, predictions))} of {len(predictions)} labels are contradicted.",
    )
    overlaps = [p.iou for p in predictions]
    yield figures.histogram(
        "Overlap of labelled and predicted box",
        {"all": overlaps},
        _EDGES,
        "IoU",
        f"{sum(iou < FOUND_IOU for iou in overlaps)} of {len(overlaps)} boxes overlap by less than "
        f"half; the median is {np.median(overlaps):.2f}.",
    )


def _table(predictions: Sequence[LabelledPrediction], data: Path) -> Table:
    return Table.of(
        "Most suspicious first; suspects.csv lists all",
        ("image", "label", "probability of it", "overlap of boxes", "score", "suggestion"),
        sorted(predictions, key=suspicion, reverse=True),
        lambda prediction: (
            Link(data / prediction.filename, prediction.filename),
            label_word(prediction.label_proper),
            prediction.self_confidence,
            prediction.iou,
            prediction.face.score if prediction.face else None,
            suggestion(prediction).value,
        ),
    )


def _left_out(decisions: Sequence[Decision]) -> Iterator[Section]:
    if decisions:
        table = Table.of(
            "Files without a prediction, and impossible boxes",
            ("file", "what", "why"),
            decisions,
            lambda decision: (decision.filename, decision.action, decision.reason),
        )
        yield Section("Left out or repaired", "", [table])
