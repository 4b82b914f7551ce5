"""The page of `maskinfer explore`: what a data set holds, and what stands out."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from maskinfer.curation.exploration import CopiedPhoto, Exploration, Split
from maskinfer.data.folders import Failure
from maskinfer.data.labels import parse_name
from maskinfer.errors import LabelError
from maskinfer.evaluation.labelled import LabelledPrediction, label_word

from .blocks import Block, Card, Cell, Gallery, Link, Notes, Section, Table, bounded_table
from .exploration_charts import box_charts, color_table, quantile_table, size_chart
from .folder import ReportFolder
from .thumbnails import FOUND, LABEL, Outline

_MOST_CARDS = 48
_SHEET_CARDS = 24  # of each label and split
_MOST_GROUPS, _MOST_OF_A_GROUP = 16, 3


def exploration_sections(found: Exploration, folder: ReportFolder) -> list[Section]:
    """Make the page's sections.

    Args:
        found: what came of exploring.
        folder: where the page goes, for links.
    """
    return [section for section in _sections(found, folder) if section.blocks]


def _sections(found: Exploration, folder: ReportFolder) -> Iterator[Section]:
    splits = list(found.splits.values())
    warnings = found.warnings()
    yield Section(
        "What stands out",
        "",
        [Notes(warnings, "warning") if warnings else Notes(["Nothing wrong was found."], "good")],
    )
    yield Section("How many", "", [_counts(found)])
    yield Section(
        "Faces",
        "Boxes as the labels say, impossible ones left out; sizes as shares of the image.",
        [*box_charts(splits), quantile_table(splits)],
    )
    yield Section("Images", "", [size_chart(splits)])
    yield Section(
        "Colours",
        "Each photo counts the same, at no more than 224 pixels a side, as networks see it; 0 to "
        "255. Training and test images want one normalisation, "
        "measured on the training images.",
        [color_table(splits)],
    )
    yield Section(
        "Impossible boxes",
        "Which of the two happens is a matter of the split the image is in.",
        list(_impossible(splits, found, folder)),
    )
    yield Section(
        "Photos that are there more than once",
        "Copies may be saved anew, resized, stretched or recoloured, not mirrored, turned or cut. "
        "Those in more than one split make test figures flatter.",
        list(_copies(found, folder)),
    )
    yield Section(
        "Labels that the model contradicts",
        f"The label's box is the whole line, the model's the dashed one. Asked was {found.model}. "
        "The model may be wrong, and of images it was trained on it may only repeat their labels: "
        "maskinfer audit asks networks that did not see them.",
        [_doubted(found, folder)] if found.doubted else [],
    )
    yield Section("Files left out", "", list(_left_out(splits, found, folder)))
    yield Section(
        "Contact sheets",
        "Evenly spaced over the sorted names.",
        [sheet for split in splits for sheet in _sheets(split, found, folder)],
    )


def _counts(found: Exploration) -> Table:
    rows: list[list[Cell | Link]] = []
    for split in found.splits.values():
        names = set(split.filenames)
        copied = sum(name in names for copies in found.copies for name in copies.filenames)
        rows.append(
            [
                split.name,
                len(split.filenames),
                split.count(True),
                split.count(False),
                split.unlabelled_count,
                len(split.impossible),
                copied,
                len(split.unreadable),
            ]
        )
    headings = (
        *("split", "images", "proper", "improper", "unlabelled"),
        *("impossible boxes", "copies", "unreadable"),
    )
    return Table("Images by split and label", headings, rows)


def _impossible(
    splits: Sequence[Split], found: Exploration, folder: ReportFolder
) -> Iterator[Block]:
    boxes = [box for split in splits for box in split.impossible]
    if boxes:
        yield bounded_table(
            "Impossible boxes",
            ("image", "why", "when training", "when testing"),
            boxes,
            lambda box: (
                _link(found, folder, box.filename),
                box.reason,
                box.in_training,
                box.in_testing,
            ),
        )


def _copies(found: Exploration, folder: ReportFolder) -> Iterator[Block]:
    worst = sorted(
        found.copies, key=lambda copies: (not copies.across, copies.contradiction is None)
    )
    if not worst:
        return
    cards = [
        _card(found, folder, name, (_copy_words(number, copies),))
        for number, copies in enumerate(worst[:_MOST_GROUPS], start=1)
        for name in copies.filenames[:_MOST_OF_A_GROUP]
    ]
    total = sum(len(copies.filenames) for copies in worst)
    yield Gallery("Copies, side by side", cards, total)
    yield bounded_table(
        "Photos that are there more than once",
        ("photo", "copies", "kind", "across splits", "labels differ in", "first", "second"),
        list(enumerate(worst, start=1)),
        lambda numbered: (numbered[0], *_copy_cells(numbered[1], found, folder)),
    )


def _copy_cells(
    copies: CopiedPhoto, found: Exploration, folder: ReportFolder
) -> Iterator[Cell | Link]:
    yield len(copies.filenames)
    yield copies.kind
    yield "yes" if copies.across else "no"
    yield copies.contradiction
    for name in _first_two(copies):
        yield _link(found, folder, name)


def _first_two(copies: CopiedPhoto) -> tuple[str, str]:
    """Two of the copies, of two splits where they are in more than one."""
    first = copies.filenames[0]
    split = first.partition("/")[0]
    others = (n for n in copies.filenames if copies.across and n.partition("/")[0] != split)
    return first, next(others, copies.filenames[1])


def _copy_words(number: int, copies: CopiedPhoto) -> str:
    words = f"photo {number}: {copies.kind} copy"
    words += ", across splits" if copies.across else ""
    return words + (f", labels differ in {copies.contradiction}" if copies.contradiction else "")


def _doubted(found: Exploration, folder: ReportFolder) -> Gallery:
    return Gallery(
        "Contradicted labels, the surest contradiction first",
        [_doubted_card(found, folder, doubt) for doubt in found.doubted[:_MOST_CARDS]],
        len(found.doubted),
    )


def _doubted_card(found: Exploration, folder: ReportFolder, doubt: LabelledPrediction) -> Card:
    path = found.data / doubt.filename
    label = label_word(doubt.label_proper)
    return Card(
        folder.link(path, doubt.filename),
        path,
        (Outline(doubt.label_xywh, LABEL), Outline(doubt.box_xywh, FOUND, dashed=True)),
        f"{doubt.filename} with the label's and the model's box",
        (f"label: {label}", f"probability of proper: {doubt.probability:.2f}"),
        label,
    )


def _left_out(splits: Sequence[Split], found: Exploration, folder: ReportFolder) -> Iterator[Block]:
    for what in ("unreadable", "unlabelled"):
        failures: list[Failure] = [f for split in splits for f in getattr(split, what)]
        if failures:
            yield bounded_table(
                f"{what.capitalize()} files",
                ("file", "why"),
                failures,
                lambda failure: (_link(found, folder, failure.filename), failure.error),
            )


def _sheets(split: Split, found: Exploration, folder: ReportFolder) -> Iterator[Gallery]:
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
        names = [split.filenames[place] for place in places[spread]]
        cards = [_card(found, folder, name) for name in names]
        yield Gallery(f"{split.name}: {words}", cards, len(places))


def _card(
    found: Exploration, folder: ReportFolder, filename: str, lines: Iterable[str] = ()
) -> Card:
    """A photo with its label's box, if it has one."""
    path = found.data / filename
    try:
        label = parse_name(path.name)
    except LabelError:
        return Card(folder.link(path, filename), path, (), f"{filename}, no label", tuple(lines))
    word = label_word(label.proper_mask)
    return Card(
        folder.link(path, filename),
        path,
        (Outline(label.box_xywh, LABEL),),
        f"{filename} with its label's box",
        (f"label: {word}", *lines),
        word,
    )


def _link(found: Exploration, folder: ReportFolder, filename: str) -> Link:
    return folder.link(Path(found.data, filename), filename)
