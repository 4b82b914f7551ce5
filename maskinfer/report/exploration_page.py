"""The page of `maskinfer explore`: what a data set holds, and what stands out."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from maskinfer.curation.exploration import CopiedPhoto, Exploration, quantiles
from maskinfer.curation.explored_split import ExploredSplit
from maskinfer.data.folders import Failure
from maskinfer.data.labels import label_of
from maskinfer.evaluation.labelled import LabelledPrediction
from maskinfer.text import counted, percent

from . import figures
from .blocks import Block, Card, Cell, Chart, Gallery, Link, Notes, Page, Row, Section, Table
from .predictions import prediction_card

_SHEET_CARDS = 24  # of each label and split
_MOST_GROUPS, _MOST_OF_A_GROUP = 16, 3
_MOST_POINTS = 2000
_ASPECTS = np.geomspace(1 / 3, 3, 31)
_SHARES = np.linspace(0, 1, 31)
_MEASURES = {
    "width": "image width, px",
    "height": "image height, px",
    "box_width": "face width, px",
    "box_height": "face height, px",
    "box_aspect": "face width / height",
}


def exploration_page(exploration: Exploration) -> Page:
    """Make the page."""
    title = f"Data set {exploration.data.resolve().name}"
    sections = [section for section in _sections(exploration) if section.blocks]
    splits, found = exploration.splits.values(), len(list(exploration.warnings()))
    images = sum(len(split.filenames) for split in splits)
    proper = sum(split.count(True) for split in splits)
    labelled = proper + sum(split.count(False) for split in splits)
    verdict = f"{counted(found, 'thing')} to look at" if found else "Nothing wrong was found"
    verdict += f" in {counted(images, 'image')}."
    headline: dict[str, Cell] = {
        "images": images,
        "labelled": labelled,
        "labelled proper": percent(proper / labelled if labelled else None),
        "impossible boxes": sum(len(split.impossible) for split in splits),
    }
    facts = exploration.to_dict()
    kind: Literal["warning", "good"] = "warning" if found else "good"
    return Page(title, str(exploration.data), sections, facts, verdict, headline, kind)


def _sections(exploration: Exploration) -> Iterator[Section]:
    splits = list(exploration.splits.values())
    warnings = [*exploration.warnings()]
    fine = Notes(["Nothing wrong was found."], "good")
    yield Section("What stands out", "", [Notes(warnings, "warning") if warnings else fine])
    yield Section("Numbers of images", "", [_counts(exploration), *_label_chart(splits)])
    yield Section(
        "Faces",
        "Boxes as labelled, without impossible ones; sizes as shares of the image.",
        [*_box_charts(splits), _quantile_table(splits)],
    )
    yield Section("Images", "", [_size_chart(splits)])
    yield Section(
        "Colours",
        "Each photo counts the same, at no more than 224 pixels a side, as networks see it; 0 to "
        "255. Training and test images should be normalised alike, by figures measured on the "
        "training images.",
        [_color_table(splits)],
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


def _label_chart(splits: Sequence[ExploredSplit]) -> Iterator[Chart]:
    labelled = [split for split in splits if split.labelled.any()]
    shares = {split.name: split.count(True) / int(split.labelled.sum()) for split in labelled}
    if shares:
        words = "; ".join(f"{name}: {share:.0%}" for name, share in shares.items())
        title = "Masks worn properly, share of the labelled images"
        yield figures.bars(title, shares, "share", f"{title}. {words}.")


def _box_charts(splits: Sequence[ExploredSplit]) -> Iterator[Chart]:
    splits = [split for split in splits if split.possible().any()]
    if not splits:
        return
    measures = {split.name: split.measures() for split in splits}
    sides = {name: np.sqrt(m["box_area_share"]) for name, m in measures.items()}
    yield figures.histogram(
        "Size of faces",
        sides,
        _SHARES,
        "side of the face, share of the image's",
        _alt("Share of the image's side that a face takes", sides),
        shares=True,
    )
    aspects = {name: m["box_aspect"] for name, m in measures.items()}
    yield figures.histogram(
        "Shape of faces",
        {name: np.clip(a, _ASPECTS[0], _ASPECTS[-1]) for name, a in aspects.items()},
        _ASPECTS,
        "width / height",
        _alt("Width over height of faces", aspects),
        log_x=True,
        shares=True,
    )
    for split in splits:
        boxes = split.relative_boxes()
        x, y = np.median(boxes[:, :2] + boxes[:, 2:] / 2, axis=0)
        yield figures.heat_map(
            f"Where faces are, {split.name}",
            split.coverage(),
            f"Share of the faces of {split.name} that cover each part of the image; the median "
            f"centre is {x:.0%} from the left and {y:.0%} from the top.",
        )


def _alt(what: str, values: dict[str, NDArray[np.float64]]) -> str:
    spans = []
    for name, numbers in values.items():
        low, middle, high = np.percentile(numbers, (5, 50, 95))
        spans.append(f"{name}: median {middle:.2f}, nine in ten from {low:.2f} to {high:.2f}")
    return f"{what}. {'; '.join(spans)}."


def _quantile_table(splits: Sequence[ExploredSplit]) -> Table:
    rows: list[Row] = []
    headings: list[str] = []
    for split in splits:
        measures = split.measures()
        for name, what in _MEASURES.items():
            if spread := quantiles(measures[name]):
                headings = list(spread)
                rows.append([split.name, what, *spread.values()])
    return Table("Minimum, percentiles, maximum", ["split", "of", *headings], rows)


def _size_chart(splits: Sequence[ExploredSplit]) -> Chart:
    points = {}
    for split in splits:
        sizes = split.sizes_wh
        if len(sizes):
            places = np.linspace(0, len(sizes) - 1, min(len(sizes), _MOST_POINTS)).astype(int)
            points[split.name] = (sizes[places, 0], sizes[places, 1])
    widths = {name: np.sqrt(w * h) for name, (w, h) in points.items()}
    return figures.scatter(
        "Size of images",
        points,
        "width, px",
        "height, px",
        _alt("Width and height of images in pixels; the root of their product", widths),
    )


def _color_table(splits: Sequence[ExploredSplit]) -> Table:
    rows: list[Row] = []
    for split in splits:
        if split.colors is not None:
            means, deviations = split.colors.mean.tolist(), split.colors.std.tolist()
            for channel, mean, std in zip(("red", "green", "blue"), means, deviations, strict=True):
                rows.append([split.name, channel, mean, std, mean / 255, std / 255])
    headings = ("split", "channel", "mean", "deviation", "mean / 255", "deviation / 255")
    return Table("Mean and standard deviation of all pixels", headings, rows)


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
    yield Gallery("Duplicates, side by side", cards, sum(len(c.filenames) for c in worst))
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
    words = f"photo {number}: {copies.kind} copy{', across splits' if copies.across else ''}"
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
    unasked = LabelledPrediction(filename, label.box_xywh, label.proper_mask, None)
    return prediction_card(data, unasked, lines)


def _link(data: Path, filename: str) -> Link:
    return Link(data / filename, filename)
