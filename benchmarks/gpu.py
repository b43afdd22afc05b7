"""On a GPU: bf16, flash attention and compilation, beside what a plain use of torch gives there.

    python benchmarks/gpu.py latency
    python benchmarks/gpu.py throughput --chat CHAT.jsonl
    python benchmarks/gpu.py steps

Weights are random, of ModernBERT base's shape. `latency` and `throughput` ask all four decisions of
a shared bundle and of four pipelines; `steps` times a training step over batches of texts of unlike
length, so that most have padding. `train_speed.py` compares whole trainings, on a GPU as on a CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from flash import speed_up
from shapes import SHAPES, count_tokens, split_shared, text_of, write_backbone, write_shared
from sides import Pipelines, Pointsman
from throughput import describe, read_texts, stratified
from timing import Report, measured_turns, parse, start, take_turns

from pointsman.data.encode import TextEncoder
from pointsman.models.network import NetworkOptions, build_network, encoder_layers
from pointsman.models.weights import find_backbone
from pointsman.tasks.catalogue import TASKS

LENGTHS = (32, 128, 512)
COMPILED = 128  # tokens of the one shape that is compiled: each takes a minute
STEPS = ((32, 128), (8, 512))  # rows and most tokens of a step


def flashing(bundle: Path, threads: int) -> Pointsman:
    """Return a shared bundle in bf16 that attends by the flash kernel over what is no padding.

    Raises:
        RuntimeError: If this torch does not have the kernel.
    """
    side = Pointsman(bundle, "torch bf16", threads)
    if not speed_up(side.predictor._backend._network):
        raise RuntimeError("flash attention: this torch has no kernel for it")
    return side


def compiled(bundle: Path, threads: int) -> Pointsman:
    """Return a shared bundle in bf16, compiled, its kernels launched at once as a CUDA graph."""
    side = Pointsman(bundle, "torch bf16", threads)
    side.predictor._backend._network.compile(mode="reduce-overhead", dynamic=False)
    return side


class Step:
    """Training steps of one model over one batch.

    Args:
        backbone: The encoder.
        rows: Texts of the batch.
        longest: Tokens of the longest; the others have between a half and all of it.
        flash: Attend by the flash kernel over what is no padding.
        bf16: Compute in bf16.
        compiled: Compile its layers first, each kind of them once: the whole takes minutes.
    """

    def __init__(
        self, backbone: str, rows: int, longest: int, *,
        bf16: bool = False, flash: bool = False, compiled: bool = False,
    ) -> None:  # fmt: skip
        options = NetworkOptions(attention_dropout=0.0)
        network = build_network(find_backbone(backbone), TASKS["category"], options=options)
        self.model: Any = network.model.cuda().train()
        if flash and not speed_up(self.model):
            raise RuntimeError("flash attention: this torch has no kernel for it")
        if compiled:
            for layer in encoder_layers(self.model):
                layer.compile(dynamic=False)
        self._narrow = bf16
        self._optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-5, fused=True)
        draw = random.Random(0)
        lengths = [longest, *(draw.randint(longest // 2, longest) for _ in range(rows - 1))]
        self.tokens = sum(lengths)
        self._ids = torch.randint(5, 3000, (rows, longest), device="cuda")
        self._mask = (torch.arange(longest)[None] < torch.tensor(lengths)[:, None]).long().cuda()
        self._labels = torch.randint(0, 14, (rows,), device="cuda")

    def __call__(self) -> float:
        """Make one step and return its seconds."""
        torch.cuda.synchronize()
        started = time.perf_counter()
        narrow = (
            torch.autocast("cuda", torch.bfloat16) if self._narrow else contextlib.nullcontext()
        )
        with narrow:
            loss = self.model(
                input_ids=self._ids, attention_mask=self._mask, labels=self._labels
            ).loss
        loss.backward()
        self._optimiser.step()
        self._optimiser.zero_grad()
        torch.cuda.synchronize()
        return time.perf_counter() - started


def latency(report: Report, bundle: Path, singles: dict[str, Path], args: Any) -> None:
    """Time one prompt of each length."""
    encoder = TextEncoder.from_directory(bundle)
    sides: dict[str, Any] = {
        "pipelines, torch fp32": Pipelines(singles, "float32", args.threads, "cuda"),
        "pipelines, torch bf16": Pipelines(singles, "bfloat16", args.threads, "cuda"),
        "Pointsman, torch fp32": Pointsman(bundle, "torch fp32", args.threads),
        "Pointsman, torch bf16": Pointsman(bundle, "torch bf16", args.threads),
        "Pointsman, torch bf16, flash": flashing(bundle, args.threads),
    }
    if args.compile:
        sides["Pointsman, torch bf16, compiled"] = compiled(bundle, args.threads)
    for tokens in LENGTHS:
        text = text_of(encoder, tokens)
        assert count_tokens(encoder, text) == tokens
        calls = {
            side: partial(answer, [text]) for side, answer in sides.items()
            if tokens == COMPILED or not side.endswith("compiled")
        }  # fmt: skip
        found = take_turns(calls, rounds=args.rounds, warmup=args.warmup)
        rivals = [side for side in found if side.startswith("pipelines")]
        report.table(
            f"{args.shape}, {tokens} tokens, one prompt, four decisions, on a GPU",
            ("side", "ms", "quartiles", *(f"times {rival}" for rival in rivals)),
            [(side, times.median * 1000, "{:.2f} to {:.2f}".format(
                *(1000 * quartile for quartile in times.quartiles)),
              *(times.ratio(found[rival]) for rival in rivals)) for side, times in found.items()],
        )  # fmt: skip
        report.data[f"{tokens} tokens"] = {side: times.to_dict() for side, times in found.items()}


def throughput(report: Report, bundle: Path, singles: dict[str, Path], args: Any) -> None:
    """Time prompts of real chat: ours on all, the pipelines on a sample."""
    texts = read_texts(args.chat, args.prompts, args.seed)
    encoder = TextEncoder.from_directory(bundle)
    lengths = [count_tokens(encoder, text) for text in texts]
    sample = [texts[i] for i in stratified(lengths, args.sample, args.seed)]
    sides: dict[str, Any] = {
        "Pointsman, torch fp32": partial(Pointsman(bundle, "torch fp32", args.threads), texts),
        "Pointsman, torch bf16": partial(Pointsman(bundle, "torch bf16", args.threads), texts),
        "Pointsman, torch bf16, flash": partial(flashing(bundle, args.threads), texts),
    }
    for dtype in ("float32", "bfloat16"):
        pipelines = Pipelines(singles, dtype, args.threads, "cuda")
        for size in (8, 32, 128):
            sides[f"pipelines, torch {dtype}, batches of {size}"] = partial(
                pipelines, sample, batch_size=size
            )
    found = take_turns(sides, rounds=args.long_rounds, warmup=1, settle=False)
    share = len(sample) / len(texts)
    rate = {
        side: len(texts) / times.median * (share if side.startswith("pipelines") else 1.0)
        for side, times in found.items()
    }
    best = max(rate[side] for side in rate if side.startswith("pipelines, torch float32"))
    report.table(
        f"{args.shape}, four decisions on a GPU, {describe(lengths)}; pipelines on {len(sample)}",
        ("side", "prompts a second", "times the best fp32 pipelines"),
        [(side, each, each / best) for side, each in rate.items()],
    )
    report.data["throughput"] = {side: times.to_dict() for side, times in found.items()}


def steps(report: Report, backbone: Path, args: Any) -> None:
    """Time a training step of each size."""
    for rows, longest in STEPS:
        make = partial(Step, str(backbone), rows, longest)
        sides = {
            "fp32": make(),
            "bf16": make(bf16=True),
            "bf16, flash": make(bf16=True, flash=True),
        }
        if args.compile:
            sides["bf16, compiled"] = make(bf16=True, compiled=True)
        found = measured_turns(sides, rounds=args.rounds, warmup=args.warmup)
        tokens = sides["fp32"].tokens
        report.table(
            f"{args.shape}, a training step of {rows} rows of {longest // 2} to {longest} tokens",
            ("side", "ms", "tokens a second", "times fp32"),
            [(side, times.median * 1000, tokens / times.median, times.ratio(found["fp32"]))
             for side, times in found.items()],
        )  # fmt: skip
        report.data[f"step {rows} x {longest}"] = {s: t.to_dict() for s, t in found.items()}


def main() -> None:
    """Measure the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="+", choices=("latency", "throughput", "steps"))
    parser.add_argument("--shape", choices=SHAPES, default="modernbert-base-shape")
    parser.add_argument("--chat", type=Path, help="JSONL with a `text` a line, for `throughput`")
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--sample", type=int, default=256, help="prompts that pipelines answer")
    parser.add_argument("--long-rounds", type=int, default=5, help="rounds of `throughput`")
    parser.add_argument(
        "--compile", action=argparse.BooleanOptionalAction, default=True, help="it takes minutes"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parse(parser, quick={"shape": "tiny-shape", "prompts": 60, "sample": 40})
    if "throughput" in args.parts and not args.chat:
        parser.error("throughput needs --chat")
    if not torch.cuda.is_available():
        parser.error("no GPU here that torch can use")
    report = start("gpu", args)
    place = args.output / "models" / args.shape
    backbone = write_backbone(place / "backbone", SHAPES[args.shape])
    if set(args.parts) & {"latency", "throughput"}:
        bundle = write_shared(place / "bundle", backbone)
        singles = split_shared(bundle, place / "singles")
        if "latency" in args.parts:
            latency(report, bundle, singles, args)
        if "throughput" in args.parts:
            throughput(report, bundle, singles, args)
    if "steps" in args.parts:
        steps(report, backbone, args)
    report.save(args.output / args.shape)


if __name__ == "__main__":
    main()
