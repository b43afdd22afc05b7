"""`compare.md`: a comparison in tables, with what each figure means said below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.evaluation.report import table, title

COSTS = (
    ("latency_ms", "latency, median", "{:.1f} ms"),
    ("latency_p95_ms", "latency, p95", "{:.1f} ms"),
    ("throughput", "texts a second", "{:.1f}"),
    ("peak_memory_mb", "peak memory", "{:.0f} MiB"),
    ("own_memory_mb", "of it its own", "{:.0f} MiB"),
    ("cost_per_query", "cost a query", "{:.6f}"),
    ("consistency", "same answer again", "{:.1%}"),
    ("confidence", "mean confidence", "{:.3f}"),
    ("missing", "no answer", "{}"),
)
TRAINING = (
    ("method", "method", "{}"),
    ("trainable_parameters", "trainable parameters", "{:,}"),
    ("trainable_share", "share", "{:.2%}"),
    ("seconds", "training time", "{:.0f} s"),
    ("training_memory_mb", "peak memory, training", "{:.0f} MiB"),
    ("gpu_memory_mb", "of the GPU", "{:.0f} MiB"),
    ("disk_mb", "on disk", "{:.1f} MiB"),
    ("adapter_mb", "adapter", "{:.1f} MiB"),
)
LLM = (
    ("model", "model", "{}"),
    ("structured", "structured output", "{}"),
    ("refusals", "refusals", "{}"),
    ("unparsable", "unparsable", "{}"),
    ("wrong_labels", "labels that the task has not", "{}"),
    ("failed", "requests that failed", "{}"),
    ("unmatched", "listed spans not in the text", "{}"),
    ("input_tokens", "input tokens", "{:,}"),
    ("output_tokens", "output tokens", "{:,}"),
)


def write_comparison(result: Mapping[str, Any]) -> str:
    """Return a comparison as Markdown.

    Args:
        result: What `pointsman.evaluation.comparison.compare` gave, with `data`, `machine`,
            `notes`, `not_run` and `seeds` where there are any.
    """
    entrants = result["entrants"]
    parts = [
        f"# {result['task']}: side by side\n\n{result['rows']:,} rows of {result['data']}.\n",
        quality_table(result),
        _section("Differences", difference_table(result["differences"])),
        _section("Over seeds", _seed_table(result)),
        _section("Answering", fact_table(entrants, COSTS)),
        _section("Training", fact_table(entrants, TRAINING)),
        _section("Language models", fact_table([e for e in entrants if "model" in e], LLM)),
        _list("Not run", [f"{name}: {reason}" for name, reason in result["not_run"].items()]),
        _list("Notes", result["notes"]),
    ]
    return "\n".join(part for part in parts if part)


def quality_table(result: Mapping[str, Any]) -> str:
    """Return what each entrant reached, with intervals."""
    names = list(dict.fromkeys(n for e in result["entrants"] for n in e["metrics"]))
    names.sort(key=lambda name: name != result["headline"])
    rows = [
        (e["name"], e["kind"], *(with_interval(e["metrics"].get(n)) for n in names))
        for e in result["entrants"]
    ]
    return table(("name", "kind", *map(title, names)), rows)


def with_interval(metric: Mapping[str, Any] | None) -> str:
    """Return a figure with its 95% interval."""
    if metric is None:
        return "-"
    text = f"{metric['value']:.4f}"
    return f"{text} ({metric['low']:.4f} to {metric['high']:.4f})" if "low" in metric else text


def difference_table(differences: Sequence[Mapping[str, Any]]) -> str:
    """Return the pairs: difference, interval, p-value and verdict."""
    if not differences:
        return ""
    rows = [
        (
            f"{d['first']} less {d['second']}",
            title(d["metric"]),
            f"{d['value']:+.4f} ({d['low']:+.4f} to {d['high']:+.4f})",
            f"{d['p_value']:.3g}",
            f"{d['corrected']:.3g}",
            d["words"],
        )
        for d in differences
    ]
    header = ("pair", "metric", "difference", "McNemar's p", "after Holm", "verdict")
    return table(header, rows)


def fact_table(
    entrants: Sequence[Mapping[str, Any]], columns: Sequence[tuple[str, str, str]]
) -> str:
    """Return the facts that at least one entrant has, one line an entrant that has any."""
    used = [c for c in columns if any(e.get(c[0]) is not None for e in entrants)]
    rows = [(e["name"], *_cells(e, used)) for e in entrants]
    rows = [row for row in rows if set(row[1:]) != {"-"}]
    return table(("name", *(words for _, words, _ in used)), rows) if used and rows else ""


def _cells(entrant: Mapping[str, Any], columns: Sequence[tuple[str, str, str]]) -> list[str]:
    values = [(entrant.get(key), shape) for key, _, shape in columns]
    return ["-" if value is None else shape.format(value) for value, shape in values]


def _seed_table(result: Mapping[str, Any]) -> str:
    found = [row for row in result.get("seeds", ()) if row["seeds"] > 1]
    if not found:
        return ""
    rows = [
        (r["variant"], r["seeds"], r["mean"], r["deviation"], f"{r['low']:.4f} to {r['high']:.4f}")
        for r in found
    ]
    header = ("variant", "seeds", f"mean {title(result['headline'])}", "deviation", "range")
    return table(header, rows)


def _section(heading: str, text: str) -> str:
    return f"## {heading}\n\n{text}" if text else ""


def _list(heading: str, lines: Sequence[str]) -> str:
    return _section(heading, "".join(f"- {line}\n" for line in lines))
