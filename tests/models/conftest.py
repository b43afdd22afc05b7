"""A tiny backbone of every family in the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import make_tokenizer


@pytest.fixture(scope="session")
def encoders(
    backbones: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """One backbone directory a family: those of all tests, and the families that come for free."""
    import torch
    from transformers import (
        AutoModel,
        DebertaV2Config,
        DistilBertConfig,
        MPNetConfig,
    )

    tokenizer = make_tokenizer("bert")
    size = tokenizer.get_vocab_size()
    shape = {
        "vocab_size": size, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 64, "max_position_embeddings": 130, "pad_token_id": 0,
    }  # fmt: skip
    small = DistilBertConfig(
        vocab_size=size, dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=128
    )
    # DeBERTa's relative attention is what sets it apart, so the tiny one has it too.
    relative = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0}
    configs = {
        "distilbert": small,
        "mpnet": MPNetConfig(**shape),
        "deberta-v2": DebertaV2Config(**shape, **relative),
    }
    places = dict(backbones)
    for family, config in configs.items():
        torch.manual_seed(0)
        places[family] = tmp_path_factory.mktemp(family)
        AutoModel.from_config(config).save_pretrained(places[family])
        tokenizer.save(str(places[family] / "tokenizer.json"))
    return places
