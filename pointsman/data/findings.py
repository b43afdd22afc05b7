"""The audit's figures in words: what is wrong, how grave it is, and where to look."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pointsman.core.types import Example

SEVERITIES = ("error", "warning", "info")
RARE = 30  # rows of a label, below which its figures say little
LEAKAGE = "leakage"
_EXAMPLES = 3
_BESIDE = " ~ "  # between two texts that are told apart or alike
_CONTRADICTIONS = 10
_GAIN = 0.3  # share of the majority's errors that a shortcut takes away
_AUC = 0.85
_CUT = 0.05  # share of rows beyond max_length that is worth a warning
_FOREIGN = 0.05  # share of the texts in other languages than the first

Show = Callable[[int], str]
Finding = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts that examples of findings are taken from.

    Attributes:
        names: The split or slice of every row.
        everything: All rows.
        learned: Those that are no slices.
        moved: Rows that were moved to another split, each with a row that it followed.
        conflicts: Texts that were left out, with the labels that they came under.
        shown: How an example may be shown.
    """

    names: Sequence[str]
    everything: Sequence[Example]
    learned: Sequence[Example]
    moved: Sequence[tuple[Example, Example]]
    conflicts: Sequence[tuple[Sequence[str], Example]]
    shown: Callable[[Example], str]

    def of_all(self, row: int) -> str:
        """Show a row of all rows."""
        return self.shown(self.everything[row])

    def of_learned(self, row: int) -> str:
        """Show a row of those that are no slices."""
        return self.shown(self.learned[row])

    def with_split(self, row: int) -> str:
        """Show a row of all rows with the split that it stands in."""
        return f"{self.names[row]}: {self.of_all(row)}"

    def labelled(self, row: int) -> str:
        """Show a row of all rows of a sequence task with its kind or label."""
        example = self.everything[row]
        return f"{example.kind or example.label}: {self.shown(example)}"

    def contradiction(self, labels: Sequence[str], example: Example) -> str:
        """Show a text with the labels that it stands under."""
        return f"{' / '.join(labels)}: {self.shown(example)}"


def find_findings(counted: Mapping[str, Any], texts: Texts) -> list[Finding]:
    """Return what an audit found, the gravest first.

    Args:
        counted: The audit's figures.
        texts: Where its examples come from.
    """
    findings = [
        *_leakage(counted, texts),
        *_mended(counted, texts),
        *_duplicates(counted["duplicates"], texts),
        *_labels(counted["labels"]),
        *_shortcuts(counted["shortcuts"], texts.of_learned),
        *_conventions(counted["conventions"], texts.of_learned),
        *_licences(counted["licences"]),
        *_lengths(counted["lengths"]),
        *_languages(counted["languages"]),
    ]
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding["severity"]))


def _finding(check: str, severity: str, text: str, examples: list[str] | None = None) -> Finding:
    return {"check": check, "severity": severity, "text": text, "examples": examples or []}


def _leakage(counted: Mapping[str, Any], texts: Texts) -> Iterator[Finding]:
    found = counted[LEAKAGE]
    if found["rows"]:
        means = ", ".join(
            f"{entry['rows']} by {name}" for name, entry in found["by"].items() if entry["rows"]
        )
        pairs = ", ".join(f"{n} {pair}" for pair, n in found["pairs"].items())
        text = f"{found['rows']} held-out rows have a relative in another split ({pairs}): {means}"
        examples = [
            f"{texts.with_split(row)}{_BESIDE}{texts.with_split(relative)}"
            for row, relative in found["leaking"][:_EXAMPLES]
        ]
        yield _finding(LEAKAGE, "error", text, examples)
    for name, rows in found["slices_near_train"].items():
        text = f"{rows} rows of the slice {name} have a relative in train"
        yield _finding("slices", "warning", text)
    if "split_by_rows" in counted:
        yield from _row_split(counted["split_by_rows"])


def _mended(counted: Mapping[str, Any], texts: Texts) -> Iterator[Finding]:
    """Tell what was wrong with the sources and is no more."""
    if counted["repaired"]:
        text = (
            f"official splits leaked: {counted['repaired']} rows were moved to the side of their "
            "group when the data was prepared"
        )
        pairs = [map(texts.shown, pair) for pair in texts.moved[:_EXAMPLES]]
        yield _finding("repaired", "info", text, [_BESIDE.join(pair) for pair in pairs])
    if counted["contradicting"]:
        text = (
            f"{counted['contradicting']} texts stood under two labels or more, and were left out "
            "when the data was prepared"
        )
        examples = [texts.contradiction(*conflict) for conflict in texts.conflicts[:_EXAMPLES]]
        yield _finding("left out", "info", text, examples)


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


def _duplicates(found: Mapping[str, Any], texts: Texts) -> Iterator[Finding]:
    if found["texts_under_two_labels"]:
        examples = [
            texts.contradiction(entry["labels"], texts.everything[entry["row"]])
            for entry in found["conflicts"][:_EXAMPLES]
        ]
        text = f"{found['texts_under_two_labels']} texts stand under two labels or more"
        yield _finding("contradictions", "warning", text, examples)
    if found["near_duplicates_under_two_labels"]:
        count = found["near_duplicates_under_two_labels"]
        text = f"{count} groups of near-duplicates hold rows of different labels"
        pairs = [map(texts.labelled, rows) for rows in found["divided"][:_EXAMPLES]]
        yield _finding("contradictions", "warning", text, [_BESIDE.join(pair) for pair in pairs])
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
        yield _finding("shortcut: source", "warning", text, [shown(entry["row"])])
    for entry in found["one_sided"]:
        text = (
            f"all {entry['rows']} rows of {entry['source']} are {entry['label']}, and "
            f"{entry['apart']} more of it are set apart: what is written as it writes may come to "
            f"be taken for {entry['label']}"
        )
        yield _finding("shortcut: one-sided source", "warning", text, [shown(entry["row"])])
    source = found["source"]
    if source["gain"] >= _GAIN:
        text = (
            f"the source's name alone tells the label with accuracy {source['accuracy']:.2f} "
            f"(the commonest label {source['majority']:.2f})"
        )
        yield _finding("shortcut: source", "warning", text)
    lengths = list(found["length"].items())
    if len(lengths) == 2 and math.isclose(sum(auc for _, auc in lengths), 1.0):
        del lengths[1]  # of two labels, what makes the one long makes the other short
    for label, auc in lengths:
        if max(auc, 1 - auc) >= _AUC:
            side = "long" if auc > 0.5 else "short"
            text = f"texts of {label} are {side}: their number of words reaches ROC-AUC {auc:.2f}"
            yield _finding("shortcut: length", "warning", text, [shown(found["typical"][label])])
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
