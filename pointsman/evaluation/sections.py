"""What the figures say, as sections of tables and sentences: the one source of every report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pointsman.bundle.doubts import doubts
from pointsman.evaluation.account import Account, Cell, Note, Section, Table, ends, number
from pointsman.evaluation.background import background_sections
from pointsman.evaluation.point import BY_TYPE, rates_of, threshold_in_use
from pointsman.evaluation.wording import baseline_name, calibration_note, capital, division, title

FALSE_POSITIVE_RATES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1)
COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.5)
AT_THRESHOLD = ("recall", "false_positive_rate")
_TAKEN = ("rows", "by", "metric", "value", "interval")  # what a slice's own columns show


def sections(account: Account) -> list[Section]:
    """Return the sections of a report, in the order in which a person would read them.

    A section whose figures are absent is left out.
    """
    builders = (
        _figures,
        _baselines,
        _operating_point,
        _calibration,
        _thresholds,
        _curves,
        _confusion,
        _per_class,
        _per_type,
        _coverage,
        _slices,
        _perturbations,
    )
    found = [build(account) for build in builders]
    return [section for section in found if section] + background_sections(account)


def _figures(account: Account) -> Section:
    intervals = account.figures.get("intervals", {})
    plain = {k: v for k, v in account.figures.items() if isinstance(v, int | float)}
    if intervals:
        rows = [(title(k), v, ends(intervals.get(k))) for k, v in plain.items()]
        return _one("figures", "Figures", ("metric", "value", "95% interval"), rows)
    return _one(
        "figures", "Figures", ("metric", "value"), [(title(k), v) for k, v in plain.items()]
    )


def _baselines(account: Account) -> Section | None:
    entries = account.figures.get("baselines", {})
    rows = [
        _baseline(name, entry["difference"], entry.get("figures", {}))
        for name, entry in entries.items()
        if "difference" in entry
    ]
    notes = tuple(
        Note(f"Not run: {baseline_name(name)} ({entry['not_run']}).", "warn")
        for name, entry in entries.items()
        if "not_run" in entry
    )
    if not rows and not notes:
        return None
    header = ("baseline", "metric", "its figure", "ours less its", "95% interval", "p", "verdict")
    tables = (Table(header, tuple(rows)),) if rows else ()
    return Section("baselines", "Against baselines", tables, notes)


def _baseline(
    name: str, difference: Mapping[str, Any], figures: Mapping[str, Any]
) -> tuple[Cell, ...]:
    metric = difference["metric"]
    p_value = number(difference.get("p_value"))
    return (
        baseline_name(name),
        title(metric),
        number(figures.get(metric)),
        f"{difference['value']:+.4f}",
        f"{difference['low']:+.4f} to {difference['high']:+.4f}",
        "" if p_value is None else f"{p_value:.2g}",
        difference["verdict"],
    )


def _operating_point(account: Account) -> Section | None:
    point = account.figures.get("operating_point")
    if not point:
        return None
    held = [split for split in ("validation", "test") if point.get(split)]
    names = list(dict.fromkeys(name for split in held for name in rates_of(point[split])))
    rows = [
        (title(name), *(x for split in held for x in _with_ends(point[split].get(name))))
        for name in names
    ]
    header = ("figure", *(x for split in held for x in (split, f"95% interval, {split}")))
    tables = [Table(header, tuple(rows))] if rows else []
    tables += [table for split in held if (table := type_points(point, split))]
    return Section("operating_point", "Operating point", tuple(tables), _point_notes(account))


def type_points(point: Mapping[str, Any], split: str) -> Table | None:
    """Return what the thresholds of a token task gave on a split, type by type; else None."""
    if not point[split].get(BY_TYPE):
        return None
    thresholds = point.get("threshold", {})
    rows: list[tuple[Cell, ...]] = [
        (
            label,
            thresholds.get(label, "none"),
            *_with_ends(row.get("precision")),
            *_with_ends(row.get("recall")),
        )
        for label, row in point[split][BY_TYPE].items()
    ]
    header = ("type", "threshold", "precision", "95% interval", "recall", "95% interval")
    return Table(header, tuple(rows), f"By type, on {split}")


def _point_notes(account: Account) -> tuple[Note, ...]:
    point = account.figures["operating_point"]
    notes = [Note(_in_use(account))]
    notes += [Note(words, "warn") for words in doubts(point)]
    if point.get("note"):
        notes.append(Note(_sentence(str(point["note"]))))
    share = positive_share(account)
    if share is not None and "precision" in point.get("test", {}):
        notes.append(
            Note(
                f"Precision hangs on how many texts are positive: {share:.1%} of the test rows "
                "are, and traffic has a share of its own."
            )
        )
    return tuple(notes)


def _in_use(account: Account) -> str:
    """Return how the thresholds were chosen, and what they do, as one sentence."""
    spec, point = account.meta.task, account.figures["operating_point"]
    if not point.get("rule"):
        return "No rule chose a threshold: the likeliest label is given."
    rows = point.get("chosen_on", {}).get("data", "its validation split")
    chosen = f"Chosen on {rows} by the rule {point['rule']}"
    at = threshold_in_use(spec, point)
    if at is None:
        return f"{chosen}."
    if spec.positive is not None:
        return f"{chosen}: {spec.positive} is given from a probability of {at:.4f}."
    unsure = f"below a probability of {at:.4f} an answer is unsure" if at else "no answer is unsure"
    return f"{chosen}: {unsure}."


def _sentence(text: str) -> str:
    return capital(text) + ("" if text.endswith(".") else ".")


def positive_share(account: Account) -> float | None:
    """Return the share of a detector's rows that are positive, or None."""
    counts = {k: row["rows"] for k, row in account.figures.get("per_class", {}).items()}
    positive = account.meta.task.positive
    return counts[positive] / sum(counts.values()) if positive in counts else None


