"""Plots of a report, section by section.

Colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart; marks differ
in shape as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from pointsman.evaluation.account import Account, number, visible
from pointsman.evaluation.background import validations
from pointsman.evaluation.intervals import share_ends
from pointsman.evaluation.point import threshold_in_use
from pointsman.evaluation.sections import AT_THRESHOLD, positive_share
from pointsman.evaluation.svg import FAINT, FIRST, INK, SECOND, THIRD, Plot, draw_plot
from pointsman.evaluation.wording import capital, division, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 0.27  # inches a row of a plot with names


def plots(account: Account) -> dict[str, list[Plot]]:
    """Return the plots of each section, by the section's key; only what has figures is drawn."""
    drawers = {
        "calibration": _calibration,
        "thresholds": _thresholds,
        "curves": _curves,
        "per_class": _per_class,
        "per_type": _per_type,
        "coverage": _coverage,
        "slices": _slices,
        "perturbations": _perturbations,
        "training": _training,
        "postprocess": _postprocess,
    }
    return {key: draw(account) for key, draw in drawers.items()}


def _share_axes(axes: Axes, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))


def _calibration(account: Account) -> list[Plot]:
    found = account.figures.get("calibration") or {}
    drawn = []
    for side in ("before", "after"):
        own = found.get(side) or {}
        bins = [b for b in own.get("reliability", []) if b["rows"]]
        if bins:
            rows = own.get("histogram") or []
            label = (
                f"Reliability {side} calibration: accuracy against confidence, in {len(bins)} bins "
                f"of about {round(sum(b['rows'] for b in bins) / len(bins)):,} rows each, with 95% "
                "intervals of a bin's rows" + ("; below, where the rows lie" if rows else "")
            )
            paint = partial(_reliability, bins=bins, rows=rows)
            panels, ratio = (2, (4.0, 1.0)) if rows else (1, (1.0,))
            drawn.append(draw_plot(label, paint, height=3.9, panels=panels, ratios=ratio))
    return drawn


def _reliability(
    axes: Axes, below: Axes | None = None, *, bins: list[Mapping[str, Any]], rows: list[int]
) -> None:
    _share_axes(axes, "confidence", "accuracy")
    axes.plot([0, 1], [0, 1], color=INK, linestyle="--", linewidth=1, label="perfectly calibrated")
    for one in bins:
        low, high = share_ends(one["accuracy"], one["rows"])
        axes.plot([one["confidence"]] * 2, [low, high], color=FIRST, linewidth=1, alpha=0.6)
        axes.plot([one["low"], one["high"]], [one["accuracy"]] * 2, color=FIRST, linewidth=2.4)
    places = [b["confidence"] for b in bins], [b["accuracy"] for b in bins]
    axes.plot(*places, "o", color=FIRST, markersize=4, label="a bin: mean, span, interval")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    if below is None:
        return
    axes.set_xlabel("")
    width = 1 / len(rows)
    shares = [count / sum(rows) for count in rows]
    below.bar([(n + 0.5) * width for n in range(len(rows))], shares, width * 0.9, color=FIRST,
              alpha=0.55)  # fmt: skip
    below.set(xlabel="confidence", ylabel="rows")
    below.set_yticks([0, max(shares)], ["0", f"{max(shares):.0%}"])


def _thresholds(account: Account) -> list[Plot]:
    points = account.figures.get("curves", {}).get("threshold", [])
    if not points:
        return []
    chosen = _chosen(account)

    def paint(above: Axes, below: Axes) -> None:
        x = [point["threshold"] for point in points]
        above.plot(x, [point["recall"] for point in points], color=FIRST)
        below.plot(x, [point["false_positive_rate"] for point in points], color=SECOND)
        below.set_yscale("symlog", linthresh=0.01)
        below.set_yticks([0, 0.005, 0.01, 0.1, 1], ["0", "0.5%", "1%", "10%", "100%"])
        above.set(ylabel="recall", ylim=(-0.02, 1.04))
        below.set(xlabel="threshold", ylabel="false positives", ylim=(0, 1.1), xlim=(-0.02, 1.02))
        if chosen is not None:
            at = min(chosen, 1.0)  # a threshold beyond 1 flags nothing
            above.axvline(at, color=INK, linestyle="--", linewidth=1)
            below.axvline(at, color=INK, linestyle="--", linewidth=1)
            _mark(above, at, f"operating point {chosen:.3f}")

    label = "Recall and false-positive rate against the threshold"
    return [draw_plot(label, paint, height=4.2, panels=2)]


