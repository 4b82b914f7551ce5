"""Charts as SVG that takes its text colour from the page, so that it reads in light and dark."""

import io
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from maskinfer.text import printable_name

from .blocks import Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Series = Mapping[str, tuple[ArrayLike, ArrayLike]]  # x and y, by name
# Each has a contrast of at least 3 with the page in both themes. Lines differ in more than colour.
COLORS = ("#3a7ebf", "#d1495b", "#2a9134", "#b8860b", "#8e5bb5", "#0e9aa7", "#c05780", "#7a7a7a")
_SIZE = (4.6, 3.1)  # inches, of 72 points
_INSIDE = 4  # names in a legend within the axes
_MOST_EVEN = 50  # ratio of two losses on a linear scale
_LINE = 0.19  # inches, of a line of a legend
# Drawn in this, and replaced by the page's own colour.
_INK = "#010203"
_ID, _REFERENCE = re.compile(r' id="([^"]+)"'), re.compile(r"#([\w.-]+)")
_BELONGS_TO_A_FILE = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>", re.DOTALL)


def _chart(
    title: str, xlabel: str, ylabel: str, alt: str, draw: Callable[["Axes"], object]
) -> Chart:
    """A chart of what `draw` draws; its title keeps the ids of a page's charts apart."""
    import matplotlib
    from matplotlib.figure import Figure

    inks = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    style: Any = dict.fromkeys(inks, _INK)
    style |= {"svg.fonttype": "none", "svg.hashsalt": title, "font.family": "sans-serif"}
    style |= {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    style |= {"legend.frameon": False, "legend.fontsize": 9}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=_SIZE, layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.subplots()
        axes.patch.set_alpha(0)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.set_axisbelow(True)
        draw(axes)
        names = axes.get_legend_handles_labels()[1]
        if len(names) > _INSIDE:
            # Below, where many names hide nothing, in as many lines as the drawing grows by.
            figure.set_figheight(_SIZE[1] + _LINE * len(names))
            figure.legend(loc="outside lower left")
        elif names:
            axes.legend()
        stream = io.StringIO()
        with warnings.catch_warnings():
            # The browser has letters that the font used to measure texts lacks.
            warnings.filterwarnings("ignore", "Glyph", UserWarning)
            figure.savefig(stream, format="svg", metadata={"Date": None})
    svg = _BELONGS_TO_A_FILE.sub("", stream.getvalue()).strip()
    # Only ids that something refers to are kept, which the salt keeps apart: the others are the
    # same in each chart.
    used = set(_REFERENCE.findall(svg))
    svg = _ID.sub(lambda match: match[0] if match[1] in used else "", svg)
    return Chart(title, alt, svg.replace(_INK, "currentColor"))


def is_uneven(losses: Iterable[float]) -> bool:
    """Whether losses need a logarithmic scale, since else only the largest could be seen."""
    drawn = [loss for loss in losses if loss > 0]
    return bool(drawn) and max(drawn) > _MOST_EVEN * min(drawn)


def line_chart(
    title: str,
    series: Series,
    xlabel: str,
    ylabel: str,
    alt: str,
    *,
    shares: bool = False,
    whole_x: bool = False,
    styles: Mapping[str, Mapping[str, Any]] | None = None,
) -> Chart:
    """Lines over each other, their x and y by name; x may be whole numbers, such as epochs.

    The values are shares, or losses of any size. Styles are matplotlib's arguments of a line, by
    name, where they differ; lines whose label is None are not in the legend.
    """

    def draw(axes: "Axes") -> None:
        for place, (name, (x, y)) in enumerate(series.items()):
            style: dict[str, Any] = {"color": COLORS[place % len(COLORS)], "marker": "."}
            style |= {"label": name, **(styles or {}).get(name, {})}
            shown = None if style["label"] is None else _plain(style["label"])
            axes.plot(x, y, **style | {"label": shown})
        if shares:
            axes.set(ylim=(0, 1.03))  # the dots at 1 stay whole
        elif is_uneven(value for _, y in series.values() for value in np.ravel(y)):
            axes.set_yscale("log")
        if whole_x:
            axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]

    return _chart(title, xlabel, ylabel, alt, draw)