def _with_ends(value: Any) -> tuple[Cell, Cell]:
    return number(value), ends(value)


def _calibration(account: Account) -> Section | None:
    found = account.figures.get("calibration")
    if not found:
        return None
    sides = [side for side in ("before", "after") if found.get(side)]
    rows: list[tuple[Cell, ...]] = []
    for name in ("ece", "brier", "nll"):
        values = [found[side].get(name) for side in sides]
        if all(value is None for value in values):
            continue
        rows.append((title(name), *(x for value in values for x in _with_ends(value))))
    header = ("figure", *(x for side in sides for x in (side, f"95% interval, {side}")))
    notes = []
    if (temperature := number(found.get("temperature"))) is not None:
        notes.append(Note(f"Logits are divided by the temperature {temperature:.4f}."))
    if worse := calibration_note(found):
        notes.append(worse)
    kept = [index for index in range(len(header)) if index == 0 or any(r[index] for r in rows)]
    table = Table(_pick(header, kept), tuple(_pick(row, kept) for row in rows))
    return Section("calibration", "Calibration", (table,), tuple(notes))


def _pick(values: Sequence[Any], kept: Sequence[int]) -> tuple[Any, ...]:
    return tuple(values[index] for index in kept)


def _thresholds(account: Account) -> Section | None:
    points = account.figures.get("curves", {}).get("threshold", [])
    if not points:
        return None
    rows = []
    for rate in FALSE_POSITIVE_RATES:
        within = [p for p in points if p["false_positive_rate"] <= rate]
        if within:
            best = max(within, key=lambda p: p["recall"])
            rows.append((f"{rate:.1%}", best["threshold"], best["recall"]))
    header = ("false positives at most", "threshold", "recall")
    return _one("thresholds", "Thresholds", header, rows)


def _curves(account: Account) -> Section | None:
    curves = account.figures.get("curves", {})
    if not curves.get("roc") and not curves.get("precision_recall"):
        return None
    rows = [
        (title(name), account.figures[name], ends(account.figures.get("intervals", {}).get(name)))
        for name in ("roc_auc", "average_precision")
        if name in account.figures
    ]
    header = ("area", "value", "95% interval")
    return _one("curves", "ROC, and precision against recall", header, rows)


def _confusion(account: Account) -> Section | None:
    if "confusion" not in account.figures:
        return None
    labels = account.meta.task.labels
    rows = [
        (label, *counts) for label, counts in zip(labels, account.figures["confusion"], strict=True)
    ]
    notes = []
    for key, words in (("most_confused", "Most confused"), ("best_separated", "Best separated")):
        pair = account.figures.get(key)
        if pair and (pair["rate"] or key != "most_confused"):
            a, b = pair["labels"]
            notes.append(Note(f"{words}: {a} and {b} ({pair['rate']:.1%} of their rows)."))
    table = Table(("", *labels), tuple(rows))
    name = "Confusion (rows: true, columns: given)"
    return Section("confusion", name, (table,), tuple(notes))


def _per_class(account: Account) -> Section | None:
    table = class_table(account.figures)
    return None if table is None else Section("per_class", "Per label", (table,))


def _per_type(account: Account) -> Section | None:
    table = type_table(account.figures)
    return None if table is None else Section("per_type", "Per type", (table,))


def class_table(figures: Mapping[str, Any]) -> Table | None:
    """Return a line a label of a task on whole texts, or nothing of another task."""
    rows = tuple(
        (label, row["precision"], row["recall"], row["f1"], row["rows"])
        for label, row in figures.get("per_class", {}).items()
    )
    return Table(("label", "precision", "recall", "F1", "rows"), rows) if rows else None


def type_table(figures: Mapping[str, Any]) -> Table | None:
    """Return a line a type of spans, or nothing of a task on whole texts."""
    rows = tuple(
        (label, *_of_spans(row), row["spans"], row["groups"])
        for label, row in figures.get("per_type", {}).items()
    )
    return Table(("type", "precision", "recall", "F1", "spans", "groups"), rows) if rows else None


def _of_spans(row: Mapping[str, Any]) -> tuple[float | None, ...]:
    """Return precision, recall and F1 of a type; none of a type that the rows do not hold."""
    return tuple(row[name] if row["spans"] else None for name in ("precision", "recall", "f1"))


def _coverage(account: Account) -> Section | None:
    points = account.figures.get("curves", {}).get("coverage", [])
    if not points:
        return None
    rows = []
    for share in COVERAGES:
        reached = [point for point in points if point[0] >= share - 1e-9]
        if reached:
            coverage, accuracy, threshold = min(reached, key=lambda point: point[0])
            rows.append((f"{coverage:.1%}", accuracy, threshold))
    header = ("share of texts answered", "accuracy on them", "least probability")
    return _one("coverage", "Accuracy when unsure answers are withheld", header, rows)


def _slices(account: Account) -> Section | None:
    """Group the slices by what they are slices of; those kept out of training come last."""
    slices = account.figures.get("slices", {})
    if not slices:
        return None
    kinds = dict.fromkeys(row.get("by", "kept out") for row in slices.values())
    order = sorted(kinds, key=lambda kind: kind == "kept out")
    tables = tuple(
        _slice_table(kind, {n: r for n, r in slices.items() if r.get("by", "kept out") == kind})
        for kind in order
    )
    return Section("slices", "Slices", tables)


def _slice_table(kind: str, slices: Mapping[str, Mapping[str, Any]]) -> Table:
    plain = {k for row in slices.values() for k, v in row.items() if isinstance(v, int | float)}
    told = {row.get("metric") for row in slices.values()}
    shown = told.pop() if len(told) == 1 else None  # in its own column, row by row
    more = sorted(plain - {*_TAKEN, "few", shown})
    measured = any("metric" in row for row in slices.values())
    rows: list[tuple[Cell, ...]] = []
    for name, row in slices.items():
        own = (title(row.get("metric", "")), number(row.get("value")), ends(row.get("interval")))
        rest = tuple(row.get(key, "") for key in more)
        count = f"{row['rows']:,} (few)" if row.get("few") else row["rows"]
        rows.append((name, count, *(own if measured else ()), *rest))
    own_header = ("metric", "value", "95% interval") if measured else ()
    header = ("slice", "rows", *own_header, *map(title, more))
    return Table(header, tuple(rows), capital(division(kind)))


def _perturbations(account: Account) -> Section | None:
    rows = [
        (
            name + " (trained with)" * bool(row.get("trained_with")),
            row.get("strength", ""),
            row.get("rows"),
            title(row["metric"]),
            number(row.get("clean")),
            number(row.get("value")),
            ends(row.get("interval")),
            number(row["drop"]),
        )
        for name, row in account.figures.get("perturbations", {}).items()
    ]
    if not rows:
        return None
    header = (
        *("perturbation", "strength", "rows", "metric"),
        *("clean", "perturbed", "95% interval", "drop"),
    )
    tables = [Table(header, tuple(rows))]
    if (table := threshold_table(account.figures["perturbations"])) is not None:
        tables.insert(0, table)
    return Section("perturbations", "Perturbed texts", tuple(tables))


def threshold_table(perturbations: Mapping[str, Mapping[str, Any]]) -> Table | None:
    """Return what a detector does with perturbed texts at its threshold, the clean ones first.

    Args:
        perturbations: What `perturbed_figures` gives; None comes back of another task's.
    """
    rows = {
        name: row["at_threshold"] for name, row in perturbations.items() if "at_threshold" in row
    }
    if not rows:
        return None
    sides = {"as they are": next(iter(rows.values()))["clean"]}
    sides |= {name: row["perturbed"] for name, row in rows.items()}
    names = [name for name in AT_THRESHOLD if any(name in side for side in sides.values())]
    header = ("texts", *(x for name in names for x in (title(name), "95% interval")))
    lines = tuple(
        (texts, *(x for name in names for x in _with_ends(side.get(name))))
        for texts, side in sides.items()
    )
    return Table(header, lines, "At the threshold in use")


def _one(key: str, name: str, header: tuple[str, ...], rows: Iterable[tuple[Cell, ...]]) -> Section:
    table = Table(header, tuple(rows))
    return Section(key, name, (table,) if table.rows else ())
