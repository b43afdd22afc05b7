"""How cost grows: with the length of a prompt, prompts a call, texts in a file, rows to train on.

    python benchmarks/growth.py length batch
    python benchmarks/growth.py texts rows --plots docs/plots

- `length`: one prompt of 16 to 8,192 tokens, all heads; beyond 512 it is read window by window.
- `batch`: 1 to 256 prompts of 128 tokens in one call, all heads.
- `texts`: `pointsman score` of 1,000 to 1,000,000 texts, in a process of its own.
- `rows`: preparing, auditing, encoding, training on and packing 1,000 to 100,000 rows, one epoch,
  in a process of its own.

`length` and `batch` take the bundle, or ModernBERT base's shape. `texts` and `rows` take a tiny
shape of two layers of 64, since a million texts through a real one take hours: what they show is
that nothing else grows faster than it should.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from plots import plot
from timing import Report, parse, peak_mib, reset_peak, run_child, slope, start, take_turns

WORDS = 30
CLASSIFIED = "category"
HELD_OUT = {"validation": 500, "test": 200}
SCORE = "import sys\nfrom pointsman.cli.main import main\nsys.argv[0] = 'pointsman'\nmain()\n"


def sizes(first: int, last: int, factor: int) -> list[int]:
    """Return the sizes from the first to the last, each so many times the one before."""
    found = [first]
    while found[-1] * factor <= last:
        found.append(found[-1] * factor)
    return found


def measure_length(report: Report, args: argparse.Namespace) -> None:
    """Time one prompt of every length."""
    from shapes import text_of

    name, predictor = _predictor(args)
    counts = sizes(16, args.longest, 2)
    rows = []
    for tokens in counts:
        text = text_of(predictor._encoder, tokens)
        windows = len(predictor._encoder.encode([text])[0])
        reset_peak()
        calls = {"predict": partial(predictor.predict, [text])}
        times = take_turns(calls, rounds=args.rounds, warmup=args.warmup, settle=False)["predict"]
        rows.append((tokens, windows, times.median * 1000, times.median * 1e6 / tokens, peak_mib()))
    columns = ("tokens", "windows", "ms", "microseconds a token", "peak MiB")
    title = f"{name}, {predictor.backend_name}: one prompt, all heads"
    report.table(f"{title}; grows as tokens to the power {_power(rows, 2)}", columns, rows)
    _draw(report, args, "length", (title, "tokens", "ms"), {"predict": _points(rows, 2)})


def measure_batch(report: Report, args: argparse.Namespace) -> None:
    """Time calls of many prompts."""
    from shapes import text_of

    name, predictor = _predictor(args)
    counts = sizes(1, args.largest, 2)
    texts = [text_of(predictor._encoder, 128, seed) for seed in range(counts[-1])]
    rows = []
    for count in counts:
        reset_peak()
        calls = {"predict": partial(predictor.predict, texts[:count])}
        times = take_turns(calls, rounds=args.rounds, warmup=args.warmup, settle=False)["predict"]
        rows.append((count, times.median * 1000, times.median * 1000 / count,
                     count / times.median, peak_mib()))  # fmt: skip
    columns = ("prompts a call", "ms", "ms a prompt", "prompts a second", "peak MiB")
    title = f"{name}, {predictor.backend_name}: prompts of 128 tokens, all heads"
    report.table(f"{title}; grows as prompts to the power {_power(rows, 1)}", columns, rows)
    _draw(report, args, "batch", (title, "prompts a call", "ms"), {"predict": _points(rows, 1)})


def _predictor(args: argparse.Namespace) -> tuple[str, Any]:
    from sides import Pointsman, counts, exported, find_models

    name, bundle, _ = find_models(args)
    known = [backend for backend in exported(bundle) if counts(bundle, backend)]
    wanted = [b for b in known if b.startswith("openvino")] or known
    return name, Pointsman(bundle, args.backend or wanted[0], args.threads).predictor


def measure_texts(report: Report, args: argparse.Namespace) -> None:
    """Time `pointsman score` of files of every size."""
    from sides import find_models

    tiny = argparse.Namespace(bundle=None, shape="tiny-shape", output=args.output)
    _, bundle, _ = find_models(tiny)
    rows = []
    for count in sizes(1000, args.texts, 10):
        with tempfile.TemporaryDirectory() as temporary:
            file, out = Path(temporary) / "texts.jsonl", Path(temporary) / "answers.jsonl"
            with file.open("w", encoding="utf-8") as lines:
                for text in made_texts(count):
                    lines.write(json.dumps({"text": text}) + "\n")
            command = [sys.executable, "-c", SCORE, "score", str(file), "--bundle", str(bundle)]
            command += ["--out", str(out), "--threads", str(args.threads)]
            seconds, peak, _ = run_child(command)
            rows.append((count, seconds, count / seconds, peak, out.stat().st_size / 2**20))
        print(f"  {count:,} texts: {seconds:.1f} s, {peak:.0f} MiB", flush=True)
    columns = ("texts", "s", "texts a second", "peak MiB", "MiB of answers")
    title = "tiny shape: pointsman score, all heads, one run each"
    report.table(f"{title}; grows as texts to the power {_power(rows, 1)}", columns, rows)
    _draw(report, args, "texts", (title, "texts", "s"), {"score": _points(rows, 1)})
    _draw(report, args, "texts-memory", (title, "texts", "peak MiB"), {"score": _points(rows, 3)})


def made_texts(count: int, seed: int = 0) -> Iterator[str]:
    """Yield texts of thirty words of the starter corpora, each word as often as there."""
    from shapes import starter_texts

    words = [word for text in starter_texts() for word in text.split()]
    draw = random.Random(seed)
    for _ in range(count):
        yield " ".join(draw.choices(words, k=WORDS))


def measure_rows(report: Report, args: argparse.Namespace) -> None:
    """Time training on data of every size, each in a process of its own."""
    from shapes import TINY, write_backbone

    backbone = write_backbone(args.output / "models" / "tiny-shape" / "backbone", TINY)
    rows = []
    for count in sizes(1000, args.rows, 10):
        command = [sys.executable, __file__, "rows", "--one", str(count), "--backbone"]
        command += [str(backbone), "--threads", str(args.threads)]
        _, peak, said = run_child(command)
        spent = json.loads(said.splitlines()[-1])
        rows.append((count, spent["prepare"], spent["around"], spent["train"],
                     count / spent["train"], peak))  # fmt: skip
        print(f"  {count:,} rows: {spent}, {peak:.0f} MiB", flush=True)
    columns = ("training rows", "s to prepare", "s to audit, encode, evaluate and pack",
               "s to train, one epoch", "rows trained a second", "peak MiB")  # fmt: skip
    title = "tiny shape, category, rows of 30 words, one run each"
    powers = ", ".join(_power(rows, column) for column in (1, 2, 3))
    report.table(f"{title}; seconds grow as rows to the power {powers}", columns, rows)
    lines = {"prepare": _points(rows, 1), "audit, encode, pack": _points(rows, 2),
             "train": _points(rows, 3)}  # fmt: skip
    _draw(report, args, "rows", (title, "training rows", "s"), lines)
    _draw(report, args, "rows-memory", (title, "training rows", "peak MiB"), {"": _points(rows, 5)})


def train_once(count: int, backbone: Path) -> dict[str, float]:
    """Prepare, train on and pack so many rows, and return the seconds of each part."""
    from pointsman.bundle.layout import read_bundle
    from pointsman.data.prepare import PrepareOptions, load_prepared, prepare
    from pointsman.data.request import SourceRequest
    from pointsman.models.weights import find_backbone
    from pointsman.pipeline.gate import Consent
    from pointsman.pipeline.steps import TrainRequest, train_and_pack
    from pointsman.pipeline.terms import Terms
    from pointsman.tasks.catalogue import load_task
    from pointsman.training import trainer  # torch and transformers load before the clock runs
    from pointsman.training.config import TrainOptions

    assert trainer
    spec = load_task(CLASSIFIED)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        write_rows(place / "rows.jsonl", count, spec.labels)
        source = SourceRequest(
            path=str(place / "rows.jsonl"), split_field="split", licence="Apache-2.0"
        )
        begun = time.perf_counter()
        prepare(spec, [source], place / "data", options=PrepareOptions(), progress=_silent)
        prepared = time.perf_counter()
        options = TrainOptions(epochs=1, patience=0, report_to=(), batch_size=32)
        terms = Terms(Consent(leakage=True, noncommercial=True))  # for timing alone
        request = TrainRequest(
            load_prepared(place / "data"), find_backbone(str(backbone)), options, place / "run",
            {}, terms,
        )  # fmt: skip
        cost = read_bundle(train_and_pack(request, _silent)).cost
        ended = time.perf_counter()
    train = cost.seconds if cost else float("nan")
    return {"prepare": prepared - begun, "around": ended - prepared - train, "train": train}


def _silent(line: str) -> None:
    """Say nothing."""


def write_rows(file: Path, count: int, labels: tuple[str, ...]) -> None:
    """Write a source of so many training rows, and some to validate and test on."""
    draw = random.Random(1)
    splits = [split for split, rows in {"train": count, **HELD_OUT}.items() for _ in range(rows)]
    with file.open("w", encoding="utf-8") as lines:
        for split, text in zip(splits, made_texts(len(splits)), strict=True):
            row = {"text": text, "label": draw.choice(labels), "split": split}
            lines.write(json.dumps(row) + "\n")


def _points(rows: list[tuple[Any, ...]], column: int) -> tuple[list[float], list[float]]:
    return [float(row[0]) for row in rows], [float(row[column]) for row in rows]


def _power(rows: list[tuple[Any, ...]], column: int) -> str:
    return f"{slope(*_points(rows, column)):.2f}" if len(rows) > 1 else "unknown"


def _draw(
    report: Report, args: argparse.Namespace, name: str, labels: tuple[str, str, str],
    series: dict[str, tuple[list[float], list[float]]],
) -> None:  # fmt: skip
    report.data[name] = series
    if args.plots:
        plot(args.plots / f"growth-{name}.svg", labels, series)


MEASURES = {
    "length": measure_length,
    "batch": measure_batch,
    "texts": measure_texts,
    "rows": measure_rows,
}


def main() -> None:
    """Measure what was asked for."""
    from sides import add_models

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="+", choices=MEASURES)
    add_models(parser)
    parser.add_argument("--backend", help="of length and batch; else the best that counts")
    parser.add_argument("--longest", type=int, default=8192, help="tokens of the longest prompt")
    parser.add_argument("--largest", type=int, default=256, help="prompts of the largest call")
    parser.add_argument("--texts", type=int, default=1_000_000, help="texts of the largest file")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the largest training")
    parser.add_argument("--plots", type=Path, help="directory for SVG plots")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--backbone", type=Path, help=argparse.SUPPRESS)
    quick = {"shape": "tiny-shape", "longest": 1024, "largest": 8, "texts": 1000, "rows": 1000}
    args = parse(parser, quick=quick)
    if args.one:
        print(json.dumps(train_once(args.one, args.backbone)))
        return
    report = start("growth", args)
    for what in args.what:
        MEASURES[what](report, args)
    report.save(args.output / "growth" / "-".join(args.what))


if __name__ == "__main__":
    main()
