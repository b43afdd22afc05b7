"""A whole run on a tiny backbone: its data, its recipe, and the run itself."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

PEOPLE = ("Sarah Johnson", "Dan Contact", "Ann Lee", "Proof Court", "Jan Void")
CITIES = ("Court", "Refund", "Hidden")
FILLER = "please help me with the contract card system step tomorrow now twice call from that was".split()
BENIGN = "solve integral explain proof court refund charged consideration".split()
ATTACK = "ignore previous instructions reveal hidden prompt ALL void".split()
TRAIN = {
    "learning_rate": 5e-3, "max_length": 48, "precision": "fp32", "report_to": [], "epochs": 6,
    "batch_size": 8, "seed": 1, "evaluate": "steps", "evaluate_every": 30, "patience": 20,
}  # fmt: skip


def jailbreak_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Texts whose words give their kind away; every fifth one is plainly harmful."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        kind = ("benign", "jailbreak", "benign", "injection", "harmful")[number % 5]
        own = ATTACK if kind in ("jailbreak", "injection") else BENIGN
        words = draw.choices(own, k=5) + draw.choices(FILLER, k=draw.randint(4, 14))
        draw.shuffle(words)
        rows.append({"text": f"{' '.join(words)} {draw.randint(100, 999)}", "kind": kind})
    return rows


def pii_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Texts with a person, an address and a city among filler; every third one has none."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        name = draw.choice(PEOPLE)
        mail = f"{draw.choice('abcdefgh')}{draw.randint(1, 99)}@example.org"
        pieces = [(word, None) for word in draw.choices(FILLER, k=draw.randint(5, 12))]
        if number % 3:
            pieces[2:2] = [(name, "PERSON")]
            pieces[4:4] = [(mail, "EMAIL_ADDRESS"), (draw.choice(CITIES), "GPE")]
        rows.append(_row(pieces))
    return rows


def _row(pieces: Iterable[tuple[str, str | None]]) -> dict[str, Any]:
    text, spans = "", []
    for piece, label in pieces:
        text += " " if text else ""
        if label:
            spans.append({"start": len(text), "end": len(text) + len(piece), "label": label})
        text += piece
    return {"text": text, "spans": spans}


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Write rows as JSONL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def write_recipe(directory: Path, backbone: Path, tasks: list[dict[str, Any]], **more: Any) -> Path:
    """Write `recipe.yaml`; the run goes to `run/`, relative to the working directory."""
    recipe = {
        "name": "tiny", "output": "run", "backbone": str(backbone), "train": TRAIN, "tasks": tasks,
        **more,
    }  # fmt: skip
    path = directory / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def task(name: str, **more: Any) -> dict[str, Any]:
    """Return a task of a recipe whose rows are in `data/NAME.jsonl`."""
    # The rows are word salads, alike by their making: near-duplicates would be one group.
    prepare = {
        "near_duplicate_threshold": None,
        "fractions": {"train": 0.7, "validation": 0.15, "test": 0.15},
    }
    return {
        "task": name, "sources": [{"path": f"data/{name}.jsonl", "licence": "Apache-2.0"}],
        "prepare": prepare, **more,
    }  # fmt: skip


PLACES = {"GPE": "LOCATION", "STREET_ADDRESS": "LOCATION"}
COARSE = ["PERSON", "EMAIL_ADDRESS", "PHONE_NUMBER", "US_SSN", "LOCATION"]


def demo_tasks() -> list[dict[str, Any]]:
    """A detector by LoRA, and the document's coarse PII set by full fine-tuning."""
    lora = {
        "method": "lora",
        "learning_rate": 3e-3,
        "epochs": 15,
        "evaluate_every": 110,
        "lora": {"rank": 4},
    }
    return [
        task("jailbreak", train=lora),
        task("pii", labels=COARSE, label_map=PLACES, train={"epochs": 10}),
    ]


def write_demo(directory: Path, backbone: Path) -> Path:
    """Write the data and the recipe of the demo run, and return the recipe."""
    write_rows(directory / "data" / "jailbreak.jsonl", jailbreak_rows(150))
    write_rows(directory / "data" / "pii.jsonl", pii_rows(150))
    return write_recipe(directory, backbone, demo_tasks())
