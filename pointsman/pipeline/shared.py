"""Several tasks under one encoder: trained in one run, packed as one bundle, each head measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pointsman.bundle.card import write_shared_card
from pointsman.bundle.layout import ADAPTER, CARD, WEIGHTS, write_bundle
from pointsman.bundle.meta import BundleMeta, Cost, SharedMeta
from pointsman.core.files import sha256_file, write_json, write_text
from pointsman.data.encode import TextEncoder
from pointsman.data.prepared import AUDIT
from pointsman.evaluation.rules import Rule
from pointsman.export.golden import ensure_golden
from pointsman.models.adapters import merge_lora, save_adapter
from pointsman.models.shared import build_shared, save_shared
from pointsman.models.weights import Backbone
from pointsman.pipeline.calibrate import rule_for
from pointsman.pipeline.depths import check_head_layers, deeper_heads, trunk_layers
from pointsman.pipeline.encoding import Encoded, encode_split, row_weights
from pointsman.pipeline.finish import check_splits, finish
from pointsman.pipeline.gate import Passed, check_data
from pointsman.pipeline.packing import (
    best_figures,
    cost_of,
    save_tokenizer,
    versions,
    write_history,
)
from pointsman.pipeline.pages import history_of
from pointsman.pipeline.starts import count_weights, find_start, read_encoder
from pointsman.pipeline.steps import (
    Say,
    TrainRequest,
    announce_options,
    announce_rows,
    describe,
    encode_training,
    is_packed,
    masking,
    objective,
    refuse_other_bundle,
    teacher_of,
    what_matters,
)
from pointsman.pipeline.teachers import Teacher, taught
from pointsman.runtime.predictor import load
from pointsman.runtime.shared import SharedPredictor
from pointsman.training.config import PER_HEAD, SharedOptions, TrainOptions, resolve
from pointsman.training.rows import Row


@dataclass(frozen=True, slots=True)
class SharedRequest:
    """One network of several heads to train.

    Attributes:
        parts: What is asked of each task, in output order: its data, terms and directory, where its
            reports go. Of its options count those that heads may differ in.
        options: Training options as the user gave them.
        shared: How the tasks are put together.
        directory: Gets `checkpoints/` and `bundle/`.
        recipe: The recipe that asked for it, for the bundle's provenance.
    """

    parts: Sequence[TrainRequest]
    options: TrainOptions
    shared: SharedOptions
    directory: Path
    recipe: dict[str, Any]

    @property
    def backbone(self) -> Backbone:
        """The encoder to start from."""
        return self.parts[0].backbone


@dataclass(frozen=True, slots=True)
class _Head:
    """A task that is ready to be trained beside others."""

    request: TrainRequest
    passed: Passed
    training: Encoded
    validation: Encoded
    teacher: Teacher | None

    @property
    def name(self) -> str:
        return self.request.data.spec.name


def train_and_evaluate_shared(request: SharedRequest, say: Say) -> Path:
    """Train, pack, then calibrate and evaluate each head; what is finished is not done again.

    Returns:
        The bundle's directory.

    Raises:
        DataError: If a split is empty, the data leaks, or a licence forbids it without consent.
        TrainingError: If the directory holds another run, or memory runs out.
    """
    rules = check_parts(request.parts)
    bundle = _train_and_pack(request, say)
    evaluate_heads(bundle, request.parts, rules, say)
    return bundle


def check_parts(parts: Sequence[TrainRequest]) -> dict[str, Rule]:
    """Refuse what would fail after hours of training, and return each head's operating point.

    Raises:
        ConfigError: If a rule does not fit its task.
        DataError: If a split is empty.
    """
    for part in parts:
        check_splits(part.data)
    return {part.data.spec.name: rule_for(part.data.spec, part.terms.at) for part in parts}


def evaluate_heads(
    bundle: Path, parts: Sequence[TrainRequest], rules: Mapping[str, Rule], say: Say
) -> None:
    """Calibrate each head of a shared bundle and evaluate it, unless that is done."""
    predictor = load(bundle)
    assert isinstance(predictor, SharedPredictor)
    for part in parts:
        name = part.data.spec.name
        if predictor.meta.heads[name].metrics:
            say(f"{name}: finished already, kept")
            continue
        finish(predictor.head(name), bundle, part, rules[name], say)
    ensure_golden(bundle)


def train_shared(request: SharedRequest, say: Say) -> Path:
    """Train one encoder with a head a task, and pack it.

    Returns:
        The bundle's directory.

    Raises:
        ConfigError: If the backbone's family cannot be shared.
        DataError: If the data leaks or a licence forbids it, without the user's consent.
        TrainingError: If the directory holds another run, or memory runs out.
        StorageError: If the disk is full or read-only.
    """
    bundle = _train_and_pack(request, say)
    ensure_golden(bundle)
    return bundle


def _train_and_pack(request: SharedRequest, say: Say) -> Path:
    """Train and pack, all but the golden answers: thresholds may still change them."""
    check_head_layers(request.backbone, request.shared)
    specs = [part.data.spec for part in request.parts]
    lines = any(spec.level == "token" for spec in specs)
    encoder = read_encoder(request.backbone, request.options.max_length, lines=lines)
    heads = [_prepare_head(i, part, encoder, say) for i, part in enumerate(request.parts)]
    options = resolve(
        request.options,
        rows=sum(len(head.training.rows) for head in heads),
        parameters=count_weights(request.backbone),
        lora_rank=max(spec.lora_rank for spec in specs),
    )
    start = find_start(request.backbone, options.warm_start)
    identity = _identity(request, options, start, [head.teacher for head in heads])
    bundle = request.directory / "bundle"
    refuse_other_bundle(bundle, identity)
    if is_packed(bundle, identity):
        return bundle
    _announce(request, options, heads, say)
    for head in heads:
        if head.teacher is not None:
            spec = head.request.data.spec
            head.training.rows = taught(head.teacher, spec, head.training, say)
    metas = {head.name: _describe(head, request, options, identity) for head in heads}
    outcome = _train(request, start, options, heads, metas, encoder, say)
    for head in heads:
        write_json(head.request.directory / AUDIT, head.passed.audit)
        write_history(head.request.directory, history_of(head.name, outcome.history))
    return _pack(request, options, metas, outcome, encoder)


def _train(
    request: SharedRequest,
    start: Backbone,
    options: TrainOptions,
    heads: Sequence[_Head],
    metas: Mapping[str, BundleMeta],
    encoder: TextEncoder,
    say: Say,
) -> Any:
    from pointsman.training.job import Job
    from pointsman.training.trainer import train

    network = build_shared(
        start,
        {head.name: head.request.data.spec for head in heads},
        lora=options.lora if options.method == "lora" else None,
        options=options.network,
        seed=options.seed,
        balance=request.shared.loss == "uncertainty",
        head_layers=request.shared.head_layers,
    )
    return train(
        Job(
            model=network.model,
            train=[row for head in heads for row in head.training.rows],
            objectives=[_objective(request, head, metas[head.name]) for head in heads],
            pad_id=network.model.config.pad_token_id or 0,
            options=options,
            directory=request.directory / "checkpoints",
            identity=next(iter(metas.values())).provenance["run"],
            say=say,
            weights=task_weights(heads, request.shared.temperature),
            shared=True,
            masking=masking(encoder, [head.request.options.mask_tokens for head in heads]),
        )
    )


def _prepare_head(place: int, part: TrainRequest, encoder: TextEncoder, say: Say) -> _Head:
    spec = part.data.spec
    passed = check_data(part.data, part.terms.consent, encoder=encoder, say=say)
    training = encode_training(part, encoder)
    validation = encode_split(spec, encoder, part.data.validation, every_window=True)
    for split in (training, validation):
        split.rows = [replace(row, head=place) for row in split.rows]
    return _Head(part, passed, training, validation, teacher_of(part))


def _identity(
    request: SharedRequest,
    options: TrainOptions,
    start: Backbone,
    teachers: Sequence[Teacher | None],
) -> dict[str, Any]:
    from pointsman.training.trainer import identify

    own = [None if teacher is None else teacher.identity() for teacher in teachers]
    return identify(
        **({"teachers": own} if any(own) else {}),
        data={part.data.spec.name: part.data.manifest["hashes"] for part in request.parts},
        task=[part.data.spec.model_dump(mode="json") for part in request.parts],
        options=what_matters(options),
        heads=[what_matters(part.options) for part in request.parts],
        shared=request.shared.model_dump(mode="json"),
        backbone=request.backbone.provenance(),
        start=sha256_file(start.path / WEIGHTS),
    )


def _describe(
    head: _Head, request: SharedRequest, options: TrainOptions, identity: dict[str, Any]
) -> BundleMeta:
    facts = {"train": head.training.facts, "validation": head.validation.facts}
    own = {"encoding": facts, "run": identity, **head.passed.provenance}
    layers = request.shared.own_layers(head.name)
    if layers:
        own["own_layers"] = layers
    if head.teacher is not None:
        own["teacher"] = head.teacher.provenance()
    mine = head.request.options
    merged = options.model_copy(update={key: getattr(mine, key) for key in PER_HEAD})
    return describe(head.request, merged, own)


def _objective(request: SharedRequest, head: _Head, meta: BundleMeta) -> Any:
    return objective(
        meta,
        head.training,
        head.validation,
        head.request.options,
        request.shared.weights.get(head.name, 1.0),
    )


def task_weights(heads: Sequence[_Head], temperature: float) -> list[float] | None:
    """Return how often each training row is drawn, tasks by temperature and sources by power.

    A task of n rows has a share in proportion to n^(1 / temperature) (as languages in Conneau et
    al., 2020, arXiv:1911.02116).

    Args:
        heads: The tasks, whose rows stand one after the other.
        temperature: At least 1; at 1 every row is drawn once an epoch, and None says so.
    """
    own = [row_weights(head.training, head.request.options.source_power) for head in heads]
    if temperature == 1 and not any(own):
        return None
    weights: list[float] = []
    for head, given in zip(heads, own, strict=True):
        rows: list[Row] = head.training.rows
        shares = given or [1.0] * len(rows)
        scale = len(rows) ** (1 / temperature) / sum(shares)
        weights += [share * scale for share in shares]
    return weights


def _announce(
    request: SharedRequest, options: TrainOptions, heads: Sequence[_Head], say: Say
) -> None:
    rows = sum(head.training.facts["rows"] for head in heads)
    tokens = sum(head.training.facts["tokens"] for head in heads)
    say(
        f"shared: {request.backbone.name}, {options.trained_part}, {len(heads)} heads, "
        f"{rows:,} rows, {tokens:,} tokens an epoch, sampled at temperature "
        f"{request.shared.temperature:g}, loss weights {request.shared.loss}"
    )
    deeper = deeper_heads(request.shared)
    if deeper:
        say(f"  {deeper}")
    announce_options(request.backbone, options, say)
    for head in heads:
        say(f"  {head.name}: {head.training.facts['rows']:,} rows")
        announce_rows(head.request.data.spec, options, head.training, say)


def _pack(
    request: SharedRequest,
    options: TrainOptions,
    metas: dict[str, BundleMeta],
    outcome: Any,
    encoder: TextEncoder,
) -> Path:
    path = request.directory / "bundle"
    described: list[SharedMeta] = []

    def fill(directory: Path) -> None:
        if options.method == "lora":
            save_adapter(outcome.model, directory / ADAPTER, origin=request.backbone.origin)
        save_shared(merge_lora(outcome.model), directory)
        save_tokenizer(encoder, request.backbone, directory)
        cost = cost_of(options, outcome, directory)
        described.append(_describe_whole(request, options, metas, cost, best_figures(outcome)))
        write_text(directory / CARD, write_shared_card(described[0]))

    write_bundle(path, lambda: described[0], fill)
    write_history(request.directory, outcome.history)
    return path


def _describe_whole(
    request: SharedRequest,
    options: TrainOptions,
    metas: Mapping[str, BundleMeta],
    cost: Cost,
    figures: dict[str, float],
) -> SharedMeta:
    cost = cost.model_copy(update={"method": f"shared, {options.method}"})
    return SharedMeta(
        heads={
            name: head.model_copy(update={"cost": cost, "validation": figures_of(name, figures)})
            for name, head in metas.items()
        },
        max_length=options.max_length,
        trunk_layers=trunk_layers(request.backbone, request.shared, list(metas)),
        validation=figures,
        cost=cost,
        provenance={
            "backbone": request.backbone.provenance(),
            "run": next(iter(metas.values())).provenance["run"],
        },
        recipe={
            **request.recipe,
            "train": options.model_dump(mode="json"),
            "shared": request.shared.model_dump(mode="json"),
        },
        versions=versions(),
    )


def figures_of(head: str, figures: Mapping[str, float]) -> dict[str, float]:
    """Return one head's figures, out of those of all: `HEAD/accuracy` becomes `accuracy`."""
    prefix = f"{head}/"
    return {k.removeprefix(prefix): v for k, v in figures.items() if k.startswith(prefix)}
