"""The families of encoders that Pointsman knows, as one table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Family:
    """What differs between families of encoders.

    Attributes:
        model_type: `model_type` of its `config.json`.
        lora_targets: Names of the linear layers that LoRA adapts.
        layers: Regular expression of the path of one encoder layer.
        inputs: Names of the model's inputs.
        max_length: Longest input of the usual checkpoints, in tokens.
        config: Settings of the configuration that are fixed before training.
        attention_dropout: Name of the configuration's attention dropout.
    """

    model_type: str
    lora_targets: tuple[str, ...]
    layers: str
    max_length: int
    inputs: tuple[str, ...] = ("input_ids", "attention_mask")
    config: tuple[tuple[str, object], ...] = ()
    attention_dropout: str = "attention_probs_dropout_prob"


# Where layers stand in a model of transformers, and in a shared network those of one head.
_OWN = r"(?:encoder|heads\.[^.]+)"

FAMILIES = {
    family.model_type: family
    for family in (
        # Routers pool ModernBERT by the mean whatever its config says, so it is trained that way.
        Family(
            "modernbert",
            ("attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo"),
            r"layers\.\d+",
            8192,
            config=(("classifier_pooling", "mean"),),
            attention_dropout="attention_dropout",
        ),
        Family("bert", ("query", "key", "value", "dense"), _OWN + r"\.layer\.\d+", 512),
        Family("roberta", ("query", "key", "value", "dense"), _OWN + r"\.layer\.\d+", 512),
        Family(
            "distilbert",
            ("q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"),
            r"transformer\.layer\.\d+",
            512,
            attention_dropout="attention_dropout",
        ),
        Family(
            "mpnet", ("attn.q", "attn.k", "attn.v", "attn.o", "dense"), r"encoder\.layer\.\d+", 512
        ),
        Family(
            "deberta-v2",
            ("query_proj", "key_proj", "value_proj", "dense"),
            r"encoder\.layer\.\d+",
            512,
        ),
    )
}


def find_family(model_type: str) -> Family:
    """Return the family of a `model_type`.

    Raises:
        ConfigError: If the family is not known; the message lists those that are.
    """
    if model_type not in FAMILIES:
        raise ConfigError(
            "a backbone of a known family",
            got=f"model_type {model_type!r}",
            fix=suggest(model_type, FAMILIES),
        )
    return FAMILIES[model_type]


def lora_pattern(
    family: Family, targets: tuple[str, ...] | None = None, layers: Iterable[int] | None = None
) -> str:
    """Return the regular expression of the modules that LoRA adapts.

    It is anchored to the encoder's layers: the bare name `dense` would also catch the pooler and
    the dense layer of RoBERTa's head, which are fresh and train in full.

    Args:
        family: Row of the family table.
        targets: Names of linear layers; all of the family's when not given.
        layers: Places of encoder layers; all when not given.

    Raises:
        ConfigError: If a target is none of the family's.
    """
    for target in targets or ():
        if target not in family.lora_targets:
            raise ConfigError(
                f"LoRA targets of {family.model_type}",
                got=target,
                fix=suggest(target, family.lora_targets),
            )
    names = "|".join(name.replace(".", r"\.") for name in targets or family.lora_targets)
    places = family.layers
    if layers is not None:
        places = places.replace(r"\d+", f"(?:{'|'.join(map(str, layers))})")
    return rf".*{places}\.(?:.*\.)?(?:{names})"
