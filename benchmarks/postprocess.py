"""What each step of post-processing brings, by type, on held-out rows and on other sources.

A bundle predicts every set once; the steps are laid over the same answers. The defaults were chosen
on the validation split and on the first two of the other sources; `--final` reports the test split
and the other two, which chose nothing.

    python benchmarks/postprocess.py runs/data-pii runs/pii/bundle --sources DIR --rows 600
    python benchmarks/postprocess.py runs/data-pii runs/pii/bundle --sources DIR --rows 600 --final
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pointsman.bundle.meta import NO_POSTPROCESSING, PostOptions
from pointsman.core.types import Example, Prediction, Span
from pointsman.data.local_files import read_records
from pointsman.data.prepared import load_prepared
from pointsman.evaluation.span_metrics import score_spans
from pointsman.runtime.postprocess import postprocess
from pointsman.runtime.predictor import Predictor, load
from pointsman.tasks.spec import TaskSpec

CHOSEN_ON = ("pii_anon-adversarial", "pii_anon-clinical")
REPORTED_ON = ("pii_anon-format_variations", "pii_anon-temporal_consistency")
STEPS = {
    "without": NO_POSTPROCESSING,
    **{
        name: NO_POSTPROCESSING.model_copy(update={name: True}) for name in PostOptions.model_fields
    },
    "default": PostOptions(),
}


def sample(path: Path, spec: TaskSpec, rows: int) -> list[Example]:
    """Return a seeded sample of a source, with the labels that it shares with the model."""
    found = []
    for _, row in read_records(path):
        spans = [Span(s["start"], s["end"], s["label"]) for s in row["spans"]]
        kept = tuple(s for s in spans if s.label in spec.labels)
        found.append(Example(row["text"], spans=kept, group=row.get("group")))
    return random.Random(0).sample(found, min(rows, len(found)))


def without_steps(predictor: Predictor, examples: Sequence[Example]) -> list[Prediction]:
    """Return what the model says by itself."""
    predictions = predictor.predict([example.text for example in examples])
    return [
        p if p.unprocessed is None else replace(p, spans=p.unprocessed, unprocessed=None)
        for p in predictions
    ]


def report(name: str, predictor: Predictor, examples: Sequence[Example]) -> None:
    """Print a table of strict F1: a row for every type that occurs, a column for every step."""
    spec = predictor.task
    plain = without_steps(predictor, examples)
    figures = {}
    for step, options in STEPS.items():
        spans = [
            postprocess(e.text, p.spans, spec.labels, options)
            for e, p in zip(examples, plain, strict=True)
        ]
        figures[step] = score_spans(spec, examples, spans)
    print(f"\n{name}: {len(examples)} rows\n")
    print(f"| type | spans | {' | '.join(STEPS)} |\n|{' --- |' * (len(STEPS) + 2)}")
    for label in spec.labels:
        spans = figures["without"]["per_type"][label]["spans"]
        if spans:
            scores = [f"{f['per_type'][label]['f1']:.3f}" for f in figures.values()]
            print(f"| {label} | {spans} | {' | '.join(scores)} |")
    scores = [f"{f['span_f1']:.3f}" for f in figures.values()]
    print(f"| all | {sum(len(e.spans) for e in examples)} | {' | '.join(scores)} |", flush=True)


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="Prepared data of a token task.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--sources", type=Path, required=True, help="Directory of other sources.")
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--final", action="store_true", help="The sets that chose nothing.")
    args = parser.parse_args()
    predictor, data = load(args.bundle), load_prepared(args.data)
    report(
        *(
            ("test", predictor, data.test)
            if args.final
            else ("validation", predictor, data.validation)
        )
    )
    for name in REPORTED_ON if args.final else CHOSEN_ON:
        path = args.sources / f"{name}.jsonl"
        report(name, predictor, sample(path, predictor.task, args.rows))


if __name__ == "__main__":
    main()
