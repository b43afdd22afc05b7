"""Exports of a bundle: written, proven against torch, and kept if they answer as it does."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pointsman.bundle.exports import (
    WEIGHTS,
    ExportEntry,
    add_export,
    directory_name,
    hash_operating_point,
    new_export,
)
from pointsman.bundle.layout import read_any
from pointsman.bundle.meta import BundleMeta, SharedMeta, heads_of
from pointsman.bundle.network_config import pad_id_of
from pointsman.bundle.update import refresh_card
from pointsman.core.errors import ConfigError, DataError, ExportError
from pointsman.core.files import read_json
from pointsman.core.types import Example, Prediction
from pointsman.data.encode import TextEncoder
from pointsman.data.prepared import PreparedData, is_prepared, load_prepared
from pointsman.evaluation.score import score
from pointsman.export.bless import (
    Proof,
    Reference,
    agreement,
    mean_logit_error,
    prove,
    ways_to_ask,
)
from pointsman.export.golden import texts_of
from pointsman.export.onnx import MODEL as ONNX_MODEL
from pointsman.export.onnx import OPSET, write_head_graphs, write_onnx
from pointsman.export.openvino import write_openvino, write_openvino_int8
from pointsman.export.quantise import Search, parts_of, search, write_onnx_int8
from pointsman.runtime.backend import Backend, load_backend, open_export
from pointsman.runtime.predictor import Predictor
from pointsman.tasks.spec import TaskSpec

Say = Callable[[str], None]

STORED = {
    ("onnx", "fp32"): "weights and arithmetic in fp32",
    ("onnx", "int8"): "weights in int8, activations quantised as they come, the rest in fp32",
    ("openvino", "fp32"): "weights in fp32, arithmetic in fp32 by a hint",
    ("openvino", "bf16"): "weights in fp32, arithmetic in bf16 by a hint, where the CPU has it",
    ("openvino", "int8"): "products of weights and activations in int8, the rest in bf16 by a hint",
}
CALIBRATION_ROWS = 300  # to choose the ranges of activations by
ROUGH_ROWS = 32  # the same, to rank parts by
SEARCH_ROWS = 100  # for the search's verdict; none of them is a calibration row
SEARCH_AGREEMENT = 0.995  # more than a blessing asks for: these rows are few


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one form.

    Attributes:
        name: Directory below `export/`.
        proofs: What it showed, by head.
        blessed: Whether it may answer in place of torch.
        kept: Whether it is in the bundle.
    """

    name: str
    proofs: Mapping[str, Proof]
    blessed: bool
    kept: bool


@dataclass(slots=True)
class Job:
    """One bundle to export, and what is known of it.

    Attributes:
        path: The bundle.
        meta: What it says of itself.
        data: Prepared data of each head; a head may have none.
        force: Keep what is not blessed.
        say: Takes a line of news.
        graph: The ONNX file that every form is made from.
        outputs: Name of its output of each head.
    """

    path: Path
    meta: BundleMeta | SharedMeta
    data: Mapping[str, PreparedData]
    force: bool
    say: Say
    graph: Path
    outputs: dict[str, str] = field(default_factory=dict)

    def predictor(self, head: str, backend: Backend) -> Predictor:
        """Return a head of the bundle, computed by some backend."""
        encoder = TextEncoder.from_directory(self.path, max_length=self.meta.max_length)
        return Predictor(heads_of(self.meta)[head], encoder, backend)

    def open(self, place: Path, target: str, precision: str) -> Backend:
        """Load the form that lies in a directory."""
        return open_export(
            place,
            target,
            precision,
            outputs=self.outputs,
            pad_id=pad_id_of(self.path),
            longest=self.meta.max_length,
        )


