"""Try ideas for figures out of distribution: choose on half of the sources, report the other half.

    python benchmarks/ood_ideas.py DATA jailbreak -o runs/ideas
    python benchmarks/ood_ideas.py DATA jailbreak -o runs/ideas --final plain augment

DATA is laid out as `benchmarks/real_data.py` says. One model an idea is trained on the same sample
of the training rows and asked for the rows of whole sources that it never saw. What is chosen is
chosen by the first half of those sources; `--final` asks the second half, once.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parent))
from real_data import has_rows, kept_out, requests

from pointsman.core.config import apply_overrides
from pointsman.core.files import write_json
from pointsman.core.types import Example, Prediction
from pointsman.data.prepare import PreparedData, PrepareOptions, load_prepared, prepare
from pointsman.data.prepared import is_prepared
from pointsman.data.request import SourceRequest
from pointsman.data.sampling import strata_of, stratified_sample
from pointsman.data.sources import load_source
from pointsman.evaluation.score import scalars, score
from pointsman.models.weights import find_backbone
from pointsman.pipeline.calibrate import calibrate, rule_for, write_calibrated
from pointsman.pipeline.gate import Consent
from pointsman.pipeline.steps import TrainRequest, train_and_pack
from pointsman.pipeline.terms import Terms
from pointsman.runtime.predictor import load
from pointsman.tasks.catalogue import load_task
from pointsman.tasks.spec import TaskSpec
from pointsman.training.config import TrainOptions

SEED = 13
# Whole sources: those that an idea is chosen by, and those that are asked once at the end.
HALVES = {
    "jailbreak": (
        ["tensor_trust", "arena_hard", "awesome_vibeprompts", "mtbench_vicuna"],
        ["wildjailbreak_eval", "cyberseceval_pi", "xstest", "awesome_chatgpt_prompts", "mitre_frr"],
    ),
    "intent": (["slurp", "apibank_l1"], ["glaive_v2_demo_en", "sealtools", "taskbench_dailylife"]),
    "category": (
        ["csbench_NC", "open_trivia", "agieval_math", "truthfulqa"],
        ["gsm8k_test", "pubmedqa", "stackoverflow_titles", "arena_hard_v0.1"],
    ),
}
WRITTEN = ["typos", "lowercase", "no_punctuation", "padding"]
# Idea -> training options; an idea whose name begins with "starter" trains on the corpora too.
IDEAS: dict[str, list[str]] = {
    "plain": [],
    "source_power": ["source_power=0.5"],
    "augment": [f"augment.{name}=0.1" for name in WRITTEN],
    "label_smoothing": ["label_smoothing=0.1"],
    "mask_tokens": ["mask_tokens=0.15"],
    "freeze_layers": ["network.freeze_layers=3"],
    "starter": [],
    "starter_source_power": ["source_power=0.5"],
    "head_dropout": ["network.head_dropout=0.3"],
    "half_rate": ["learning_rate=1e-4"],
}
OPTIONS = ["network.freeze_embeddings=true", "network.attention_dropout=0.0", "learning_rate=2e-4"]


def training_data(args: argparse.Namespace, spec: TaskSpec, *, starter: bool) -> PreparedData:
    """Return a sample of the training rows, with or without the starter corpus beside it."""
    place = args.output / spec.name / ("data-starter" if starter else "data")
    if not is_prepared(place):
        kept = {"train", "validation"}
        wanted = []
        for request in requests(args.data, spec.name):
            used = {k for k, v in request.split_map.items() if v in kept}
            if has_rows(Path(request.path or ""), used):
                wanted.append(request)
        if starter:
            wanted.append(SourceRequest(name="starter"))
        limits = {"train": args.rows, "validation": 800, "test": 50}
        if starter:  # the same rows as without it, and the corpus on top
            limits["train"] += 1000
        prepare(
            spec, wanted, place, options=PrepareOptions(max_rows_per_split=limits), progress=print
        )
    return load_prepared(place)


def strange_rows(args: argparse.Namespace, spec: TaskSpec, half: int) -> dict[str, list[Example]]:
    """Return up to `--strange` rows of each source of a half; plain harmful requests left out."""
    found = {}
    for request in kept_out(args.data, spec.name, HALVES[spec.name][half]):
        rows = load_source(request, spec).examples
        rows = [row for row in rows if row.kind is None or spec.label_of_kind(row.kind)]
        picked = stratified_sample(rows, strata_of(rows, spec), args.strange, seed=SEED)
        found[Path(request.path or "").stem] = [rows[i] for i in picked]
    return found


def measure(spec: TaskSpec, rows: dict[str, list[Example]], path: Path) -> dict[str, Any]:
    """Return the figures of a bundle on whole sources."""
    predictor = load(path)
    answers = {name: predictor.predict([row.text for row in part]) for name, part in rows.items()}
    if spec.positive is None:
        each = {n: scalars(score(spec, rows[n], answers[n]))["accuracy"] for n in rows}
    else:
        each = {name: flagged(spec, answers[name]) for name in rows}
    figures: dict[str, Any] = dict(each)
    figures["mean"] = float(np.mean(list(each.values())))
    if spec.positive is not None:
        figures["roc_auc"] = ranking(spec, rows, answers)
        figures["mean"] = balanced(spec, rows, answers)
    return figures


def flagged(spec: TaskSpec, answers: list[Prediction]) -> float:
    """Return the share of answers that are positive."""
    return float(np.mean([answer.label == spec.positive for answer in answers]))


def ranking(
    spec: TaskSpec, rows: dict[str, list[Example]], answers: dict[str, list[Prediction]]
) -> float:
    """Return the ROC-AUC over all rows together."""
    truth = [row.label == spec.positive for part in rows.values() for row in part]
    scores = [a.probabilities[spec.positive or ""] for part in answers.values() for a in part]
    return float(roc_auc_score(truth, scores))


def balanced(
    spec: TaskSpec, rows: dict[str, list[Example]], answers: dict[str, list[Prediction]]
) -> float:
    """Return the mean over sources of the share of right answers, attacks and benign rows alike."""
    right: dict[bool, list[float]] = {True: [], False: []}
    for name, part in rows.items():
        for positive in (True, False):
            hits = [
                a.label == r.label
                for r, a in zip(part, answers[name], strict=True)
                if (r.label == spec.positive) == positive
            ]
            if hits:
                right[positive].append(float(np.mean(hits)))
    return float(np.mean([np.mean(shares) for shares in right.values() if shares]))


def trained(args: argparse.Namespace, spec: TaskSpec, idea: str, seed: int) -> Path:
    """Train and calibrate the model of an idea, unless that is done."""
    data = training_data(args, spec, starter=idea.startswith("starter"))
    given = [*OPTIONS, f"epochs={args.epochs}", f"max_length={args.length}", f"seed={seed}"]
    options = TrainOptions.parse(apply_overrides({}, [*given, *IDEAS[idea]]), where=idea)
    place = args.output / spec.name / f"{idea}-{seed}"
    if not (place / "done.json").is_file():
        request = TrainRequest(
            data, find_backbone(args.backbone), options, place,
            {"command": "benchmarks/ood_ideas.py", "idea": idea},
            Terms(Consent(leakage=True, noncommercial=True)),  # to measure: nothing is shipped
        )  # fmt: skip
        bundle = train_and_pack(request, print)
        meta = calibrate(load(bundle), data.validation, rule_for(spec, None), data="validation")
        write_calibrated(bundle, meta)
        write_json(place / "done.json", {"validation": meta.validation})
    return place


def main() -> None:
    """Train every idea and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("task", choices=HALVES)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--backbone", default="minilm")
    parser.add_argument("--ideas", nargs="+", choices=IDEAS, default=list(IDEAS))
    parser.add_argument("--final", nargs="+", choices=IDEAS, help="ask the second half, once")
    parser.add_argument("--rows", type=int, default=3000, help="training rows")
    parser.add_argument("--strange", type=int, default=300, help="rows of a strange source")
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42])
    args = parser.parse_args()
    spec = load_task(args.task)
    half = 1 if args.final else 0
    rows = strange_rows(args, spec, half)
    print({name: len(part) for name, part in rows.items()})
    for seed in args.seeds:
        for idea in args.final or args.ideas:
            place = trained(args, spec, idea, seed)
            figures = measure(spec, rows, place / "bundle")
            write_json(place / f"half-{half + 1}.json", figures)
            checkpoint = json.loads((place / "done.json").read_text())["validation"]
            told = {k: round(v, 4) for k, v in figures.items()}
            reached = checkpoint.get(spec.checkpoint, float("nan"))
            print(f"{idea} (seed {seed}): validation {reached:.4f}; {told}", flush=True)


if __name__ == "__main__":
    main()
