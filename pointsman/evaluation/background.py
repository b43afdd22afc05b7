"""Sections on where figures come from: training, post-processing, data, mistakes, provenance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointsman.bundle.meta import Cost
from pointsman.evaluation.account import Account, Cell, Note, Section, Table
from pointsman.evaluation.wording import title

MASKED = (
    "Masked: marked spans; e-mail and IP addresses, links, long numbers, street addresses and "
    "codes of places. Names in other texts may show."
)
REVEALED = "Personal data is shown, as it was asked for: pass this page on with care."


# What of a bundle's provenance has tables of its own, or is told by the audit.
_TOLD = frozenset({"backbone", "data", "encoding", "audit", "allowed"})


def background_sections(account: Account) -> list[Section]:
    """Return the sections that follow the figures; those without content are left out."""
    builders = (_training, _postprocess, _audit, _errors, _mistakes, _cost, _provenance)
    return [section for section in (build(account) for build in builders) if section]


def validations(account: Account) -> list[Mapping[str, Any]]:
    """Return the entries of the training log that hold figures on the validation split."""
    return [entry for entry in account.history if "eval_loss" in entry and "step" in entry]


def _training(account: Account) -> Section | None:
    entries = validations(account)
    if not entries:
        return None
    spec = account.meta.task
    names = list(dict.fromkeys((spec.checkpoint, spec.headline)))
    names = [name for name in names if any(f"eval_{name}" in entry for entry in entries)]
    rows: list[tuple[Cell, ...]] = [
        (
            str(entry["step"]),
            f"{entry.get('epoch', 0):.2f}",
            entry["eval_loss"],
            *(entry.get(f"eval_{name}") for name in names),
        )
        for entry in entries
    ]
    header = ("step", "epoch", "validation loss", *map(title, names))
    note = Note(f"The checkpoint was picked by {title(spec.checkpoint)} on validation.")
    return Section("training", "Training", (Table(header, tuple(rows)),), (note,))


def _postprocess(account: Account) -> Section | None:
    found = account.figures.get("postprocess")
    if not found:
        return None
    sides = (found.get("without", {}), found.get("with", {}))
    names = [name for name in sides[0] if name in sides[1] and name != "rows"]
    header = ("without", "with", "difference")
    tables = [
        Table(("figure", *header), tuple(_change(title(n), *(s[n] for s in sides)) for n in names))
    ]
    types = found.get("per_type", {})
    if types:
        rows = tuple(_change(name, row["without"], row["with"]) for name, row in types.items())
        tables.append(Table(("type", *header), rows, "F1 of each type"))
    return Section("postprocess", "Post-processing, with and without", tuple(tables))


def _change(name: str, without: float, with_it: float) -> tuple[Cell, ...]:
    return name, without, with_it, f"{with_it - without:+.4f}"


def _audit(account: Account) -> Section | None:
    kept = account.meta.provenance
    audit = account.figures.get("audit") or kept.get("audit")
    if not audit:
        return None
    named = {
        "leakage": "rows leaking across splits",
        "repaired": "of them repaired",
        "near_duplicates": "near-duplicates",
    }
    rows = [(words, audit[key]) for key, words in named.items() if key in audit]
    tables = [Table(("found", "rows"), tuple(rows))] if rows else []
    licences = audit.get("licences", {})
    if licences:
        listed = tuple((str(name), _words(value)) for name, value in licences.items())
        tables.append(Table(("source", "licence"), listed))
    notes = [Note(str(finding)) for finding in audit.get("findings", ())]
    if audit.get("non_commercial"):
        names = ", ".join(map(str, audit["non_commercial"]))
        notes.insert(0, Note(f"Not for commercial use, or of unknown licence: {names}.", "warn"))
    leaking = kept.get("allowed", {}).get("leakage")
    if leaking:
        words = (
            f"Trained with known leakage: {leaking:,} rows of validation and test have a relative "
            "in another split, so the figures are too good."
        )
        notes.insert(0, Note(words, "bad"))
    return Section("audit", "Data audit", tuple(tables), tuple(notes))


def _words(value: Any) -> str:
    """Return a value as a reader would write it: no brackets, quotes or names of Python."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(held)}" for key, held in value.items() if _says(held))
    if isinstance(value, list | tuple):
        between = "; " if any(isinstance(held, Mapping) for held in value) else ", "
        return between.join(map(_words, value))
    return str(value)


def _says(value: Any) -> bool:
    return value is not None and value not in ((), [], {}, "")


