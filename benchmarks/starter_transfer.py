"""Train on the starter corpora alone, test on real public test rows, beside TF-IDF.

    python benchmarks/starter_transfer.py DATA category intent -o runs/transfer

DATA is laid out as `benchmarks/real_data.py` says. Nothing of it is trained on or chosen on.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from real_data import TRAINED_ON, has_rows, requests

from pointsman.core.config import apply_overrides
from pointsman.core.types import Example
from pointsman.data.prepare import PrepareOptions, load_prepared, prepare
from pointsman.data.prepared import is_prepared
from pointsman.data.request import SourceRequest
from pointsman.data.sources import load_source
from pointsman.evaluation.baselines import tfidf
from pointsman.evaluation.score import scalars, score
from pointsman.models.weights import find_backbone
from pointsman.pipeline.finish import train_and_evaluate
from pointsman.pipeline.steps import TrainRequest
from pointsman.runtime.predictor import load
from pointsman.tasks.catalogue import load_task
from pointsman.tasks.spec import TaskSpec
from pointsman.training.config import TrainOptions

KEPT = (
    "accuracy",
    "macro_f1",
    "roc_auc",
    "recall_at_fpr_1",
    "span_f1",
    "overlap_f1",
    "clean_share",
)


def real_test(data: Path, spec: TaskSpec) -> list[Example]:
    """Return the public test rows of a task."""
    rows = []
    for request in requests(data, spec.name):
        if has_rows(Path(request.path or ""), {"test"}):
            loaded = load_source(request, spec)
            rows += [e for e in loaded.examples if e.split == "test"]
    return rows


def main() -> None:
    """Run the tasks one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("tasks", nargs="+", choices=TRAINED_ON)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--backbone", default="minilm")
    parser.add_argument("--set", action="append", default=[], help="training option KEY=VALUE")
    args = parser.parse_args()
    for task in args.tasks:
        figures = transfer(args, task)
        print(json.dumps(figures, indent=1), flush=True)
        (args.output / task / "transfer.json").write_text(json.dumps(figures, indent=1))


def transfer(args: argparse.Namespace, task: str) -> dict[str, object]:
    """Train one task on its starter corpus and score it on the real test rows."""
    spec = load_task(task)
    place = args.output / task
    if not is_prepared(place / "data"):
        split = {"train": 0.85, "validation": 0.1, "test": 0.05}
        options = PrepareOptions(fractions=split)
        prepare(spec, [SourceRequest(name="starter")], place / "data", options=options)
    prepared = load_prepared(place / "data")
    options = TrainOptions.parse(apply_overrides({}, args.set), where="--set")
    backbone = find_backbone(args.backbone)
    bundle = train_and_evaluate(
        TrainRequest(prepared, backbone, options, place, {"task": task}), print
    )
    gold = real_test(args.data, spec)
    texts = [example.text for example in gold]
    model = scalars(score(spec, gold, load(bundle).predict(texts)))
    baseline = scalars(score(spec, gold, tfidf(spec).fit(prepared.train).predict(texts)))
    return {
        "task": task,
        "rows": len(gold),
        "trained_on": len(prepared.train),
        "model": {k: round(v, 4) for k, v in model.items() if k in KEPT},
        "tfidf": {k: round(v, 4) for k, v in baseline.items() if k in KEPT},
    }


if __name__ == "__main__":
    main()
