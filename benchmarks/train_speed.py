"""Rows a second of our training, beside a plain Trainer and beside padding to the longest.

    python benchmarks/train_speed.py DATA --backbone modernbert-base-shape
    python benchmarks/train_speed.py DATA --backbone bge-small-en-v1.5 --ablation
    python benchmarks/train_speed.py DATA --backbone bge-small-en-v1.5 --quality 2000 --seeds 0 1 2

DATA is a prepared directory. A sample of its rows that costs each side what the whole would is
trained on once by each side in turn; sides that no bar is about take part in fewer rounds. The
clock runs from the first forward pass to the end of the last optimiser step, so that neither
evaluation nor saving counts. The plain side is transformers' Trainer as the document's scripts use
it: fp32, batches of 8 in random order, rows tokenised before.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from timing import Report, Times, measured_turns, parse, start
from train_sides import (
    DOCUMENT,
    NOTHING,
    PLAIN_BATCH,
    Bench,
    Measures,
    alone,
    build,
    collate,
    make_bench,
    our_seconds,
    plain_seconds,
    plain_trainer,
    sample_fit,
    without,
)

from pointsman.bundle.meta import BundleMeta
from pointsman.data.encode import TextEncoder
from pointsman.models.weights import Backbone, find_backbone
from pointsman.tasks.labels import model_labels
from pointsman.training.config import TrainOptions, resolve
from pointsman.training.rows import Row

BAR = 3.0
PLAIN, OURS = "plain Trainer", "Pointsman"


def sides_of(bench: Bench, ours: Measures, *, ablation: bool) -> dict[str, Callable[[], float]]:
    """Return the sides by name; each trains once over the sample and returns its seconds."""
    sides: dict[str, Callable[[], float]] = {
        PLAIN: partial(plain_seconds, bench, PLAIN),
        "plain, padded to 512": partial(
            plain_seconds, bench, "plain, padded to 512", padding="max_length"
        ),
        OURS: partial(our_seconds, bench, OURS, ours),
    }
    if ablation:
        name = "plain, tokenising in the loop"
        sides[name] = partial(plain_seconds, bench, name, tokenise=True)
        variants = {"Pointsman's loop, no measure": NOTHING, **alone(ours), **without(ours)}
        sides |= {
            name: partial(our_seconds, bench, name, variant) for name, variant in variants.items()
        }
    return sides


def default_measures(bench: Bench) -> Measures:
    """Return what `pointsman train` does on this machine, by its own preset."""
    import torch

    from pointsman.training.precision import choose_precision

    rows = len(bench.data.train)
    options = resolve(TrainOptions(), rows=rows, parameters=_parameters(bench))
    precision = choose_precision("auto").name
    kernels = precision == "bf16" and not torch.cuda.is_available()
    return Measures(
        precision, kernels, options.length_grouped, options.batch_size or PLAIN_BATCH,
        options.network.attention_dropout == 0.0,
    )  # fmt: skip


def _parameters(bench: Bench) -> int:
    return (bench.backbone.path / "model.safetensors").stat().st_size // 4


def epoch_padding(lengths: Sequence[int], batch: int) -> float:
    """Return the share of padding in an epoch of batches of like length."""
    from pointsman.training.batching import LengthGroupedSampler

    order = LengthGroupedSampler(lengths, batch, seed=0).order(0)
    parts = [[lengths[i] for i in order[k : k + batch]] for k in range(0, len(order), batch)]
    return 1 - sum(lengths) / sum(len(part) * max(part) for part in parts)


def speed(report: Report, bench: Bench, args: argparse.Namespace) -> None:
    """Measure and print."""
    ours = default_measures(bench)
    sides = sides_of(bench, ours, ablation=args.ablation)
    fewer = {name: args.others for name in sides if name not in (PLAIN, OURS)}
    found = measured_turns(sides, rounds=args.rounds, warmup=1, fewer=fewer)
    tokens = sum(len(row.input_ids) for row in bench.rows)
    plain = found[PLAIN]
    rows = [_line(name, times, plain, tokens, bench) for name, times in found.items()]
    report.table(
        f"{bench.data.spec.name}, {bench.backbone.name}: {len(bench.rows)} rows of "
        f"{tokens / len(bench.rows):.0f} tokens in the mean",
        ("side", "rows a second", "quartiles", "padding", "times the plain Trainer"), rows,
    )  # fmt: skip
    report.data |= {"measures": dataclasses.asdict(ours), "tokens": tokens}
    left = epoch_padding(bench.lengths, ours.batch)
    fit = sample_fit(bench)
    report.data["fit"] = fit
    print("\n" + "; ".join(f"{name}: {one:.0f} of the sample, {all_:.0f} of the whole"
                           for name, (one, all_) in fit.items()))  # fmt: skip
    report.data["epoch_padding"] = left
    print(f"\nOf a whole epoch of Pointsman's batches {left:.1%} is padding: the most to be saved.")
    report.data["times"] = {name: times.to_dict() for name, times in found.items()}
    report.judge(
        f"training, {bench.backbone.name}, against a plain Trainer",
        found[OURS].ratio(plain), BAR,
    )  # fmt: skip


def _line(name: str, times: Times, plain: Times, tokens: int, bench: Bench) -> tuple[Any, ...]:
    low, high = times.quartiles
    count = len(bench.rows)
    return (
        name, count / times.median, f"{count / high:.2f} to {count / low:.2f}",
        f"{1 - tokens / bench.spent[name]:.0%}", times.ratio(plain),
    )  # fmt: skip


def quality(report: Report, bench: Bench, args: argparse.Namespace) -> None:
    """Train both to the end over some seeds and print the final validation figures."""
    whole = bench.data.train
    rows = random.Random(0).sample(whole, min(args.quality, len(whole)))
    data = dataclasses.replace(bench.data, train=tuple(rows))
    bench = dataclasses.replace(bench, data=data)
    found: dict[str, list[float]] = {PLAIN: [], OURS: []}
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for seed in args.seeds:
        for name, train in ((PLAIN, train_plainly), (OURS, train_ours)):
            figure, spent = train(bench, seed, args)
            found[name].append(figure)
            seconds[name].append(spent)
            print(f"  seed {seed}, {name}: {figure:.4f} in {spent:.0f} s", flush=True)
    spec = bench.data.spec
    report.table(
        f"{spec.name}, {bench.backbone.name}: validation {spec.checkpoint} of the best "
        f"epoch, {len(data.train):,} rows, seeds {', '.join(map(str, args.seeds))}",
        ("side", "mean", "spread over seeds", "each", "seconds in the mean"),
        [_ending(name, figures, seconds[name]) for name, figures in found.items()],
    )
    report.data |= {"quality": found, "quality_seconds": seconds}


def _ending(name: str, figures: list[float], seconds: list[float]) -> tuple[Any, ...]:
    mean, spread = statistics.mean(figures), max(figures) - min(figures)
    each = " ".join(f"{figure:.3f}" for figure in figures)
    return name, f"{mean:.4f}", f"{spread:.4f}", each, statistics.mean(seconds)


def train_plainly(bench: Bench, seed: int, args: argparse.Namespace) -> tuple[float, float]:
    """Train a plain Trainer to the end; return the best epoch's validation figure, and seconds."""
    from transformers import AutoTokenizer, TrainerCallback, set_seed

    from pointsman.pipeline.encoding import metric_function

    training, validation, meta = _encoded(bench)
    measure = metric_function(meta, validation)
    set_seed(seed)
    model = build(bench, no_attention_dropout=False, seed=seed)
    rows = [{"input_ids": row.input_ids, "labels": row.labels} for row in training.rows]
    collator = collate(AutoTokenizer.from_pretrained(bench.backbone.path), "longest")
    figures = []

    class Measure(TrainerCallback):
        def on_epoch_end(self, *_: Any, **__: Any) -> None:
            logits = _logits(model, validation.rows)
            figures.append(measure(logits)[bench.data.spec.checkpoint])
            model.train()

    with tempfile.TemporaryDirectory() as place:
        trainer = plain_trainer(model, rows, collator, Path(place), seed=seed, epochs=args.epochs)
        trainer.add_callback(Measure())
        started = time.perf_counter()
        trainer.train()
    return max(figures), time.perf_counter() - started


def train_ours(bench: Bench, seed: int, args: argparse.Namespace) -> tuple[float, float]:
    """Train as `pointsman train` does by its preset; return the validation figure and seconds."""
    from pointsman.models.network import build_network
    from pointsman.pipeline.encoding import metric_function, row_weights
    from pointsman.pipeline.steps import objective
    from pointsman.training.job import Job
    from pointsman.training.trainer import train

    training, validation, meta = _encoded(bench)
    measure = metric_function(meta, validation)
    spec = bench.data.spec
    options = resolve(
        TrainOptions(seed=seed, report_to=(), epochs=args.epochs, learning_rate=args.rate),
        rows=len(training.rows), parameters=_parameters(bench),
    )  # fmt: skip
    network = build_network(bench.backbone, spec, options=options.network, seed=seed)
    with tempfile.TemporaryDirectory() as place:
        started = time.perf_counter()
        outcome = train(Job(
            model=network.model, train=training.rows,
            objectives=[objective(meta, training, validation, options.class_weights)],
            pad_id=network.model.config.pad_token_id or 0, options=options, directory=Path(place),
            identity={}, weights=row_weights(training, options.source_power),
        ))  # fmt: skip
        spent = time.perf_counter() - started
    return measure(_logits(outcome.model, validation.rows))[spec.checkpoint], spent