def _mark(axes: Axes, x: float, words: str) -> None:
    left = x < 0.5
    axes.annotate(
        words, (x, 0.06), xytext=(4 if left else -4, 0), textcoords="offset points",
        ha="left" if left else "right", fontsize=8,
    )  # fmt: skip


def _chosen(account: Account) -> float | None:
    """Return the threshold in use, where there is one for all."""
    return threshold_in_use(account.meta.task, account.figures.get("operating_point") or {})


def _on_test(account: Account, *names: str) -> tuple[float, ...] | None:
    """Return what the operating point gave on test, or None where a figure is absent."""
    test = (account.figures.get("operating_point") or {}).get("test") or {}
    values = tuple(value for name in names if (value := number(test.get(name))) is not None)
    return values if len(values) == len(names) else None


def _point_at(axes: Axes, place: tuple[float, ...] | None) -> None:
    if place is not None:
        axes.plot(*place, "D", color=SECOND, markersize=7, label="operating point, on test")


def _curves(account: Account) -> list[Plot]:
    curves = account.figures.get("curves", {})
    drawn = []
    if curves.get("roc"):
        place = _on_test(account, "false_positive_rate", "recall")
        drawn.append(draw_plot("ROC curve", lambda axes: _roc(axes, curves["roc"], place)))
    if curves.get("precision_recall"):
        paint = partial(
            _precision_recall,
            points=curves["precision_recall"],
            place=_on_test(account, "recall", "precision"),
            share=positive_share(account),  # which is the precision of a guess
        )
        drawn.append(draw_plot("Precision against recall", paint))
    return drawn


def _roc(axes: Axes, points: list[Any], place: tuple[float, ...] | None) -> None:
    _share_axes(axes, "false-positive rate", "recall (true-positive rate)")
    axes.plot([0, 1], [0, 1], color=INK, linestyle="--", linewidth=1, label="chance")
    axes.plot(*zip(*points, strict=True), color=FIRST, label="model")
    _point_at(axes, place)
    axes.legend(loc="lower right")


def _precision_recall(
    axes: Axes, *, points: list[Any], place: tuple[float, ...] | None, share: float | None
) -> None:
    _share_axes(axes, "recall", "precision")
    axes.plot(*zip(*points, strict=True), color=FIRST, label="model")
    if share is not None:
        axes.axhline(share, color=INK, linestyle="--", linewidth=1, label="chance")
    _point_at(axes, place)
    axes.legend(loc="lower left")


def _per_class(account: Account) -> list[Plot]:
    return _bars(account.figures.get("per_class", {}), "rows", "label")


def _per_type(account: Account) -> list[Plot]:
    return _bars(account.figures.get("per_type", {}), "spans", "type")


def _bars(table: Mapping[str, Mapping[str, Any]], count: str, what: str) -> list[Plot]:
    held = {name: row for name, row in table.items() if row[count]}
    if not held:
        return []

    def paint(axes: Axes) -> None:
        places = range(len(held))
        rows = list(held.values())
        axes.barh(places, [r["f1"] for r in rows], color=FIRST, alpha=0.55, height=0.66, label="F1")
        axes.plot([r["precision"] for r in rows], places, "|", color=SECOND, markersize=11,
                  markeredgewidth=2.4, label="precision")  # fmt: skip
        axes.plot([r["recall"] for r in rows], places, "x", color=INK, markersize=5,
                  label="recall")  # fmt: skip
        _names(axes, [f"{_name(name)} ({row[count]:,})" for name, row in held.items()])
        axes.set(xlim=(0, 1.04), xlabel="F1, precision, recall")
        axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1), ncols=3)

    return [
        draw_plot(
            f"F1, precision and recall of each {what}; {count} in brackets",
            paint,
            height=_tall(len(held)),
        )
    ]


