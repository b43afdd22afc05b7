"""A task as data: what is decided, over which labels, and how success is measured."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pointsman.core.config import Closed, suggest
from pointsman.core.errors import ConfigError

NO_ENTITY = "O"
_TEXT_METRICS = (
    "accuracy",
    *(f"{kind}_{name}" for kind in ("macro", "weighted") for name in ("f1", "precision", "recall")),
)
_DETECTOR_METRICS = ("roc_auc", "average_precision", "recall_at_fpr_1")
_SPAN_METRICS = (
    *(f"{kind}_{name}" for kind in ("span", "overlap") for name in ("f1", "precision", "recall")),
    "macro_span_f1",
    "clean_share",
)


class TaskSpec(Closed):
    """One classification task.

    A user's own task is a YAML file with these fields; it needs no code.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Short name, used in paths.")
    title: str = Field(description="What it is called in reports.")
    question: str = Field(description="The question that the model answers.")
    level: Literal["sequence", "token"] = Field(description="One label a text, or spans.")
    labels: tuple[str, ...] = Field(
        min_length=1, description="Class labels in index order; entity types for a token task."
    )
    headline: str = Field(description="The metric that the report leads with.")
    checkpoint: str = Field(description="The metric that picks the best checkpoint.")
    sources: tuple[str, ...] = Field(default=(), description="Sources that are known to fit.")
    tools: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Tools that each label stands for."
    )
    positive: str | None = Field(
        default=None, description="The label that a detector looks for; makes ROC metrics."
    )
    kinds: tuple[str, ...] = Field(
        default=(), description="Finer kinds of rows, where labels are derived from them."
    )
    positive_kinds: tuple[str, ...] = Field(
        default=(), description="Kinds that count as `positive`."
    )
    negative_kinds: tuple[str, ...] = Field(
        default=(), description="Kinds that count as the other label."
    )
    label_map: dict[str, str] = Field(
        default_factory=dict, description="Labels of the data that become another label."
    )
    left_out: tuple[str, ...] = Field(
        default=(), description="Labels of the data whose rows or spans are not used."
    )
    lora_rank: int = Field(default=8, gt=0, description="Rank of LoRA where none is given.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"{self.name}: labels repeat")
        if self.level == "sequence" and len(self.labels) < 2:
            raise ValueError(f"{self.name}: a sequence task needs two labels or more")
        if self.level == "token" and NO_ENTITY in self.labels:
            raise ValueError(f"{self.name}: {NO_ENTITY!r} is implied and must not be listed")
        if self.positive is not None and (
            len(self.labels) != 2 or self.positive not in self.labels
        ):
            raise ValueError(f"{self.name}: `positive` needs two labels and must be one of them")
        for group in (self.tools, self.label_map.values()):
            for label in group:
                if label not in self.labels:
                    raise ValueError(f"{self.name}: {label!r} is not one of its labels")
        for name in (self.headline, self.checkpoint):
            if name not in metrics_of(self):
                raise ValueError(
                    f"{self.name}: headline and checkpoint cannot be {name!r}; "
                    f"{suggest(name, metrics_of(self))}"
                )
        self._check_kinds()
        return self

    def _check_kinds(self) -> None:
        if not self.kinds:
            return
        if self.positive is None:
            raise ValueError(f"{self.name}: `kinds` need a `positive` label")
        for kind in (*self.positive_kinds, *self.negative_kinds):
            if kind not in self.kinds:
                raise ValueError(f"{self.name}: unknown kind {kind!r}")
        if set(self.positive_kinds) & set(self.negative_kinds):
            raise ValueError(f"{self.name}: a kind cannot be positive and negative")
        if not self.positive_kinds or not self.negative_kinds:
            raise ValueError(f"{self.name}: needs a positive and a negative kind")

    @property
    def negative(self) -> str | None:
        """The label beside `positive`."""
        return next((x for x in self.labels if x != self.positive), None) if self.positive else None

    def label_of_kind(self, kind: str) -> str | None:
        """Return the label that a kind stands for, or None if it is kept out as a slice."""
        if kind in self.positive_kinds:
            return self.positive
        return self.negative if kind in self.negative_kinds else None

    def adapt(
        self,
        *,
        labels: tuple[str, ...] | None = None,
        label_map: dict[str, str] | None = None,
        positive_kinds: tuple[str, ...] | None = None,
    ) -> TaskSpec:
        """Return the task as a recipe narrows it.

        Args:
            labels: Keep these labels, in this order. Rows (or spans) of others are left out.
            label_map: Merge labels, as in `{"GPE": "LOCATION"}`; targets may be new labels.
            positive_kinds: Kinds that count as positive instead of the task's own.

        Raises:
            ConfigError: If a label or kind is not known.
        """
        merged = {**self.label_map, **(label_map or {})}
        known = list(dict.fromkeys((*(merged.get(x, x) for x in self.labels), *merged.values())))
        _refuse_unknown(self.name, "label", label_map or (), self.labels)
        _refuse_unknown(self.name, "label", labels or (), known)
        _refuse_unknown(self.name, "kind", positive_kinds or (), self.kinds)
        kept = labels or tuple(known)
        changes: dict[str, object] = {
            "labels": kept,
            "left_out": (*self.left_out, *(x for x in self.labels if merged.get(x, x) not in kept)),
            "label_map": {old: new for old, new in merged.items() if new in kept},
            "tools": _merged_tools(self.tools, merged, kept),
            "positive": self.positive and merged.get(self.positive, self.positive),
        }
        if positive_kinds:
            changes["positive_kinds"] = positive_kinds
            changes["negative_kinds"] = tuple(
                kind for kind in self.negative_kinds if kind not in positive_kinds
            )
        return TaskSpec.parse({**self.model_dump(), **changes}, where=f"task {self.name!r}")


def metrics_of(spec: TaskSpec) -> tuple[str, ...]:
    """Return the metrics that may lead a task's report or pick its checkpoint: more is better."""
    if spec.level == "token":
        return _SPAN_METRICS
    return _TEXT_METRICS if spec.positive is None else (*_TEXT_METRICS, *_DETECTOR_METRICS)


def _merged_tools(
    tools: dict[str, tuple[str, ...]], merged: dict[str, str], kept: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """Return the tools of every kept label: its own, and those of labels merged into it."""
    joined: dict[str, tuple[str, ...]] = {}
    for label, names in tools.items():
        target = merged.get(label, label)
        if target in kept:
            joined[target] = tuple(dict.fromkeys((*joined.get(target, ()), *names)))
    return joined


def _refuse_unknown(task: str, what: str, names: object, known: object) -> None:
    options = list(known)  # type: ignore[call-overload]
    for name in names:  # type: ignore[attr-defined]
        if name not in options:
            raise ConfigError(f"task {task!r}: unknown {what} {name!r}", fix=suggest(name, options))
