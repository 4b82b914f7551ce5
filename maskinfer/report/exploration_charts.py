"""Charts and tables of the sizes, places and colours of a data set."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from maskinfer.curation.exploration import ExploredSplit, quantiles

from . import figures
from .blocks import Chart, Row, Table

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
_CHANNELS = ("red", "green", "blue")


def box_charts(splits: Sequence[ExploredSplit]) -> Iterator[Chart]:
    """Size and shape of faces, and where in the image they are."""
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


def quantile_table(splits: Sequence[ExploredSplit]) -> Table:
    """Sides of images and of faces, in pixels."""
    rows: list[Row] = []
    headings: list[str] = []
    for split in splits:
        measures = split.measures()
        for name, what in _MEASURES.items():
            spread = quantiles(measures[name])
            if spread is not None:
                headings = list(spread)
                rows.append([split.name, what, *spread.values()])
    return Table("Minimum, percentiles, maximum", ["split", "of", *headings], rows)


def size_chart(splits: Sequence[ExploredSplit]) -> Chart:
    """Width and height of images."""
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


def color_table(splits: Sequence[ExploredSplit]) -> Table:
    """Mean and deviation of each channel of each split."""
    rows: list[Row] = []
    for split in splits:
        if split.colors is not None:
            means, deviations = split.colors.mean.tolist(), split.colors.std.tolist()
            for channel, mean, std in zip(_CHANNELS, means, deviations, strict=True):
                rows.append([split.name, channel, mean, std, mean / 255, std / 255])
    headings = ("split", "channel", "mean", "deviation", "mean / 255", "deviation / 255")
    return Table("Mean and standard deviation of all pixels", headings, rows)
