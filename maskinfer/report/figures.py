"""Charts as SVG that takes its text colour from the page, so that it reads in light and dark."""

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from maskinfer.text import printable_name

from .blocks import Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# In both themes each has a contrast of at least 3 with the page. Lines differ in more than colour.
COLORS = ("#3a7ebf", "#d1495b", "#2a9134", "#b8860b", "#8e5bb5", "#0e9aa7", "#c05780", "#7a7a7a")
_SIZE = (4.6, 3.1)  # inches, of 72 points
_INSIDE = 4  # names in a legend within the axes
_LINE = 0.19  # inches, of a line of a legend
# Drawn in this, and replaced by the page's own colour.
_INK = "#010203"
_ID, _REFERENCE = re.compile(r' id="([^"]+)"'), re.compile(r"#([\w.-]+)")
_BELONGS_TO_A_FILE = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>", re.DOTALL)


class _Drawing:
    """Axes to draw on, and the SVG that came of it."""

    def __init__(self, axes: "Axes") -> None:
        self.axes = axes
        self.svg = ""


@contextmanager
def _drawing(
    name: str, xlabel: str, ylabel: str, size: tuple[float, float] = _SIZE
) -> Iterator[_Drawing]:
    """Axes in the page's manner; `name` keeps the ids of a page's charts apart."""
    import matplotlib
    from matplotlib.figure import Figure

    inks = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    style: Any = dict.fromkeys(inks, _INK)
    style |= {"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif"}
    style |= {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    style |= {"legend.frameon": False, "legend.fontsize": 9}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=size, layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.subplots()
        axes.patch.set_alpha(0)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.set_axisbelow(True)
        drawing = _Drawing(axes)
        yield drawing
        names = axes.get_legend_handles_labels()[1]
        if len(names) > _INSIDE:
            # Below, where many names hide nothing, in as many lines as the drawing grows by.
            figure.set_figheight(size[1] + _LINE * len(names))
            figure.legend(loc="outside lower left")
        elif names:
            axes.legend()
        stream = io.StringIO()
        with warnings.catch_warnings():
            # The browser has letters that the font which texts are measured in has not.
            warnings.filterwarnings("ignore", "Glyph", UserWarning)
            figure.savefig(stream, format="svg", metadata={"Date": None})
    svg = _BELONGS_TO_A_FILE.sub("", stream.getvalue()).strip()
    # Of all ids stay those that something refers to, which the salt keeps apart: the others are
    # the same in each chart.
    used = set(_REFERENCE.findall(svg))
    svg = _ID.sub(lambda match: match[0] if match[1] in used else "", svg)
    drawing.svg = svg.replace(_INK, "currentColor")


def line_chart(
    title: str,
    series: Mapping[str, tuple[ArrayLike, ArrayLike]],
    xlabel: str,
    ylabel: str,
    alt: str,
    *,
    ylim: tuple[float, float] | None = None,
    whole_x: bool = False,
    log_y: bool = False,
    styles: Mapping[str, Mapping[str, Any]] | None = None,
) -> Chart:
    """Lines over each other.

    Args:
        title: above the chart; unlike the page's other charts'.
        series: x and y by name.
        xlabel: of the x axis.
        ylabel: of the y axis.
        alt: what it shows, in words.
        ylim: least and greatest y.
        whole_x: whether x are whole numbers, such as epochs.
        log_y: whether y is drawn by its logarithm.
        styles: matplotlib's words for a line, by name, where they differ; a label of None is not
            in the legend.
    """
    with _drawing(title, xlabel, ylabel) as drawing:
        for place, (name, (x, y)) in enumerate(series.items()):
            style: dict[str, Any] = {"color": COLORS[place % len(COLORS)], "marker": "."}
            style |= {"label": name, **(styles or {}).get(name, {})}
            shown = None if style["label"] is None else _plain(style["label"])
            drawing.axes.plot(x, y, **style | {"label": shown})
        if log_y:
            drawing.axes.set_yscale("log")
        if ylim:
            drawing.axes.set_ylim(*ylim)
        if whole_x:
            drawing.axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
    return Chart(title, alt, drawing.svg)


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

    Args:
        title: above the chart.
        values: by name.
        edges: of the bins.
        xlabel: of the x axis.
        alt: what it shows, in words.
        log_x: whether the x axis is logarithmic.
        shares: shares of each name's values, so that names of different numbers compare; else
            counts.
    """
    from matplotlib.ticker import MaxNLocator

    with _drawing(title, xlabel, "share of images" if shares else "images") as drawing:
        for place, (name, found) in enumerate(values.items()):
            numbers = np.asarray(found, dtype=np.float64)
            counts, _ = np.histogram(numbers, edges)
            if shares:
                counts = counts / max(len(numbers), 1)
            color = COLORS[place % len(COLORS)]
            drawing.axes.stairs(
                counts, edges, label=_plain(name), color=color, fill=True, alpha=0.3
            )
            drawing.axes.stairs(counts, edges, color=color, linewidth=1.5)
        if not shares:
            drawing.axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        if log_x:
            drawing.axes.set_xscale("log", base=2)
            drawing.axes.xaxis.set_major_formatter("{x:g}")
    return Chart(title, alt, drawing.svg)


def bars(
    title: str,
    values: Mapping[str, float | None],
    ylabel: str,
    alt: str,
    *,
    counts: Mapping[str, int] | None = None,
    ylim: tuple[float, float] | None = None,
) -> Chart:
    """A bar a name, with how many images it stands for; none where there are none."""
    with _drawing(title, "", ylabel) as drawing:
        places = np.arange(len(values))
        heights = [0.0 if value is None else value for value in values.values()]
        drawn = drawing.axes.bar(places, heights, color=COLORS[0], width=0.7)
        names = [_plain(n) + (f"\n{counts[n]}" if counts else "") for n in values]
        drawing.axes.set_xticks(places, names)
        drawing.axes.bar_label(
            drawn, ["–" if v is None else f"{v:.2f}" for v in values.values()], color=_INK
        )
        if ylim:
            drawing.axes.set_ylim(*ylim)
    return Chart(title, alt, drawing.svg)


def heat_map(title: str, density: ArrayLike, xlabel: str, ylabel: str, alt: str) -> Chart:
    """A density over the picture's width and height, both 0..1, origin top left."""
    with _drawing(title, xlabel, ylabel) as drawing:
        shown = drawing.axes.pcolormesh(
            *(np.linspace(0, 1, n + 1) for n in np.shape(density)[::-1]),
            density,
            cmap="viridis",
            rasterized=True,
        )
        drawing.axes.invert_yaxis()
        drawing.axes.set_aspect("equal")
        drawing.axes.grid(visible=False)
        drawing.axes.figure.colorbar(shown, ax=drawing.axes)
    return Chart(title, alt, drawing.svg)


def scatter(
    title: str,
    series: Mapping[str, tuple[ArrayLike, ArrayLike]],
    xlabel: str,
    ylabel: str,
    alt: str,
) -> Chart:
    """Points, as one picture in the chart, so that many of them stay small."""
    with _drawing(title, xlabel, ylabel) as drawing:
        for place, (name, (x, y)) in enumerate(series.items()):
            drawing.axes.scatter(
                x, y, s=9, alpha=0.5, color=COLORS[place], label=_plain(name), rasterized=True
            )
    return Chart(title, alt, drawing.svg)


def reliability(
    title: str, promised: ArrayLike, found: ArrayLike, counts: ArrayLike, alt: str
) -> Chart:
    """What share was properly worn of what was called so with a probability."""
    with _drawing(title, "probability of a proper mask", "share that is proper") as drawing:
        drawing.axes.plot([0, 1], [0, 1], color=_INK, linestyle=":", label="as promised")
        largest = max(1, int(np.max(counts, initial=1)))
        drawing.axes.plot(promised, found, color=COLORS[0], marker="")
        drawing.axes.scatter(
            promised,
            found,
            s=15 + 120 * np.asarray(counts) / largest,
            color=COLORS[0],
            label="images, the larger the more",
        )
        drawing.axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    return Chart(title, alt, drawing.svg)


def _plain(name: str) -> str:
    """A name that matplotlib reads neither as mathematics nor as one to leave out of the legend."""
    escaped = printable_name(name).replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped
