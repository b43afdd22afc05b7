"""The static contract of a semantic router: any directory, ours or another's, clause by clause.

Files are read and nothing of the router is run. So what passes "meets the static contract"; whether
the router answers as it should is for somebody to see who runs it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pointsman.bundle.layout import CONFIG, TOKENIZER, WEIGHTS
from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError
from pointsman.export.clauses import Clause, Outcome, Report, failed, judge, names, passed, unneeded
from pointsman.export.config_clauses import CONFIG_CLAUSES, FILE_CLAUSES
from pointsman.export.mapping_clauses import MAPPING_CLAUSES
from pointsman.export.onnx_clauses import ONNX_CLAUSES, PLACES, read_graph
from pointsman.export.reading import LORA, ModelDirectory, read_directory
from pointsman.export.slots import SEQUENCE_LENGTH, SLOTS, slot_of_name, told_architecture
from pointsman.export.weight_clauses import WEIGHT_CLAUSES

MODEL, GRAPH = "router", "router-onnx"
CONTRACTS = (MODEL, GRAPH)
CLAUSES = (*FILE_CLAUSES, *CONFIG_CLAUSES, *WEIGHT_CLAUSES, *MAPPING_CLAUSES)
SIGNS = (CONFIG, TOKENIZER, WEIGHTS, LORA, *PLACES, *(slot.mapping for slot in SLOTS.values()))


def verify_contract(path: Path, contract: str = MODEL) -> Report:
    """Check a model directory, or a directory of several, against a contract.

    Args:
        path: The directory. One that holds an ONNX graph and no `model.safetensors` is checked as
            `router-onnx`.
        contract: `router` or `router-onnx`.

    Raises:
        ConfigError: If the contract is not known, or there is no model directory.
    """
    if contract not in CONTRACTS:
        raise ConfigError(
            f"a contract: {' or '.join(CONTRACTS)}",
            got=contract,
            fix=suggest(contract, CONTRACTS),
        )
    if not path.is_dir():
        raise ConfigError(f"a directory at {path}", got="none")
    if _is_model(path):
        return _check(path.resolve(), contract)
    inner = [_check(p, contract) for p in sorted(path.resolve().iterdir()) if _is_model(p)]
    if not inner:
        raise ConfigError(
            f"{path}: a model directory, or a directory of some",
            got=f"none of {', '.join(SIGNS[:3])} in it",
            fix="make one with `pointsman export BUNDLE --to router`",
        )
    whole = judge(path.resolve(), contract, SET_CLAUSES, tuple(inner))
    return replace(whole, parts=tuple(inner))


def check_model(path: Path, *, name: str | None = None) -> Report:
    """Check one directory of a model in safetensors.

    Args:
        path: The directory.
        name: Its name, where it does not have its last one yet.
    """
    read = read_directory(path, name=name)
    report = judge(path, MODEL, CLAUSES, read)
    return replace(report, name=read.name, notes=_notes(read))


def check_graph(path: Path, *, name: str | None = None) -> Report:
    """Check one directory of a graph; arguments as in `check_model`."""
    report = judge(path, GRAPH, ONNX_CLAUSES, read_graph(path))
    return replace(report, name=name or path.name)


def _check(path: Path, contract: str) -> Report:
    graph = any((path / place).is_file() for place in PLACES)
    if contract == GRAPH or (graph and not (path / WEIGHTS).is_file()):
        return check_graph(path)
    return check_model(path)


def _is_model(path: Path) -> bool:
    return path.is_dir() and any((path / sign).is_file() for sign in SIGNS)


def _notes(directory: ModelDirectory) -> tuple[str, ...]:
    """Return what no file can settle."""
    notes = [f"the router reads the first {SEQUENCE_LENGTH} tokens of a text and no more"]
    positions = (directory.sizes or {}).get("max_position_embeddings", SEQUENCE_LENGTH)
    if positions < SEQUENCE_LENGTH:
        notes.append(f"the model has {positions} positions: longer texts may not go through it")
    if directory.family == "modernbert":
        notes.append(
            "the router's head takes tanh-GELU and an eps of 1e-12: expect probabilities that "
            "differ a little"
        )
    if directory.family == "bert" and not directory.sequence:
        notes.append(
            "the router makes up the offsets of BERT's spans: for spans take ModernBERT, ONNX or "
            "the remote contract"
        )
    return tuple(notes)


def _complete(parts: tuple[Report, ...]) -> Outcome:
    """Say whether the router would find a whole set in a directory of models by itself."""
    parts = tuple(part for part in parts if part.contract == MODEL)
    if not parts:
        return unneeded("ONNX alone, which is found by no name: its path goes into `model_id`")
    if len(parts) == 1:
        return unneeded(f"{parts[0].name} alone: its path goes into `model_id`")
    found: dict[str, set[str]] = {}
    for part in parts:
        slot = slot_of_name(part.name)
        if slot is not None:
            found.setdefault(told_architecture(part.name), set()).add(slot.task)
    for architecture, tasks in found.items():
        if tasks == set(SLOTS):
            return passed(f"{', '.join(SLOTS)} of {architecture}")
    there = [f"{what}: {', '.join(sorted(tasks))}" for what, tasks in found.items()]
    return failed(f"no architecture has all of {', '.join(SLOTS)}; {names(there) or 'none found'}")


SET_CLAUSES: tuple[Clause[tuple[Report, ...]], ...] = (
    Clause(
        "set.complete",
        "Of one architecture there is a model for each of category, pii and jailbreak.",
        _complete,
    ),
)
