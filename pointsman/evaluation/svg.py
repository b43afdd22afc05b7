"""Plots as SVG that takes its colours from the page around it.

Matplotlib draws with stand-in colours, which are replaced by CSS variables afterwards: one plot
is then readable in light and in dark, on a screen and on paper.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 4.7  # inches: text keeps its size on a phone, and two plots stand abreast on a desk
INK, FIRST, SECOND, THIRD, FAINT = "#010101", "#010102", "#010103", "#010104", "#010105"
_COLOURS = {
    INK: "currentColor",
    FIRST: "var(--blue)",
    SECOND: "var(--orange)",
    THIRD: "var(--green)",
    FAINT: "var(--faint)",
}
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be read, searched and printed sharply
    "font.size": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": FAINT,
    "grid.alpha": 0.35,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "text.parse_math": False,  # a label may hold a dollar sign
}


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawn plot: what it shows, in words, and the SVG."""

    label: str
    svg: str


def draw_plot(
    label: str,
    paint: Callable[..., None],
    *,
    height: float = 3.2,
    panels: int = 1,
    ratios: Sequence[float] | None = None,
) -> Plot:
    """Draw one plot.

    Args:
        label: What it shows, for who cannot see it.
        paint: Called with the axes of every panel.
        height: Inches.
        panels: How many axes stand above each other, with one x-axis.
        ratios: How tall each is beside the others; equally tall when not given.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({**_STYLE, "svg.hashsalt": label}), warnings.catch_warnings():
        # browsers have the glyphs that matplotlib's own font lacks
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(panels, 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
        paint(*axes)
        return Plot(label, _svg(figure, label))


def _svg(figure: Figure, label: str) -> str:
    from markupsafe import escape

    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style).*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # every plot has the same: a page holds several
    text = re.sub(r"font(-family)?: (\d+px )?'[^;\"]*", _font, text)
    for colour, variable in _COLOURS.items():
        text = text.replace(colour, variable)
    size = re.search(r'viewBox="([^"]*)"', text)
    opening = f'<svg role="img" aria-label="{escape(label)}" viewBox="{size[1] if size else ""}">'
    return re.sub(r"<svg[^>]*>", lambda _: opening, text, count=1)


def _font(match: re.Match[str]) -> str:
    return f"font: {match[2]}var(--font)" if match[2] else "font-family: var(--font)"
