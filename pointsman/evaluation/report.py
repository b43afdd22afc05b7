"""`report.md`: what the figures say, in an order a person would read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pointsman.bundle.meta import BundleMeta

TITLES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "recall_at_fpr_1": "recall at 1% false positives",
    "roc_auc": "ROC-AUC",
    "span_f1": "strict span F1",
    "span_precision": "strict span precision",
    "span_recall": "strict span recall",
    "overlap_f1": "overlap F1, blind to type",
    "clean_share": "texts without entities left alone (the document's NO_PII)",
    "flagged": "share flagged",
}
SLICE_FIGURES = ("flagged", "false_positive_rate", "false_negative_rate")


def title(metric: str) -> str:
    """Return a metric's name in words."""
    return TITLES.get(metric, metric.replace("_", " "))


def headline(meta: BundleMeta, figures: dict[str, Any]) -> tuple[str, float | None]:
    """Return the name and value of the task's leading figure."""
    return title(meta.task.headline), figures.get(meta.task.headline)


def write_report(
    meta: BundleMeta, figures: dict[str, Any], mistakes: Sequence[dict[str, Any]], data: str
) -> str:
    """Return the report as Markdown.

    Args:
        meta: The bundle that was evaluated.
        figures: Its figures (see `pointsman.evaluation.score`), with `slices` where there are any.
        mistakes: Rows of `pointsman.evaluation.mistakes`, masked already.
        data: What it was evaluated on, in words.
    """
    name, value = headline(meta, figures)
    lead = "not measurable on this data" if value is None else f"{value:.4f}"
    parts = [
        f"# {meta.task.title}: {name} {lead}\n\n{figures['rows']:,} rows of {data}.\n",
        _figures(figures),
        _per_class(figures),
        _per_type(figures),
        _confusion(meta, figures),
        _slices(figures.get("slices", {})),
        _perturbations(figures.get("perturbations", {})),
        _errors(figures.get("errors", {})),
        _mistakes(mistakes),
    ]
    return "\n".join(part for part in parts if part)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [_line(header), _line(["---"] * len(header)), *(_line(row) for row in rows)]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return str(value).replace("|", "\\|")


def _figures(figures: dict[str, Any]) -> str:
    rows = [(title(k), v) for k, v in figures.items() if isinstance(v, int | float)]
    return "## Figures\n\n" + table(("metric", "value"), rows)


def _per_class(figures: dict[str, Any]) -> str:
    if "per_class" not in figures:
        return ""
    rows = [
        (label, row["precision"], row["recall"], row["f1"], row["rows"])
        for label, row in figures["per_class"].items()
    ]
    return "## Per label\n\n" + table(("label", "precision", "recall", "F1", "rows"), rows)


def _per_type(figures: dict[str, Any]) -> str:
    if "per_type" not in figures:
        return ""
    rows = [
        (label, row["precision"], row["recall"], row["f1"], row["spans"], row["groups"])
        for label, row in figures["per_type"].items()
    ]
    header = ("type", "precision", "recall", "F1", "spans", "templates or texts")
    return "## Per type\n\n" + table(header, rows)


def _confusion(meta: BundleMeta, figures: dict[str, Any]) -> str:
    if "confusion" not in figures:
        return ""
    labels = meta.task.labels
    rows = [[label, *counts] for label, counts in zip(labels, figures["confusion"], strict=True)]
    text = "## Confusion (rows: true, columns: given)\n\n" + table(("", *labels), rows)
    for key, words in (("most_confused", "Most confused"), ("best_separated", "Best separated")):
        if key in figures and (figures[key]["rate"] or key != "most_confused"):
            a, b = figures[key]["labels"]
            text += f"\n{words}: {a} and {b} ({figures[key]['rate']:.1%} of their rows).\n"
    return text


def _slices(slices: dict[str, dict[str, Any]]) -> str:
    if not slices:
        return ""
    more = [name for name in SLICE_FIGURES if any(name in row for row in slices.values())]
    header = ("slice", "by", "rows", "figure", "value", "95% interval", *map(title, more))
    rows = [
        (
            name,
            row["by"],
            f"{row['rows']:,}{' (few)' * row['few']}",
            title(row["metric"]),
            row["value"],
            _interval(row["interval"]),
            *(row.get(key, "") for key in more),
        )
        for name, row in slices.items()
    ]
    note = (
        "Rows of one class tell a detector's share flagged alone. `kept out`: rows that training "
        "left out on purpose; `ood`: sources that it never saw."
    )
    return f"## Slices\n\n{note}\n\n" + table(header, rows)


def _interval(ends: dict[str, Any]) -> str:
    return f"{ends['low']:.4f} to {ends['high']:.4f}{', few groups' * ends.get('few', False)}"


def _perturbations(found: dict[str, dict[str, Any]]) -> str:
    if not found:
        return ""
    first = next(iter(found.values()))
    rows = [
        (
            name + " (trained with)" * row["trained_with"],
            row["strength"],
            row["clean"],
            row["value"],
            _interval(row["interval"]),
            row["drop"],
        )
        for name, row in found.items()
    ]
    note = (
        f"{title(first['metric'])} of the same {first['rows']:,} rows written differently, "
        f"seed {first['seed']}."
    )
    header = ("perturbation", "strength", "clean", "perturbed", "95% interval", "drop")
    return f"## Perturbations\n\n{note}\n\n" + table(header, rows)


def _errors(errors: dict[str, Any]) -> str:
    parts = [
        _span_errors(errors),
        _confused(errors.get("confused", [])),
        _clusters(errors.get("false_positive_clusters", [])),
    ]
    return "\n".join(part for part in parts if part)


def _span_errors(errors: dict[str, Any]) -> str:
    if not any(errors.get("counts", {}).values()):
        return ""
    kinds = list(errors["counts"])
    rows = [["all", *errors["counts"].values()]]
    rows += [[label, *counts.values()] for label, counts in errors["by_type"].items()]
    return "## Errors by kind\n\n" + table(("type", *kinds), rows)


def _confused(pairs: Sequence[dict[str, Any]]) -> str:
    if not pairs:
        return ""
    rows = [(p["expected"], p["given"], p["rows"], " / ".join(p["examples"])) for p in pairs]
    return "## Confused pairs\n\n" + table(("expected", "given", "rows", "surest"), rows)


def _clusters(clusters: Sequence[dict[str, Any]]) -> str:
    if not clusters:
        return ""
    rows = [(", ".join(c["terms"]), c["rows"], " / ".join(c["examples"])) for c in clusters]
    note = "False positives grouped by the words that they share."
    return f"## False positives\n\n{note}\n\n" + table(("words", "rows", "surest"), rows)


def _mistakes(mistakes: Sequence[dict[str, Any]]) -> str:
    if not mistakes:
        return ""
    columns = list(mistakes[0])
    rows = [[row[column] for column in columns] for row in mistakes]
    note = "Masked: marked spans, e-mail addresses, long numbers. Names in other texts may show."
    return f"## Mistakes worth reading\n\n{note}\n\n" + table(columns, rows)
