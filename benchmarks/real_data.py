"""Train and evaluate on real labelled data, split by its own hints.

    python benchmarks/real_data.py DATA category --backbone minilm -o runs/real-category

DATA is a directory of one folder a task, each with one JSONL file a source, whose rows carry
`split_hint` (train, validation, test, ood, near_ood, excluded) and `group`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from pointsman.core.config import apply_overrides
from pointsman.data.prepare import PrepareOptions, load_prepared, prepare
from pointsman.data.prepared import is_prepared
from pointsman.data.request import SourceRequest
from pointsman.evaluation.perturbed import EvaluateOptions
from pointsman.models.weights import find_backbone
from pointsman.pipeline.finish import train_and_evaluate
from pointsman.pipeline.gate import Consent
from pointsman.pipeline.steps import TrainRequest
from pointsman.pipeline.terms import Terms
from pointsman.tasks.catalogue import load_task
from pointsman.training.config import TrainOptions

SPLITS = {
    "train": "train",
    "validation": "validation",
    "test": "test",
    "excluded": "drop",
    "near_ood": "drop",
    "ood": "drop",
}
TRAINED_ON = {
    "category": ["mmlu_pro-*"],
    "pii": ["presidio_*", "neg_*"],
    "jailbreak": ["*"],
    "intent": ["metatool*", "clinc150", "hwu64", "nl2bash"],
}
# Sources that label some types alone and leave the others out.
IN_PART = {"wnut17": ("PERSON", "GPE", "ORGANIZATION")}
# Sources that report apart and are never trained on, as slice -> (file, strict labels).
APART = {
    "jailbreak": {
        "wildjailbreak_eval": "slice:wildjailbreak-eval",
        "xstest": "slice:xstest",
        "awesome_chatgpt_prompts": "slice:awesome-chatgpt-prompts",
        "awesome_vibeprompts": "slice:awesome-vibeprompts",
        "mitre_frr": "slice:mitre-frr",
        "arena_hard": "slice:arena-hard",
        "tensor_trust": "slice:tensor-trust",
    },
}


def requests(data: Path, task: str, tested: Sequence[str] = ()) -> list[SourceRequest]:
    """Return one request a file; of the files named in `tested`, test rows alone."""
    folder = data / task
    files = sorted({f for pattern in TRAINED_ON[task] for f in folder.glob(f"{pattern}.jsonl")})
    columns = {"kind": "strict"} if task == "jailbreak" else {}
    made = []
    for file in files:
        apart = APART.get(task, {}).get(file.stem)
        splits = {**SPLITS, "ood": apart or "drop"}
        if file.stem in tested:
            splits |= {"train": "drop", "validation": "drop"}
        made.append(
            SourceRequest(
                path=str(file), columns=columns, split_field="split_hint", split_map=splits,
                licence="see the data's own README",
            )
        )  # fmt: skip
    return made


def in_part(data: Path, name: str) -> SourceRequest:
    """Return the request of a file in which only some types of personal data are labelled."""
    return SourceRequest(
        path=str(data / "pii" / f"{name}.jsonl"), annotates=IN_PART[name],
        licence="see the data's own README",
    )  # fmt: skip


def kept_out(data: Path, task: str, names: list[str]) -> list[SourceRequest]:
    """Return one request a file that is reported as a slice of its own and never learned from."""
    return [
        SourceRequest(
            path=str(data / task / f"{name}.jsonl"),
            columns={"kind": "strict"} if task == "jailbreak" else {},
            where={"split_hint": [hint for hint in SPLITS if hint != "excluded"]},
            ood=True, licence="see the data's own README",
        )
        for name in names
    ]  # fmt: skip


def has_rows(file: Path, kept: set[str]) -> bool:
    """Say whether a file has a row of a split that is kept."""
    with file.open(encoding="utf-8") as lines:
        return any(json.loads(line)["split_hint"] in kept for line in lines)


def main() -> None:
    """Run one task."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("task", choices=TRAINED_ON)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--prepared", type=Path, help="where the prepared data lies or goes")
    parser.add_argument("--backbone", default="minilm")
    parser.add_argument(
        "--starter", type=int, help="add so many rows of the starter corpus to train"
    )
    parser.add_argument("--in-part", choices=IN_PART, help="add the rows of this file to train")
    parser.add_argument(
        "--test-only", action="append", default=[], help="file of which only test rows are taken"
    )
    parser.add_argument("--ood", action="append", default=[], help="file whose rows are kept out")
    parser.add_argument("--prepare", action="append", default=[], help="preparing option KEY=VALUE")
    parser.add_argument("--set", action="append", default=[], help="training option KEY=VALUE")
    parser.add_argument("--evaluate", action="append", default=[], help="evaluation KEY=VALUE")
    args = parser.parse_args()

    spec = load_task(args.task)
    evaluation = EvaluateOptions.parse(apply_overrides({}, args.evaluate), where="--evaluate")
    place = args.prepared or args.output / "data"
    if not is_prepared(place):
        wanted = [
            request
            for request in requests(args.data, args.task, args.test_only)
            if has_rows(
                Path(request.path or ""), {k for k, v in request.split_map.items() if v != "drop"}
            )
        ]
        if args.starter:
            wanted.append(SourceRequest(name="starter", limit=args.starter))
        if args.in_part:
            wanted.append(in_part(args.data, args.in_part))
        wanted += kept_out(args.data, args.task, args.ood)
        options = PrepareOptions.parse(apply_overrides({}, args.prepare), where="--prepare")
        prepare(spec, wanted, place, options=options, progress=print)
    options = TrainOptions.parse(apply_overrides({}, args.set), where="--set")
    request = TrainRequest(
        load_prepared(place), find_backbone(args.backbone), options, args.output,
        {"command": "benchmarks/real_data.py", "task": args.task, "backbone": args.backbone},
        # Consent, to measure: nothing of it is shipped.
        Terms(Consent(leakage=True, noncommercial=True), evaluation=evaluation),
    )  # fmt: skip
    train_and_evaluate(request, print)
    figures = json.loads((args.output / "metrics.json").read_text())
    print(
        json.dumps({k: v for k, v in figures.items() if not isinstance(v, list)}, indent=1)[:6000]
    )


if __name__ == "__main__":
    main()
