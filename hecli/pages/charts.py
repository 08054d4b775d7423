"""Charts as pictures inside a page: lines, dots and points, drawn by Matplotlib.

Colours are names that the page gives a value, one by day and one by night.
"""

import io
import re
import warnings
from collections.abc import Callable, Sequence
from html import escape
from importlib.util import find_spec
from typing import Any, NamedTuple

from hecli.errors import HecliError
from hecli.formats.text import visible

WIDTH, HEIGHT = 4.8, 3.1
"""Inches, of 72 units each: about as wide as a telephone, so that letters there are as large as others."""

LETTERS = 10
INK, GRID = "#010203", "#030201"
SERIES = 10
"""How many colours there are; behind them they begin anew, with other dashes."""

MARKERS = "os^Dv"
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (2, 1.5)))

LONGEST = 32
"""Letters of a text in a chart."""

MARK = 0.035, 0.06
"""How wide and high a letter of a mark is with what is free around it, of the chart."""

PLACES = sorted(
    ((across, up) for across in (0.6, -2, 2, -4, 4, 7, -7) for up in range(-8, 9)),
    key=lambda place: abs(place[0]) / 2 + abs(place[1]) + (place[0] < 0),
)
"""Where marks may stand, from the end of their line, the nearest first: letters to the right, and up."""

FEW_DECADES = 200
"""Where the largest is fewer times the smallest, there are numbers between powers of ten."""

ROW, LOWEST = 0.24, 1.6
"""Inches of a row of dots, and of a chart of them at least."""


class Series(NamedTuple):
    """A line, or points that belong together.

    Args:
        name: What it is called.
        xs: Where its points are, from left to right; None for none.
        ys: Their heights.
        spread: How far single ones are from them, above and below; none where that is not known.
        colour: The number of its colour.
        mark: What stands at its end; nothing where nothing does.
    """

    name: str
    xs: Sequence[float | None]
    ys: Sequence[float]
    spread: Sequence[float] = ()
    colour: int = 0
    mark: str = ""


def check_charts() -> None:
    """Refuse to go on without what draws charts.

    Raises:
        HecliError: It is not installed.
    """
    if find_spec("matplotlib") is None:
        raise HecliError("charts need Matplotlib, which is not installed", "pip install 'hecli[charts]'")