def export_bundle(
    path: Path,
    forms: Sequence[tuple[str, str]],
    *,
    data: Sequence[Path],
    force: bool,
    say: Say,
) -> list[Outcome]:
    """Write exports into a bundle, and keep those that answer as torch does in fp32.

    Args:
        path: The bundle.
        forms: Pairs of target and precision, of those targets that go into bundles; see
            `pointsman.pipeline.forms.choose_forms`.
        data: Prepared data of its heads; without any, what lies beside the bundle is taken.
        force: Keep what is not blessed, stamped as such.
        say: Takes a line of news.

    Returns:
        What became of each form: one that is not blessed is kept only by force.

    Raises:
        ConfigError: If a precision needs data to be proven on, and there is none.
    """
    meta = read_any(path)
    found = _find_data(path, meta, data)
    _check_needs(forms, found, meta)
    with tempfile.TemporaryDirectory() as temporary:
        job = Job(path, meta, found, force, say, Path(temporary) / ONNX_MODEL)
        _make_graph(job)
        torch = load_backend("torch", path, meta)
        references = {head: _reference(job, head, torch) for head in heads_of(meta)}
        return [_export(job, *form, references) for form in forms]


def refuse_unblessed(outcomes: Sequence[Outcome]) -> None:
    """Say which forms were not kept.

    Raises:
        ExportError: If there are any.
    """
    lost = [outcome for outcome in outcomes if not outcome.kept]
    if lost:
        raise ExportError(
            "exports that decide as torch fp32 does (see the figures above)",
            got=f"not blessed and not kept: {', '.join(outcome.name for outcome in lost)}",
            fix="use another precision, or keep them with --force",
        )


def _find_data(
    path: Path, meta: BundleMeta | SharedMeta, places: Sequence[Path]
) -> dict[str, PreparedData]:
    """Return the prepared data of each head, by its task's name."""
    heads = heads_of(meta)
    beside = path.parent / "data"
    if not places and is_prepared(beside):
        places = [beside]
    found: dict[str, PreparedData] = {}
    for place in places:
        prepared = load_prepared(place)
        name = prepared.spec.name
        if name not in heads or prepared.spec.labels != heads[name].task.labels:
            raise ConfigError(
                f"{place}: data of {' or '.join(heads)}, with the labels of the bundle",
                got=f"data of {name}",
            )
        found[name] = prepared
    return found


def _check_needs(
    forms: Sequence[tuple[str, str]],
    data: Mapping[str, PreparedData],
    meta: BundleMeta | SharedMeta,
) -> None:
    missing = [head for head in heads_of(meta) if head not in data]
    for target, precision in forms:
        if missing and precision != "fp32":
            raise ConfigError(
                f"prepared data of {', '.join(missing)}: {target} in {precision} is proven on its "
                "validation split",
                got="none",
                fix="give it with --data DIR",
            )


def _make_graph(job: Job) -> None:
    from pointsman.models.graph import load_graph

    job.say("writing the graph")
    module, job.outputs = load_graph(job.path, job.meta)
    write_onnx(module, list(job.outputs.values()), job.graph)


def _reference(job: Job, head: str, torch: Backend) -> Reference:
    predictor, prepared = job.predictor(head, torch), job.data.get(head)
    if prepared is None:
        texts = [Example(text) for text in texts_of(job.path)]
        job.say(f"{head}: no validation data: torch answers {len(texts)} golden texts")
        return Reference.ask(predictor, texts, None)
    job.say(f"{head}: torch answers {len(prepared.validation):,} validation rows")
    return Reference.ask(predictor, prepared.validation, _headline(prepared.spec))


def _headline(spec: TaskSpec) -> Callable[[Sequence[Example], Sequence[Prediction]], float]:
    """Return the function that gives a task's headline metric."""

    def headline(examples: Sequence[Example], predictions: Sequence[Prediction]) -> float:
        figures = score(spec, examples, predictions)
        if spec.headline not in figures:
            raise DataError(
                f"validation rows that tell the {spec.headline} of {spec.name}",
                got=f"{len(examples)} rows that lack a label",
                fix="give other data with --data DIR",
            )
        return float(figures[spec.headline])

    return headline


