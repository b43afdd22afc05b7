"""The steps of a run: train a task, pack its bundle, evaluate the bundle."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointsman.bundle.card import write_card
from pointsman.bundle.layout import ADAPTER, CARD, META, TOKENIZER_CONFIG, WEIGHTS, write_bundle
from pointsman.bundle.meta import BundleMeta, Cost
from pointsman.core.errors import ConfigError, TrainingError
from pointsman.core.files import read_json, sha256_file, write_json, write_text
from pointsman.data.augment import augment
from pointsman.data.encode import TextEncoder
from pointsman.data.mentions import swap_mentions
from pointsman.data.prepare import PreparedData
from pointsman.data.prepared import AUDIT
from pointsman.models.adapters import merge_lora, save_adapter
from pointsman.models.network import build_network, quiet
from pointsman.models.weights import Backbone, refuse_shared
from pointsman.pipeline.encoding import Encoded, encode_split, metric_function, row_weights
from pointsman.pipeline.gate import check_data
from pointsman.pipeline.terms import Terms
from pointsman.runtime.words import spans_fit_words
from pointsman.tasks.labels import model_labels
from pointsman.tasks.spec import TaskSpec
from pointsman.training.config import TrainOptions, resolve

if TYPE_CHECKING:
    from pointsman.training.job import Objective
    from pointsman.training.masking import TokenMasking

Say = Callable[[str], None]
LIBRARIES = ("torch", "transformers", "peft", "tokenizers", "safetensors", "datasets", "numpy")


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
    from pointsman.training.job import Job
    from pointsman.training.trainer import train

    spec = request.data.spec
    lines = spec.level == "token" if request.lines is None else request.lines
    encoder = read_encoder(request.backbone, request.options.max_length, lines=lines)
    passed = check_data(request.data, request.terms.consent, encoder=encoder, say=say)
    training = encode_training(request, encoder)
    validation = encode_split(spec, encoder, request.data.validation, every_window=True)
    options = resolve(
        request.options,
        rows=len(training.rows),
        parameters=count_weights(request.backbone),
        lora_rank=spec.lora_rank,
    )
    identity = _identity(request, options)
    refuse_other_bundle(request.directory / "bundle", identity)
    if is_packed(request.directory / "bundle", identity):
        say(f"{spec.name}: trained already, its bundle is kept")
        write_json(request.directory / AUDIT, passed.audit)
        return request.directory / "bundle"
    network = build_network(
        find_start(request),
        spec,
        lora=options.lora if options.method == "lora" else None,
        options=options.network,
        seed=options.seed,
    )
    _announce(request, options, training, say)
    facts = {"train": training.facts, "validation": validation.facts}
    meta = describe(request, options, {"encoding": facts, "run": identity, **passed.provenance})
    outcome = train(
        Job(
            model=network.model,
            train=training.rows,
            objectives=[objective(meta, training, validation, options.class_weights)],
            pad_id=network.model.config.pad_token_id or 0,
            options=options,
            directory=request.directory / "checkpoints",
            identity=identity,
            say=say,
            weights=row_weights(training, options.source_power),
            masking=masking(encoder, [options.mask_tokens]),
        )
    )
    bundle = _pack(request, meta, outcome, encoder)
    write_json(request.directory / AUDIT, passed.audit)
    return bundle


def objective(
    meta: BundleMeta, training: Encoded, validation: Encoded, weighting: str, weight: float = 1.0
) -> Objective:
    """Return what a head learns and is measured by."""
    from pointsman.training.job import Objective

    return Objective(
        name=meta.task.name,
        validation=validation.rows,
        metrics=metric_function(meta, validation),
        checkpoint_metric=meta.task.checkpoint,
        classes=len(meta.labels),
        weighting=weighting,
        open_labels=training.open_labels,
        weight=weight,
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


def _identity(request: TrainRequest, options: TrainOptions) -> dict[str, Any]:
    from pointsman.training.trainer import identify

    return identify(
        data=request.data.manifest["hashes"],
        task=request.data.spec.model_dump(mode="json"),
        options=what_matters(options),
        backbone=request.backbone.provenance(),
        start=sha256_file(find_start(request).path / WEIGHTS),
    )


def refuse_other_bundle(bundle: Path, identity: dict[str, Any]) -> None:
    """Refuse to replace another run's bundle, where its checkpoints are gone and cannot tell."""
    meta = read_json(bundle / META) if (bundle / META).is_file() else {}
    held = meta.get("provenance", {}).get("run", identity)
    differs = sorted(key for key in identity if held.get(key) != identity[key])
    if differs:
        raise TrainingError(
            f"{bundle}: no bundle, or one of this run",
            got=f"one of a run with another {', '.join(differs)}",
            fix="choose another output directory, or delete this one",
        )


def is_packed(bundle: Path, identity: dict[str, Any]) -> bool:
    """Say whether a run has packed its bundle; it is written whole, so the training had ended."""
    if not (bundle / META).is_file():
        return False
    return bool(read_json(bundle / META).get("provenance", {}).get("run") == identity)


def what_matters(options: TrainOptions) -> dict[str, Any]:
    """Return the options that change what is learned; resuming with another log rate is fine."""
    return options.model_dump(
        mode="json", exclude={"logging_steps", "report_to", "save_total_limit", "warm_start"}
    )


def read_encoder(backbone: Backbone, max_length: int, *, lines: bool) -> TextEncoder:
    """Return the backbone's tokenizer.

    Args:
        backbone: The backbone.
        max_length: Longest window in tokens.
        lines: Show line breaks: what token tasks need.

    Raises:
        ConfigError: If the backbone reads no such windows.
    """
    longest = longest_input(backbone)
    if max_length > longest:
        raise ConfigError(f"max_length of at most {longest} for {backbone.name}", got=max_length)
    return TextEncoder.from_backbone(backbone.path, max_length=max_length, lines=lines)


