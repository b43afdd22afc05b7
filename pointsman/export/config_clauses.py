"""Clauses on the files of a model directory and on its config.json."""

from __future__ import annotations

import json
from typing import Any

from pointsman.bundle.layout import CONFIG, TOKENIZER, WEIGHTS
from pointsman.export.clauses import Clause, Outcome, failed, names, passed, unneeded
from pointsman.export.reading import (
    MOST_LAYERS,
    SIZES,
    ModelDirectory,
    is_count,
    is_number,
    needing,
)
from pointsman.export.slots import (
    CLASSES,
    ELSEWHERE,
    SLOTS,
    family_fault,
    slot_of_name,
    told_architecture,
)

MULTILINGUAL = 200_000  # tokens of a vocabulary from which the router takes a model for mmBERT
LONG_POSITIONS, LONG_THETA = 16_384, 100_000  # from which it takes an mmBERT for one of 32K tokens
NESTED = {"global_rope_theta": "full_attention", "local_rope_theta": "sliding_attention"}


def _config_file(directory: ModelDirectory) -> Outcome:
    fault = directory.faults.get(CONFIG)
    return failed(fault) if fault else passed("an object")


def _tokenizer_file(directory: ModelDirectory) -> Outcome:
    if directory.tokenizer is None:
        return failed(directory.faults[TOKENIZER])
    model = directory.tokenizer.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    # an object of ids; a list of pairs where pieces have scores (Unigram)
    if not isinstance(vocabulary, dict | list) or not vocabulary:
        return failed("no vocabulary in it: not the file of a fast tokenizer")
    return passed(f"a fast tokenizer with {len(vocabulary):,} tokens")


def _weights_file(directory: ModelDirectory) -> Outcome:
    if directory.tensors is None:
        return failed(directory.faults[WEIGHTS])
    return passed(f"{len(directory.tensors)} tensors")


def _one_file(directory: ModelDirectory) -> Outcome:
    parts = [
        name
        for name in directory.files
        if name.endswith((".safetensors", ".safetensors.index.json")) and name != WEIGHTS
        and not name.startswith("adapter")
    ]  # fmt: skip
    return failed(f"further files of weights: {names(parts)}") if parts else passed("one file")


def _no_adapters(directory: ModelDirectory) -> Outcome:
    found = [name for name in directory.files if name.startswith("adapter_")]
    return failed(f"{names(found)}: adapters are never loaded") if found else passed("none")


def _mapping_file(directory: ModelDirectory) -> Outcome:
    found = [slot.mapping for slot in directory.slots]
    if len(found) != 1:
        known = ", ".join(slot.mapping for slot in SLOTS.values())
        return failed(f"{names(found) if found else 'none'}, of {known}")
    fault = directory.faults.get(found[0])
    return failed(f"{found[0]} {fault}") if fault else passed(found[0])


@needing("config")
def _model_type(directory: ModelDirectory) -> Outcome:
    family = directory.family
    if family is None:
        return failed("none")
    fault = family_fault(family, directory.slot.task if directory.slot else None)
    return failed(f"{family!r}: {fault}; {ELSEWHERE}") if fault else passed(repr(family))


@needing("config")
def _sizes(directory: ModelDirectory) -> Outcome:
    config = directory.config or {}
    wrong = [name for name in SIZES if not is_count(config.get(name))]
    if wrong:
        return failed(f"missing, or no whole number above zero: {names(wrong)}")
    if directory.sizes is None:
        return failed(f"num_hidden_layers {config['num_hidden_layers']}, over {MOST_LAYERS:,}")
    return passed(f"hidden_size {config['hidden_size']}, {config['num_hidden_layers']} layers")


@needing("config")
def _padding(directory: ModelDirectory) -> Outcome:
    config = directory.config or {}
    found, size = config.get("pad_token_id"), config.get("vocab_size")
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        return failed(f"pad_token_id {found!r}")
    if is_count(size) and found >= size:
        return failed(f"pad_token_id {found} beyond a vocabulary of {size}")
    return passed(f"pad_token_id {found}")


