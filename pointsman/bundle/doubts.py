"""What is to be doubted of a bundle's figures, in the words that every report has for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def doubts(point: Mapping[str, Any]) -> list[str]:
    """Return what is to be doubted, as sentences; the worst first.

    Args:
        point: `operating_point` of a bundle, or nothing.
    """
    found = []
    if not point.get("enough", True):
        found.append("Too little data for this rule: read its figures with care.")
    if not point.get("reached", True):
        found.append("The rows do not reach what the rule asks for.")
    if not point.get("temperature_enough", True):
        found.append("Too little data to tell a temperature.")
    return found


def known_leakage(provenance: Mapping[str, Any]) -> str:
    """Return the sentence on data that leaks and was trained on all the same, or nothing.

    Args:
        provenance: Of a bundle.
    """
    rows = provenance.get("allowed", {}).get("leakage")
    if not rows:
        return ""
    return (
        f"Trained with known leakage: {rows:,} rows of validation and test have a relative in "
        "another split, so the figures are too good."
    )


def unknown_teacher(provenance: Mapping[str, Any]) -> str:
    """Return the sentence on a teacher that learned from other rows, or nothing.

    Args:
        provenance: Of a bundle.
    """
    if provenance.get("teacher", {}).get("same_rows", True):
        return ""
    return (
        "Its teacher learned from other rows than these: if rows of this validation or test split "
        "were among them, the figures are too good."
    )
