"""All four decisions on one prompt: Pointsman beside four pipelines and four ONNX sessions.

    python benchmarks/latency.py
    python benchmarks/latency.py --bundle runs/shared/bundle

Prompts have exactly 32, 128 and 512 tokens, special ones included; a call answers one prompt.
Without a bundle the weights are random, of ModernBERT base's shape: there bf16 counts for the bars
and int8 is reported, since no blessing means anything.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from shapes import count_tokens, text_of
from sides import (
    Pipelines,
    Pointsman,
    Sessions,
    add_models,
    counts,
    exported,
    find_models,
    single_graphs,
)
from timing import Report, Times, parse, start, take_turns

from pointsman.data.encode import TextEncoder

BARS = {"pipelines, torch fp32": 14.0, "sessions, onnxruntime fp32": 10.0}
BAR_TOKENS = 128


def make_sides(bundle: Path, singles: dict[str, Path], threads: int) -> dict[str, Any]:
    """Return what answers, by name."""
    single_graphs(singles)
    sides: dict[str, Any] = {
        f"Pointsman, {backend}": Pointsman(bundle, backend, threads) for backend in exported(bundle)
    }
    sides["pipelines, torch fp32"] = Pipelines(singles, "float32", threads)
    sides["pipelines, torch bf16"] = Pipelines(singles, "bfloat16", threads)
    sides["sessions, onnxruntime fp32"] = Sessions(singles, threads)
    return sides


def check_same(sides: dict[str, Any], text: str, windows: int) -> None:
    """Refuse to time sides that do not answer alike: all in fp32 must give one label.

    Scores are compared between the rivals; ours are calibrated. Rivals read 512 tokens at once:
    a bundle trained on shorter windows takes several, and may answer otherwise.

    Raises:
        RuntimeError: If two of them differ.
    """
    ours = sides.get("Pointsman, onnxruntime fp32") if windows == 1 else None
    if windows > 1:
        print(f"\nPointsman reads this text in {windows} windows: its labels are not compared")
    theirs = sides["pipelines, torch fp32"]([text])
    sessions = sides["sessions, onnxruntime fp32"]([text])
    for task, answers in theirs.items():
        if isinstance(answers[0], list):  # tokens: the pipeline groups them in its own way
            continue
        label, score = answers[0]["label"], answers[0]["score"]
        other, share = sessions[task][0]
        if other != label or abs(share - score) > 0.01:
            raise RuntimeError(
                f"{task}: sides that answer alike, got {label} {score:.3f} and {other} {share:.3f}"
            )
        if ours is not None:
            shares = ours([text])[task][0].probabilities
            likeliest = max(shares, key=shares.__getitem__)
            if likeliest != label:
                raise RuntimeError(f"{task}: sides that answer alike, got {label} and {likeliest}")


def measure(
    report: Report, name: str, sides: dict[str, Any], text: str, tokens: int, args: Any
) -> dict[str, Times]:
    """Time one length and print its table."""
    calls: dict[str, Callable[[], object]] = {
        side: partial(answer, [text]) for side, answer in sides.items()
    }
    found = take_turns(calls, rounds=args.rounds, warmup=args.warmup)
    rivals = [side for side in found if not side.startswith("Pointsman")]
    headers = ("side", "ms", "quartiles", *(f"times {rival}" for rival in rivals))
    rows = []
    for side, times in found.items():
        low, high = times.quartiles
        span = f"{low * 1000:.1f} to {high * 1000:.1f}"
        rows.append((side, times.median * 1000, span, *(times.ratio(found[r]) for r in rivals)))
    report.table(f"{name}, {tokens} tokens, one prompt, four decisions", headers, rows)
    report.data[f"{tokens} tokens"] = {side: times.to_dict() for side, times in found.items()}
    return found


def judge(report: Report, name: str, bundle: Path, found: dict[str, Times]) -> None:
    """Hold the fastest backend that counts against the bars."""
    ours = {
        side: times for side, times in found.items()
        if side.startswith("Pointsman") and counts(bundle, side.removeprefix("Pointsman, "))
    }  # fmt: skip
    if not ours:
        print("\nno blessed export: nothing counts for the bars")
        return
    best = min(ours, key=lambda side: ours[side].median)
    for rival, bar in BARS.items():
        ratio = ours[best].ratio(found[rival])
        report.judge(f"{name}, {BAR_TOKENS} tokens, {best} against {rival}", ratio, bar)


def main() -> None:
    """Measure every length."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_models(parser)
    parser.add_argument("--tokens", type=int, nargs="+", default=[32, 128, 512])
    args = parse(parser, quick={"shape": "tiny-shape"})
    report = start("latency", args)
    name, bundle, singles = find_models(args)
    encoder = TextEncoder.from_directory(bundle)
    sides = make_sides(bundle, singles, args.threads)
    for tokens in args.tokens:
        text = text_of(encoder, tokens)
        assert count_tokens(encoder, text) == tokens
        check_same(sides, text, len(encoder.encode([text])[0]))
        found = measure(report, name, sides, text, tokens, args)
        if tokens == BAR_TOKENS:
            judge(report, name, bundle, found)
    report.save(args.output / name)


if __name__ == "__main__":
    main()