def _encoded(bench: Bench) -> tuple[Any, Any, BundleMeta]:
    from pointsman.pipeline.encoding import encode_split

    spec = bench.data.spec
    token = spec.level == "token"
    encoder = TextEncoder.from_backbone(bench.backbone.path, lines=token)
    training = encode_split(spec, encoder, bench.data.train, every_window=token)
    validation = encode_split(spec, encoder, bench.data.validation, every_window=True)
    thresholds = {spec.positive: 0.5} if spec.positive else {}
    meta = BundleMeta(
        task=spec, labels=model_labels(spec), max_length=encoder.max_length, thresholds=thresholds
    )
    return training, validation, meta


def _logits(model: Any, rows: Sequence[Row], batch: int = 32) -> list[Any]:
    """Return the logits of each row, without padding, in fp32."""
    import torch

    model.eval()
    found: list[Any] = []
    for begin in range(0, len(rows), batch):
        part = rows[begin : begin + batch]
        longest = max(len(row.input_ids) for row in part)
        ids = torch.full((len(part), longest), model.config.pad_token_id or 0)
        mask = torch.zeros_like(ids)
        for index, row in enumerate(part):
            ids[index, : len(row.input_ids)] = torch.as_tensor(row.input_ids)
            mask[index, : len(row.input_ids)] = 1
        with torch.inference_mode():
            logits = model(input_ids=ids, attention_mask=mask).logits.float().numpy()
        found += [
            one if one.ndim == 1 else one[: len(row.input_ids)]
            for one, row in zip(logits, part, strict=True)
        ]
    return found


def backbone_of(name: str, place: Path) -> Backbone:
    """Return a backbone by name, or one of a shape of ours with random weights."""
    from shapes import SHAPES, write_backbone

    if name in SHAPES:
        return find_backbone(str(write_backbone(place / name, SHAPES[name])))
    return find_backbone(name)


def main() -> None:
    """Measure speed, or quality."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="prepared data, of the jailbreak task")
    parser.add_argument("--backbone", default="modernbert-base-shape")
    parser.add_argument("--rows", type=int, default=128, help="rows of the sample")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--others", type=int, default=5, help="rounds of all sides but two")
    parser.add_argument("--ablation", action="store_true", help="each measure by itself")
    parser.add_argument("--quality", type=int, help="train to the end on so many rows instead")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=float, default=DOCUMENT["epochs"], help="of --quality")
    parser.add_argument("--rate", type=float, help="of ours in --quality; else the preset's")
    args = parse(parser, quick={"rows": 64, "others": 1, "seeds": [0], "epochs": 1.0})
    report = start("train_speed", args)
    bench = make_bench(args.data, backbone_of(args.backbone, args.output), args.rows, args.seed)
    (quality if args.quality else speed)(report, bench, args)
    report.save(args.output / bench.backbone.name / ("quality" if args.quality else "speed"))


if __name__ == "__main__":
    main()
