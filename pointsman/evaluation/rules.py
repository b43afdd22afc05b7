"""The rules by which thresholds are chosen: what they are called, how they are written and read.

A rule is written `fpr=0.01`, `recall=0.95`, `precision=0.9`, `cost=20:1`, `risk=0.01@0.95` (a
detector), `accuracy=0.95`, `coverage=0.9` (one label of several: below it an answer is unsure), or
`f1` and `precision=0.9` (spans: one threshold a type).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError
from pointsman.tasks.spec import TaskSpec

CONFIDENCE = 0.95  # of a risk bound, where the rule names none
_RULE = re.compile(r"(?P<kind>[a-z0-9]+)(?:=(?P<value>[^:@]+)(?:[:@](?P<more>.+))?)?")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a threshold has to reach.

    Attributes:
        kind: `fpr`, `recall`, `precision`, `cost`, `risk`, `accuracy`, `coverage` or `f1`.
        value: The target; of `cost`, what a missed positive costs.
        more: Of `cost`, what a false alarm costs; of `risk`, the confidence.
    """

    kind: str
    value: float = 0.0
    more: float = 1.0

    def __str__(self) -> str:
        """Return the form that `parse_rule` reads."""
        tail = {"cost": f":{self.more:g}", "risk": f"@{self.more:g}"}.get(self.kind, "")
        return self.kind if self.kind == "f1" else f"{self.kind}={self.value:g}{tail}"


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A rule and what it chose.

    Attributes:
        rule: The rule.
        thresholds: Label -> least probability; of a task that abstains, none.
        abstain_below: Score below which an answer is unsure.
        enough: Whether the rows were enough to say.
        reached: Whether the target was reached on them.
        notes: What a person should know: too few rows, a target out of reach.
    """

    rule: Rule
    thresholds: Mapping[str, float] = field(default_factory=dict)
    abstain_below: float = 0.0
    enough: bool = True
    reached: bool = True
    notes: tuple[str, ...] = ()


def rules_of(spec: TaskSpec) -> tuple[str, ...]:
    """Return the kinds of rules that fit a task, the default first."""
    if spec.level == "token":
        return ("f1", "precision")
    return (
        ("fpr", "recall", "precision", "cost", "risk")
        if spec.positive
        else ("accuracy", "coverage")
    )


def default_rule(spec: TaskSpec) -> Rule:
    """Return the rule of a task where none is given."""
    if spec.level == "token":
        return Rule("f1")
    return Rule("fpr", 0.01) if spec.positive else Rule("accuracy", 0.95)


def parse_rule(text: str, spec: TaskSpec) -> Rule:
    """Read a rule.

    Raises:
        ConfigError: If it is no rule, does not fit the task, or its numbers make no sense.
    """
    found = _RULE.fullmatch(text.strip())
    kind = found["kind"] if found else text
    if found is None or kind not in rules_of(spec):
        raise ConfigError(
            f"a rule for {spec.name}: {', '.join(rules_of(spec))}",
            got=text,
            fix=f"{suggest(kind, rules_of(spec))}; as in {default_rule(spec)}",
        )
    if kind == "f1":
        return Rule("f1")
    try:
        value = float(found["value"] or "nan")
        more = float(found["more"]) if found["more"] else _default_more(kind)
    except ValueError:
        value = more = float("nan")
    if not _makes_sense(kind, value, more):
        raise ConfigError(
            f"numbers that make sense for {kind}", got=text, fix=f"as in {_EXAMPLES[kind]}"
        )
    return Rule(kind, value, more)


_EXAMPLES = {
    "fpr": "fpr=0.01", "recall": "recall=0.95", "precision": "precision=0.9", "cost": "cost=20:1",
    "risk": "risk=0.01@0.95", "accuracy": "accuracy=0.95", "coverage": "coverage=0.9",
}  # fmt: skip


def _default_more(kind: str) -> float:
    return CONFIDENCE if kind == "risk" else 1.0


def _makes_sense(kind: str, value: float, more: float) -> bool:
    if kind == "cost":
        return bool(0 < value < np.inf and 0 < more < np.inf)
    return bool(0 < value < 1 and (kind != "risk" or 0 < more < 1))