def _export(job: Job, target: str, precision: str, references: Mapping[str, Reference]) -> Outcome:
    name = directory_name(target, precision)
    job.say(f"{name}: writing")
    proofs: dict[str, Proof] = {}
    try:
        with new_export(job.path, target, precision) as place:
            found = _write(job, target, precision, place)
            job.say(f"{name}: answering the same rows")
            backend = job.open(place, target, precision)
            for head, reference in references.items():
                asked = [job.predictor(head, way) for way in ways_to_ask(backend)]
                proofs[head] = prove(reference, asked, precision)
            blessed = all(proof.blessed for proof in proofs.values())
            if not blessed and not job.force:
                raise _NotBlessedError
    except _NotBlessedError:
        return Outcome(name, proofs, blessed=False, kept=False)
    figures: dict[str, Any] = {head: proof.to_dict() for head, proof in proofs.items()}
    if found is not None:
        figures["quantisation"] = found.to_dict()
    entry = ExportEntry(
        target=target,
        precision=precision,
        files={},
        opset=OPSET,
        outputs=job.outputs,
        weights=job.meta.files[WEIGHTS],
        stored=STORED[target, precision],
        blessed=blessed,
        proven_at=hash_operating_point(job.meta),
        forced=not blessed,
        figures=figures,
    )
    add_export(job.path, entry)
    refresh_card(job.path)
    return Outcome(name, proofs, blessed=blessed, kept=True)


class _NotBlessedError(Exception):
    """Ends the writing of an export, so that nothing of it is kept."""


def _write(job: Job, target: str, precision: str, place: Path) -> Search | None:
    """Write one form into a directory, and say what int8 left in higher precision."""
    found = None
    if precision == "int8":
        found = _quantise(job, target, place)
    elif target == "onnx":
        (place / ONNX_MODEL).write_bytes(job.graph.read_bytes())
    else:
        write_openvino(job.graph, place)
    if target == "onnx" and _heads_have_layers(job):
        write_head_graphs(place / ONNX_MODEL, job.outputs)
    return found


def _heads_have_layers(job: Job) -> bool:
    """Say whether heads compute more than a head's own few products."""
    layers = int(read_json(job.path / "config.json")["num_hidden_layers"])
    return isinstance(job.meta, SharedMeta) and job.meta.least_depth() < layers


def _quantise(job: Job, target: str, place: Path) -> Search:
    """Write the int8 form, with sensitive parts in higher precision."""
    calibration, held_out = _training_texts(job)
    rows = _inputs(job, calibration)
    torch = load_backend("torch", job.path, job.meta)
    references = {
        head: Reference.ask(job.predictor(head, torch), [Example(t) for t in texts], None)
        for head, texts in held_out.items()
    }

    def quantise(ignored: Sequence[str], count: int = CALIBRATION_ROWS) -> None:
        if target == "onnx":
            write_onnx_int8(job.graph, place / ONNX_MODEL, ignored)
        else:
            write_openvino_int8(job.graph, place, rows[:count], ignored)

    def ask(head: str) -> tuple[Predictor, list[Any]]:
        predictor = job.predictor(head, job.open(place, target, "int8"))
        return predictor, predictor.read([e.text for e in references[head].examples])

    def error() -> float:
        return max(mean_logit_error(r.readings, ask(h)[1]) for h, r in references.items())

    def agreed() -> float:
        shares = []
        for head, reference in references.items():
            predictor, readings = ask(head)
            shares.append(agreement(reference.predictions, predictor.decide(readings)))
        return min(shares)

    return search(
        parts_of(job.graph),
        quantise,
        rough=lambda ignored: quantise(ignored, ROUGH_ROWS),
        error=error,
        agreement=agreed,
        needed=SEARCH_AGREEMENT,
    )


def _training_texts(job: Job) -> tuple[list[str], dict[str, list[str]]]:
    """Return training texts to calibrate on, of all heads alike, and others to search on."""
    calibration: list[str] = []
    held_out = {}
    share = CALIBRATION_ROWS // len(job.data)
    for head, prepared in job.data.items():
        texts = sorted({example.text for example in prepared.train})
        random.Random(0).shuffle(texts)
        count = min(share, max(1, len(texts) * 3 // 4))
        calibration += texts[:count]
        held_out[head] = texts[count : count + SEARCH_ROWS] or texts[:SEARCH_ROWS]
    random.Random(1).shuffle(calibration)  # the first ones stand for all heads
    return calibration, held_out


def _inputs(job: Job, texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return the first window of each text as the graph takes it."""
    encoder = TextEncoder.from_directory(job.path, max_length=job.meta.max_length)
    rows = [np.asarray([windows[0].input_ids], dtype=np.int64) for windows in encoder.encode(texts)]
    return [{"input_ids": ids, "attention_mask": np.ones_like(ids)} for ids in rows]
