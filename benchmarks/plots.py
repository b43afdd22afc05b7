"""Plots of how something grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


def plot(
    file: Path,
    labels: tuple[str, str, str],
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
) -> None:
    """Draw how something grows, on logarithmic axes; memory is drawn from zero.

    Of memory a logarithmic axis would show a rise of a fifth as a cliff. Beside a single line of
    time stands what growth in proportion to the first point would be.

    Args:
        file: SVG or PNG.
        labels: Title, and what the axes count.
        series: The points of each line, by name.
    """
    import matplotlib as mpl

    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "pointsman"  # the same figures give the same file
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    figure, axes = pyplot.subplots(figsize=(6, 3.8), layout="constrained")
    for name, (xs, ys) in series.items():
        axes.plot(xs, ys, marker="o", markersize=4, label=name)
    title, across, up = labels
    axes.set(xscale="log", xlabel=across, ylabel=up)
    axes.set_title(title, fontsize="medium")
    if up.endswith("MiB"):
        axes.set_ylim(bottom=0)
    else:
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
        if len(series) == 1:
            ((xs, ys),) = series.values()
            line = [ys[0] * x / xs[0] for x in xs]
            axes.plot(xs, line, linestyle=":", color="grey", label="in proportion")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(LogLocator(base=_base(next(iter(series.values()))[0])))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    axes.grid(visible=True, which="major", alpha=0.3)
    if len(axes.lines) > 1:
        axes.legend()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)
    print(f"plot: {file}")


def _base(sizes: Sequence[float]) -> int:
    """Return the factor between sizes, so that ticks lie on them."""
    return round(sizes[1] / sizes[0]) if len(sizes) > 1 else 10
