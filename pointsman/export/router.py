"""Bundles as the directories that a semantic router loads, one a task, and its configuration.

The router knows no temperature, so the exported copy has it in its weights: logits that are divided
by T are those of a classifier whose weights and bias are. What is written is checked against the
static contract before it appears.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pointsman import __version__
from pointsman.bundle.layout import CONFIG, TOKENIZER, WEIGHTS, find_bundles
from pointsman.bundle.meta import BundleMeta
from pointsman.core.errors import ConfigError, ExportError
from pointsman.core.files import atomic_directory, write_json, write_text
from pointsman.export.contract import check_model
from pointsman.export.heads import Head, Weights, read_heads
from pointsman.export.reading import LORA
from pointsman.export.router_config import FRAGMENT, Entry, render_fragment, threshold_of
from pointsman.export.router_refusals import flat_keys, refuse
from pointsman.export.slots import (
    CLASSES,
    ELSEWHERE,
    SEQUENCE_LENGTH,
    SLOTS,
    Slot,
    directory_name,
)
from pointsman.models.adapters import LoraOptions
from pointsman.models.backbones import find_family

if TYPE_CHECKING:
    from pointsman.export.clauses import Report

PROVENANCE = "pointsman.json"
CLASSIFIER = ("classifier.weight", "classifier.bias")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """A directory that was written, and what the contract says of it."""

    path: Path
    report: Report
    notes: tuple[str, ...]

    def tell(self, say: Say) -> None:
        """Say that it was written, and its notes."""
        say(f"{self.path}: meets the static contract")
        for note in self.notes:
            say(f"  {note}")


def export_router(paths: Sequence[Path], out: Path, *, say: Say) -> list[Exported]:
    """Write the directories of bundles for a semantic router, and a piece of its configuration.

    Args:
        paths: Bundles, runs or directories of runs. Of a path that holds several classifiers, those
            that the router has no slot for are left out.
        out: Directory to write to; directories of other names in it stay.
        say: Is told what is left out, and what is written.

    Raises:
        ExportError: If a classifier cannot be exported, with the reason; then nothing is written.
        BundleError: If a bundle is missing or damaged.
    """
    heads = [head for path in paths for head in _with_slot(path, say)]
    _refuse(heads)
    places = {head.name: out / _directory(head) for head in heads}
    check_places(places.values())
    done = [_write(head, places[head.name]) for head in heads]
    entries = [Entry.of(head.meta, places[head.name].name) for head in heads]
    write_text(out / FRAGMENT, render_fragment(entries))
    for exported in done:
        exported.tell(say)
    return done


def check_places(places: Iterable[Path]) -> None:
    """Refuse to replace what no export made.

    Raises:
        ConfigError: If such a thing stands at one of the places.
    """
    for place in places:
        if place.exists() and not (place / PROVENANCE).is_file():
            raise ConfigError(
                f"{place}: a place for an exported model",
                got="something else",
                fix="move it, or choose another directory with -o",
            )


def _with_slot(path: Path, say: Say) -> Iterable[Head]:
    heads = [head for bundle in find_bundles([path]) for head in read_heads(bundle)]
    if len(heads) == 1:
        return heads  # asked for by itself: it is refused where it has no slot, and not left out
    for head in heads:
        if head.name not in SLOTS:
            say(f"{head.name}: {refuse(head.meta, head.config)}; left out")
    return [head for head in heads if head.name in SLOTS]


def _refuse(heads: Sequence[Head]) -> None:
    reasons = {head.name: refuse(head.meta, head.config) for head in heads}
    said = [f"{name}: {reason}" for name, reason in reasons.items() if reason is not None]
    if said or not heads:
        raise ExportError(
            "classifiers that a semantic router can load as model directories",
            got="; ".join(said) or "none",
        )
    refuse_twice(heads)


def refuse_twice(heads: Sequence[Head]) -> None:
    """Refuse several classifiers of one task.

    Raises:
        ExportError: With the tasks.
    """
    named = [head.name for head in heads]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise ExportError(
            "one bundle a task", got=f"{', '.join(twice)} twice", fix="name one bundle a task"
        )


def _directory(head: Head) -> str:
    return directory_name(SLOTS[head.name], str(head.config["model_type"]), head.backbone)


def _write(head: Head, place: Path) -> Exported:
    """Write one directory whole, or not at all.

    Raises:
        ExportError: If it does not meet the static contract.
    """
    slot = SLOTS[head.name]
    with atomic_directory(place) as temporary:
        _save_weights(temporary, fold_temperature(head.weights(), head.meta.temperature))
        write_json(temporary / CONFIG, router_config(head.meta, head.config))
        shutil.copyfile(head.directory / TOKENIZER, temporary / TOKENIZER)
        write_json(temporary / slot.mapping, mapping(slot, head.meta.labels))
        write_json(temporary / LORA, lora_config(head.meta, str(head.config["model_type"])))
        write_json(temporary / PROVENANCE, provenance(head))
        report = check_model(temporary, name=place.name)
        refuse_broken(head.name, report, ELSEWHERE)
    return Exported(place, report, (*report.notes, *notes_of(head.meta)))


def refuse_broken(name: str, report: Report, fix: str) -> None:
    """Refuse a directory that is not what it has to be.

    Raises:
        ExportError: With the clauses that fail.
    """
    if not report.holds:
        broken = {v.id: v.found for v in report.verdicts if v.status == "fail"}
        raise ExportError(
            f"{name}: a directory that meets the router's static contract",
            got="; ".join(f"{id} fails: {found}" for id, found in broken.items()),
            fix=fix,
        )


def fold_temperature(weights: Weights, temperature: float) -> Weights:
    """Return a classifier's tensors in F32, so that at temperature 1 they answer as calibrated.

    Args:
        weights: Its tensors.
        temperature: What its logits are divided by.
    """
    plain = {
        name: np.ascontiguousarray(tensor, dtype=np.float32) for name, tensor in weights.items()
    }
    for name in CLASSIFIER:
        if name in plain:
            plain[name] = (weights[name].astype(np.float64) / temperature).astype(np.float32)
    return plain


def _save_weights(directory: Path, weights: Weights) -> None:
    from safetensors.numpy import save_file

    save_file(weights, directory / WEIGHTS, metadata={"format": "pt"})


def router_config(meta: BundleMeta, config: dict[str, Any]) -> dict[str, Any]:
    """Return the `config.json` that both the router and transformers read.

    Args:
        meta: What the classifier says of itself.
        config: Its `config.json` as transformers wrote it.
    """
    written = dict(config)
    if config.get("model_type") == "modernbert":
        written |= flat_keys(config)
        if int(config.get("vocab_size", 0)) >= 200_000:
            written["position_embedding_type"] = "sans_pos"
    family = str(config.get("model_type"))
    return written | head_keys(
        meta, f"{CLASSES[family]}For{meta.task.level.capitalize()}Classification"
    )


def head_keys(meta: BundleMeta, architecture: str) -> dict[str, Any]:
    """Return the keys of a `config.json` that are one head's own.

    Args:
        meta: What the classifier says of itself.
        architecture: The class of transformers that it is of.
    """
    return {
        "architectures": [architecture],
        "dtype": "float32",
        "num_labels": len(meta.labels),  # transformers does not write it
        "id2label": {str(index): label for index, label in enumerate(meta.labels)},
        "label2id": {label: index for index, label in enumerate(meta.labels)},
    }


def mapping(slot: Slot, labels: Sequence[str]) -> dict[str, Any]:
    """Return the content of a slot's mapping file."""
    return {
        slot.forward: {label: index for index, label in enumerate(labels)},
        slot.backward: {str(index): label for index, label in enumerate(labels)},
    }


