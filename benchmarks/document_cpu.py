"""The document's CPU training beside ours: the same rows, backbone, ranks and epochs, in turn.

Its scripts train LoRA in fp32 with batches of 8, padded to the maximum length. Ours pads to the
longest row of batches of like length. What is measured is the time of one epoch over the same
sample of rows; the ratio is what carries over to other machines.

    python benchmarks/document_cpu.py PREPARED... --backbone minilm --rows 160
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import shutil
import tempfile
from pathlib import Path

from pointsman.bundle.layout import read_bundle
from pointsman.data.prepare import PreparedData, load_prepared
from pointsman.models.weights import Backbone, find_backbone
from pointsman.pipeline.gate import Consent
from pointsman.pipeline.steps import TrainRequest, train_and_pack
from pointsman.pipeline.terms import Terms
from pointsman.training.config import TrainOptions

RANKS = {"category": 8, "pii": 32, "jailbreak": 12, "intent": 8}
COMMON = {"method": "lora", "epochs": 1, "learning_rate": 1e-4, "report_to": (), "patience": 1}
THEIRS = {
    "batch_size": 8, "padding": "max_length", "length_grouped": False, "precision": "fp32",
}  # fmt: skip
OURS = {"batch_size": 8, "network": {"attention_dropout": 0.0}}


def seconds(data: PreparedData, backbone: Backbone, options: dict[str, object]) -> float:
    """Return the wall time of one training run."""
    place = Path(tempfile.mkdtemp())
    settings = {**COMMON, **options, "lora": {"rank": RANKS[data.spec.name]}}
    try:
        terms = Terms(Consent(leakage=True, noncommercial=True))  # for timing alone
        request = TrainRequest(
            data, backbone, TrainOptions.parse(settings, where="bench"), place, {}, terms
        )
        cost = read_bundle(train_and_pack(request, lambda line: None)).cost
    finally:
        shutil.rmtree(place)
    return cost.seconds if cost else float("nan")


def main() -> None:
    """Print a Markdown table of paired runs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("prepared", nargs="+", type=Path)
    parser.add_argument("--backbone", default="minilm")
    parser.add_argument("--rows", type=int, default=160)
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    backbone = find_backbone(args.backbone)
    print("| task | rows | document's way, s | ours, s | ratio |\n| --- | --- | --- | --- | --- |")
    for place in args.prepared:
        data = load_prepared(place)
        rows = random.Random(0).sample(data.train, min(args.rows, len(data.train)))
        sample = dataclasses.replace(data, train=tuple(rows), validation=data.validation[:16])
        pairs = [
            (seconds(sample, backbone, THEIRS), seconds(sample, backbone, OURS))
            for _ in range(args.repeats)
        ]
        theirs, ours = (sorted(column)[len(column) // 2] for column in zip(*pairs, strict=True))
        print(
            f"| {data.spec.name} | {len(rows)} | {theirs:.1f} | {ours:.1f} | {theirs / ours:.1f} |"
        )


if __name__ == "__main__":
    main()