def _tall(rows: int) -> float:
    return 0.95 + ROW * rows


def _names(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def _name(name: str) -> str:
    short = " ".join(visible(name).split())
    return short if len(short) <= 24 else short[:23] + "…"


def _coverage(account: Account) -> list[Plot]:
    points = account.figures.get("curves", {}).get("coverage", [])
    if not points:
        return []
    place = _on_test(account, "coverage", "accuracy")

    def paint(axes: Axes) -> None:
        axes.plot([p[0] for p in points], [p[1] for p in points], color=FIRST)
        _point_at(axes, place)
        if place is not None:
            axes.legend(loc="lower left")
        low = min([p[1] for p in points] + [place[1] if place else 1.0])
        axes.set(xlim=(-0.02, 1.02), ylim=(max(0, low - 0.03), 1.005))
        axes.set(xlabel="coverage (share of texts answered)", ylabel="accuracy on them")

    return [draw_plot("Accuracy against coverage", paint)]


def _slices(account: Account) -> list[Plot]:
    """Draw one plot for each metric of each kind of slices: figures of one kind compare."""
    kinds: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for name, row in account.figures.get("slices", {}).items():
        if number(row.get("value")) is not None:
            kinds.setdefault((row.get("by", "kept out"), row["metric"]), {})[name] = row
    drawn = []
    for (kind, metric), rows in kinds.items():
        what = f"{capital(division(kind))}: {title(metric)}"
        label = f"{what}, with 95% intervals; rows in brackets"
        whole = number(account.figures.get(metric))
        drawn.append(draw_plot(label, _dots(rows, metric, whole), height=_tall(len(rows))))
    return drawn


def _dots(
    rows: Mapping[str, Mapping[str, Any]], metric: str, whole: float | None
) -> Callable[[Axes], None]:
    def paint(axes: Axes) -> None:
        for place, row in enumerate(rows.values()):
            low, high = _whisker(row)
            axes.plot([low, high], [place, place], color=FIRST, linewidth=1.6)
            axes.plot(row["value"], place, "o", color=FIRST, markersize=6)
        if whole is not None:
            axes.axvline(whole, color=INK, linestyle="--", linewidth=1, label="all test rows")
            axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1))
        _names(axes, [f"{_name(name)} ({row['rows']:,})" for name, row in rows.items()])
        axes.set(xlabel=title(metric))
        axes.margins(x=0.06)

    return paint


def _whisker(row: Mapping[str, Any]) -> tuple[float, float]:
    interval = row.get("interval") or {}
    low, high = number(interval.get("low")), number(interval.get("high"))
    return row["value"] if low is None else low, row["value"] if high is None else high


def _perturbations(account: Account) -> list[Plot]:
    found = account.figures.get("perturbations", {})
    drawn = [plot for name in AT_THRESHOLD if (plot := _moved(found, name))]
    metrics = dict.fromkeys(row["metric"] for row in found.values())
    for metric in metrics:
        rows = {n: r for n, r in found.items() if r["metric"] == metric and _measured(r)}
        if rows:
            label = f"{capital(title(metric))} of perturbed texts beside the clean ones"
            drawn.append(draw_plot(label, _dumbbells(rows, metric), height=_tall(len(rows))))
    return drawn


def _moved(found: Mapping[str, Mapping[str, Any]], metric: str) -> Plot | None:
    """Draw what a detector does at its threshold, perturbed beside clean."""
    rows = {}
    for name, row in found.items():
        sides = [row.get("at_threshold", {}).get(s, {}).get(metric) for s in ("clean", "perturbed")]
        if None not in sides:
            clean, moved = sides
            rows[name] = {"clean": clean["value"], "value": moved["value"], "interval": moved,
                          "around": clean}  # fmt: skip
    if not rows:
        return None
    label = (
        f"{capital(title(metric))} at the threshold in use, perturbed beside clean, with 95% "
        "intervals; the band is that of the clean texts"
    )
    return draw_plot(label, _dumbbells(rows, metric), height=_tall(len(rows)))


