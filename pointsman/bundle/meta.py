"""What a bundle says of itself: task, labels, thresholds, figures and where all of it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, NonNegativeInt, model_validator

from pointsman.core.config import Closed
from pointsman.tasks.spec import TaskSpec

FORMAT = 1
SHARED_FORMAT = 2


class Cost(Closed):
    """What training cost.

    Attributes are counts of parameters, seconds, and MiB (2^20 bytes).
    """

    method: str
    trainable_parameters: int
    parameters: int
    trainable_share: float
    seconds: float
    peak_memory_mb: float
    gpu_memory_mb: float | None = None
    weights_mb: float
    adapter_mb: float | None = None
    steps: int
    precision: str


class PostOptions(Closed):
    """Which steps of post-processing a token task's spans go through.

    A step concerns types by name, and does nothing in a task that has none of them.
    """

    values: bool = Field(
        True,
        description="Give a span the bounds and type of the e-mail, card, ... that it touches.",
    )
    drop: bool = Field(True, description="Leave out spans that cannot be of their type.")
    organisations: bool = Field(
        True, description="Make persons with a legal form or company word organisations."
    )
    merge: bool = Field(True, description="Put a street address that was cut in two together.")


NO_POSTPROCESSING = PostOptions(values=False, drop=False, organisations=False, merge=False)


class BundleMeta(Closed):
    """The content of `bundle.json`."""

    format: int = FORMAT
    task: TaskSpec
    labels: tuple[str, ...] = Field(description="Labels of the model's outputs, in index order.")
    max_length: int = Field(description="Longest window, in tokens.")
    thresholds: dict[str, float] = Field(
        default_factory=dict, description="Least probability at which a label is given."
    )
    temperature: float = Field(1.0, gt=0, description="Divides the logits.")
    abstain_below: float = Field(
        0.0, ge=0, le=1, description="Score below which an answer is marked as unsure."
    )
    operating_point: dict[str, Any] = Field(
        default_factory=dict, description="The rule behind the thresholds, and what they gave."
    )
    pool_words: bool = Field(
        False, description="Whether the tokens of one word share a label, in a token task."
    )
    adjacent_cost: float = Field(
        0.0,
        ge=0,
        description="What it costs a token task that a span directly follows another, in nats.",
    )
    postprocess: PostOptions = Field(
        default_factory=PostOptions, description="Steps laid over the spans of a token task."
    )
    metrics: dict[str, Any] = Field(default_factory=dict, description="Figures on the test split.")
    validation: dict[str, float] = Field(
        default_factory=dict, description="Figures of the checkpoint on the validation split."
    )
    cost: Cost | None = None
    provenance: dict[str, Any] = Field(
        default_factory=dict, description="Backbone, sources, licences and split hashes."
    )
    recipe: dict[str, Any] = Field(default_factory=dict, description="The resolved recipe.")
    versions: dict[str, str] = Field(default_factory=dict, description="Libraries that made it.")
    files: dict[str, str] = Field(default_factory=dict, description="SHA-256 of each file.")


class SharedMeta(Closed):
    """The content of `bundle.json` where one encoder carries several heads."""

    format: int = SHARED_FORMAT
    heads: dict[str, BundleMeta] = Field(
        min_length=1, description="What each head says of itself, in the order of the outputs."
    )
    max_length: int = Field(description="Longest window, in tokens.")
    trunk_layers: NonNegativeInt | dict[str, NonNegativeInt] = Field(
        description="Encoder layers that are computed once; those above are each head's own. "
        "By head, where heads differ."
    )
    validation: dict[str, float] = Field(
        default_factory=dict, description="Figures of the checkpoint on the validation splits."
    )
    cost: Cost | None = None
    provenance: dict[str, Any] = Field(
        default_factory=dict, description="Backbone, and the run; data is told by each head."
    )
    recipe: dict[str, Any] = Field(default_factory=dict, description="The resolved recipe.")
    versions: dict[str, str] = Field(default_factory=dict, description="Libraries that made it.")
    files: dict[str, str] = Field(default_factory=dict, description="SHA-256 of each file.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if isinstance(self.trunk_layers, dict) and set(self.trunk_layers) != set(self.heads):
            raise ValueError(f"trunk_layers: a number for each of {', '.join(self.heads)}")
        for name, head in self.heads.items():
            if head.task.name != name:
                raise ValueError(f"heads.{name}: is of the task {head.task.name!r}")
            if head.max_length != self.max_length:
                raise ValueError(f"heads.{name}: max_length is not that of the bundle")
        return self

    @property
    def specs(self) -> dict[str, TaskSpec]:
        """The task of each head."""
        return {name: head.task for name, head in self.heads.items()}

    def least_depth(self) -> int:
        """Return how many encoder layers all heads have in common."""
        depths = self.trunk_layers
        return depths if isinstance(depths, int) else min(depths.values())

    def with_head(self, head: BundleMeta) -> Self:
        """Return this with what one of its heads says of itself by now."""
        return self.model_copy(update={"heads": {**self.heads, head.task.name: head}})


def heads_of(meta: BundleMeta | SharedMeta) -> Mapping[str, BundleMeta]:
    """Return what each head of a bundle says of itself."""
    return meta.heads if isinstance(meta, SharedMeta) else {meta.task.name: meta}