def lines(series: Sequence[Series], x: str, y: str, says: str, *, logarithmic: bool = False) -> str:
    """Draw lines.

    Args:
        series: The lines.
        x: What stands under them.
        y: What stands beside them.
        says: What the chart shows, for those who do not see it.
        logarithmic: Whether each step to the right is a multiple.

    Returns:
        The picture, as part of a page.
    """

    def draw(axes: Any) -> None:
        for each in series:
            colour = _colour(each.colour)
            dashes = DASHES[each.colour // SERIES % len(DASHES)]
            if each.spread:
                low = [value - around for value, around in zip(each.ys, each.spread, strict=True)]
                high = [value + around for value, around in zip(each.ys, each.spread, strict=True)]
                axes.fill_between(each.xs, low, high, color=colour, alpha=0.15, linewidth=0)
            axes.plot(each.xs, each.ys, color=colour, linestyle=dashes, linewidth=1.6)
            axes.plot(each.xs[-1:], each.ys[-1:], "o", color=colour, markersize=3.5)
        if logarithmic:
            _plain_numbers(axes)
        else:
            axes.locator_params(axis="x", integer=True)
        _mark_ends(axes, series)
        axes.set_xlabel(_text(x))
        axes.set_ylabel(_text(y))

    return _drawn(draw, HEIGHT, says)


def dots(names: Sequence[str], series: Sequence[Series], x: str, says: str) -> str:
    """Draw rows of dots, one row for each name; each step to the right is a multiple.

    Args:
        names: What stands beside the rows, from the top.
        series: The dots: of each the rows' numbers are the heights.
        x: What stands under them.
        says: What the chart shows, for those who do not see it.

    Returns:
        The picture, as part of a page.
    """

    def draw(axes: Any) -> None:
        for at, each in enumerate(series):
            marker = MARKERS[at % len(MARKERS)]
            axes.plot(each.xs, each.ys, marker, color=_colour(each.colour), markersize=5.5)
        axes.set_yticks(range(len(names)), [*map(_text, names)])
        axes.set_ylim(len(names) - 0.5, -0.5)
        _plain_numbers(axes)
        axes.set_xlabel(_text(x))

    return _drawn(draw, max(LOWEST, ROW * len(names) + 0.7), says)


def _mark_ends(axes: Any, series: Sequence[Series]) -> None:
    """Put marks near the ends of lines, as near as there is room, with a thin line to what is farther off."""
    axes.margins(x=0.1, y=0.1)
    # Only now it is known where the axes begin and end, which places go by.
    axes.autoscale_view()
    wide, high = MARK
    marked = [one for one in series if one.mark]
    ends = [
        axes.transAxes.inverted().transform(axes.transData.transform((one.xs[-1], one.ys[-1])))
        for one in marked
    ]
    # What stands in the way: other marks, and the ends themselves.
    taken = [(x, y, wide / 2) for x, y in ends]
    for each, (x, y) in zip(marked, ends, strict=True):
        size = wide * (0.4 + 0.3 * len(each.mark))
        free = (
            (left, middle)
            for left, middle in ((x + across * wide, y + up * high) for across, up in PLACES)
            if 0 < middle < 1 and left > 0
            if not any(
                left < other + room and other < left + size and abs(middle - at) < high
                for other, at, room in taken
            )
        )
        # Where nothing is free there is no mark: the key says the same.
        if (place := next(free, None)) is None:
            continue
        left, middle = place
        taken.append((left, middle, size))
        colour = _colour(each.colour)
        drawn = {"transform": axes.transAxes, "color": colour, "clip_on": False}
        if abs(left - x) > wide or abs(middle - y) > high:
            axes.plot([x, left], [y, middle], linewidth=0.5, **drawn)
        axes.text(left, middle, _text(each.mark), fontsize=LETTERS - 1.5, va="center", **drawn)


def _plain_numbers(axes: Any) -> None:
    """Have each step to the right be a multiple, with numbers as people write them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: PLC0415 - an extra

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    between = (1, 2, 5) if high / low < FEW_DECADES else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=between))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _drawn(draw: Callable[[Any], None], height: float, says: str) -> str:
    import matplotlib as mpl  # noqa: PLC0415 - an extra
    from matplotlib.figure import Figure  # noqa: PLC0415

    says = visible(says)
    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": says,
        # Names are names, whatever stands in them.
        "text.parse_math": False,
        "font.size": LETTERS,
        "text.color": INK,
        "axes.edgecolor": GRID,
        "axes.labelcolor": INK,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with mpl.rc_context(style), warnings.catch_warnings():
        # The page has letters that Matplotlib has not, which guesses how wide they are.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure = Figure(figsize=(WIDTH, height), facecolor="none", layout="constrained")
        draw(figure.add_subplot())
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return _inside_a_page(out.getvalue(), says)


def _text(name: str) -> str:
    """A name that has room."""
    seen = visible(name)
    return seen if len(seen) <= LONGEST else f"{seen[:LONGEST]}..."


def _colour(number: int) -> str:
    return f"#0000a{number % SERIES}"


def _inside_a_page(picture: str, says: str) -> str:
    """A picture without what a file of its own needs, with the page's letters and colours."""
    inside = picture[picture.index("<svg") :]
    size = re.search(r'viewBox="([^"]+)"', inside)
    inside = re.sub(r"<metadata>.*?</metadata>", "", inside[inside.index(">") + 1 :], flags=re.DOTALL)
    inside = inside.replace("xlink:href", "href").replace(INK, "var(--ink)").replace(GRID, "var(--grid)")
    inside = re.sub(r"#0000a(\d)", r"var(--c\1)", inside)
    inside = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px var(--letters)", inside)
    # Of several pictures on one page no two parts have one name.
    name = re.sub(r"\W+", "-", says.lower())[:40]
    inside = re.sub(r'id="', f'id="{name}-', inside)
    inside = re.sub(r'(href="|url\()#', rf"\1#{name}-", inside)
    viewed = size[1] if size else ""
    return f'<svg viewBox="{viewed}" role="img" aria-label="{escape(says)}">{inside}'