def _errors(account: Account) -> Section | None:
    errors = account.figures.get("errors")
    if not errors:
        return None
    tables = []
    if any(errors.get("counts", {}).values()):
        every = {"all": errors["counts"], **errors.get("by_type", {})}
        counted = tuple((label, *counts.values()) for label, counts in every.items())
        tables.append(Table(("type", *errors["counts"]), counted, "Spans"))
    if errors.get("confused"):
        header: tuple[str, ...] = ("expected", "given", "rows", "examples")
        pairs = tuple(
            (row["expected"], row["given"], row["rows"], _examples(row))
            for row in errors["confused"]
        )
        tables.append(Table(header, pairs, "Labels taken for each other"))
    if errors.get("false_positive_clusters"):
        header = ("words in common", "rows", "examples")
        clusters = tuple(
            (", ".join(row["terms"]), row["rows"], _examples(row))
            for row in errors["false_positive_clusters"]
        )
        tables.append(Table(header, clusters, "False positives that are alike"))
    return Section("errors", "Kinds of mistakes", tuple(tables)) if tables else None


def _examples(row: Mapping[str, Any]) -> str:
    return " / ".join(map(str, row.get("examples", ())))


def _mistakes(account: Account) -> Section | None:
    if not account.mistakes:
        return None
    columns = [name for name in account.mistakes[0] if name != "pieces"]
    rows = tuple(tuple(row.get(name) for name in columns) for row in account.mistakes)
    note = Note(REVEALED, "warn") if account.revealed else Note(MASKED)
    return Section("mistakes", "Mistakes worth reading", (Table(tuple(columns), rows),), (note,))


def _cost(account: Account) -> Section | None:
    cost = account.meta.cost
    if cost is None:
        return None
    rows = tuple((name, value) for name, value in cost_rows(cost).items())
    return Section("cost", "Cost of training", (Table(("what", "how much"), rows),))


def cost_rows(cost: Cost) -> dict[str, str]:
    """Return what training cost, in words."""
    rows = {
        "method": f"{cost.method}, in {cost.precision}",
        "trainable parameters": f"{cost.trainable_parameters:,} of {cost.parameters:,} "
        f"({cost.trainable_share:.2%})",
        "time": f"{cost.seconds:,.0f} s, {cost.steps:,} steps",
        "peak memory": f"{cost.peak_memory_mb:,.0f} MiB",
        "weights": f"{cost.weights_mb:,.1f} MiB",
    }
    if cost.gpu_memory_mb is not None:
        rows["peak memory of the GPU"] = f"{cost.gpu_memory_mb:,.0f} MiB"
    if cost.adapter_mb is not None:
        rows["adapter"] = f"{cost.adapter_mb:,.1f} MiB"
    return rows


def _provenance(account: Account) -> Section | None:
    kept = account.meta.provenance
    data = kept.get("data", {})
    tables = [
        _backbone(account),
        _sources(data.get("sources", [])),
        _pairs(("split", "sha256"), data.get("hashes", {}), "Splits"),
        _pairs(("option", "value"), _flat(account.meta.recipe), "Recipe"),
        _pairs(("library", "version"), account.meta.versions, "Versions"),
    ]
    full = tuple(table for table in tables if table is not None)
    return Section("provenance", "Provenance", full) if full else None


def _backbone(account: Account) -> Table | None:
    """List the backbone, the seed, and the stamps that preparing or training left."""
    kept = account.meta.provenance
    rows = dict(kept.get("backbone", {}))
    if "seed" in kept.get("data", {}):
        rows["seed of the splits"] = kept["data"]["seed"]
    rows |= _flat({k: v for k, v in kept.items() if k not in _TOLD})
    return _pairs(("what", "which"), rows, "Model")


def _sources(sources: list[dict[str, Any]]) -> Table | None:
    rows = tuple(
        (
            str(source.get("name")),
            str(source.get("licence", "unknown")),
            str(source.get("resolved_revision") or source.get("revision") or "not pinned"),
            source.get("counts", {}).get("examples"),
        )
        for source in sources
    )
    return Table(("source", "licence", "revision", "rows"), rows, "Sources") if rows else None


def _pairs(header: tuple[str, str], values: Mapping[str, Any], caption: str) -> Table | None:
    rows = tuple((str(key), _words(value)) for key, value in values.items() if value is not None)
    return Table(header, rows, caption) if rows else None


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested values under dotted keys; empty ones say nothing and are left out."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{above}{key}.")
        elif _says(value):
            flat[f"{above}{key}"] = value
    return flat
