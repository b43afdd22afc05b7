"""Write a small ModernBERT of random weights, with the tokenizer of another byte-level encoder.

    python benchmarks/small_modernbert.py TOKENIZER_DIR OUT

It shows that the family trains, packs, loads and predicts; its figures say nothing of ModernBERT.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import ModernBertConfig, ModernBertModel


def main() -> None:
    """Write the backbone."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(args.tokenizer / "tokenizer.json"))
    ids = {name: tokenizer.token_to_id(name) for name in ("<s>", "</s>", "<pad>")}
    if None in ids.values():
        raise SystemExit(f"a tokenizer with <s>, </s> and <pad>, got {ids}")
    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=1024,
        pad_token_id=ids["<pad>"],
        bos_token_id=ids["<s>"],
        cls_token_id=ids["<s>"],
        eos_token_id=ids["</s>"],
        sep_token_id=ids["</s>"],
    )
    args.output.mkdir(parents=True, exist_ok=True)
    ModernBertModel(config).save_pretrained(args.output)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(args.tokenizer / name, args.output / name)


if __name__ == "__main__":
    main()
