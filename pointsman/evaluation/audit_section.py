"""The report's section on the data: what its audit counted, found and can show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.bundle.doubts import known_leakage, unknown_teacher
from pointsman.evaluation.account import Account, Cell, Note, Section, Table
from pointsman.evaluation.wording import MASKED, REVEALED

_COUNTS = {
    "leakage": "held-out rows with a relative in another split, as the splits are now",
    "repaired": "rows that were moved to the side of their group when the data was prepared",
    "near_duplicates": "texts with a near-duplicate",
}
_UNITS = ("tokens", "words", "characters")


def audit_section(account: Account) -> Section | None:
    """Return the section; None where neither the figures nor the bundle have an audit.

    The counts are figures, or, without them, those of the data that the bundle was trained on.
    Findings come with examples where the account has them.
    """
    audit = account.figures.get("audit") or account.meta.provenance.get("audit")
    if not audit:
        return None
    counted = {key: audit.get(key) for key in _COUNTS}
    counts = tuple((_COUNTS[key], n) for key, n in counted.items() if n is not None)
    tables = [
        Table(("counted", "rows"), counts) if counts else None,
        _findings(account.findings),
        _labels(audit.get("labels", {})),
        *_lengths(audit.get("lengths", {})),
        _languages(audit.get("languages", {})),
        _licences(audit.get("licences", {})),
    ]
    full = tuple(table for table in tables if table is not None and table.rows)
    return Section("audit", "Data audit", full, tuple(_notes(account, audit)))


def _notes(account: Account, audit: Mapping[str, Any]) -> list[Note]:
    notes = []
    if leakage := known_leakage(account.meta.provenance):
        notes.append(Note(leakage, "bad"))
    if doubt := unknown_teacher(account.meta.provenance):
        notes.append(Note(doubt, "warn"))
    if audit.get("data"):
        notes.append(Note(str(audit["data"])))
    if audit.get("non_commercial"):
        names = ", ".join(map(str, audit["non_commercial"]))
        notes.append(Note(f"Not for commercial use: {names}.", "warn"))
    if audit.get("unknown_licence"):
        names = ", ".join(map(str, audit["unknown_licence"]))
        notes.append(Note(f"Of unknown licence: {names}.", "warn"))
    cut = audit.get("lengths", {}).get("cut")
    if cut is not None:
        most = audit["lengths"]["max_length"]
        notes.append(
            Note(f"{cut:,} rows are longer than {most} tokens, the model's longest input.")
        )
    if not account.findings:
        return notes + [Note(str(finding)) for finding in audit.get("findings", ())]
    if any(entry["examples"] for entry in account.findings):
        notes.append(Note(REVEALED, "warn") if account.revealed else Note(MASKED))
    return notes


def _findings(findings: Sequence[Mapping[str, Any]]) -> Table:
    """List every finding, and each of its examples on a row of its own."""
    rows: list[tuple[Cell, ...]] = []
    for entry in findings:
        first, *others = list(entry["examples"]) or [""]
        rows.append((entry["severity"], entry["check"], entry["text"], first))
        rows += [("", "", "", example) for example in others]
    return Table(("severity", "check", "what", "for example"), tuple(rows), "Findings")


def _labels(by_split: Mapping[str, Mapping[str, int]]) -> Table | None:
    names = sorted({label for counts in by_split.values() for label in counts})
    rows: list[tuple[Cell, ...]] = [
        (name, *(counts.get(name, 0) for counts in by_split.values())) for name in names
    ]
    return Table(("label", *by_split), tuple(rows), "Rows by label")


def _lengths(lengths: Mapping[str, Any]) -> list[Table]:
    """Return a table of bands for each unit that was measured."""
    return [
        Table((unit, "rows", "share"), _shares(lengths[unit]), f"Rows by length in {unit}")
        for unit in _UNITS
        if unit in lengths
    ]


def _languages(found: Mapping[str, Any]) -> Table | None:
    if not found:
        return None
    counts = dict(found["languages"])
    if found.get("not_told"):
        counts["not told"] = found["not_told"]
    caption = f"Languages, as far as {found['rows']:,} texts tell"
    return Table(("language", "rows", "share"), _shares(counts), caption)


def _licences(licences: Mapping[str, Any]) -> Table:
    rows = tuple((str(name), str(value)) for name, value in licences.items())
    return Table(("source", "licence"), rows, "Licences")


def _shares(counts: Mapping[str, int]) -> tuple[tuple[Cell, ...], ...]:
    total = max(1, sum(counts.values()))
    return tuple((name, count, f"{count / total:.1%}") for name, count in counts.items())
