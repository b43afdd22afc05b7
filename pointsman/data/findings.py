"""The audit's figures in words: what is wrong, how grave it is, and where to look."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

SEVERITIES = ("error", "warning", "info")
RARE = 30  # rows of a label, below which its figures say little
LEAKAGE = "leakage"
_EXAMPLES = 3
_CONTRADICTIONS = 10
_GAIN = 0.3  # share of the majority's errors that a shortcut takes away
_AUC = 0.85
_CUT = 0.05  # share of rows beyond max_length that is worth a warning
_FOREIGN = 0.05  # share of the texts in other languages than the first

Show = Callable[[int], str]
Finding = dict[str, Any]


def find_findings(counted: Mapping[str, Any], shown: Show, shown_learned: Show) -> list[Finding]:
    """Return what an audit found, the gravest first.

    Args:
        counted: The audit's figures.
        shown: A row of all rows, by number, as it may be shown.
        shown_learned: The same among the rows that are no slices.
    """
    findings = [
        *_leakage(counted, shown),
        *_duplicates(counted["duplicates"], shown),
        *_labels(counted["labels"]),
        *_shortcuts(counted["shortcuts"], shown_learned),
        *_conventions(counted["conventions"], shown_learned),
        *_licences(counted["licences"]),
        *_lengths(counted["lengths"]),
        *_languages(counted["languages"]),
    ]
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding["severity"]))


def _finding(check: str, severity: str, text: str, examples: list[str] | None = None) -> Finding:
    return {"check": check, "severity": severity, "text": text, "examples": examples or []}


def _leakage(counted: Mapping[str, Any], shown: Show) -> Iterator[Finding]:
    found = counted[LEAKAGE]
    if found["rows"]:
        means = ", ".join(
            f"{entry['rows']} by {name}" for name, entry in found["by"].items() if entry["rows"]
        )
        pairs = ", ".join(f"{n} {pair}" for pair, n in found["pairs"].items())
        text = f"{found['rows']} held-out rows have a relative in another split ({pairs}): {means}"
        yield _finding(LEAKAGE, "error", text, [shown(i) for i in found["leaking"][:_EXAMPLES]])
    if counted["repaired"]:
        text = f"{counted['repaired']} rows of official splits moved to the side of their group"
        yield _finding("repaired", "info", text)
    for name, rows in found["slices_near_train"].items():
        text = f"{rows} rows of the slice {name} have a relative in train"
        yield _finding("slices", "warning", text)
    if "split_by_rows" in counted:
        yield from _row_split(counted["split_by_rows"])


def _row_split(found: Mapping[str, Any]) -> Iterator[Finding]:
    """Warn of what has not happened yet: these rows have no split."""
    share = found["held_out_rows_that_leak"]
    if share >= 0.01:
        text = (
            f"a split of these rows at random would put {found['on_both_sides']} of "
            f"{found['groups_of_two_or_more']} groups on both sides: {share:.0%} of the held-out "
            "rows would have a relative in train"
        )
        yield _finding("split by rows", "warning", text)


def _duplicates(found: Mapping[str, Any], shown: Show) -> Iterator[Finding]:
    if found["texts_under_two_labels"]:
        examples = [
            f"{' / '.join(entry['labels'])}: {shown(entry['row'])}"
            for entry in found["conflicts"][:_EXAMPLES]
        ]
        text = f"{found['texts_under_two_labels']} texts stand under two labels or more"
        yield _finding("contradictions", "warning", text, examples)
    if found["near_duplicates_under_two_labels"]:
        count = found["near_duplicates_under_two_labels"]
        text = f"{count} groups of near-duplicates hold rows of different labels"
        yield _finding("contradictions", "warning", text)
    if found["copies"]:
        text = f"{found['copies']} rows repeat the text of another"
        yield _finding("duplicates", "warning", text)
    if found["near_duplicates"]:
        text = (
            f"{found['near_duplicates']} texts have a near-duplicate, in "
            f"{found['near_duplicate_groups']} groups of up to {found['largest_group']}"
        )
        yield _finding("near-duplicates", "info", text)


def _labels(found: Mapping[str, Any]) -> Iterator[Finding]:
    if found["empty"]:
        yield _finding("labels", "warning", f"no row of: {', '.join(found['empty'])}")
    rare = {label: n for label, n in found["total"].items() if 0 < n < RARE}
    if rare:
        listed = ", ".join(f"{label} ({n})" for label, n in rare.items())
        text = f"fewer than {RARE} rows of: {listed}"
        yield _finding("labels", "warning", text)
    for label, splits in found["missing_in"].items():
        yield _finding("labels", "warning", f"no row of {label} in {' and '.join(splits)}")


def _shortcuts(found: Mapping[str, Any], shown: Show) -> Iterator[Finding]:
    for entry in found["owned"]:
        text = (
            f"{entry['source']} owns {entry['label']}: {entry['share']:.0%} of its {entry['rows']} "
            f"rows, and {entry['share_of_all_rows']:.0%} of all rows"
        )
        yield _finding("shortcut: source", "warning", text)
    for entry in found["one_sided"]:
        text = (
            f"all {entry['rows']} rows of {entry['source']} are {entry['label']}, and "
            f"{entry['apart']} more of it are set apart: what is written as it writes may come to "
            f"be taken for {entry['label']}"
        )
        yield _finding("shortcut: one-sided source", "warning", text)
    source = found["source"]
    if source["gain"] >= _GAIN:
        text = (
            f"the source's name alone tells the label with accuracy {source['accuracy']:.2f} "
            f"(the commonest label {source['majority']:.2f})"
        )
        yield _finding("shortcut: source", "warning", text)
    for label, auc in found["length"].items():
        if max(auc, 1 - auc) >= _AUC:
            side = "long" if auc > 0.5 else "short"
            text = f"texts of {label} are {side}: their number of words reaches ROC-AUC {auc:.2f}"
            yield _finding("shortcut: length", "warning", text)
    for entry in found["prefixes"]:
        text = (
            f"{entry['rows']} rows of {entry['label']} ({entry['share']:.0%}) begin with the same "
            "three words, and hardly any other row does"
        )
        yield _finding("shortcut: prefix", "warning", text, [shown(entry["row"])])


def _conventions(found: Mapping[str, Any], shown: Show) -> Iterator[Finding]:
    silent: dict[str, list[str]] = {}
    for entry in found.get("unlabelled", ()):
        words = f"{entry['label']} (in {entry['share']:.1%} of the other rows)"
        silent.setdefault(f"{entry['source']}, {entry['rows']} rows,", []).append(words)
    for source, labels in silent.items():
        text = (
            f"{source} never labels {', '.join(labels)}: if it leaves them out, its rows teach "
            "that they are nothing; name what it labels (annotates), or only test on it"
        )
        yield _finding("conventions", "warning", text)
    for entry in found.get("contradictions", ())[:_CONTRADICTIONS]:
        text = (
            f"what {entry['source']} labels {entry['label']} is {entry['other_label']} in "
            f"{entry['other_source']}, in the same words: {entry['templates']} templates, "
            f"{entry['rows']} rows"
        )
        yield _finding("conventions", "warning", text, [shown(entry["row"])])


def _licences(found: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    for standing, words in (("non-commercial", "non-commercial"), ("unknown", "no known licence")):
        names = [
            f"{name} ({entry['licence']})"
            for name, entry in found.items()
            if entry["standing"] == standing
        ]
        if names:
            yield _finding("licence", "warning", f"{words}: {', '.join(names)}")


def _lengths(found: Mapping[str, Any]) -> Iterator[Finding]:
    cut = found.get("cut", 0)
    if cut:
        share = cut / max(1, sum(found["tokens"].values()))
        text = f"{cut} rows ({share:.1%}) are longer than {found['max_length']} tokens"
        yield _finding("length", "warning" if share >= _CUT else "info", text)


def _languages(found: Mapping[str, Any]) -> Iterator[Finding]:
    counts = found["languages"]
    told = sum(counts.values())
    others = told - max(counts.values(), default=0)
    if told and others / told >= _FOREIGN:
        listed = ", ".join(f"{name} {n / told:.0%}" for name, n in list(counts.items())[:5])
        text = f"several languages, as far as {told} texts tell: {listed}"
        yield _finding("languages", "info", text)