def _measured(row: Mapping[str, Any]) -> bool:
    return number(row.get("value")) is not None and number(row.get("clean")) is not None


def _dumbbells(rows: Mapping[str, Mapping[str, Any]], metric: str) -> Callable[[Axes], None]:
    around = next(iter(rows.values())).get("around")

    def paint(axes: Axes) -> None:
        if around is not None:
            axes.axvspan(around["low"], around["high"], color=FAINT, alpha=0.25, linewidth=0)
        for place, row in enumerate(rows.values()):
            first = place == 0
            axes.plot([row["clean"], row["value"]], [place, place], color=FAINT, linewidth=3)
            axes.plot(_whisker(row), [place, place], color=SECOND, linewidth=1.4)
            axes.plot(row["clean"], place, "o", markeredgecolor=INK, markerfacecolor="none",
                      markersize=7, label="clean" if first else None)  # fmt: skip
            axes.plot(row["value"], place, "D", color=SECOND, markersize=6,
                      label="perturbed" if first else None)  # fmt: skip
        _names(axes, [_name(name) for name in rows])
        axes.set(xlabel=title(metric))
        axes.margins(x=0.06)
        axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1), ncols=2)

    return paint


def _training(account: Account) -> list[Plot]:
    losses = [(e["step"], e["loss"]) for e in account.history if "loss" in e and "step" in e]
    entries = validations(account)
    if not losses and not entries:
        return []
    drawn = [draw_plot("Loss against training steps", lambda axes: _loss(axes, losses, entries))]
    metric = account.meta.task.checkpoint
    scored = [(e["step"], e[f"eval_{metric}"]) for e in entries if f"eval_{metric}" in e]
    if scored:
        label = f"Validation {title(metric)} against training steps"
        drawn.append(draw_plot(label, lambda axes: _score(axes, scored, title(metric))))
    return drawn


def _loss(axes: Axes, losses: list[Any], entries: list[Mapping[str, Any]]) -> None:
    if losses:
        axes.plot(*zip(*losses, strict=True), color=FIRST, linewidth=1, label="training")
    if entries:
        points = [(e["step"], e["eval_loss"]) for e in entries]
        axes.plot(*zip(*points, strict=True), color=SECOND, marker="o", label="validation")
    axes.set(xlabel="step", ylabel="loss", ylim=(0, None))
    axes.legend(loc="upper right")


def _score(axes: Axes, scored: list[Any], name: str) -> None:
    best = max(scored, key=lambda point: point[1])
    axes.plot(*zip(*scored, strict=True), color=THIRD, marker="o")
    axes.plot(*best, "D", color=SECOND, markersize=7, label="best")
    axes.set(xlabel="step", ylabel=f"{name}, validation")
    axes.legend(loc="lower right")


def _postprocess(account: Account) -> list[Plot]:
    types = (account.figures.get("postprocess") or {}).get("per_type", {})
    if not types:
        return []

    def paint(axes: Axes) -> None:
        for place, row in enumerate(types.values()):
            first = place == 0
            axes.plot([row["without"], row["with"]], [place, place], color=FAINT, linewidth=3)
            axes.plot(row["without"], place, "o", markeredgecolor=INK, markerfacecolor="none",
                      markersize=7, label="without" if first else None)  # fmt: skip
            axes.plot(row["with"], place, "D", color=THIRD, markersize=5,
                      label="with" if first else None)  # fmt: skip
        _names(axes, [_name(name) for name in types])
        axes.set(xlabel="F1", xlim=(-0.02, 1.04))
        axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1), ncols=2)

    return [draw_plot("F1 of each type with and without post-processing", paint,
                  height=_tall(len(types)))]  # fmt: skip
