"""All four decisions on 2,000 prompts of real chat: Pointsman beside the pipelines at their best.

    python benchmarks/throughput.py CHAT.jsonl
    python benchmarks/throughput.py CHAT.jsonl --bundle runs/shared/bundle

CHAT is a JSONL file with a `text` a line, as of toxic-chat. Pointsman answers all prompts a round,
and reads long ones whole, window by window; the pipelines cut them at 512 tokens. On 2,000 prompts
they would take minutes a round, so that they answer a sample: the prompts are sorted by length and
cut into as many equal parts as the sample has prompts, of which each gives one. Of many such draws
the one is taken that costs the pipelines most nearly what all prompts cost them, by mean length and
by what batches of 8 and 32 are padded to. Their time is scaled by the number of prompts.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from shapes import count_tokens
from sides import Pipelines, Pointsman, add_models, counts, exported, find_models
from timing import Report, Times, parse, start, take_turns

from pointsman.data.encode import TextEncoder

BAR = 20.0
BATCHES = (1, 8, 32)
DRAWS = 500


def read_texts(file: Path, count: int, seed: int) -> list[str]:
    """Return so many texts of a JSONL file, drawn by a seed, in the file's order."""
    with file.open(encoding="utf-8") as lines:
        texts = [text for line in lines if (text := json.loads(line)["text"]).strip()]
    if len(texts) <= count:
        return texts
    return [texts[i] for i in sorted(random.Random(seed).sample(range(len(texts)), count))]


def stratified(lengths: Sequence[int], count: int, seed: int) -> list[int]:
    """Return the indices of a sample that costs, by the prompt, what all prompts cost."""
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    count = min(count, len(order))
    draw = random.Random(seed)
    cuts = [number * len(order) // count for number in range(count + 1)]
    wanted = _costs([min(n, 512) for n in lengths])
    best: list[int] = []
    least = float("inf")
    for _ in range(DRAWS):
        rows = [order[draw.randrange(low, high)] for low, high in pairwise(cuts)]
        draw.shuffle(rows)  # as they come: pipelines batch what comes
        found = _costs([min(lengths[i], 512) for i in rows])
        away = sum(abs(one / other - 1) for one, other in zip(found, wanted, strict=True))
        if away < least:
            best, least = rows, away
    return best


def _costs(lengths: Sequence[int]) -> list[float]:
    """Return the tokens a prompt in batches of each size, padding counted."""
    costs = []
    for size in BATCHES:
        parts = [lengths[start : start + size] for start in range(0, len(lengths), size)]
        costs.append(sum(len(part) * max(part) for part in parts) / len(lengths))
    return costs


def describe(lengths: Sequence[int]) -> str:
    """Return the distribution of lengths in words."""
    ordered = sorted(lengths)
    marks = {share: ordered[int(share / 100 * (len(ordered) - 1))] for share in (50, 90, 99)}
    beyond = sum(length > 512 for length in lengths)
    return (
        f"{len(lengths):,} prompts, {sum(lengths):,} tokens, mean {statistics.mean(lengths):.0f}, "
        f"median {marks[50]}, 90% within {marks[90]}, 99% within {marks[99]}, "
        f"longest {ordered[-1]}, {beyond} beyond 512"
    )


def measure(sides: dict[str, Any], args: argparse.Namespace) -> dict[str, Times]:
    """Find the pipelines' best batch size in a few rounds, then time it beside ours in all."""
    rivals = {side: answer for side, answer in sides.items() if not side.startswith("Pointsman")}
    found = take_turns(rivals, rounds=min(args.trials, args.rounds), warmup=1, settle=False)
    best = min(found, key=lambda side: found[side].median)
    last = {side: answer for side, answer in sides.items() if side == best or side not in rivals}
    return found | take_turns(last, rounds=args.rounds, warmup=1, settle=False)


def table(report: Report, name: str, found: dict[str, Times], scales: dict[str, float]) -> None:
    """Print prompts a second of every side."""
    rows = []
    for side, times in found.items():
        low, high = (seconds * scales[side] for seconds in times.quartiles)
        seconds = times.median * scales[side]
        prompts = report.data["prompts"]
        timed = f"{'all' if scales[side] == 1 else 'a sample'}, {len(times.seconds)} rounds"
        span = f"{prompts / high:.1f} to {prompts / low:.1f}"
        rows.append((side, prompts / seconds, span, seconds, timed))
    report.table(
        f"{name}, four decisions, {report.data['lengths']}",
        ("side", "prompts a second", "quartiles", "s for all prompts", "timed on"), rows,
    )  # fmt: skip


def judge(
    report: Report, name: str, bundle: Path, found: dict[str, Times], scales: dict[str, float]
) -> None:
    """Hold the fastest backend that counts against the best batch size of the pipelines."""
    seconds = {side: times.median * scales[side] for side, times in found.items()}
    rivals = [side for side in found if not side.startswith("Pointsman")]
    ours = [
        side for side in found
        if side.startswith("Pointsman") and counts(bundle, side.removeprefix("Pointsman, "))
    ]  # fmt: skip
    if not ours:
        print("\nno blessed export: nothing counts for the bar")
        return
    best = min(ours, key=seconds.__getitem__)
    rival = max(rivals, key=lambda side: (len(found[side].seconds), -seconds[side]))
    report.judge(
        f"{name}, throughput, {best} against {rival} (their best batch size)",
        seconds[rival] / seconds[best], BAR,
    )  # fmt: skip


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("chat", type=Path, help="JSONL with a `text` a line")
    add_models(parser)
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--sample", type=int, default=96, help="prompts that pipelines answer")
    parser.add_argument("--trials", type=int, default=3, help="rounds to find the best batch size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backends", nargs="+", help="of Pointsman; all that are exported")
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES))
    args = parse(parser, quick={"shape": "tiny-shape", "prompts": 60, "sample": 20})
    report = start("throughput", args)
    name, bundle, singles = find_models(args)
    texts = read_texts(args.chat, args.prompts, args.seed)
    encoder = TextEncoder.from_directory(bundle)
    lengths = [count_tokens(encoder, text) for text in texts]
    chosen = stratified(lengths, args.sample, args.seed)
    sample = [texts[i] for i in chosen]
    report.data |= {"prompts": len(texts), "lengths": describe(lengths)}
    report.data["sample"] = describe([lengths[i] for i in chosen])
    report.data["costs"] = {
        "all": _costs([min(n, 512) for n in lengths]),
        "sample": _costs([min(lengths[i], 512) for i in chosen]),
    }
    print(f"all: {report.data['lengths']}\nsample: {report.data['sample']}")
    print(f"tokens a prompt in batches of 1, 8, 32: {report.data['costs']}")

    sides: dict[str, Any] = {}
    scales: dict[str, float] = {}
    for backend in args.backends or exported(bundle):
        sides[f"Pointsman, {backend}"] = partial(Pointsman(bundle, backend, args.threads), texts)
        scales[f"Pointsman, {backend}"] = 1.0
    pipelines = Pipelines(singles, "float32", args.threads)
    for size in args.batches:
        side = f"pipelines, torch fp32, batches of {size}"
        sides[side] = partial(pipelines, sample, batch_size=size)
        scales[side] = len(texts) / len(sample)
    found = measure(sides, args)
    report.data["times"] = {side: times.to_dict() for side, times in found.items()}
    report.data["scales"] = scales
    table(report, name, found, scales)
    judge(report, name, bundle, found, scales)
    report.save(args.output / name)


if __name__ == "__main__":
    main()
