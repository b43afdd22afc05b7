"""The share of parameters that LoRA trains, from the shapes of the document's backbones.

The document says about 0.2%, and "99.9%+ reduction". No weights are needed: the models are built
without storage.

    python benchmarks/lora_share.py
"""

from __future__ import annotations

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    ModernBertConfig,
    RobertaConfig,
)

from pointsman.models.adapters import LoraOptions, add_lora, count_parameters
from pointsman.models.backbones import find_family

SHAPES = {
    "ModernBERT-base": ModernBertConfig(),
    "bert-base": BertConfig(),
    "roberta-base": RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1),
    "MiniLM-L6": BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    ),
    "bge-small": BertConfig(
        hidden_size=384, num_hidden_layers=12, num_attention_heads=12, intermediate_size=1536
    ),
}
# name, outputs, token level, rank, and the targets that the document's text names
RECIPES = (
    ("lora_intent", 3, False, 8),
    ("lora_security", 2, False, 12),
    ("lora_pii", 35, True, 32),
)
FRESH = {
    "modernbert": ("head.dense", "head.norm", "classifier"),
    "bert": ("bert.pooler.dense", "classifier"),
    "roberta": ("classifier",),
}


def share(config: object, outputs: int, *, token: bool, rank: int) -> tuple[int, int]:
    """Return the parameters that train and those of the plain model."""
    config.num_labels = outputs
    auto = AutoModelForTokenClassification if token else AutoModelForSequenceClassification
    family = find_family(config.model_type)
    with torch.device("meta"):
        model = auto.from_config(config)
        total = count_parameters(model)[1]
        names = {name for name, _ in model.named_modules()}
        fresh = [name for name in FRESH[config.model_type] if name in names]
        trained, _ = count_parameters(add_lora(model, family, LoraOptions(rank=rank), fresh))
    return trained, total


NARROW = {"modernbert": ("attn.Wqkv",), "bert": ("query", "value"), "roberta": ("query", "value")}


def narrow(config: object) -> tuple[int, int]:
    """Return what rank 8 on the attention's inputs alone trains, without the head."""
    config.num_labels = 3
    family = find_family(config.model_type)
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config)
        total = count_parameters(model)[1]
        adapted = add_lora(model, family, LoraOptions(targets=NARROW[config.model_type]), ())
        return count_parameters(adapted)[0], total


def main() -> None:
    """Print two Markdown tables."""
    print(
        "| backbone | recipe | rank | trained | of | share |\n| --- | --- | --- | --- | --- | --- |"
    )
    for name, config in SHAPES.items():
        for recipe, outputs, token, rank in RECIPES:
            trained, total = share(config, outputs, token=token, rank=rank)
            print(
                f"| {name} | {recipe} | {rank} | {trained:,} | {total:,} | {trained / total:.2%} |"
            )
    print("\n| backbone | rank 8 on | trained | of | share |\n| --- | --- | --- | --- | --- |")
    for name, config in SHAPES.items():
        trained, total = narrow(config)
        targets = ", ".join(NARROW[config.model_type])
        print(f"| {name} | {targets} | {trained:,} | {total:,} | {trained / total:.2%} |")


if __name__ == "__main__":
    main()