def precision_over_recall(title: str, series: Series, alt: str, **style: str) -> Chart:
    """A line for each of at most two names, recall and precision 0..1; the style is of both."""
    lines = {
        name: {"marker": "", "linestyle": line, **style}
        for name, line in zip(series, ("-", "--"), strict=False)
    }
    return line_chart(title, series, "recall", "precision", alt, shares=True, styles=lines)


def histogram(
    title: str,
    values: Mapping[str, ArrayLike],
    edges: ArrayLike,
    xlabel: str,
    alt: str,
    *,
    log_x: bool = False,
    shares: bool = False,
) -> Chart:
    """How often values lie between edges, a step line for each name.

    In counts, or in shares of each name's values, so that names of different numbers compare.
    """

    def draw(axes: "Axes") -> None:
        for color, (name, numbers) in zip(cycle(COLORS), values.items(), strict=False):
            counts, _ = np.histogram(np.asarray(numbers, dtype=np.float64), edges)
            if shares:
                counts = counts / max(np.size(numbers), 1)
            axes.stairs(counts, edges, label=_plain(name), color=color, fill=True, alpha=0.3)
            axes.stairs(counts, edges, color=color, linewidth=1.5)
        if not shares:
            axes.yaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
        if log_x:
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter("{x:g}")

    return _chart(title, xlabel, "share of images" if shares else "images", alt, draw)


def bars(title: str, shares: Mapping[str, float | None], ylabel: str, alt: str) -> Chart:
    """A bar for each name's share, 0..1; none where it is None."""

    def draw(axes: "Axes") -> None:
        places = np.arange(len(shares))
        drawn = axes.bar(places, [v or 0.0 for v in shares.values()], color=COLORS[0], width=0.7)
        axes.set_xticks(places, [_plain(name) for name in shares])
        words = ["–" if share is None else f"{share:.2f}" for share in shares.values()]
        axes.bar_label(drawn, words, color=_INK)
        axes.set(ylim=(0, 1.1))

    return _chart(title, "", ylabel, alt, draw)


def heat_map(title: str, density: ArrayLike, alt: str) -> Chart:
    """A density over the picture's width and height, both 0..1, origin top left."""

    def draw(axes: "Axes") -> None:
        edges = (np.linspace(0, 1, cells + 1) for cells in np.shape(density)[::-1])
        mesh = axes.pcolormesh(*edges, density, cmap="viridis", rasterized=True)
        axes.invert_yaxis()
        axes.set_aspect("equal")
        axes.grid(visible=False)
        axes.figure.colorbar(mesh, ax=axes)

    return _chart(title, "x, share of the width", "y, share of the height", alt, draw)


def scatter(title: str, series: Series, xlabel: str, ylabel: str, alt: str) -> Chart:
    """Points, as one picture in the chart, so that many of them stay small."""

    def draw(axes: "Axes") -> None:
        for color, (name, (x, y)) in zip(cycle(COLORS), series.items(), strict=False):
            axes.scatter(x, y, s=9, alpha=0.5, color=color, label=_plain(name), rasterized=True)

    return _chart(title, xlabel, ylabel, alt, draw)


def reliability(
    title: str, promised: ArrayLike, observed: ArrayLike, counts: ArrayLike, alt: str
) -> Chart:
    """The share of properly worn masks over the probability that was predicted."""

    def draw(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], color=_INK, linestyle=":", label="as promised")
        axes.plot(promised, observed, color=COLORS[0], marker="")
        sizes = 15 + 120 * np.asarray(counts) / max(1, int(np.max(counts, initial=1)))
        label = "images, the larger the more"
        axes.scatter(promised, observed, s=sizes, color=COLORS[0], label=label)
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))

    return _chart(title, "probability of a proper mask", "share that is proper", alt, draw)


def _plain(name: str) -> str:
    """A name that matplotlib neither reads as mathematics nor leaves out of the legend."""
    escaped = printable_name(name).replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped
