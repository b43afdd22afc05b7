"""The steps of a run: train a task, pack its bundle, evaluate the bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointsman.bundle.card import write_card
from pointsman.bundle.layout import ADAPTER, CARD, META, WEIGHTS, write_bundle
from pointsman.bundle.meta import BundleMeta
from pointsman.core.errors import TrainingError
from pointsman.core.files import read_json, sha256_file, write_json, write_text
from pointsman.data.augment import augment
from pointsman.data.encode import TextEncoder
from pointsman.data.mentions import swap_mentions
from pointsman.data.prepare import PreparedData
from pointsman.data.prepared import AUDIT
from pointsman.models.adapters import merge_lora, save_adapter
from pointsman.models.network import build_network, quiet
from pointsman.models.weights import Backbone
from pointsman.pipeline.encoding import Encoded, encode_split, metric_function, row_weights
from pointsman.pipeline.gate import check_data
from pointsman.pipeline.packing import (
    best_figures,
    cost_of,
    save_tokenizer,
    versions,
    write_history,
)
from pointsman.pipeline.starts import count_weights, find_start, read_encoder
from pointsman.pipeline.teachers import Teacher, find_teacher, taught
from pointsman.pipeline.terms import Terms
from pointsman.runtime.decode import cost_of_adjacency
from pointsman.runtime.words import spans_fit_words
from pointsman.tasks.labels import model_labels
from pointsman.tasks.spec import TaskSpec
from pointsman.training.config import TrainOptions, resolve

if TYPE_CHECKING:
    from pointsman.training.job import Job, Objective
    from pointsman.training.masking import TokenMasking

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """One model to train.

    Attributes:
        data: Prepared data.
        backbone: Encoder to start from.
        options: Training options as the user gave them.
        directory: Run directory: gets `checkpoints/` and `bundle/`.
        recipe: The recipe that asked for it, for the bundle's provenance.
        terms: What holds around the training.
        lines: Show line breaks to the network; what its task needs when not given.
    """

    data: PreparedData
    backbone: Backbone
    options: TrainOptions
    directory: Path
    recipe: dict[str, Any]
    terms: Terms = field(default_factory=Terms)
    lines: bool | None = None

    @property
    def bundle(self) -> Path:
        """Where its bundle is packed."""
        return self.directory / "bundle"


def train_and_pack(request: TrainRequest, say: Say) -> Path:
    """Train a model and pack it; a bundle that this very run has packed is kept.

    What was done to it since, calibrated on traffic or exported, is then still there.

    Returns:
        The bundle's directory.

    Raises:
        DataError: If the data leaks or a licence forbids it, without the user's consent.
        TrainingError: If the run directory holds another run, or memory runs out.
        StorageError: If the disk is full or read-only.
    """
    from pointsman.training.trainer import train

    spec, bundle = request.data.spec, request.bundle
    lines = spec.level == "token" if request.lines is None else request.lines
    encoder = read_encoder(request.backbone, request.options.max_length, lines=lines)
    passed = check_data(request.data, request.terms.consent, encoder=encoder, say=say)
    training = encode_training(request, encoder)
    options = resolve(
        request.options,
        rows=len(training.rows),
        parameters=count_weights(request.backbone),
        lora_rank=spec.lora_rank,
    )
    start = find_start(request.backbone, options.warm_start)
    teacher = teacher_of(request)
    identity = _identity(request, options, start, teacher)
    refuse_other_bundle(bundle, identity)
    if is_packed(bundle, identity):
        say(f"{spec.name}: trained already, its bundle is kept")
    else:
        _announce(request, options, training, say)
        validation = encode_split(spec, encoder, request.data.validation, every_window=True)
        facts = {"train": training.facts, "validation": validation.facts}
        told = {"encoding": facts, "run": identity, **passed.provenance}
        if teacher is not None:
            told["teacher"] = teacher.provenance()
            training.rows = taught(teacher, spec, training, say)
        meta = describe(request, options, told)
        job = _job(request, meta, start, (training, validation), encoder, say)
        _pack(request, meta, train(job), encoder)
    write_json(request.directory / AUDIT, passed.audit)
    return bundle


def _job(
    request: TrainRequest,
    meta: BundleMeta,
    start: Backbone,
    rows: tuple[Encoded, Encoded],
    encoder: TextEncoder,
    say: Say,
) -> Job:
    """Return what the trainer is asked, of encoded training and validation rows."""
    from pointsman.training.job import Job

    training, validation = rows
    options = TrainOptions.model_validate(meta.recipe["train"])
    network = build_network(
        start,
        meta.task,
        lora=options.lora if options.method == "lora" else None,
        options=options.network,
        seed=options.seed,
    )
    return Job(
        model=network.model,
        train=training.rows,
        objectives=[objective(meta, training, validation, options)],
        pad_id=network.model.config.pad_token_id or 0,
        options=options,
        directory=request.directory / "checkpoints",
        identity=meta.provenance["run"],
        say=say,
        weights=row_weights(training, options.source_power),
        masking=masking(encoder, [options.mask_tokens]),
    )


def objective(
    meta: BundleMeta,
    training: Encoded,
    validation: Encoded,
    options: TrainOptions,
    weight: float = 1.0,
) -> Objective:
    """Return what a head learns and is measured by.

    Args:
        meta: What it says of itself.
        training: Its encoded training split.
        validation: Its encoded validation split.
        options: Its own training options.
        weight: What its loss is multiplied with, beside other heads.
    """
    from pointsman.training.job import Objective

    return Objective(
        name=meta.task.name,
        validation=validation.rows,
        metrics=metric_function(meta, validation),
        checkpoint_metric=meta.task.checkpoint,
        classes=len(meta.labels),
        weighting=options.class_weights,
        open_labels=training.open_labels,
        weight=weight,
        distill=None if options.distill.teacher is None else options.distill,
    )


def masking(encoder: TextEncoder, rates: Sequence[float]) -> TokenMasking | None:
    """Return what hides tokens while training; None where nothing is to be hidden.

    Args:
        encoder: Knows the mask token.
        rates: Of each head, in turn.

    Raises:
        ConfigError: If the tokenizer has no mask token.
    """
    if not any(rates):
        return None
    from pointsman.training.masking import TokenMasking

    return TokenMasking(encoder.mask_id(), encoder.special_ids(), rates)


def encode_training(request: TrainRequest, encoder: TextEncoder) -> Encoded:
    """Encode the training split, with the perturbed copies that the options ask for."""
    spec, rows, options = request.data.spec, request.data.train, request.options
    copies = augment(spec, rows, options.augment, seed=options.seed)
    if options.swap_mentions and spec.level == "token":
        copies["swapped_mentions"] = swap_mentions(rows, options.swap_mentions, seed=options.seed)
    added = [example for examples in copies.values() for example in examples]
    encoded = encode_split(spec, encoder, [*rows, *added], every_window=spec.level == "token")
    if copies:
        encoded.facts["augmented"] = {name: len(examples) for name, examples in copies.items()}
    return encoded


def teacher_of(request: TrainRequest) -> Teacher | None:
    """Return the teacher that a training asks for, if it asks for one; see `find_teacher`."""
    data = request.data
    return find_teacher(data.spec, request.options.distill, data.manifest["hashes"]["train"])


def _identity(
    request: TrainRequest, options: TrainOptions, start: Backbone, teacher: Teacher | None
) -> dict[str, Any]:
    from pointsman.training.trainer import identify

    own = {} if teacher is None else {"teacher": teacher.identity()}
    return identify(
        **own,
        data=request.data.manifest["hashes"],
        task=request.data.spec.model_dump(mode="json"),
        options=what_matters(options),
        backbone=request.backbone.provenance(),
        start=sha256_file(start.path / WEIGHTS),
    )


def refuse_other_bundle(bundle: Path, identity: dict[str, Any]) -> None:
    """Refuse to replace another run's bundle, where its checkpoints are gone and cannot tell."""
    meta = read_json(bundle / META) if (bundle / META).is_file() else {}
    held = meta.get("provenance", {}).get("run", identity)
    differs = sorted(key for key in identity if held.get(key) != identity[key])
    if differs:
        raise TrainingError(
            f"{bundle}: no bundle, or one of this run",
            got=f"one of a run that differs in {', '.join(differs)}",
            fix="choose another output directory, or delete this one",
        )


def is_packed(bundle: Path, identity: dict[str, Any]) -> bool:
    """Say whether a run has packed its bundle; it is written whole, so the training had ended."""
    if not (bundle / META).is_file():
        return False
    return bool(read_json(bundle / META).get("provenance", {}).get("run") == identity)


def what_matters(options: TrainOptions) -> dict[str, Any]:
    """Return the options that change what is learned; resuming with another log rate is fine.

    Weights to start or to learn from count by what they hold and not by where they lie.
    """
    left_out = {"logging_steps", "report_to", "save_total_limit", "warm_start", "distill"}
    found = options.model_dump(mode="json", exclude=left_out)
    if options.distill.teacher is not None:
        found["distill"] = options.distill.model_dump(mode="json", exclude={"teacher"})
    return found


def _announce(request: TrainRequest, options: TrainOptions, rows: Encoded, say: Say) -> None:
    spec = request.data.spec
    say(
        f"{spec.name}: {request.backbone.name}, {options.trained_part}, "
        f"{rows.facts['rows']:,} rows, {rows.facts['tokens']:,} tokens an epoch"
    )
    announce_options(request.backbone, options, say)
    announce_rows(spec, options, rows, say)


def announce_options(backbone: Backbone, options: TrainOptions, say: Say) -> None:
    """Say how a network is trained."""
    from pointsman.training.precision import choose_precision

    precision = choose_precision(options.precision)
    by_steps = options.evaluate == "steps"
    when = f"every {options.evaluate_every} steps" if by_steps else "each epoch"
    say(
        f"  {options.epochs:g} epochs, batch {options.batch_size} x {options.accumulation}, "
        f"rate {options.learning_rate:g}, decay {options.weight_decay:g}, warm-up "
        f"{options.warmup_ratio:.2g}, evaluate {when}, "
        f"patience {options.patience}, seed {options.seed}"
    )
    say(f"  precision {precision.name}: {precision.reason}")
    if backbone.pinned is False:
        say(f"  backbone not pinned: revision {backbone.revision}")


def announce_rows(spec: TaskSpec, options: TrainOptions, rows: Encoded, say: Say) -> None:
    """Say what a task's training rows are, where it is not plain."""
    if copies := rows.facts.get("augmented"):
        say("  with perturbed copies: " + ", ".join(f"{n:,} {name}" for name, n in copies.items()))
    cut = rows.facts["texts_beyond_max_length"]
    if cut and spec.level == "sequence":
        say(f"  {cut} texts beyond {options.max_length} tokens: trained on their first window")
        if spec.positive is not None:
            say(f"  those that are not {spec.positive}: trained on every window")


def describe(request: TrainRequest, options: TrainOptions, more: dict[str, Any]) -> BundleMeta:
    """Return what a bundle, or a head, says of itself before it is trained."""
    spec = request.data.spec
    manifest = request.data.manifest
    return BundleMeta(
        task=spec,
        labels=model_labels(spec),
        max_length=options.max_length,
        thresholds={spec.positive: 0.5} if spec.positive else {},
        pool_words=spec.level == "token"
        and spans_fit_words((example.text, example.spans) for example in request.data.train),
        adjacent_cost=cost_of_adjacency((e.text, e.spans) for e in request.data.train)
        if spec.level == "token"
        else 0.0,
        provenance={
            "backbone": request.backbone.provenance(),
            "data": {key: manifest[key] for key in ("sources", "hashes", "counts", "seed")},
            **more,
        },
        recipe={**request.recipe, "train": options.model_dump(mode="json")},
        versions=versions(),
    )


def _pack(request: TrainRequest, meta: BundleMeta, outcome: Any, encoder: TextEncoder) -> None:
    options = TrainOptions.model_validate(meta.recipe["train"])

    def fill(directory: Path) -> None:
        if options.method == "lora":
            save_adapter(outcome.model, directory / ADAPTER, origin=request.backbone.origin)
        with quiet():
            merge_lora(outcome.model).save_pretrained(directory)
        save_tokenizer(encoder, request.backbone, directory)
        nonlocal meta
        meta = meta.model_copy(
            update={
                "cost": cost_of(options, outcome, directory),
                "validation": best_figures(outcome),
            }
        )
        write_text(directory / CARD, write_card(meta))

    write_bundle(request.bundle, lambda: meta, fill)
    write_history(request.directory, outcome.history)
