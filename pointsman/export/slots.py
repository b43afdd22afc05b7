"""The places that a semantic router has for classifiers: names, files and keys, as data.

The facts were read in the source of github.com/vllm-project/semantic-router at commit 3d48f8c; the
rule by which a directory's name tells an architecture at commit 062dd65. Nothing of it was run. The
exporter and the checker both read them here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

SEQUENCE_LENGTH = 512  # tokens that the router reads of a text; the rest it drops without a word
SLOTLESS = (
    "the router has no slot for it that loads a model directory; serve it by the remote contract "
    "(POST /classify)"
)


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of the router for a classifier.

    Attributes:
        task: Name of the task that it holds.
        level: Level of that task.
        mapping: Name of its mapping file.
        forward: Key of the mapping from a label to its index.
        backward: Key of the mapping from an index, as a string, to its label.
        prefix: How the name of a directory begins that is found by itself.
        merged: How the name of such a directory may end instead.
        section: Path of its section in the router's configuration.
        mapping_key: Key in that section of the mapping file's path.
        default: Threshold of the router where none is set.
        settings: Further keys of the section.
    """

    task: str
    level: Literal["sequence", "token"]
    mapping: str
    forward: str
    backward: str
    prefix: str
    merged: str
    section: tuple[str, ...]
    mapping_key: str
    default: float
    settings: tuple[tuple[str, object], ...] = ()


SLOTS = {
    slot.task: slot
    for slot in (
        Slot(
            "category",
            "sequence",
            "category_mapping.json",
            "category_to_idx",
            "idx_to_category",
            "lora_intent_classifier",
            "intent-classifier-merged",
            ("classifier", "category_model"),
            "category_mapping_path",
            0.5,
        ),
        Slot(
            "pii",
            "token",
            "pii_type_mapping.json",
            "label_to_idx",
            "idx_to_label",
            "lora_pii_detector",
            "pii-detector-merged",
            ("classifier", "pii_model"),
            "pii_mapping_path",
            0.9,
        ),
        Slot(
            "jailbreak",
            "sequence",
            "jailbreak_type_mapping.json",
            "label_to_idx",
            "idx_to_label",
            "lora_jailbreak_classifier",
            "jailbreak-detector-merged",
            ("prompt_guard",),
            "jailbreak_mapping_path",
            0.7,
            (("enabled", True),),
        ),
    )
}
POSITIVE = "jailbreak"  # the only name under which the router knows an attack
RESERVED = "classification_error"  # what the router itself answers when it could not classify

ELSEWHERE = "use ONNX (`--to router-onnx`) or the remote contract (POST /classify) instead"
CLASSES = {"modernbert": "ModernBert", "bert": "Bert", "deberta-v2": "DebertaV2"}

# The word in a directory's name that tells its architecture; the first that is found counts.
ARCHITECTURES = {
    "bert-base-uncased": "bert",
    "roberta-base": "roberta",
    "modernbert-base": "modernbert",
}


def told_architecture(name: str) -> str:
    """Return the architecture that the router reads off a directory's name."""
    low = name.lower()
    return next((what for word, what in ARCHITECTURES.items() if word in low), "bert")


def directory_name(slot: Slot, family: str, backbone: str) -> str:
    """Return the name under which the router finds a model by itself, and takes it for what it is.

    A name that tells no architecture is taken for BERT's, so ModernBERT's always tells its own. A
    DeBERTa-v2 is of no architecture that is found: its name is one that is not.

    Args:
        slot: The slot.
        family: `model_type` of the model.
        backbone: Short name or hub id of its backbone.
    """
    short = _short(backbone)
    if family not in ARCHITECTURES.values():
        return f"{slot.task}_{family}_{short}_model"
    word = next(word for word, what in ARCHITECTURES.items() if what == family)
    for middle in (short, f"{word}_{short}"):
        if told_architecture(middle) == family:
            return f"{slot.prefix}_{middle}_model"
    return f"{slot.prefix}_{word}_model"  # the backbone's own name tells another architecture


def onnx_directory_name(task: str, family: str, backbone: str) -> str:
    """Return the name of an ONNX directory: none that is found by itself and taken for weights.

    Args:
        task: Name of the task.
        family: `model_type` of the model.
        backbone: Short name or hub id of its backbone.
    """
    return f"{task}_{_short(backbone) or family}_onnx"


def _short(backbone: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", backbone.lower().rpartition("/")[2]).strip("-")


def slot_of_name(name: str) -> Slot | None:
    """Return the slot for which a directory of this name is found by itself, or None."""
    low = name.lower()
    for slot in SLOTS.values():
        if low.startswith(slot.prefix) or low.endswith(slot.merged):
            return slot
    return None


def prefix_clash(names: tuple[str, ...]) -> tuple[str, str] | None:
    """Return two entity names of which one begins the other, or None.

    The contract rules such names out: the router could take one entity for the other.
    """
    ordered = sorted(set(names))
    for shorter, longer in zip(ordered, ordered[1:], strict=False):
        if longer.startswith(shorter):
            return shorter, longer
    return None


def family_fault(family: str, task: str | None) -> str | None:
    """Return why the router loads no model directory of a family for a task, or None if it does.

    Args:
        family: `model_type` of the model.
        task: Name of the task, where it is known.
    """
    if family in ("modernbert", "bert"):
        return None
    if family == "deberta-v2":
        if task in (None, "jailbreak"):
            return None
        return "the router loads DeBERTa-v2 for jailbreak only"
    return f"the router loads ModernBERT and BERT, and no {family}"
