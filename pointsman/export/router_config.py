"""The piece of a semantic router's configuration that goes with exported models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from pointsman.bundle.meta import BundleMeta
from pointsman.export.slots import SEQUENCE_LENGTH, SLOTS

FRAGMENT = "router-config.yaml"
LEAST = 0.001  # for 0, which the router does not take; the likeliest label is always above it
LIKELIER = 0.5  # a probability below it may not be that of the likeliest label
HEADER = f"""\
# Settings for vllm-project/semantic-router, made by `pointsman export --to {{target}}`.
# Copy the directories beside this file into its models/, and these keys into its configuration. The
# models meet the static contract; that they were run there is not said.
# The router reads {SEQUENCE_LENGTH} tokens of a text. Temperatures are in the models, so that
# thresholds are those of calibrated probabilities.
"""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A bundle's thresholds as the one number that a slot has, and what that loses."""

    value: float
    note: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What the configuration says of one model.

    Attributes:
        task: Name of its task.
        directory: Name of its directory.
        threshold: Its threshold.
    """

    task: str
    directory: str
    threshold: Threshold

    @classmethod
    def of(cls, meta: BundleMeta, directory: str) -> Entry:
        """Return the entry of a classifier."""
        return cls(meta.task.name, directory, threshold_of(meta))


def threshold_of(meta: BundleMeta) -> Threshold:
    """Return the threshold of a classifier for the router.

    The temperature is in the exported weights, so a calibrated threshold holds there as it is.
    """
    spec = meta.task
    rule = meta.operating_point.get("rule")
    lost = ""
    if spec.level == "token":
        found = [meta.thresholds.get(label, 0.0) for label in spec.labels]
        value = min(found)
        if max(found) > value:
            lost = "; the least of its types', since the router has one for all of them"
    elif spec.positive is not None:
        value = meta.thresholds.get(spec.positive, 0.5)
        if value < LIKELIER:
            lost = (
                f"; what lies between it and {LIKELIER} the bundle flags, and a router that goes "
                "by the likeliest label does not"
            )
    else:
        value = meta.abstain_below
        lost = "; below it the router takes no domain"
        if rule and not value:
            lost = (
                f", the least that the router takes, so that every answer counts: {_without(meta)}"
            )
            return Threshold(LEAST, f"threshold {LEAST:.4g}{lost}")
    value = _usable(value)
    chosen = f"chosen for {rule}" if rule else "not calibrated"
    if rule and not meta.operating_point.get("reached", True):
        chosen += ", which was out of reach"
    return Threshold(value, f"threshold {value:.4g}, {chosen}{lost}")


def _without(meta: BundleMeta) -> str:
    """Say why a rule chose no threshold for a task that abstains."""
    rule = meta.operating_point["rule"]
    reached = meta.operating_point.get("reached", True)
    return f"{rule} needs no threshold" if reached else f"{rule} is out of reach with any"


def _usable(value: float) -> float:
    return min(float(value), 1.0) if value > 0 else LEAST


def render_fragment(entries: Sequence[Entry], target: str = "router") -> str:
    """Return the configuration of some models as YAML.

    The router's Rust side reads thresholds line by line: indents are of two blanks, and no comment
    stands behind a value.
    """
    values: dict[str, Any] = {}
    for entry in entries:
        slot = SLOTS[entry.task]
        place = values
        for key in slot.section:
            place = place.setdefault(key, {})
        model = f"models/{entry.directory}"
        place |= {
            **dict(slot.settings),
            "model_id": model,
            "threshold": entry.threshold.value,
            "use_cpu": True,
            slot.mapping_key: f"{model}/{slot.mapping}",
        }
    body = yaml.safe_dump(values, sort_keys=False, default_flow_style=False, width=1000)
    return (
        HEADER.format(target=target)
        + "".join(f"# {e.task}: {e.threshold.note}.\n" for e in entries)
        + body
    )
