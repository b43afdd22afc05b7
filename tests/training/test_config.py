"""Presets, and what a recipe may override."""

import pytest

from pointsman.core.errors import ConfigError
from pointsman.training.config import TrainOptions, resolve

TIERS = [
    (999, (2, 4, 1e-5, 0.15, 0.1, "epoch", None, 1)),
    (1000, (3, 8, 2e-5, 0.1, 0.06, "steps", 100, 2)),
    (4999, (3, 8, 2e-5, 0.1, 0.06, "steps", 100, 2)),
    (5000, (4, 16, 3e-5, 0.05, 0.03, "steps", 200, 3)),
]


@pytest.mark.parametrize(("rows", "expected"), TIERS)
def test_document_tiers(rows, expected):
    o = resolve(TrainOptions(preset="document"), rows=rows, parameters=149_000_000)
    found = (
        o.epochs, o.batch_size, o.learning_rate, o.weight_decay, o.warmup_ratio, o.evaluate,
        o.evaluate_every, o.patience,
    )  # fmt: skip
    assert found == expected


def test_our_preset_drops_no_attention_but_the_documents_does():
    def dropout(**options):
        return resolve(TrainOptions(**options), rows=100, parameters=10).network.attention_dropout

    assert dropout() == 0.0
    assert dropout(network={"attention_dropout": 0.1}) == 0.1
    assert dropout(preset="document") is None


def test_evaluating_every_so_many_steps_means_by_steps():
    o = resolve(TrainOptions(evaluate_every=50), rows=100, parameters=10)
    assert (o.evaluate, o.evaluate_every) == ("steps", 50)
    o = resolve(TrainOptions(evaluate="epoch", evaluate_every=50), rows=100, parameters=10)
    assert (o.evaluate, o.evaluate_every) == ("epoch", None)


def test_what_the_recipe_says_stays():
    o = resolve(TrainOptions(epochs=7, batch_size=3), rows=100, parameters=10)
    assert (o.epochs, o.batch_size) == (7, 3)
    assert o.learning_rate is not None and o.patience is not None


def test_lora_has_its_own_rate_and_large_backbones_a_lower_one():
    def rate(method, parameters):
        return resolve(TrainOptions(method=method), rows=9000, parameters=parameters).learning_rate

    assert rate("lora", 22_000_000) > rate("full", 22_000_000) > rate("full", 149_000_000)
    assert rate("full", 149_000_000) > rate("full", 395_000_000)


def test_adapters_warm_up_for_so_many_steps_in_a_short_training():
    """With 22 steps of 225, a tagger on 1,200 rows never finds a span; with 67 it does."""

    def share(rows, method="lora", **more):
        options = TrainOptions(method=method, **more)
        return resolve(options, rows=rows, parameters=10, lora_rank=32).warmup_ratio

    few = {"epochs": 3, "batch_size": 16}
    assert share(1200, **few) == pytest.approx(64 / 225)
    assert share(1200, **few, accumulation=4) == 0.3, "of 57 steps"
    assert share(13_000, **few) == 0.1
    assert share(13_000, max_steps=320) == pytest.approx(0.2)
    assert share(1200, method="full", **few) == 0.1
    assert share(1200, **few, warmup_ratio=0.0) == 0.0, "as the recipe says"
    assert share(1200, preset="document") == 0.06, "as the document says"


@pytest.mark.parametrize(
    "values", [{"epoch": 3}, {"method": "qlora"}, {"learning_rate": -1}, {"lora": {"rang": 8}}]
)
def test_bad_options_are_refused_with_their_path(values):
    with pytest.raises(ConfigError) as caught:
        TrainOptions.parse(values, where="train")
    assert next(iter(values)) in str(caught.value)


def test_an_unknown_nested_key_suggests_the_nearest():
    with pytest.raises(ConfigError, match=r"lora\.rang(.|\n)*'rank'"):
        TrainOptions.parse({"lora": {"rang": 8}}, where="train")


def test_lora_has_the_rank_of_its_task_unless_one_is_given():
    def rank(**lora):
        options = TrainOptions(method="lora", lora=lora)
        return resolve(options, rows=100, parameters=10, lora_rank=32).lora

    assert (rank().rank, rank().scale) == (32, 64)
    assert (rank(rank=12).rank, rank(rank=12).scale) == (12, 24)


@pytest.mark.parametrize(
    ("augment", "words"),
    [({"typo": 0.1}, "did you mean 'typos'"), ({"typos": 0}, "typos"), ({"typos": 1.5}, "typos")],
)
def test_augmentation_names_known_perturbations_and_shares(augment, words):
    assert TrainOptions(augment={"typos": 1, "padding": 0.1}).augment["typos"] == 1
    with pytest.raises(ConfigError, match=words):
        TrainOptions.parse({"augment": augment}, where="x")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "full"),
        ({"network": {"freeze_embeddings": True}}, "full, embeddings frozen"),
        ({"network": {"freeze_layers": 2}}, "full, embeddings and the lower 2 layers frozen"),
        ({"method": "lora", "network": {"freeze_embeddings": True}}, "lora"),
        ({"method": "lora", "lora": {"top_layers": 3}}, "lora in the top 3 layers"),
    ],
)
def test_what_trains_is_said_in_words(options, words):
    assert TrainOptions(**options).trained_part == words
