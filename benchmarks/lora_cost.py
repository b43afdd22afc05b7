"""What a training step of LoRA costs beside one of full fine-tuning: time, memory, disk.

The document gives 2.4 GB and 0.8 GB, 2 to 6 hours and 1 to 3 hours, 500 GB and 50 GB of disk. None
of it depends on what the weights say, so ModernBERT-base's shape with random weights is enough.
Each method is measured in a process of its own; they take turns, and times are medians of processor
time, which other work on the machine disturbs least.

    python benchmarks/lora_cost.py --rows 8 --tokens 128 --steps 5 --rounds 2
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

METHODS = ("full", "lora")


def measure(method: str, rows: int, tokens: int, steps: int) -> dict[str, float]:
    """Train some steps and return seconds a step, peak MiB and what a checkpoint takes on disk."""
    import torch
    from transformers import AutoModelForSequenceClassification, ModernBertConfig

    from pointsman.models.adapters import LoraOptions, add_lora, count_parameters, save_adapter
    from pointsman.models.backbones import find_family
    from pointsman.training.memory import peak_mb, reset_peak

    before = peak_mb()
    config = ModernBertConfig(num_labels=14, classifier_pooling="mean")
    model = AutoModelForSequenceClassification.from_config(config)
    if method == "lora":
        fresh = ("head.dense", "head.norm", "classifier")
        model = add_lora(model, find_family("modernbert"), LoraOptions(rank=8), fresh)
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-5, fused=True)
    ids = torch.randint(1000, 20_000, (rows, tokens))
    labels = torch.randint(0, 14, (rows,))
    reset_peak()
    times = []
    for _ in range(steps + 1):
        start = time.process_time()
        model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        times.append(time.process_time() - start)
    with tempfile.TemporaryDirectory() as place:
        if method == "lora":
            save_adapter(model, Path(place), origin="random")
        else:
            model.save_pretrained(place)
        weights = sum(f.stat().st_size for f in Path(place).rglob("*") if f.is_file())
    state = sum(t.numel() * 4 for s in optimiser.state.values() for t in s.values() if t.dim())
    return {
        "step_s": statistics.median(times[1:]),
        "peak_mib": peak_mb(),
        "libraries_mib": before,
        "trained": count_parameters(model)[0],
        "checkpoint_mib": (weights + state) / 2**20,
    }


def main() -> None:
    """Print a line a method, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=METHODS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        print(json.dumps(measure(args.only, args.rows, args.tokens, args.steps)))
        return
    found: dict[str, list[dict[str, float]]] = {method: [] for method in METHODS}
    for _ in range(args.rounds):
        for method in METHODS:
            command = [sys.executable, __file__, "--only", method, "--rows", str(args.rows)]
            command += ["--tokens", str(args.tokens), "--steps", str(args.steps)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[method].append(json.loads(done.stdout.splitlines()[-1]))
    median = {m: {k: statistics.median(r[k] for r in rows) for k in rows[0]}
              for m, rows in found.items()}  # fmt: skip
    for method, figures in median.items():
        print(method, {k: round(v, 2) for k, v in figures.items()})
    for key in ("step_s", "peak_mib", "checkpoint_mib"):
        print(f"{key}: LoRA over full {median['lora'][key] / median['full'][key]:.3f}")


if __name__ == "__main__":
    main()
