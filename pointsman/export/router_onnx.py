"""Bundles as the ONNX directories that a semantic router loads, one a head, of any family.

As in the router's own models the temperature is in what is computed. A graph has to answer the
bundle's golden texts as torch does, and its directory to meet the contract, before it appears.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from pointsman.bundle.layout import CONFIG, TOKENIZER, find_bundles
from pointsman.bundle.network_config import pad_id_of
from pointsman.core.errors import ExportError
from pointsman.core.files import atomic_directory, write_json, write_text
from pointsman.core.types import Example
from pointsman.data.encode import TextEncoder
from pointsman.export.bless import MOST_ERROR, Proof, Reference, prove
from pointsman.export.contract import check_graph
from pointsman.export.golden import texts_of
from pointsman.export.heads import Head, read_heads
from pointsman.export.onnx import MODEL, write_onnx
from pointsman.export.onnx_clauses import OUTPUT
from pointsman.export.router import (
    PROVENANCE,
    Exported,
    Say,
    check_places,
    head_keys,
    mapping,
    notes_of,
    provenance,
    refuse_broken,
    refuse_twice,
)
from pointsman.export.router_config import Entry, render_fragment
from pointsman.export.router_refusals import label_fault
from pointsman.export.slots import SLOTLESS, SLOTS, onnx_directory_name
from pointsman.runtime.backend import open_export
from pointsman.runtime.predictor import Predictor, Reading, load_head

FRAGMENT = "router-onnx-config.yaml"


def export_router_onnx(paths: Sequence[Path], out: Path, *, say: Say) -> list[Exported]:
    """Write an ONNX directory for each classifier of some bundles.

    Args:
        paths: Bundles, runs or directories of runs.
        out: Directory to write to; directories of other names in it stay.
        say: Is told what is written.

    Raises:
        ExportError: If the router would misread a classifier's labels, with the reason, or a graph
            does not answer as torch does.
        BundleError: If a bundle is missing or damaged.
    """
    heads = [head for bundle in find_bundles(paths) for head in read_heads(bundle)]
    faults = {head.name: label_fault(head.meta.task) for head in heads}
    said = [f"{name}: {fault}" for name, fault in faults.items() if fault is not None]
    if said:
        raise ExportError("labels that a semantic router reads as they are", got="; ".join(said))
    refuse_twice(heads)
    places = {head.name: out / _directory(head) for head in heads}
    check_places(places.values())
    done = []
    for head in heads:
        say(f"{head.name}: writing {places[head.name].name}")
        done.append(_write(head, places[head.name]))
    entries = [Entry.of(h.meta, places[h.name].name) for h in heads if h.name in SLOTS]
    if entries:
        write_text(out / FRAGMENT, render_fragment(entries, target="router-onnx"))
    for exported in done:
        exported.tell(say)
    return done


def _directory(head: Head) -> str:
    return onnx_directory_name(head.name, str(head.config["model_type"]), head.backbone)


def _write(head: Head, place: Path) -> Exported:
    """Write one directory whole, or not at all.

    Raises:
        ExportError: If its graph answers otherwise than torch, or it breaks the contract.
    """
    from pointsman.models.graph import one_head

    with atomic_directory(place) as temporary:
        model = head.model()
        write_onnx(one_head(model, head.meta.temperature), [OUTPUT], temporary / MODEL)
        config = head.config | head_keys(head.meta, type(model).__name__)
        write_json(temporary / CONFIG, config)
        shutil.copyfile(head.directory / TOKENIZER, temporary / TOKENIZER)
        slot = SLOTS.get(head.name)
        if slot is not None:
            write_json(temporary / slot.mapping, mapping(slot, head.meta.labels))
        proof = _prove(head, temporary)
        write_json(temporary / PROVENANCE, provenance(head) | {"proof": proof.to_dict()})
        report = check_graph(temporary, name=place.name)
        refuse_broken(head.name, report, "use the remote contract (POST /classify) instead")
    threshold, *others = notes_of(head.meta)
    return Exported(place, report, (threshold if slot is not None else SLOTLESS, *others))


def _prove(head: Head, place: Path) -> Proof:
    """Let the graph in a directory answer golden texts at temperature 1, as torch does at its own.

    Raises:
        ExportError: If it answers otherwise.
    """
    own = load_head(head.directory, head.name, backend="torch")
    examples = [Example(text) for text in texts_of(head.directory)]
    readings = own.read([example.text for example in examples])
    folded = tuple(
        Reading(r.text, r.windows, tuple(part / head.meta.temperature for part in r.logits))
        for r in readings
    )
    backend = open_export(
        place,
        "onnx",
        "fp32",
        outputs={head.name: OUTPUT},
        pad_id=pad_id_of(head.directory),
        longest=head.meta.max_length,
    )
    encoder = TextEncoder.from_directory(place, max_length=head.meta.max_length)
    meta = head.meta.model_copy(update={"temperature": 1.0})
    reference = Reference(own, tuple(examples), folded, tuple(own.decide(readings)), None)
    proof = prove(reference, [Predictor(meta, encoder, backend)], "fp32")
    if not proof.blessed:
        raise ExportError(
            f"{head.name}: a graph whose logits are within {MOST_ERROR:g} of torch's",
            got=f"{proof.logit_error:.1e} apart, {proof.agreement:.2%} of the decisions the same",
        )
    return proof
