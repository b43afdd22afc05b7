"""From entity types to BIO labels and back."""

from __future__ import annotations

from pointsman.tasks.spec import NO_ENTITY, TaskSpec


def model_labels(spec: TaskSpec) -> tuple[str, ...]:
    """Return the labels of the model's outputs, in index order.

    A sequence task has its own labels. A token task has `O` at 0, then `B-X` and `I-X` of every
    entity type, so that type k (from 0) has 2k+1 and 2k+2.
    """
    if spec.level == "sequence":
        return spec.labels
    return (NO_ENTITY, *(f"{prefix}-{label}" for label in spec.labels for prefix in "BI"))


def begin_id(label_index: int) -> int:
    """Return the model label of an entity's first token."""
    return 2 * label_index + 1


def inside_id(label_index: int) -> int:
    """Return the model label of an entity's further tokens."""
    return 2 * label_index + 2