def longest_input(backbone: Backbone) -> int:
    """Return the longest input of a backbone, in tokens.

    RoBERTa and MPNet number their positions from `pad_token_id + 1`, so two are never used.
    """
    config = read_json(backbone.path / "config.json")
    positions = int(config.get("max_position_embeddings", backbone.family.max_length))
    return positions - 2 if backbone.model_type in ("roberta", "mpnet") else positions


def count_layers(backbone: Backbone) -> int:
    """Return how many layers a backbone's encoder has."""
    return int(read_json(backbone.path / "config.json")["num_hidden_layers"])


def find_start(request: TrainRequest) -> Backbone:
    """Return the backbone to load weights from: the warm start's, where one is asked for."""
    if request.options.warm_start is None:
        return request.backbone
    path = Path(request.options.warm_start)
    for name in (WEIGHTS, "config.json"):
        if not (path / name).is_file():
            raise ConfigError(
                f"warm_start: a bundle or checkpoint with {name}",
                got=f"{path} without it",
                fix="give a bundle, or a checkpoint of a full fine-tuning",
            )
    refuse_shared(_weight_names(path / WEIGHTS), str(path))
    found = read_json(path / "config.json").get("model_type")
    if found != request.backbone.model_type:
        raise ConfigError(
            f"warm_start of family {request.backbone.model_type}", got=f"{path} of family {found}"
        )
    return replace(request.backbone, path=path)


def _weight_names(file: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(file, framework="np") as weights:
        return list(weights.keys())


def count_weights(backbone: Backbone) -> int:
    """Return how many parameters a backbone's checkpoint holds."""
    from safetensors import safe_open

    with safe_open(backbone.path / WEIGHTS, framework="np") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    total = 0
    for shape in shapes:
        size = 1
        for side in shape:
            size *= side
        total += size
    return total


def _announce(request: TrainRequest, options: TrainOptions, rows: Encoded, say: Say) -> None:
    spec = request.data.spec
    say(
        f"{spec.name}: {request.backbone.name}, {options.method}, {rows.facts['rows']:,} rows, "
        f"{rows.facts['tokens']:,} tokens an epoch"
    )
    announce_options(request.backbone, options, say)
    announce_rows(spec, options, rows, say)


def announce_options(backbone: Backbone, options: TrainOptions, say: Say) -> None:
    """Say how a network is trained."""
    from pointsman.training.precision import choose_precision

    precision = choose_precision(options.precision)
    every = f" {options.evaluate_every}" if options.evaluate == "steps" else ""
    say(
        f"  {options.epochs:g} epochs, batch {options.batch_size} x {options.accumulation}, "
        f"rate {options.learning_rate:g}, decay {options.weight_decay:g}, warm-up "
        f"{options.warmup_ratio:g}, evaluate each {options.evaluate}{every}, patience "
        f"{options.patience}, seed {options.seed}"
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
        provenance={
            "backbone": request.backbone.provenance(),
            "data": {key: manifest[key] for key in ("sources", "hashes", "counts", "seed")},
            **more,
        },
        recipe={**request.recipe, "train": options.model_dump(mode="json")},
        versions=versions(),
    )


def versions() -> dict[str, str]:
    """Return the versions of Python, Pointsman and the libraries that matter to a result."""
    found = {"python": platform.python_version()}
    for name in ("pointsman", *LIBRARIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _pack(request: TrainRequest, meta: BundleMeta, outcome: Any, encoder: TextEncoder) -> Path:
    options = TrainOptions.model_validate(meta.recipe["train"])
    path = request.directory / "bundle"

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

    write_bundle(path, lambda: meta, fill)
    write_history(request.directory, outcome)
    return path


def save_tokenizer(encoder: TextEncoder, backbone: Backbone, directory: Path) -> None:
    """Write the tokenizer, with the backbone's settings of it, for transformers."""
    encoder.save(directory)
    settings = backbone.path / TOKENIZER_CONFIG
    if settings.is_file():
        shutil.copyfile(settings, directory / TOKENIZER_CONFIG)


def write_history(directory: Path, outcome: Any) -> None:
    """Keep the training log beside the bundle, for plots and for reading."""
    from pointsman.core.files import write_jsonl

    write_jsonl(directory / "history.jsonl", outcome.history)


def cost_of(options: TrainOptions, outcome: Any, directory: Path) -> Cost:
    """Return what a training cost whose weights lie in `directory`."""
    adapter = list((directory / ADAPTER).glob("*"))
    return Cost(
        method=options.method,
        trainable_parameters=outcome.trainable,
        parameters=outcome.parameters,
        trainable_share=outcome.trainable / outcome.parameters,
        seconds=round(outcome.seconds, 1),
        peak_memory_mb=round(outcome.peak_memory_mb, 1),
        gpu_memory_mb=None if outcome.gpu_memory_mb is None else round(outcome.gpu_memory_mb, 1),
        weights_mb=round((directory / WEIGHTS).stat().st_size / 2**20, 2),
        adapter_mb=round(sum(f.stat().st_size for f in adapter) / 2**20, 2) if adapter else None,
        steps=outcome.steps,
        precision=outcome.precision,
    )


def best_figures(outcome: Any) -> dict[str, float]:
    """Return the validation figures of the best checkpoint."""
    for entry in outcome.history:
        if entry.get("step") == outcome.best_step and "eval_loss" in entry:
            return {
                key.removeprefix("eval_"): float(value)
                for key, value in entry.items()
                if key.startswith("eval_") and isinstance(value, int | float)
            }
    return {}
