"""The page of `maskinfer explore`: what a data set holds, and what stands out."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from maskinfer.curation.exploration import CopiedPhoto, Exploration, ExploredSplit
from maskinfer.data.folders import Failure
from maskinfer.data.labels import label_of
from maskinfer.evaluation.labelled import LabelledPrediction, label_word

from .blocks import Block, Card, Gallery, Link, Notes, Page, Row, Section, Table
from .exploration_charts import box_charts, color_table, quantile_table, size_chart
from .predictions import prediction_card
from .thumbnails import LABEL, Outline

_SHEET_CARDS = 24  # of each label and split
_MOST_GROUPS, _MOST_OF_A_GROUP = 16, 3


def exploration_page(exploration: Exploration) -> Page:
    """Make the page."""
    return Page(
        f"Data set {exploration.data.resolve().name}",
        str(exploration.data),
        [section for section in _sections(exploration) if section.blocks],
        exploration.to_dict(),
    )


def _sections(exploration: Exploration) -> Iterator[Section]:
    splits = list(exploration.splits.values())
    warnings = [*exploration.warnings()]
    yield Section(
        "What stands out",
        "",
        [Notes(warnings, "warning") if warnings else Notes(["Nothing wrong was found."], "good")],
    )
    yield Section("Numbers of images", "", [_counts(exploration)])
    yield Section(
        "Faces",
        "Boxes as labelled, without impossible ones; sizes as shares of the image.",
        [*box_charts(splits), quantile_table(splits)],
    )
    yield Section("Images", "", [size_chart(splits)])
    yield Section(
        "Colours",
        "Each photo counts the same, at no more than 224 pixels a side, as networks see it; 0 to "
        "255. Training and test images should be normalised alike, by figures measured on the "
        "training images.",
        [color_table(splits)],
    )
    yield Section(
        "Impossible boxes",
        "Which of the two happens depends on the split that the image is in.",
        list(_impossible(splits, exploration.data)),
    )
    yield Section(
        "Duplicate photos",
        "Copies may have been saved again, resized, stretched or recoloured, but not mirrored, "
        "rotated or cropped. Copies in more than one split make test figures look better than "
        "they are.",
        list(_copies(exploration)),
    )
    yield Section(
        "Labels that the model contradicts",
        f"The solid box is the label's, the dashed one the model's. The model is "
        f"{exploration.model}. It may be wrong, and it may merely repeat the labels of images it "
        "was trained on: maskinfer audit asks networks that did not see them.",
        list(_doubted(exploration)),
    )
    yield Section("Files left out", "", list(_left_out(splits, exploration.data)))
    yield Section(
        "Contact sheets",
        "Evenly spaced over the sorted names.",
        [sheet for split in splits for sheet in _sheets(split, exploration.data)],
    )


def _counts(exploration: Exploration) -> Table:
    rows: list[Row] = []
    for split in exploration.splits.values():
        names = set(split.filenames)
        copied = sum(name in names for copies in exploration.copies for name in copies.filenames)
        labels = (split.count(True), split.count(False), len(split.unlabelled))
        faults = (len(split.impossible), copied, len(split.unreadable))
        rows.append((split.name, len(split.filenames), *labels, *faults))
    headings = (
        *("split", "images", "proper", "improper", "unlabelled"),
        *("impossible boxes", "duplicates", "unreadable"),
    )
    return Table("Images by split and label", headings, rows)


def _impossible(splits: Sequence[ExploredSplit], data: Path) -> Iterator[Block]:
    boxes = [box for split in splits for box in split.impossible]
    if boxes:
        yield Table.of(
            "Impossible boxes",
            ("image", "why", "when training", "when testing"),
            boxes,
            lambda box: (_link(data, box.filename), box.reason, box.in_training, box.in_testing),
        )


def _copies(exploration: Exploration) -> Iterator[Block]:
    data = exploration.data
    worst = sorted(
        exploration.copies, key=lambda copies: (not copies.across, copies.contradiction is None)
    )
    if not worst:
        return
    cards = [
        _card(data, name, (_copy_words(number, copies),))
        for number, copies in enumerate(worst[:_MOST_GROUPS], start=1)
        for name in copies.filenames[:_MOST_OF_A_GROUP]
    ]
    total = sum(len(copies.filenames) for copies in worst)
    yield Gallery("Duplicates, side by side", cards, total)
    yield Table.of(
        "Duplicate photos",
        ("photo", "duplicates", "kind", "across splits", "labels differ in", "first", "second"),
        list(enumerate(worst, start=1)),
        lambda numbered: (numbered[0], *_copy_cells(numbered[1], data)),
    )


def _copy_cells(copies: CopiedPhoto, data: Path) -> Row:
    first, *others = copies.filenames
    # From two splits where they are in more than one.
    split = first.partition("/")[0]
    elsewhere = (n for n in others if copies.across and n.partition("/")[0] != split)
    links = (_link(data, name) for name in (first, next(elsewhere, others[0])))
    across = "yes" if copies.across else "no"
    return (len(copies.filenames), copies.kind, across, copies.contradiction, *links)


def _copy_words(number: int, copies: CopiedPhoto) -> str:
    words = f"photo {number}: {copies.kind} copy"
    words += ", across splits" if copies.across else ""
    return words + (f", labels differ in {copies.contradiction}" if copies.contradiction else "")


def _doubted(exploration: Exploration) -> Iterator[Gallery]:
    def card(doubt: LabelledPrediction) -> Card:
        lines = (f"probability of proper: {doubt.probability or 0:.2f}",)
        return prediction_card(exploration.data, doubt, lines)

    if exploration.doubted:
        title = "Contradicted labels, most confident contradiction first"
        yield Gallery.of(title, exploration.doubted, card)


def _left_out(splits: Sequence[ExploredSplit], data: Path) -> Iterator[Block]:
    for what in ("unreadable", "unlabelled"):
        failures: list[Failure] = [f for split in splits for f in getattr(split, what)]
        if failures:
            yield Table.of(
                f"{what.capitalize()} files",
                ("file", "why"),
                failures,
                lambda failure: (_link(data, failure.filename), failure.error),
            )


def _sheets(split: ExploredSplit, data: Path) -> Iterator[Gallery]:
    kinds = {
        "mask worn properly": split.labelled & split.proper_mask,
        "mask not worn properly": split.labelled & ~split.proper_mask,
        "no label": ~split.labelled,
    }
    for words, which in kinds.items():
        places = np.flatnonzero(which)
        if not len(places):
            continue
        spread = np.linspace(0, len(places) - 1, min(len(places), _SHEET_CARDS)).round().astype(int)
        cards = [_card(data, split.filenames[place]) for place in places[spread]]
        yield Gallery(f"{split.name}: {words}", cards, len(places))


def _card(data: Path, filename: str, lines: tuple[str, ...] = ()) -> Card:
    """A photo with its label's box, if it has one."""
    label = label_of(filename)
    if label is None:
        return Card(data / filename, filename, (), f"{filename}, no label", lines)
    word = label_word(label.proper_mask)
    return Card(
        data / filename,
        filename,
        (Outline(label.box_xywh, LABEL),),
        f"{filename}: label's box {list(label.box_xywh)}",
        (f"label: {word}", *lines),
        word,
    )


def _link(data: Path, filename: str) -> Link:
    return Link(data / filename, filename)