@needing("config")
def _architectures(directory: ModelDirectory) -> Outcome:
    found = (directory.config or {}).get("architectures")
    if not isinstance(found, list) or len(found) != 1:
        return failed(f"{found!r}, where one class is needed")
    prefix = CLASSES.get(directory.family or "")
    if prefix is None:
        return unneeded(f"{found[0]}, of a family that another clause is about")
    slot = directory.slot
    levels = (slot.level.capitalize(),) if slot else ("Sequence", "Token")
    wanted = [f"{prefix}For{level}Classification" for level in levels]
    if found[0] not in wanted:
        return failed(f"{found[0]}, where {' or '.join(wanted)} is needed")
    return passed(str(found[0]))


@needing("config")
def _labels(directory: ModelDirectory) -> Outcome:
    labels = directory.labels
    if labels is None:
        found = (directory.config or {}).get("id2label")
        keys = names(found) if isinstance(found, dict) and found else repr(type(found).__name__)
        return failed(f"id2label is no object from '0', '1', ... to names without a gap: {keys}")
    if len(set(labels)) != len(labels):
        return failed("a label stands in it twice")
    return passed(f"{len(labels)} labels")


@needing("config", "labels")
def _label_ids(directory: ModelDirectory) -> Outcome:
    wanted = {label: index for index, label in enumerate(directory.labels or ())}
    found = (directory.config or {}).get("label2id")
    return passed("the inverse") if found == wanted else failed("not the inverse of id2label")


@needing("config", "labels")
def _label_count(directory: ModelDirectory) -> Outcome:
    found, wanted = (directory.config or {}).get("num_labels"), len(directory.labels or ())
    if found != wanted or isinstance(found, bool):
        return failed(f"num_labels {found!r}, and {wanted} labels")
    return passed(f"num_labels {found}")


def _modern(directory: ModelDirectory) -> dict[str, Any] | None:
    return directory.config if directory.family == "modernbert" else None


def _flat_keys(directory: ModelDirectory) -> Outcome:
    config = _modern(directory)
    if config is None:
        return unneeded("no ModernBERT")
    wrong = [] if is_number(config.get("layer_norm_eps")) else ["layer_norm_eps"]
    wrong += [
        name
        for name in ("global_attn_every_n_layers", "local_attention")
        if not is_count(config.get(name))
    ]
    if wrong:
        return failed(f"missing, or no number above zero: {names(wrong)}")
    types = config.get("layer_types")
    every = config["global_attn_every_n_layers"]
    if isinstance(types, list) and types != layer_types(len(types), every):
        return failed(f"a global layer every {every} layers, and layer_types that say otherwise")
    return passed(
        f"layer_norm_eps {config['layer_norm_eps']:g}, a global layer every {every} layers, "
        f"local_attention {config['local_attention']}"
    )


def layer_types(count: int, every: int) -> list[str]:
    """Return the kinds of attention of ModernBERT's layers, as transformers names them."""
    return ["sliding_attention" if layer % every else "full_attention" for layer in range(count)]


def _rope(directory: ModelDirectory) -> Outcome:
    config = _modern(directory)
    if config is None:
        return unneeded("no ModernBERT")
    wrong = [name for name in NESTED if not is_number(config.get(name))]
    if wrong:
        return failed(
            f"missing: {names(wrong)}; the loader fills a missing local theta with the global one"
        )
    nested = config.get("rope_parameters")
    for name, kind in NESTED.items():
        inner = nested.get(kind) if isinstance(nested, dict) else nested
        if inner is None:
            continue
        if not isinstance(inner, dict):
            return failed(f"rope_parameters of {kind} that are no object")
        if inner.get("rope_type", "default") != "default":
            return failed(f"rope_type {inner['rope_type']!r} of {kind}, which no flat key can say")
        if inner.get("rope_theta", config[name]) != config[name]:
            return failed(f"{name} {config[name]:g}, and {inner['rope_theta']} in rope_parameters")
    return passed(f"global {config['global_rope_theta']:g}, local {config['local_rope_theta']:g}")


