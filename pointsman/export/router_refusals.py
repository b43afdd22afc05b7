"""Why a classifier cannot go into a semantic router, said before anything is written."""

from __future__ import annotations

from typing import Any

from pointsman.bundle.meta import BundleMeta
from pointsman.export.config_clauses import layer_types
from pointsman.export.reading import is_count
from pointsman.export.slots import (
    ELSEWHERE,
    POSITIVE,
    RESERVED,
    SLOTLESS,
    SLOTS,
    family_fault,
    prefix_clash,
)
from pointsman.tasks.spec import TaskSpec


def refuse(meta: BundleMeta, config: dict[str, Any]) -> str | None:
    """Return why the router could not load a classifier, or would answer otherwise than it does.

    Args:
        meta: What the classifier says of itself.
        config: Its `config.json`.

    Returns:
        The reason with what to do instead, or None where there is none.
    """
    spec = meta.task
    slot = SLOTS.get(spec.name)
    if slot is None:
        return SLOTLESS
    if slot.level != spec.level:
        return f"the router's slot for {slot.task} takes a {slot.level} task; {ELSEWHERE}"
    family = str(config.get("model_type"))
    fault = family_fault(family, spec.name)
    if fault is not None:
        return f"{fault}; {ELSEWHERE}"
    if family == "modernbert":
        fault = _modernbert_fault(spec, config)
    return fault or label_fault(spec)


def label_fault(spec: TaskSpec) -> str | None:
    """Return why the router would misread a task's labels, or None where it would not."""
    check = {"pii": _pii_fault, "jailbreak": _jailbreak_fault}.get(spec.name)
    return check(spec) if check else None


def _modernbert_fault(spec: TaskSpec, config: dict[str, Any]) -> str | None:
    if spec.level == "sequence" and config.get("classifier_pooling", "cls") != "mean":
        return (
            "it was not pooled by the mean, as the router pools whatever the configuration says; "
            "train it again with classifier_pooling: mean, as Pointsman does"
        )
    biased = [
        name
        for name in ("attention_bias", "mlp_bias", "norm_bias", "classifier_bias")
        if config.get(name)
    ]
    if biased:
        return f"it has biases that the router leaves out ({', '.join(biased)}); {ELSEWHERE}"
    for name in ("hidden_activation", "classifier_activation"):
        if config.get(name, "gelu") != "gelu":
            return f"its {name} is {config[name]}, and the router's is GELU; {ELSEWHERE}"
    try:
        flat_keys(config)
    except ValueError as error:
        return f"{error}; {ELSEWHERE}"
    return None


def flat_keys(config: dict[str, Any]) -> dict[str, Any]:
    """Return the flat keys of a ModernBERT that the router reads, equal to the loaded model's.

    transformers 5 nests the thetas, calls the eps otherwise and keeps a list of layer types; what a
    configuration leaves out it fills by itself. So its own class is asked, and not the file.

    Args:
        config: Its `config.json`.

    Raises:
        ValueError: If no flat key can say what the model computes.
    """
    from transformers import ModernBertConfig

    loaded = ModernBertConfig.from_dict(dict(config))
    thetas = {}
    for key, kind in (
        ("global_rope_theta", "full_attention"),
        ("local_rope_theta", "sliding_attention"),
    ):
        rope = loaded.rope_parameters[kind]
        if rope.get("rope_type", "default") != "default":
            raise ValueError(f"its rope is scaled ({rope['rope_type']}), which no flat key says")
        thetas[key] = float(rope["rope_theta"])
    return {
        "layer_norm_eps": float(loaded.norm_eps),
        "global_attn_every_n_layers": _period(list(loaded.layer_types), config),
        "local_attention": int(loaded.local_attention),
        **thetas,
    }


def _period(types: list[str], config: dict[str, Any]) -> int:
    """Return n where every n-th layer from the first looks everywhere and the others nearby."""
    periods = list(range(1, len(types) + 1))
    named = config.get("global_attn_every_n_layers")
    if is_count(named):
        periods.insert(0, named)
    for every in periods:
        if layer_types(len(types), every) == types:
            return every
    raise ValueError("its global layers stand at no fixed distance")


def _pii_fault(spec: TaskSpec) -> str | None:
    clash = prefix_clash(spec.labels)
    if clash is None:
        return None
    return (
        f"the name {clash[0]} begins {clash[1]}, and the router could take one for the other; "
        "rename one (`label_map` in the recipe) and train again"
    )


def _jailbreak_fault(spec: TaskSpec) -> str | None:
    if spec.positive != POSITIVE:
        return (
            f"its positive label is {spec.positive!r}, and the router knows an attack by the name "
            f"{POSITIVE!r} alone; train it with that label"
        )
    if RESERVED in spec.labels:
        return f"{RESERVED!r} is what the router answers when it fails; rename the label"
    return None
