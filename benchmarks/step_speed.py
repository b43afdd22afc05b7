"""What freezing, leaving attention dropout out, and our kernels do to the time of a step.

The variants take turns, so that what else the machine does falls on all of them alike. `--bf16`
measures in bf16, full and LoRA, with torch's and peft's own layers and with ours.

    python benchmarks/step_speed.py --backbone minilm --rows 16 --tokens 48
    python benchmarks/step_speed.py --backbone minilm --rows 32 --tokens 128 --bf16
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from dataclasses import dataclass, field

import torch

from pointsman.models.adapters import LoraOptions
from pointsman.models.cpu_kernels import speed_up
from pointsman.models.network import NetworkOptions, build_network
from pointsman.models.weights import find_backbone
from pointsman.tasks.catalogue import TASKS

LEAN = NetworkOptions(freeze_embeddings=True, attention_dropout=0.0)


@dataclass(frozen=True, slots=True)
class Variant:
    """How one side trains."""

    options: NetworkOptions = field(default_factory=NetworkOptions)
    lora: LoraOptions | None = None
    bf16: bool = False
    ours: bool = False


FP32 = {
    "as the backbone comes": Variant(),
    "no attention dropout": Variant(NetworkOptions(attention_dropout=0.0)),
    "frozen embeddings": Variant(NetworkOptions(freeze_embeddings=True)),
    "both": Variant(LEAN),
}
BF16 = {
    "fp32, full": Variant(LEAN),
    "bf16, full, torch's layers": Variant(LEAN, bf16=True),
    "bf16, full, ours": Variant(LEAN, bf16=True, ours=True),
    "bf16, LoRA, peft's layers": Variant(LEAN, LoraOptions(rank=8), bf16=True),
    "bf16, LoRA, ours": Variant(LEAN, LoraOptions(rank=8), bf16=True, ours=True),
}


class Step:
    """One variant's model, optimiser and batch."""

    def __init__(self, backbone: str, variant: Variant, rows: int, tokens: int) -> None:
        network = build_network(
            find_backbone(backbone), TASKS["category"], lora=variant.lora, options=variant.options
        )
        self.model = network.model.train()
        if variant.ours:
            speed_up(self.model)
        self.bf16 = variant.bf16
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(self.parameters, lr=1e-5, fused=True)
        self.ids = torch.randint(5, 3000, (rows, tokens))
        self.labels = torch.randint(0, 14, (rows,))

    def run(self) -> float:
        """Make one optimiser step and return its seconds."""
        started = time.perf_counter()
        mask = torch.ones_like(self.ids)
        narrow = torch.autocast("cpu", torch.bfloat16) if self.bf16 else contextlib.nullcontext()
        with narrow:
            loss = self.model(input_ids=self.ids, attention_mask=mask, labels=self.labels).loss
        loss.backward()
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
    parser.add_argument("--bf16", action="store_true", help="measure in bf16, full and LoRA")
    args = parser.parse_args()
    variants = BF16 if args.bf16 else FP32
    steps = {
        name: Step(args.backbone, variant, args.rows, args.tokens)
        for name, variant in variants.items()
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(args.repeats + 2):
        for name, step in steps.items():
            seconds = step.run()
            if turn >= 2:  # the first two warm up
                times[name].append(seconds)
    base = statistics.median(next(iter(times.values())))
    print(f"{args.backbone}, {args.rows} x {args.tokens} tokens, {torch.get_num_threads()} threads")
    print("| variant | ms a step | tokens a second | ratio |\n| --- | --- | --- | --- |")
    for name, values in times.items():
        median = statistics.median(values)
        rate = args.rows * args.tokens / median
        print(f"| {name} | {median * 1000:.0f} | {rate:.0f} | {base / median:.2f} |")


if __name__ == "__main__":
    main()
