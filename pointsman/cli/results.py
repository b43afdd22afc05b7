"""Tables of what bundles reached and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pointsman.bundle.doubts import doubts
from pointsman.bundle.layout import read_any
from pointsman.bundle.meta import BundleMeta
from pointsman.cli.console import say, show, show_table


def show_figures(bundles: Sequence[Path]) -> None:
    """Print one line a head, headline and cost, and where the bundles are."""
    header = ("task", "headline", "test", "rows", "trained", "time", "memory")
    heads = {path: _heads(path) for path in bundles}
    rows = [_line(head) for found in heads.values() for head in found]
    show_table("Results on the test splits", header, rows)
    for path, found in heads.items():
        show(f"{', '.join(head.task.name for head in found)}: {path}")


def _heads(path: Path) -> list[BundleMeta]:
    meta = read_any(path)
    return [meta] if isinstance(meta, BundleMeta) else list(meta.heads.values())


def _line(meta: BundleMeta) -> tuple[object, ...]:
    from pointsman.evaluation.report import headline

    name, value = headline(meta, meta.metrics)
    reached = "-" if value is None else value
    rows = meta.metrics.get("rows", "-")
    return (meta.task.name, name, reached, rows, *_cost(meta))


def _cost(meta: BundleMeta) -> tuple[str, str, str]:
    if meta.cost is None:
        return ("-", "-", "-")
    share = f"{meta.cost.trainable_share:.2%}"
    return share, f"{meta.cost.seconds:.0f} s", f"{meta.cost.peak_memory_mb:.0f} MiB"


def show_evaluation(meta: BundleMeta, figures: dict[str, Any]) -> None:
    """Print an evaluation: plain figures, figures per label or type, slices, perturbations."""
    from pointsman.evaluation.report import title
    from pointsman.evaluation.sections import class_table, type_table

    plain = [(title(k), v) for k, v in figures.items() if isinstance(v, int | float)]
    show_table(f"{meta.task.title}", ("metric", "value"), plain)
    for table in (class_table(figures), type_table(figures)):
        if table is not None:
            show_table(table.caption, table.header, table.rows)
    for key, what in (("slices", "slice"), ("perturbations", "perturbation")):
        if key in figures:
            header = (what, "rows", "figure", "value", "95% interval")
            show_table("", header, [_part(name, row) for name, row in figures[key].items()])
    _show_at_threshold(figures.get("perturbations", {}))
    if "postprocess" in figures:
        effect = figures["postprocess"]
        rows = [(title(k), effect["without"].get(k), v) for k, v in effect["with"].items()]
        show_table("Post-processing", ("metric", "without", "with"), rows)
    for words in doubts_of(figures):
        say(words)


def doubts_of(figures: Mapping[str, Any]) -> list[str]:
    """Return what the figures of an evaluation leave in doubt, as sentences."""
    from pointsman.evaluation.wording import calibration_note

    found = doubts(figures.get("operating_point", {}))
    note = calibration_note(figures.get("calibration", {}))
    return found if note is None else [*found, note.text]


def _show_at_threshold(perturbations: Mapping[str, Mapping[str, Any]]) -> None:
    """Print what a detector does with perturbed texts at its threshold, if that was measured."""
    from pointsman.evaluation.sections import threshold_table

    found = threshold_table(perturbations)
    if found is not None:
        show_table(f"Perturbed texts: {found.caption.lower()}", found.header, found.rows)


def _part(name: str, row: Mapping[str, Any]) -> tuple[object, ...]:
    from pointsman.evaluation.account import ends
    from pointsman.evaluation.report import title

    return name, row["rows"], title(row["metric"]), row["value"], ends(row["interval"])


def show_operating_point(before: BundleMeta, after: BundleMeta) -> None:
    """Print temperature and thresholds before and after, and what the new ones give."""
    from pointsman.evaluation.account import ends
    from pointsman.evaluation.point import rates_of
    from pointsman.evaluation.sections import type_points

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
        (name.replace("_", " "), rate["value"], ends(rate))
        for name, rate in rates_of(point["validation"]).items()
    ]
    caption = f"On the {point['chosen_on']['rows']:,} rows that chose it"
    show_table(caption, ("figure", "value", "95% interval"), given)
    types = type_points(point, "validation")
    if types is not None:
        show_table(types.caption, types.header, types.rows)
    for words in doubts(point):
        say(words)
    if point["note"]:
        say(point["note"])
