"""The page of `maskinfer explore`: what a data set holds, and what stands out."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskinfer.auditing import Opinion
from maskinfer.census import CopiedPhoto, Exploration, Split, quantiles
from maskinfer.error_analysis import label_word
from maskinfer.errors import LabelError
from maskinfer.labels import parse_name
from maskinfer.results import Failure

from . import figures
from .blocks import Block, Card, Cell, Chart, Gallery, Link, Notes, Section, Table
from .folder import ReportFolder
from .thumbnails import FOUND, LABEL, Outline

_MOST_ROWS = 300
_MOST_CARDS = 48
_SHEET_CARDS = 24  # of each label and split
_MOST_GROUPS, _MOST_OF_A_GROUP = 16, 3
_MOST_POINTS = 2000
_ASPECTS = np.geomspace(1 / 3, 3, 31)
_SHARES = np.linspace(0, 1, 31)
_CHANNELS = ("red", "green", "blue")


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
        [*_box_charts(splits), _quantile_table(splits)],
    )
    yield Section("Images", "", [_size_chart(splits)])
    yield Section(
        "Colours",
        "Each photo counts the same, at no more than 224 pixels a side, as networks see it; 0 to "
        "255. Training and test images want one normalisation, "
        "measured on the training images.",
        [_color_table(splits)],
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
                len(split.unlabelled),
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


def _box_charts(splits: Sequence[Split]) -> Iterator[Chart]:
    boxes = {split.name: split.relative_boxes() for split in splits if split.possible().any()}
    if not boxes:
        return
    sides = {name: np.sqrt(b[:, 2] * b[:, 3]) for name, b in boxes.items()}
    yield figures.histogram(
        "Size of faces",
        sides,
        _SHARES,
        "side of the face, share of the image's",
        _alt("Share of the image's side that a face takes", sides),
        shares=True,
    )
    aspects = {
        split.name: _aspect(split.boxes_xywh[split.possible()])
        for split in splits
        if split.name in boxes
    }
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
        if split.name in boxes:
            centre = boxes[split.name][:, :2] + boxes[split.name][:, 2:] / 2
            x, y = np.median(centre, axis=0)
            yield figures.heat_map(
                f"Where faces are, {split.name}",
                split.coverage(),
                "x, share of the width",
                "y, share of the height",
                f"Share of the faces of {split.name} that cover each part of the image; the median "
                f"centre is {x:.0%} from the left and {y:.0%} from the top.",
            )


def _aspect(boxes_xywh: NDArray[np.int64]) -> NDArray[np.float64]:
    aspect: NDArray[np.float64] = boxes_xywh[:, 2] / boxes_xywh[:, 3]
    return aspect


def _alt(what: str, values: dict[str, NDArray[np.float64]]) -> str:
    spans = []
    for name, found in values.items():
        low, middle, high = np.percentile(found, (5, 50, 95))
        spans.append(f"{name}: median {middle:.2f}, nine in ten from {low:.2f} to {high:.2f}")
    return f"{what}. {'; '.join(spans)}."


def _quantile_table(splits: Sequence[Split]) -> Table:
    rows: list[list[Cell | Link]] = []
    headings: list[str] = []
    for split in splits:
        boxes = split.boxes_xywh[split.possible()]
        measured = {
            "image width, px": split.sizes_wh[:, 0],
            "image height, px": split.sizes_wh[:, 1],
            "face width, px": boxes[:, 2],
            "face height, px": boxes[:, 3],
            "face width / height": _aspect(boxes),
        }
        for what, values in measured.items():
            spread = quantiles(values)
            if spread is not None:
                headings = list(spread)
                rows.append([split.name, what, *spread.values()])
    return Table("Sizes: least, percentiles, greatest", ["split", "of", *headings], rows)


def _size_chart(splits: Sequence[Split]) -> Chart:
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
        _alt("Width and height of images in pixels; the root of width times height", widths),
    )


def _color_table(splits: Sequence[Split]) -> Table:
    rows: list[list[Cell | Link]] = [
        [
            split.name,
            channel,
            float(split.colors.mean[i]),
            float(split.colors.std[i]),
            float(split.colors.mean[i] / 255),
            float(split.colors.std[i] / 255),
        ]
        for split in splits
        if split.colors is not None
        for i, channel in enumerate(_CHANNELS)
    ]
    headings = ("split", "channel", "mean", "deviation", "mean / 255", "deviation / 255")
    return Table("Mean and standard deviation of all pixels", headings, rows)


def _impossible(
    splits: Sequence[Split], found: Exploration, folder: ReportFolder
) -> Iterator[Block]:
    boxes = [box for split in splits for box in split.impossible]
    if boxes:
        yield Table(
            "Impossible boxes",
            ("image", "why", "when training", "when testing"),
            [
                [_link(found, folder, box.filename), box.reason, box.in_training, box.in_testing]
                for box in boxes[:_MOST_ROWS]
            ],
            max(0, len(boxes) - _MOST_ROWS),
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
    yield Table(
        "Photos that are there more than once",
        ("photo", "copies", "kind", "across splits", "labels differ in", "first", "second"),
        [
            [
                number,
                len(copies.filenames),
                copies.kind,
                "yes" if copies.across else "no",
                copies.contradiction,
                *(_link(found, folder, name) for name in _first_two(copies)),
            ]
            for number, copies in enumerate(worst[:_MOST_ROWS], start=1)
        ],
        max(0, len(worst) - _MOST_ROWS),
    )


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


def _doubted_card(found: Exploration, folder: ReportFolder, doubt: Opinion) -> Card:
    path = found.data / doubt.filename
    label = label_word(doubt.proper_mask)
    return Card(
        folder.link(path, doubt.filename),
        path,
        (Outline(doubt.box_xywh, LABEL), Outline(doubt.found_xywh, FOUND, dashed=True)),
        f"{doubt.filename} with the label's and the model's box",
        (f"label: {label}", f"probability of proper: {doubt.probability:.2f}"),
        label,
    )


def _left_out(splits: Sequence[Split], found: Exploration, folder: ReportFolder) -> Iterator[Block]:
    for what in ("unreadable", "unlabelled"):
        failures: list[Failure] = [f for split in splits for f in getattr(split, what)]
        if failures:
            yield Table(
                f"{what.capitalize()} files",
                ("file", "why"),
                [
                    [_link(found, folder, failure.filename), failure.error]
                    for failure in failures[:_MOST_ROWS]
                ],
                max(0, len(failures) - _MOST_ROWS),
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
