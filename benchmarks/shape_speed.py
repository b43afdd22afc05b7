"""bert-base beside modernbert-base: time and memory of one pass, from shapes with random weights.

The document gives 100 ms and 400 MB against 85 ms and 380 MB, on a machine it does not name. Speed
does not depend on what weights say, so their shapes are enough. The two take turns; figures are
medians of processor time on one thread, which other work on the machine disturbs least.

    python benchmarks/shape_speed.py --rounds 7
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from transformers import AutoModelForSequenceClassification, BertConfig, ModernBertConfig

from pointsman.models.network import quiet

SHAPES = {"bert-base": BertConfig(), "modernbert-base": ModernBertConfig()}
LENGTHS = (16, 32, 128, 512)


def pass_ms(model: torch.nn.Module, ids: torch.Tensor) -> float:
    """Return the processor time of one pass, in milliseconds."""
    mask = torch.ones_like(ids)
    start = time.process_time()
    with torch.inference_mode():
        model(input_ids=ids, attention_mask=mask)
    return (time.process_time() - start) * 1000


def main() -> None:
    """Print a line a shape and length."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    models = {}
    for name, config in SHAPES.items():
        config.num_labels = 14
        with quiet():
            models[name] = AutoModelForSequenceClassification.from_config(config).eval()
        size = sum(p.numel() * p.element_size() for p in models[name].parameters())
        print(f"{name}: weights {size / 2**20:.0f} MiB in fp32")
    for length in LENGTHS:
        ids = torch.randint(1000, 20_000, (1, length))
        times: dict[str, list[float]] = {name: [] for name in models}
        for turn in range(rounds + 2):
            for name, model in models.items():
                spent = pass_ms(model, ids)
                if turn >= 2:  # the first two warm up
                    times[name].append(spent)
        bert, modern = (statistics.median(times[name]) for name in SHAPES)
        print(
            f"{length:4} tokens: bert-base {bert:7.1f} ms, modernbert-base {modern:7.1f} ms, "
            f"ratio {modern / bert:.2f}"
        )


if __name__ == "__main__":
    main()