def _pooling(directory: ModelDirectory) -> Outcome:
    config = _modern(directory)
    if config is None or not directory.sequence:
        return unneeded("no ModernBERT that gives a text one label")
    found = config.get("classifier_pooling", "cls")  # cls is transformers' default
    if found != "mean":
        return failed(f"classifier_pooling {found!r}: the router pools by the mean all the same")
    return passed("mean")


def _multilingual(directory: ModelDirectory) -> Outcome:
    config = _modern(directory)
    size = (config or {}).get("vocab_size")
    if config is None or not is_count(size) or size < MULTILINGUAL:
        return unneeded(f"no ModernBERT with a vocabulary of {MULTILINGUAL:,} or more")
    found = config.get("position_embedding_type")
    if found != "sans_pos":
        return failed(f"position_embedding_type {found!r}")
    positions, theta = config.get("max_position_embeddings"), config.get("global_rope_theta")
    long = (is_count(positions) and positions >= LONG_POSITIONS) or (
        is_number(theta) and theta >= LONG_THETA
    )
    return passed("sans_pos; read as mmBERT" + (" of 32K tokens" if long else ""))


def _discovered(directory: ModelDirectory) -> Outcome:
    slot = slot_of_name(directory.name)
    if slot is None:
        return unneeded(f"{directory.name} is not found by itself: its path goes into `model_id`")
    if directory.slot is not None and slot != directory.slot:
        return failed(
            f"{directory.name} is the name of {slot.task}, it holds {directory.slot.task}"
        )
    if not directory.name.lower().startswith(slot.prefix) or directory.family is None:
        return passed(f"found for {slot.task}")
    told = told_architecture(directory.name)
    if told != directory.family:
        return failed(f"{directory.name} is taken for {told}, it holds {directory.family}")
    return passed(f"found for {slot.task}, as {told}")


@needing("config")
def _plain_json(directory: ModelDirectory) -> Outcome:
    """Refuse what Python's JSON writes and no other reader takes."""
    try:
        json.dumps(directory.config, allow_nan=False)
    except ValueError:
        return failed("NaN or Infinity in it, which JSON does not have")
    return passed("plain JSON")


FILE_CLAUSES: tuple[Clause[ModelDirectory], ...] = (
    Clause("files.config", "config.json is there and holds an object.", _config_file),
    Clause("files.tokenizer", "tokenizer.json is that of a fast tokenizer.", _tokenizer_file),
    Clause("files.weights", "model.safetensors is there and whole.", _weights_file),
    Clause("files.one", "All weights lie in that one file.", _one_file),
    Clause("files.adapters", "No adapter files lie beside it.", _no_adapters),
    Clause("files.mapping", "One mapping file says which task it is for.", _mapping_file),
    Clause(
        "name.discovered",
        "A name by which the router finds it says the right task and architecture.",
        _discovered,
    ),
)
CONFIG_CLAUSES: tuple[Clause[ModelDirectory], ...] = (
    Clause("config.json", "The configuration is JSON for every reader.", _plain_json),
    Clause("config.model_type", "The family is one that the router loads.", _model_type),
    Clause("config.sizes", "The sizes of the model are there.", _sizes),
    Clause("config.padding", "pad_token_id is a token.", _padding),
    Clause("config.architectures", "The class fits family and task.", _architectures),
    Clause("config.labels", "id2label counts from '0' without a gap.", _labels),
    Clause("config.label2id", "label2id is the inverse of id2label.", _label_ids),
    Clause("config.num_labels", "num_labels is the number of labels.", _label_count),
    Clause(
        "config.modernbert",
        "ModernBERT's norm and attention settings are there as flat keys.",
        _flat_keys,
    ),
    Clause(
        "config.rope", "ModernBERT's two rope thetas are flat keys, and the model's own.", _rope
    ),
    Clause("config.pooling", "A ModernBERT for whole texts was pooled by the mean.", _pooling),
    Clause("config.mmbert", "mmBERT says that it has no position embeddings.", _multilingual),
)
