"""Tables of what bundles reached and cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pointsman.bundle.layout import read_any
from pointsman.bundle.meta import BundleMeta
from pointsman.cli.console import say, show_table


def show_figures(bundles: Sequence[Path]) -> None:
    """Print one line a head: headline, cost, place."""
    header = ("task", "headline", "test", "rows", "trained", "time", "memory", "bundle")
    rows = [_line(head, path) for path in bundles for head in _heads(path)]
    show_table("Results on the test splits", header, rows)


def _heads(path: Path) -> list[BundleMeta]:
    meta = read_any(path)
    return [meta] if isinstance(meta, BundleMeta) else list(meta.heads.values())


def _line(meta: BundleMeta, path: Path) -> tuple[object, ...]:
    from pointsman.evaluation.report import headline

    name, value = headline(meta, meta.metrics)
    reached = "-" if value is None else value
    rows = meta.metrics.get("rows", "-")
    return (meta.task.name, name, reached, rows, *_cost(meta), str(path))


def _cost(meta: BundleMeta) -> tuple[str, str, str]:
    if meta.cost is None:
        return ("-", "-", "-")
    share = f"{meta.cost.trainable_share:.2%}"
    return share, f"{meta.cost.seconds:.0f} s", f"{meta.cost.peak_memory_mb:.0f} MiB"


def show_evaluation(meta: BundleMeta, figures: dict[str, Any]) -> None:
    """Print an evaluation: plain figures, figures per label or type, slices, perturbations."""
    from pointsman.evaluation.report import title

    plain = [(title(k), v) for k, v in figures.items() if isinstance(v, int | float)]
    show_table(f"{meta.task.title}", ("metric", "value"), plain)
    for key, what in (("per_class", "label"), ("per_type", "type")):
        if key in figures:
            table = figures[key]
            columns = list(next(iter(table.values())))
            rows = [(label, *(row[c] for c in columns)) for label, row in table.items()]
            show_table("", (what, *columns), rows)
    for key, what in (("slices", "slice"), ("perturbations", "perturbation")):
        if key in figures:
            header = (what, "rows", "figure", "value", "95% interval")
            show_table("", header, [_part(name, row) for name, row in figures[key].items()])
    if "postprocess" in figures:
        effect = figures["postprocess"]
        rows = [(title(k), effect["without"].get(k), v) for k, v in effect["with"].items()]
        show_table("Post-processing", ("metric", "without", "with"), rows)


def _part(name: str, row: dict[str, Any]) -> tuple[object, ...]:
    from pointsman.evaluation.report import title

    interval = f"{row['interval']['low']:.4f} to {row['interval']['high']:.4f}"
    return name, row["rows"], title(row["metric"]), row["value"], interval


def show_operating_point(before: BundleMeta, after: BundleMeta) -> None:
    """Print temperature and thresholds before and after, and what the new ones give."""
    rows: list[tuple[object, ...]] = [("temperature", before.temperature, after.temperature)]
    labels = [x for x in after.task.labels if x in after.thresholds or x in before.thresholds]
    rows += [
        (f"threshold of {x}", before.thresholds.get(x, "-"), after.thresholds.get(x, "-"))
        for x in labels
    ]
    if before.abstain_below or after.abstain_below:
        rows.append(("unsure below", before.abstain_below, after.abstain_below))
    point = after.operating_point
    show_table(f"{after.task.title}: {point['rule']}", ("", "before", "after"), rows)
    given = [
        (name.replace("_", " "), rate["value"], rate.get("low", "-"), rate.get("high", "-"))
        for name, rate in point["validation"].items()
    ]
    show_table(
        f"On the {point['chosen_on']['rows']:,} rows that chose it",
        ("figure", "value", "from", "to"),
        given,
    )
    if point["note"]:
        say(point["note"])
