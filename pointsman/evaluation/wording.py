"""The words of a report: names of figures, the headline, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pointsman.bundle.meta import BundleMeta
from pointsman.evaluation.account import Note, ends, number

TITLES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "macro_span_f1": "macro span F1",
    "weighted_f1": "weighted F1",
    "recall_at_fpr_1": "recall at 1% false positives",
    "roc_auc": "ROC-AUC",
    "span_f1": "strict span F1",
    "span_precision": "strict span precision",
    "span_recall": "strict span recall",
    "overlap_f1": "overlap F1, blind to type",
    "clean_share": "texts without entities left alone (NO_PII)",
    "f1": "F1",
    "flagged": "share flagged",
    "ece": "expected calibration error",
    "brier": "Brier score",
    "nll": "negative log-likelihood",
}

DIVISIONS = {  # how a kind of slices is called
    "kept out": "kept out of training",
    "ood": "out-of-distribution sources",
}

BASELINES = {
    "majority": "the majority class",
    "tfidf": "TF-IDF with logistic regression",
    "patterns": "patterns and checksums",
    "presidio": "Presidio's analyzer",
}

MASKED = (
    "Masked: marked spans; e-mail and IP addresses, links, long numbers, street addresses and "
    "codes of places. Names in other texts may show."
)
REVEALED = "Personal data is shown, as it was asked for: pass this page on with care."


@dataclass(frozen=True, slots=True)
class Headline:
    """The leading figure of a task.

    Attributes:
        name: Of the figure, in words.
        value: None where the data cannot measure it.
        interval: Its ends, as `pointsman.evaluation.intervals` gives them, or nothing.
        verdict: Whether it beats its strongest baseline.
    """

    name: str
    value: float | None
    interval: Mapping[str, Any]
    verdict: Note


def title(metric: str) -> str:
    """Return a metric's name in words."""
    return TITLES.get(metric, metric.replace("_", " "))


def division(kind: str) -> str:
    """Return what slices are slices of, in words: "by length", "kept out of training"."""
    return DIVISIONS.get(kind, f"by {kind}")


def headline(meta: BundleMeta, figures: Mapping[str, Any]) -> tuple[str, float | None]:
    """Return the name and value of the task's leading figure."""
    return title(meta.task.headline), figures.get(meta.task.headline)


def lead(meta: BundleMeta, figures: Mapping[str, Any]) -> Headline:
    """Return the leading figure with its interval and the verdict on it."""
    interval = figures.get("intervals", {}).get(meta.task.headline, {})
    value = number(figures.get(meta.task.headline))
    return Headline(title(meta.task.headline), value, interval, verdict(figures))


def in_words(leading: Headline) -> str:
    """Return the headline as one sentence."""
    if leading.value is None:
        return f"{capital(leading.name)} is not measurable on this data."
    span = ends({**leading.interval, "few": False, "exact": False})
    kind = "exact 95% interval" if leading.interval.get("exact") else "95% interval"
    groups = leading.interval.get("groups")
    rests = f", over {groups:,} independent groups of rows" if groups else ""
    sure = f" ({kind} {span}{rests})" if span else ""
    text = f"{capital(leading.name)} is {leading.value:.4f}{sure}."
    if leading.interval.get("few"):
        text += " That is too few groups for the interval to be trusted."
    return text


def verdict(figures: Mapping[str, Any]) -> Note:
    """Return whether the model beats its strongest baseline by more than the interval."""
    found = strongest(figures)
    if found is None:
        why = [str(entry["not_run"]) for entry in _entries(figures) if "not_run" in entry]
        return Note("It was compared with no baseline" + (f": {'; '.join(why)}." if why else "."))
    name, difference = found
    words = baseline_name(name)
    apart = (
        f"{title(difference['metric'])} {difference['value']:+.4f}, "
        f"95% interval {_signed(difference)}"
    )
    if difference["verdict"] == "better":
        return Note(f"It beats its strongest baseline, {words} ({apart}).", "good")
    if difference["verdict"] == "worse":
        return Note(f"It is worse than a baseline, {words} ({apart}).", "bad")
    return Note(f"It does not beat {words} by more than the interval ({apart}).", "bad")


def strongest(figures: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """Return the baseline that comes nearest to the model or furthest beyond, if any was run."""
    known = {
        name: entry["difference"]
        for name, entry in figures.get("baselines", {}).items()
        if "difference" in entry
    }
    order = {"worse": 0, "no difference": 1, "better": 2}
    ranked = sorted(known.items(), key=lambda item: (order[item[1]["verdict"]], item[1]["value"]))
    return ranked[0] if ranked else None


def baseline_name(name: str) -> str:
    """Return a baseline's name in words."""
    return BASELINES.get(name, name.replace("_", " "))


def calibration_note(calibration: Mapping[str, Any]) -> Note | None:
    """Return a warning where scaling raised the calibration error, or nothing.

    Args:
        calibration: `before` and `after`, as `describe_calibration` gives them.
    """
    errors = [(calibration.get(side) or {}).get("ece") or {} for side in ("before", "after")]
    before, after = map(number, errors)
    if before is None or after is None or after <= before:
        return None
    low = number(errors[1].get("low"))
    chance = "" if low is not None and low > before else ", which may be chance"
    return Note(
        f"Scaling raised the calibration error of these rows, from {before:.4f} to {after:.4f}"
        f"{chance}.",
        "warn",
    )


def _entries(figures: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(figures.get("baselines", {}).values())


def _signed(difference: Mapping[str, Any]) -> str:
    return f"{difference['low']:+.4f} to {difference['high']:+.4f}"


def capital(text: str) -> str:
    """Return a text with its first letter raised, and the others as they are."""
    return text[:1].upper() + text[1:]
