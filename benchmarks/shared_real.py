"""Train tasks under one encoder on data that is prepared already, and evaluate each head.

    python benchmarks/shared_real.py DATA --backbone DIR -o runs/shared --set max_length=256
    python benchmarks/shared_real.py DATA --backbone DIR -o runs/trunk --trunk 0 3 6 12

DATA holds a directory of prepared data for each task. With `--trunk`, tasks are trained apart above
one frozen lower part instead, once for each number of upper layers. One JSON line a task goes to
stdout, and at the end one with the time that all heads take for a prompt of 128 tokens, the numbers
of layers taking turns.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from timing import take_turns

from pointsman.bundle.layout import read_any
from pointsman.bundle.meta import SharedMeta
from pointsman.bundle.update import update_bundle
from pointsman.core.config import apply_overrides
from pointsman.core.files import write_json
from pointsman.data.prepare import load_prepared
from pointsman.data.prepared import is_prepared
from pointsman.export.golden import ensure_golden
from pointsman.models.weights import find_backbone
from pointsman.pipeline.calibrate import calibrate, rule_for, write_calibrated
from pointsman.pipeline.evaluate import evaluate
from pointsman.pipeline.gate import Consent
from pointsman.pipeline.shared import SharedRequest, train_shared
from pointsman.pipeline.steps import TrainRequest
from pointsman.pipeline.terms import Terms
from pointsman.pipeline.trunk import TrunkRequest, train_trunk
from pointsman.runtime.predictor import load_head
from pointsman.runtime.torch_shared import TorchSharedBackend
from pointsman.training.config import SharedOptions, TrainOptions


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--backbone", default="minilm")
    parser.add_argument("--tasks", nargs="+", help="all that DATA holds, when not given")
    parser.add_argument("--set", action="append", default=[], help="training option KEY=VALUE")
    parser.add_argument("--shared", action="append", default=[], help="shared option KEY=VALUE")
    parser.add_argument("--trunk", type=int, nargs="+", help="upper layers that a task adapts")
    parser.add_argument(
        "--head", action="append", default=[], help="a task's own option TASK.KEY=VALUE"
    )
    return parser.parse_args()


def make_requests(args: argparse.Namespace, output: Path) -> list[TrainRequest]:
    """Return what is asked of each task, whose figures go below `output`."""
    names = args.tasks or sorted(p.name for p in args.data.iterdir() if is_prepared(p))
    own = apply_overrides({}, args.head)
    backbone = find_backbone(args.backbone)
    common = apply_overrides({}, args.set)
    return [
        TrainRequest(
            load_prepared(args.data / name), backbone,
            TrainOptions.parse({**common, **own.get(name, {})}, where=f"--head {name}"),
            output / name,
            {"command": "benchmarks/shared_real.py", "task": name, "backbone": args.backbone},
            Terms(Consent(leakage=True, noncommercial=True)),  # to measure: nothing is shipped
        )
        for name in names
    ]  # fmt: skip


def report(bundle: Path, parts: list[TrainRequest], form: str, seconds: float) -> None:
    """Calibrate and evaluate every head, keep its figures and print its main ones."""
    for part in parts:
        spec = part.data.spec
        rule = rule_for(spec, None)
        predictor = load_head(bundle, spec.name, backend="torch")
        meta = calibrate(predictor, part.data.validation, rule, data="validation")
        write_calibrated(bundle, meta)
        predictor = predictor.with_meta(meta)
        start = time.perf_counter()
        figures = evaluate(predictor, part.data.test, slices=part.data.slices).figures
        update_bundle(bundle, meta.model_copy(update={"metrics": figures}))
        write_json(part.directory / "metrics.json", figures)
        scalars = {k: v for k, v in figures.items() if isinstance(v, int | float)}
        line = {
            "form": form, "task": spec.name, "headline": spec.headline,
            spec.headline: figures[spec.headline], spec.checkpoint: figures[spec.checkpoint],
            "train_seconds": round(seconds, 1),
            "evaluate_seconds": round(time.perf_counter() - start, 1), **scalars,
        }  # fmt: skip
        print(json.dumps(line), flush=True)
    ensure_golden(bundle)


def latencies(bundles: Mapping[str, Path], *, tokens: int = 128) -> dict[str, float]:
    """Return the median of the milliseconds that all heads take for one prompt, in torch fp32."""
    prompt = [[100 + i for i in range(tokens)]]
    sides = {}
    for form, bundle in bundles.items():
        meta = read_any(bundle)
        assert isinstance(meta, SharedMeta)
        sides[form] = partial(TorchSharedBackend(bundle, meta).run, prompt, tuple(meta.heads))
    times = take_turns(sides)
    return {form: round(1000 * found.median, 2) for form, found in times.items()}


def train_one(args: argparse.Namespace, told: dict[str, Any]) -> Path:
    """Train all tasks in one run, and evaluate; return the bundle."""
    parts = make_requests(args, args.output)
    request = SharedRequest(
        parts,
        TrainOptions.parse(apply_overrides({}, args.set), where="--set"),
        SharedOptions.parse(apply_overrides({}, args.shared), where="--shared"),
        args.output / "shared", told,
    )  # fmt: skip
    start = time.perf_counter()
    bundle = train_shared(request, say)
    report(bundle, parts, "shared", time.perf_counter() - start)
    return bundle


def main() -> None:
    """Train and evaluate."""
    args = parse_arguments()
    told = {"command": "benchmarks/shared_real.py", "backbone": args.backbone}
    bundles: dict[str, Path] = {}
    for layers in args.trunk or ():
        form = f"trunk-{layers}"
        place = args.output / form
        parts = make_requests(args, place)
        start = time.perf_counter()
        bundles[form] = train_trunk(TrunkRequest(parts, layers, place / "shared", told), say)
        report(bundles[form], parts, form, time.perf_counter() - start)
    if not args.trunk:
        bundles["shared"] = train_one(args, told)
    print(json.dumps({"form": "all", "ms_128_tokens": latencies(bundles)}), flush=True)


def say(line: str) -> None:
    """Print a line of news."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
