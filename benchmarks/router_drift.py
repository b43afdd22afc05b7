"""How far a semantic router's head and a wrong local theta move the probabilities of a model.

Without a bundle: networks of random weights in three shapes, made to answer sharply. With one: the
model that was trained, on texts of a file, one a line.

    python benchmarks/router_drift.py --shape small
    python benchmarks/router_drift.py --shape base
    python benchmarks/router_drift.py --bundle runs/jailbreak --texts prompts.txt
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    ModernBertConfig,
    set_seed,
)

from pointsman.export.drift import liven, measure_drift, norm_variance
from pointsman.models.network import load_network, quiet

SHAPES = {"tiny": (32, 2, 2, 64), "small": (128, 4, 4, 256), "base": (768, 22, 12, 1152)}
VOCABULARY = 5_000
LENGTHS = (12, 24, 48, 96, 192, 384)


def random_model(family: str, shape: str, seed: int) -> tuple[Any, list[list[int]]]:
    """Return a lively network of random weights, and rows of random tokens."""
    set_seed(seed)
    hidden, layers, heads, inner = SHAPES[shape]
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        "initializer_range": hidden**-0.5,  # so that layers keep the scale of what they are given
        "num_labels": 14,
        "pad_token_id": 0,
        "max_position_embeddings": 512,
    }
    special = {"bos_token_id": 1, "cls_token_id": 1, "eos_token_id": 2, "sep_token_id": 2}
    config: Any = (
        ModernBertConfig(**sizes, **special, classifier_pooling="mean")
        if family == "modernbert"
        else BertConfig(**sizes)
    )
    with quiet():
        model = AutoModelForSequenceClassification.from_config(config).eval()
    rows = [torch.randint(3, VOCABULARY, (n,)).tolist() for n in LENGTHS for _ in range(4)]
    liven(model, rows)
    return model, rows


def trained_model(bundle: Path, texts: Path) -> tuple[Any, list[list[int]]]:
    """Return a bundle's network, and the first 512 tokens of each line of a file."""
    from pointsman.bundle.layout import find_bundles, read_bundle
    from pointsman.data.encode import TextEncoder

    (path,) = find_bundles([bundle])
    encoder = TextEncoder.from_directory(path, max_length=512)
    lines = [line for line in texts.read_text(encoding="utf-8").splitlines() if line.strip()]
    rows = [list(windows[0].input_ids) for windows in encoder.encode(lines)]
    return load_network(path, read_bundle(path).task), rows


def main() -> None:
    """Print a table a model."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--texts", type=Path)
    args = parser.parse_args()
    if args.bundle:
        models = {str(args.bundle): trained_model(args.bundle, args.texts)}
    else:
        models = {f: random_model(f, args.shape, args.seed) for f in ("modernbert", "bert")}
    for name, (model, rows) in models.items():
        print(f"{name}, {len(rows)} texts\n| change | largest | mean | other label |")
        print("| --- | --- | --- | --- |")
        for drift in measure_drift(model, rows):
            figures = f"{drift.largest:.1e} | {drift.mean:.1e} | {drift.flipped:.1%}"
            print(f"| {drift.change} | {figures} |")
        if model.config.model_type == "modernbert":
            found = norm_variance(model, rows)
            spread = f"median {found.median():.1e}, least {found.min():.1e}"
            print(f"variance before the head's norm: {spread}")


if __name__ == "__main__":
    main()