def lora_config(meta: BundleMeta, family: str) -> dict[str, Any]:
    """Return `lora_config.json`: both spellings of what LoRA was, or would be by default.

    The router takes it for the sign of a model that was trained as its own were, and loads no
    adapter: after a full fine-tuning, too, BERT has to have one.
    """
    trained = meta.recipe.get("train") or {}
    own = trained.get("lora") if trained.get("method") == "lora" else None
    options = LoraOptions.model_validate(own or {})
    values = {"rank": options.width, "alpha": options.scale, "dropout": options.dropout}
    return {
        **values,
        "r": options.width,
        "lora_alpha": options.scale,
        "lora_dropout": options.dropout,
        "target_modules": list(options.targets or find_family(family).lora_targets),
        "task_type": "TOKEN_CLS" if meta.task.level == "token" else "SEQ_CLS",
        "merged": True,
        "method": trained.get("method", "full"),
    }


def provenance(head: Head) -> dict[str, Any]:
    """Return what an exported directory says of its origin and its operating point."""
    return {
        "made_by": f"pointsman {__version__}",
        "task": head.name,
        "temperature": head.meta.temperature,
        "thresholds": dict(head.meta.thresholds),
        "threshold": threshold_of(head.meta).value,
        "backbone": head.meta.provenance.get("backbone", {}),
        "from": head.meta.files.get(WEIGHTS),
    }


def notes_of(meta: BundleMeta) -> list[str]:
    """Return in what the router answers otherwise than the bundle does."""
    notes = [threshold_of(meta).note]
    if meta.temperature != 1.0:
        notes.append(f"the temperature of {meta.temperature:.3f} is folded into the classifier")
    notes.append(
        f"the bundle reads texts in windows of {meta.max_length} tokens and joins their answers; "
        f"the router reads {SEQUENCE_LENGTH} tokens at once"
    )
    if meta.task.level == "token":
        notes.append("the router pools no words and post-processes no spans")
    return notes
