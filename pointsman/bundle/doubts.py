"""What is to be doubted of an operating point, in the words that every report has for it."""

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
