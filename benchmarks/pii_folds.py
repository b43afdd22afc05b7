"""Score personal data out of fold: every template is answered by a model that never saw it.

    python benchmarks/pii_folds.py DATA --backbone minilm -o runs/pii-folds --set epochs=3

DATA is the directory that `real_data.py` takes. The rows of all `presidio_*` files are divided
into folds by template, stratified by the rarest type of a row; for each fold one model is trained
on the other ones (a tenth of their templates validates) and answers the fold's rows. Figures are
taken over the rows of all folds together, so that a type that rests on two templates is scored
on both. Finished folds are kept: the same command goes on where it stopped.

`--development` leaves the test rows out, so that settings can be chosen, and errors read, by folds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

sys.path.insert(0, str(Path(__file__).parent))
from real_data import IN_PART, in_part

from pointsman.core.config import apply_overrides
from pointsman.core.files import write_json, write_jsonl
from pointsman.core.types import Example, Prediction
from pointsman.data.prepare import load_prepared, prepare
from pointsman.data.prepared import is_prepared
from pointsman.data.request import SourceRequest
from pointsman.evaluation.score import score
from pointsman.models.weights import find_backbone
from pointsman.pipeline.finish import train_and_evaluate
from pointsman.pipeline.gate import Consent
from pointsman.pipeline.steps import TrainRequest
from pointsman.pipeline.terms import Terms
from pointsman.runtime.predictor import load
from pointsman.tasks.catalogue import load_task
from pointsman.training.config import TrainOptions

SEED = 13


def read(file: Path) -> list[dict[str, Any]]:
    """Read the rows of a JSONL file."""
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def rarest_types(rows: list[dict[str, Any]]) -> list[str]:
    """Return, for each row, the type in it that the fewest rows hold; "" for a row with none."""
    held = [{span["label"] for span in row["spans"]} for row in rows]
    counts = Counter(label for labels in held for label in labels)
    return [min(labels, key=lambda x: (counts[x], x), default="") for labels in held]


def folds_of(rows: list[dict[str, Any]], count: int) -> NDArray[np.int64]:
    """Return the fold of every row; rows of one template share it."""
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=SEED)
    fold = np.zeros(len(rows), dtype=np.int64)
    types, groups = rarest_types(rows), [row["group"] for row in rows]
    for number, (_, chosen) in enumerate(splitter.split(np.zeros(len(rows)), types, groups)):
        fold[chosen] = number
    return fold


def fold_file(
    rows: list[dict[str, Any]],
    fold: NDArray[np.int64],
    number: int,
    file: Path,
    tested: Sequence[str] = (),
) -> SourceRequest:
    """Write the rows with the split that each has in one fold; some sources are tested alone."""
    rest = np.flatnonzero(fold != number)
    groups = [rows[i]["group"] for i in rest]
    chooser = GroupShuffleSplit(1, test_size=0.1, random_state=SEED)
    _, held = next(chooser.split(rest, groups=groups))
    split = np.where(fold == number, "test", "train").astype(object)
    split[rest[held]] = "validation"
    marked = (
        {**row, "split": str(s)}
        for row, s in zip(rows, split, strict=True)
        if s == "test" or row["source"] not in tested
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    write_jsonl(file, marked)
    return SourceRequest(path=str(file), split_field="split", licence="see the data's own README")


def answer_fold(
    args: argparse.Namespace, rows: list[dict[str, Any]], fold: NDArray[np.int64], number: int
) -> tuple[tuple[Example, ...], list[Prediction]]:
    """Train on the other folds and answer this one."""
    folder = args.output / f"fold-{number}"
    place = folder / "data"
    if not is_prepared(place):
        wanted = [fold_file(rows, fold, number, folder / "rows.jsonl", args.test_only)]
        wanted += [
            SourceRequest(
                path=str(file), split_field="split_hint",
                split_map={"train": "train", "validation": "validation", "test": "drop"},
                licence="see the data's own README",
            )
            for file in sorted((args.data / "pii").glob("neg_*.jsonl"))
        ]  # fmt: skip
        if args.starter:
            wanted.append(SourceRequest(name="starter", limit=args.starter))
        if args.in_part:
            wanted.append(in_part(args.data, args.in_part))
        prepare(load_task("pii"), wanted, place, progress=print)
    data = load_prepared(place)
    options = TrainOptions.parse(apply_overrides({}, args.set), where="--set")
    request = TrainRequest(
        data, find_backbone(args.backbone), options, folder / "run",
        {"command": "benchmarks/pii_folds.py", "backbone": args.backbone, "fold": number},
        Terms(Consent(leakage=True, noncommercial=True)),  # to measure: nothing of it is shipped
    )  # fmt: skip
    if not (folder / "run" / "metrics.json").is_file():
        train_and_evaluate(request, print)
    predictor = load(folder / "run" / "bundle")
    return data.test, predictor.predict([example.text for example in data.test])


def main() -> None:
    """Train and score every fold, then all of them together."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--backbone", default="minilm")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--only", type=int, nargs="+", help="numbers of the folds to do")
    parser.add_argument("--development", action="store_true", help="leave test rows out")
    parser.add_argument(
        "--starter", type=int, help="add so many rows of the starter corpus to train"
    )
    parser.add_argument(
        "--test-only", action="append", default=[], help="source that is scored and never learned"
    )
    parser.add_argument("--in-part", choices=IN_PART, help="add the rows of this file to train")
    parser.add_argument("--set", action="append", default=[], help="training option KEY=VALUE")
    args = parser.parse_args()

    rows = [row for f in sorted((args.data / "pii").glob("presidio_*.jsonl")) for row in read(f)]
    if args.development:
        rows = [row for row in rows if row["split_hint"] in ("train", "validation")]
    fold = folds_of(rows, args.folds)
    spec = load_task("pii")
    examples: list[Example] = []
    predictions: list[Prediction] = []
    each = []
    for number in args.only or range(args.folds):
        gold, found = answer_fold(args, rows, fold, number)
        each.append(score(spec, gold, found)["span_f1"])
        print(f"fold {number}: {len(gold)} rows, strict span F1 {each[-1]:.4f}", flush=True)
        examples += gold
        predictions += found
    figures = score(spec, examples, predictions)
    sources = {}
    for source in sorted({example.source for example in examples}):
        of_it = [i for i, example in enumerate(examples) if example.source == source]
        part = score(spec, [examples[i] for i in of_it], [predictions[i] for i in of_it])
        sources[source] = {"rows": len(of_it), "span_f1": part["span_f1"]}
        print(f"{source}: {len(of_it)} rows, strict span F1 {part['span_f1']:.4f}")
    write_json(args.output / "metrics.json", {"folds": each, "sources": sources, **figures})
    print(f"out of fold: {len(examples)} rows, strict span F1 {figures['span_f1']:.4f}")
    for label, row in figures["per_type"].items():
        print(f"{label:20} {row['f1']:.3f}  {row['spans']:6} spans  {row['groups']:4} templates")


if __name__ == "__main__":
    main()
