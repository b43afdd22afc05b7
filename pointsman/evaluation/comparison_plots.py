"""Plots of a comparison, as SVG: figures with their intervals, and accuracy against latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pointsman.core.files import storage_errors
from pointsman.evaluation.report import title

STYLE: Any = {
    "svg.hashsalt": "pointsman",  # the same ids each time: a plot changes when its figures do
    "svg.fonttype": "none",  # words stay words, for readers and for search
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
COLOUR = "#2b6cb0"
WIDE = 20  # ratio of latencies from which a linear axis would press the quick ones together


def plot_comparison(result: Mapping[str, Any], directory: Path) -> list[Path]:
    """Write the plots of a comparison and return their paths.

    `headline.svg` shows one metric that every entrant has, with intervals; `latency.svg` shows it
    against the median latency of those whose latency is known, where there are any.
    """
    metric = common_metric(result)
    if metric is None:
        return []
    entrants = result["entrants"]
    written = [_plot_headline(entrants, metric, directory / "headline.svg")]
    timed = [e for e in entrants if e.get("latency_ms") is not None]
    if timed:
        written.append(_plot_latency(timed, metric, directory / "latency.svg"))
    return written


def common_metric(result: Mapping[str, Any]) -> str | None:
    """Return the headline, or the first metric that every entrant has an interval of."""
    entrants = result["entrants"]
    names = [result["headline"], *entrants[0]["metrics"]]
    return next((n for n in names if all("low" in e["metrics"].get(n, {}) for e in entrants)), None)


def _plot_headline(entrants: Sequence[Mapping[str, Any]], metric: str, path: Path) -> Path:
    figure, axes = _figure(height=1.2 + 0.5 * len(entrants))
    places = list(range(len(entrants), 0, -1))
    values = [e["metrics"][metric] for e in entrants]
    axes.errorbar(
        [v["value"] for v in values], places, xerr=_arms(values), fmt="o", color=COLOUR, capsize=4
    )
    axes.set_yticks(places, [_plain(e["name"]) for e in entrants])
    axes.set_ylim(0.4, len(entrants) + 0.6)
    axes.set_xlabel(f"{title(metric)}, with 95% intervals")
    axes.grid(axis="x", alpha=0.3)
    return _save(figure, path)


def _plot_latency(entrants: Sequence[Mapping[str, Any]], metric: str, path: Path) -> Path:
    figure, axes = _figure(height=4.0)
    for entrant in entrants:
        value = entrant["metrics"][metric]
        axes.errorbar(
            [entrant["latency_ms"]],
            [value["value"]],
            yerr=_arms([value]),
            fmt="o",
            capsize=4,
            label=_plain(entrant["name"]),  # a legend: names beside near points would overlap
        )
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    times = [entrant["latency_ms"] for entrant in entrants]
    if max(times) > WIDE * min(times):
        axes.set_xscale("log")
        axes.margins(x=0.1)
    else:
        axes.set_xlim(0.0, 1.15 * max(times))
    axes.set_xlabel("median latency of one text, ms")
    axes.set_ylabel(title(metric))
    axes.grid(alpha=0.3)
    return _save(figure, path)


def _plain(name: str) -> str:
    """Return a name as words: matplotlib reads what stands between dollar signs as a formula."""
    return name.replace("$", r"\$")


def _arms(values: Sequence[Mapping[str, float]]) -> list[list[float]]:
    """Return the lengths of the error bars; a percentile interval need not hold its figure."""
    below = [max(0.0, v["value"] - v["low"]) for v in values]
    return [below, [max(0.0, v["high"] - v["value"]) for v in values]]


def _figure(height: float) -> tuple[Any, Any]:
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(7.0, height), layout="constrained")
        FigureCanvasSVG(figure)
        return figure, figure.subplots()


def _save(figure: Any, path: Path) -> Path:
    from matplotlib import rc_context

    with storage_errors(path), rc_context(STYLE):
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None})
    return path
