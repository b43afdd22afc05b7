"""What freezing the embeddings and leaving attention dropout out do to the time of a step.

The variants take turns, so that what else the machine does falls on all of them alike.

    python benchmarks/step_speed.py --backbone minilm --rows 16 --tokens 48
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from pointsman.models.network import NetworkOptions, build_network
from pointsman.models.weights import find_backbone
from pointsman.tasks.catalogue import TASKS

VARIANTS = {
    "as the backbone comes": NetworkOptions(),
    "no attention dropout": NetworkOptions(attention_dropout=0.0),
    "frozen embeddings": NetworkOptions(freeze_embeddings=True),
    "both": NetworkOptions(freeze_embeddings=True, attention_dropout=0.0),
}


class Step:
    """One variant's model, optimiser and batch."""

    def __init__(self, backbone: str, options: NetworkOptions, rows: int, tokens: int) -> None:
        network = build_network(find_backbone(backbone), TASKS["category"], options=options)
        self.model = network.model.train()
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(self.parameters, lr=1e-5, fused=True)
        self.ids = torch.randint(5, 3000, (rows, tokens))
        self.labels = torch.randint(0, 14, (rows,))

    def run(self) -> float:
        """Make one optimiser step and return its seconds."""
        started = time.perf_counter()
        mask = torch.ones_like(self.ids)
        self.model(input_ids=self.ids, attention_mask=mask, labels=self.labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return time.perf_counter() - started


def main() -> None:
    """Print a Markdown table of medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backbone", default="minilm")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=20)
    args = parser.parse_args()
    steps = {
        name: Step(args.backbone, options, args.rows, args.tokens)
        for name, options in VARIANTS.items()
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(args.repeats + 2):
        for name, step in steps.items():
            seconds = step.run()
            if turn >= 2:  # the first two warm up
                times[name].append(seconds)
    base = statistics.median(times["as the backbone comes"])
    print(f"{args.backbone}, {args.rows} x {args.tokens} tokens, {torch.get_num_threads()} threads")
    print("| variant | ms a step | tokens a second | ratio |\n| --- | --- | --- | --- |")
    for name, values in times.items():
        median = statistics.median(values)
        rate = args.rows * args.tokens / median
        print(f"| {name} | {median * 1000:.0f} | {rate:.0f} | {base / median:.2f} |")


if __name__ == "__main__":
    main()
