"""One frozen trunk: tasks trained apart in the upper layers alone, put together as one bundle."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pointsman.bundle.card import write_shared_card
from pointsman.bundle.layout import (
    CARD,
    META,
    TOKENIZER,
    TOKENIZER_CONFIG,
    WEIGHTS,
    read_bundle,
    read_meta,
    write_bundle,
)
from pointsman.bundle.meta import BundleMeta, Cost, SharedMeta
from pointsman.core.errors import BundleError, ConfigError
from pointsman.core.files import write_text
from pointsman.data.prepared import AUDIT
from pointsman.export.golden import add_golden, ensure_golden
from pointsman.models.assemble import assemble_network
from pointsman.models.shared import SharedNetwork, check_family, save_shared
from pointsman.models.weights import Backbone
from pointsman.pipeline.packing import versions
from pointsman.pipeline.pages import HISTORY
from pointsman.pipeline.shared import check_parts, evaluate_heads
from pointsman.pipeline.starts import count_layers
from pointsman.pipeline.steps import Say, TrainRequest, train_and_pack
from pointsman.training.config import TrainOptions

PARTS = "parts"
HEAD_RATE = 1e-3  # what a head learns at alone: the rates of the presets are those of encoders


@dataclass(frozen=True, slots=True)
class TrunkRequest:
    """Tasks to train apart above one frozen trunk.

    Attributes:
        parts: One training a task, in output order, of one backbone and one window length.
        top_layers: Encoder layers that each task adapts.
        directory: Gets `bundle/`, and `parts/TASK/` with each task's own training.
        recipe: The recipe that asked for it, for the bundle's provenance.
    """

    parts: Sequence[TrainRequest]
    top_layers: int
    directory: Path
    recipe: dict[str, Any]


def train_and_evaluate_trunk(request: TrunkRequest, say: Say) -> Path:
    """Train every task apart, put them together, then calibrate and evaluate each head.

    Returns:
        The shared bundle's directory.

    Raises:
        ConfigError: If the encoder has fewer layers, or its family cannot be shared.
        DataError: If a split is empty, the data leaks, or a licence forbids it without consent.
        TrainingError: If a directory holds another run, or memory runs out.
    """
    rules = check_parts(request.parts)
    bundle = _train_and_pack(request, say)
    evaluate_heads(bundle, request.parts, rules, say)
    return bundle


def train_trunk(request: TrunkRequest, say: Say) -> Path:
    """Train every task apart and put them together; see `train_and_evaluate_trunk`."""
    bundle = _train_and_pack(request, say)
    ensure_golden(bundle)
    return bundle


def _train_and_pack(request: TrunkRequest, say: Say) -> Path:
    """Train and pack, all but the golden answers of the whole: thresholds may still change them."""
    layers = check_depth(request.parts[0].backbone, request.top_layers)
    lines = any(part.data.spec.level == "token" for part in request.parts)
    trained = {}
    for part in request.parts:
        name = part.data.spec.name
        own = replace(
            part,
            options=trunk_options(part.options, request.top_layers, layers),
            directory=request.directory / PARTS / name,
            lines=lines,
        )
        trained[name] = train_and_pack(own, say)
        ensure_golden(trained[name])
        for file in (HISTORY, AUDIT):
            write_text(part.directory / file, (own.directory / file).read_text(encoding="utf-8"))
    bundle = request.directory / "bundle"
    if not _is_made_of(bundle, trained):
        least = layers - request.top_layers
        _pack(trained, bundle, least=least, recipe=request.recipe, say=say)
    return bundle


def check_depth(backbone: Backbone, top_layers: int) -> int:
    """Return how many layers a backbone's encoder has.

    Raises:
        ConfigError: If they are fewer than are to be adapted, or the family cannot be shared.
    """
    check_family(backbone.model_type)
    layers = count_layers(backbone)
    if top_layers > layers:
        raise ConfigError(
            f"trunk.top_layers of at most {layers} for {backbone.name}", got=top_layers
        )
    return layers


def trunk_options(options: TrainOptions, top_layers: int, layers: int) -> TrainOptions:
    """Return training options under which the lower part of the encoder stays as it is.

    Args:
        options: As the user gave them; which parameters train is settled here.
        top_layers: Upper layers that LoRA adapts; none trains the head alone.
        layers: Layers of the encoder.
    """
    if top_layers:
        lora = options.lora.model_copy(update={"top_layers": top_layers})
        return options.model_copy(update={"method": "lora", "lora": lora})
    frozen = options.network.model_copy(update={"freeze_embeddings": True, "freeze_layers": layers})
    rate = options.learning_rate or HEAD_RATE
    return options.model_copy(update={"method": "full", "network": frozen, "learning_rate": rate})


def assemble(
    bundles: Mapping[str, Path],
    out: Path,
    *,
    least: int = 0,
    say: Say,
) -> SharedMeta:
    """Put bundles of one backbone together, so that the layers in common are computed once.

    Nothing is trained: each head answers as its bundle does.

    Args:
        bundles: Bundle of each task, in output order.
        out: Directory of the shared bundle, which gets golden answers, too.
        least: Encoder layers that must be the same to the bit in all.
        say: Prints a line of news.

    Raises:
        BundleError: If a bundle is damaged, or reads texts in another way than the others.
        ConfigError: If they are not of one backbone, or share fewer layers.
    """
    _pack(bundles, out, least=least, recipe={}, say=say)
    whole = add_golden(out)
    assert isinstance(whole, SharedMeta)
    return whole


def _pack(
    bundles: Mapping[str, Path], out: Path, *, least: int, recipe: dict[str, Any], say: Say
) -> None:
    metas = {name: read_bundle(path) for name, path in bundles.items()}
    _check_reading(bundles, metas)
    network = assemble_network(bundles, {name: meta.task for name, meta in metas.items()})
    if network.trunk_layers < least:
        raise ConfigError(
            f"{least} encoder layers that are the same to the bit in all bundles",
            got=network.trunk_layers,
            fix="train them again with the lower layers frozen",
        )
    say(
        f"shared: {network.trunk_layers} encoder layers in common, "
        f"{_own_layers(network)} of each head's own"
    )
    whole = _describe(network, metas, recipe)
    first = next(iter(bundles.values()))

    def fill(directory: Path) -> None:
        save_shared(network, directory)
        for name in (TOKENIZER, TOKENIZER_CONFIG):
            if (first / name).is_file():
                shutil.copyfile(first / name, directory / name)
        write_text(directory / CARD, write_shared_card(whole))

    write_bundle(out, lambda: whole, fill)


def _own_layers(network: SharedNetwork) -> int:
    """Return how many upper encoder layers each head has to itself."""
    return int(network.config.num_hidden_layers) - network.trunk_layers


def _check_reading(bundles: Mapping[str, Path], metas: Mapping[str, BundleMeta]) -> None:
    """Refuse bundles whose tokenizers or windows differ: there is one of each for all heads."""
    first = next(iter(metas.values()))
    for name, meta in metas.items():
        if meta.files[TOKENIZER] != first.files[TOKENIZER]:
            raise BundleError(
                f"{bundles[name]}: the tokenizer of the other bundles",
                got="another one",
                fix="train all of them with `method: trunk`: a token task shows line breaks",
            )
        if meta.max_length != first.max_length:
            raise BundleError(
                f"{bundles[name]}: windows of {first.max_length} tokens, as in the other bundles",
                got=meta.max_length,
                fix="train all of them with one max_length",
            )


def _describe(
    network: SharedNetwork, metas: Mapping[str, BundleMeta], recipe: dict[str, Any]
) -> SharedMeta:
    first = next(iter(metas.values()))
    own = _own_layers(network)
    return SharedMeta(
        heads={
            name: meta.model_copy(
                update={"files": {}, "provenance": {**meta.provenance, "own_layers": own}}
            )
            for name, meta in metas.items()
        },
        max_length=first.max_length,
        trunk_layers=network.trunk_layers,
        validation={
            f"{name}/{key}": value
            for name, meta in metas.items()
            for key, value in meta.validation.items()
        },
        cost=_cost(network, [meta.cost for meta in metas.values() if meta.cost is not None]),
        provenance={
            "backbone": first.provenance.get("backbone", {}),
            "parts": {name: meta.files[WEIGHTS] for name, meta in metas.items()},
        },
        recipe=recipe,
        versions=versions(),
    )


def _cost(network: SharedNetwork, parts: Sequence[Cost]) -> Cost | None:
    """Return what all the trainings cost together, and what the network is."""
    if not parts:
        return None
    parameters = sum(tensor.numel() for tensor in network.weights().values())
    trainable = sum(part.trainable_parameters for part in parts)
    own = _own_layers(network)
    gpu = [part.gpu_memory_mb for part in parts if part.gpu_memory_mb is not None]
    return Cost(
        method=f"trunk, {parts[0].method if own else 'heads alone'}",
        trainable_parameters=trainable,
        parameters=parameters,
        trainable_share=trainable / parameters,
        seconds=round(sum(part.seconds for part in parts), 1),
        peak_memory_mb=max(part.peak_memory_mb for part in parts),
        gpu_memory_mb=max(gpu) if gpu else None,
        weights_mb=round(parameters * 4 / 2**20, 2),
        steps=sum(part.steps for part in parts),
        precision=parts[0].precision,
    )


def _is_made_of(bundle: Path, parts: Mapping[str, Path]) -> bool:
    """Say whether a shared bundle stands there that was put together from these very bundles."""
    if not (bundle / META).is_file():
        return False
    held = read_meta(bundle).provenance.get("parts")
    return held == {name: read_bundle(path).files[WEIGHTS] for name, path in parts.items()}
