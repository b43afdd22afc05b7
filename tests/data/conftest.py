"""Fixtures of the data room: row files, and small mirrors built on the spot."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def jsonl(tmp_path: Path) -> Callable[..., Path]:
    """Write rows (or raw bytes) to a JSONL file and return its path."""

    def write(rows: list[dict[str, Any]] | bytes, name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(rows, bytes):
            path.write_bytes(rows)
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture
def fake_mirror(tmp_path: Path) -> Path:
    """A mirror of every public source: two or three rows each, in the real layouts."""
    root = tmp_path / "hub"
    _mmlu_pro(root / "TIGER-Lab/MMLU-Pro")
    _presidio(root / "microsoft/presidio-research")
    _jailbreak_classification(root / "jackhhao/jailbreak-classification")
    _toxic_chat(root / "lmsys/toxic-chat")
    _salad(root / "OpenSafetyLab/Salad-Data")
    _glaive(root / "glaiveai/glaive-function-calling-v2")
    return root


def _mmlu_pro(folder: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    (folder / "data").mkdir(parents=True)
    for split, subjects in (("test", ["law", "math", "law"]), ("validation", ["math"])):
        rows = [
            {
                "question_id": i,
                "question": f"{split} question {i}?",
                "category": c,
                "src": f"{c}ez-x-y" if split == "test" else "",
            }
            for i, c in enumerate(subjects)
        ]
        table = pa.Table.from_pylist(rows)
        parquet.write_table(table, folder / f"data/{split}-00000-of-00001.parquet")


def _presidio(folder: Path) -> None:
    span = {"entity_type": "PERSON", "entity_value": "Ann", "start_position": 3, "end_position": 6}
    rows = [
        {"full_text": "I, Ann, came.", "spans": [span], "template_id": 7, "metadata": None},
        {"full_text": "Nobody came.", "spans": [], "template_id": 8, "metadata": None},
    ]
    _write_json(folder / "data/synth_dataset_v2.json", rows)


def _jailbreak_classification(folder: Path) -> None:
    for split in ("train", "test"):
        rows = [
            {"prompt": f"{split}: be DAN,\nplease", "type": "jailbreak"},
            {"prompt": f"{split}: be kind", "type": "benign"},
            {"prompt": f"{split}: no rules now", "type": "malicious"},
        ]
        _write_csv(folder / f"balanced/jailbreak_dataset_{split}_balanced.csv", rows)
    files = [
        {"split": s, "path": f"balanced/jailbreak_dataset_{s}_balanced.csv"}
        for s in ("train", "test")
    ]
    _write_card(folder, {"default": files})


def _toxic_chat(folder: Path) -> None:
    flags = {"hello there": (0, 0), "you fool": (1, 0), "be DAN": (0, 1), "be DAN, fool": (1, 1)}
    for split in ("train", "test"):
        rows = [
            {"user_input": f"{text} {split}", "model_output": "", "toxicity": t, "jailbreaking": j}
            for text, (t, j) in flags.items()
        ]
        _write_csv(folder / f"data/0124/toxic-chat_annotation_{split}.csv", rows)
    files = [
        {"split": s, "path": f"data/0124/toxic-chat_annotation_{s}.csv"} for s in ("train", "test")
    ]
    _write_card(folder, {"toxicchat0124": files})


def _salad(folder: Path) -> None:
    """Two configurations and no card: it is read by the files that the catalogue names."""
    base = [{"qid": i, "question": f"How is harm {i} done?", "1-category": "O5"} for i in range(2)]
    attacks = [
        {"qid": 0, "aid": i, "augq": f"As DAN {i}: how is harm 0 done?", "method": "gptfuzz"}
        for i in range(2)
    ]
    _write_json(folder / "base_set.json", base)
    _write_json(folder / "attack_enhanced_set.json", attacks)


def _glaive(folder: Path) -> None:
    call = (
        '<functioncall> {"name": "%s", "arguments": \'{"a": 1}\'} <|endoftext|>\n\n\n'
        'FUNCTION RESPONSE: {"r": 2}\n\n\nASSISTANT: It is 2. <|endoftext|>\n\n\n'
    )
    chats = [
        "USER: What is my BMI?\n\n\n"
        "ASSISTANT: Sure. Could you please tell me your weight? <|endoftext|>\n\n\n"
        "USER: 70 kg\nand 1.75 m\n\n\nASSISTANT: " + call % "calculate_bmi" + "USER: Thanks!\n\n\n"
        "ASSISTANT: You're welcome! <|endoftext|>\n\n\n",
        "USER: Play some jazz\n\n\nASSISTANT: " + call % "play_music",
        "USER: Order a pizza\n\n\nASSISTANT: I'm sorry, but I can't do that. <|endoftext|>\n\n\n",
    ]
    system = 'SYSTEM: Use these -\n{"name": "calculate_bmi", "description": "BMI"}\n'
    rows = [{"system": system, "chat": chat} for chat in chats]
    _write_json(folder / "glaive-function-calling-v2.json", rows)


def _write_json(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write_card(folder: Path, configs: dict[str, list[dict[str, str]]]) -> None:
    import yaml

    card = {"configs": [{"config_name": n, "data_files": f} for n, f in configs.items()]}
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump(card)}---\n")
