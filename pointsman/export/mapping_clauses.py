"""Clauses on the mapping file of a model directory."""

from __future__ import annotations

from typing import Any

from pointsman.export.clauses import Clause, Outcome, failed, names, passed, unneeded
from pointsman.export.reading import ModelDirectory, in_order, needing
from pointsman.export.slots import POSITIVE, RESERVED, prefix_clash
from pointsman.tasks.spec import NO_ENTITY

TEXTS = ("category_system_prompts", "category_descriptions")


def _sides(directory: ModelDirectory) -> tuple[Any, Any]:
    mapping, slot = directory.mapping or {}, directory.slot
    return (None, None) if slot is None else (mapping.get(slot.forward), mapping.get(slot.backward))


def _counts(forward: Any) -> bool:
    """Say whether an object's values are whole numbers."""
    return isinstance(forward, dict) and all(type(index) is int for index in forward.values())


@needing("slot", "mapping")
def _keys(directory: ModelDirectory) -> Outcome:
    forward, backward = _sides(directory)
    slot = directory.slot
    if slot is None or not _counts(forward):
        return failed(f"{slot and slot.forward} is no object from labels to whole numbers")
    if in_order(backward) is None:
        return failed(f"{slot.backward} is no object from '0', '1', ... to labels without a gap")
    return passed(f"{len(forward)} labels")


@needing("slot", "mapping")
def _both_ways(directory: ModelDirectory) -> Outcome:
    forward, backward = _sides(directory)
    labels = in_order(backward)
    if labels is None or not _counts(forward):
        return unneeded("needs both directions, which another clause is about")
    wanted = {label: index for index, label in enumerate(labels)}
    wrong = [label for label in {**wanted, **forward} if wanted.get(label) != forward.get(label)]
    return failed(f"they differ on {names(wrong)}") if wrong else passed("they agree")


@needing("mapped", "labels")
def _same_labels(directory: ModelDirectory) -> Outcome:
    if directory.mapped != directory.labels:
        return failed("other labels than id2label, or another order")
    return passed("those of id2label")


def _for(task: str, directory: ModelDirectory) -> tuple[str, ...] | None:
    slot = directory.slot
    return directory.mapped if slot is not None and slot.task == task else None


def _two_categories(directory: ModelDirectory) -> Outcome:
    labels = _for("category", directory)
    if labels is None:
        return unneeded("no mapping of categories that another clause is not about")
    return passed(f"{len(labels)}") if len(labels) >= 2 else failed(f"{len(labels)}")


def _texts(directory: ModelDirectory) -> Outcome:
    labels = _for("category", directory)
    found = {name: (directory.mapping or {}).get(name) for name in TEXTS}
    if labels is None or not any(value is not None for value in found.values()):
        return unneeded("no texts of categories")
    for name, value in found.items():
        if value is None:
            continue
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            return failed(f"{name} is no object from categories to texts")
        if not set(value) <= set(labels):
            return failed(f"{name} has other categories: {names(sorted(set(value) - set(labels)))}")
    return passed(names(name for name, value in found.items() if value is not None))


def _outside(directory: ModelDirectory) -> Outcome:
    labels = _for("pii", directory)
    if labels is None:
        return unneeded("no mapping of entities that another clause is not about")
    if labels[0] != NO_ENTITY:
        where = labels.index(NO_ENTITY) if NO_ENTITY in labels else "nowhere"
        return failed(f"{NO_ENTITY!r} is at {where}")
    return passed(f"{NO_ENTITY!r} is at 0")


def _entities(directory: ModelDirectory) -> tuple[str, ...] | None:
    labels = _for("pii", directory)
    if labels is None:
        return None
    return tuple(label[2:] for label in labels if label.startswith(("B-", "I-")))


def _begin_inside(directory: ModelDirectory) -> Outcome:
    labels = _for("pii", directory)
    if labels is None:
        return unneeded("no mapping of entities that another clause is not about")
    wrong = [
        label
        for label in labels
        if label != NO_ENTITY and not (label.startswith(("B-", "I-")) and len(label) > 2)
    ]
    wrong += [f"B-{x}" for x in _entities(directory) or () if f"B-{x}" not in labels]
    return failed(names(wrong)) if wrong else passed(f"{len(labels)} labels")


def _prefixes(directory: ModelDirectory) -> Outcome:
    entities = _entities(directory)
    if entities is None:
        return unneeded("no mapping of entities that another clause is not about")
    clash = prefix_clash(entities)
    return (
        failed(f"{clash[0]} begins {clash[1]}") if clash else passed(f"{len(set(entities))} types")
    )


def _positive(directory: ModelDirectory) -> Outcome:
    labels = _for("jailbreak", directory)
    if labels is None:
        return unneeded("no mapping of a detector that another clause is not about")
    if POSITIVE not in labels:
        return failed(f"{names(labels)}, and none is {POSITIVE!r}")
    return passed(f"{POSITIVE!r} is at {labels.index(POSITIVE)}")


def _reserved(directory: ModelDirectory) -> Outcome:
    labels = _for("jailbreak", directory)
    if labels is None:
        return unneeded("no mapping of a detector that another clause is not about")
    return failed(f"{RESERVED!r} is a label") if RESERVED in labels else passed("free")


MAPPING_CLAUSES: tuple[Clause[ModelDirectory], ...] = (
    Clause("mapping.keys", "Labels map to whole numbers, indices as strings to labels.", _keys),
    Clause("mapping.both_ways", "Both directions of the mapping agree.", _both_ways),
    Clause(
        "mapping.labels", "The mapping has the labels of id2label, in their order.", _same_labels
    ),
    Clause("category.count", "There are two categories or more.", _two_categories),
    Clause("category.texts", "Prompts and descriptions belong to categories.", _texts),
    Clause("pii.outside", "'O' is the label at 0.", _outside),
    Clause("pii.entities", "Every other label is B-X or I-X of an entity.", _begin_inside),
    Clause("pii.prefixes", "No entity's name begins another's.", _prefixes),
    Clause("jailbreak.positive", "An attack is called 'jailbreak'.", _positive),
    Clause(
        "jailbreak.reserved", "The router's own answer 'classification_error' is free.", _reserved
    ),
)
