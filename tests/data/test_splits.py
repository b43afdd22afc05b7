"""Splits: whole groups on one side, every class everywhere, and the same from any order."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.core.errors import DataError
from pointsman.core.types import SPLITS, Example, Span
from pointsman.data.sampling import allocate, split_hash, stratified_sample
from pointsman.data.splits import NEAR_OFFICIAL, assign_splits
from pointsman.tasks.catalogue import TASKS

PII = TASKS["pii"]
SPEC = TASKS["category"].adapt(labels=("law", "math"))


def labelled(*labels, **fields):
    return [Example(text=f"row {i}", label=label, **fields) for i, label in enumerate(labels)]


def singles(examples):
    return list(range(len(examples)))


def named(types, text):
    """A row whose text has one span for each type."""
    spans = tuple(Span(i, i + 1, label) for i, label in enumerate(types))
    return Example(text=f"{text:<20}x", spans=spans)


def test_fractions_hold_for_every_class():
    examples = labelled(*["law"] * 100, *["math"] * 50)
    splits = assign_splits(examples, singles(examples), SPEC)
    counts = Counter((split, e.label) for split, e in zip(splits, examples, strict=True))
    assert counts["train", "law"] == 80
    assert counts["train", "math"] == 40
    assert counts["test", "law"] == counts["validation", "law"] == 10
    assert counts["test", "math"] == counts["validation", "math"] == 5


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["law", "math"]), st.integers(0, 30)), min_size=1),
    st.integers(0, 3),
    st.randoms(use_true_random=False),
)
def test_groups_stay_whole_and_order_changes_nothing(pairs, seed, shuffler):
    rows = [Example(text=f"row {i}", label=label) for i, (label, _) in enumerate(pairs)]
    groups = [group for _, group in pairs]
    order = list(range(len(rows)))
    shuffler.shuffle(order)
    try:
        splits = assign_splits(rows, groups, SPEC, seed=seed)
    except DataError as error:
        with pytest.raises(DataError) as again:
            shuffled = [rows[i] for i in order]
            assign_splits(shuffled, [groups[i] for i in order], SPEC, seed=seed)
        assert str(again.value) == str(error)
        return
    sides = defaultdict(set)
    for group, split in zip(groups, splits, strict=True):
        sides[group].add(split)
    assert all(len(side) == 1 for side in sides.values())
    # Other group numbers and another order, the same rows: the same splits.
    other = assign_splits(
        [rows[i] for i in order], [1000 - groups[i] for i in order], SPEC, seed=seed
    )
    assert other == [splits[i] for i in order]


def test_the_seed_matters():
    examples = labelled(*["law", "math"] * 40)
    first = assign_splits(examples, singles(examples), SPEC, seed=1)
    assert first == assign_splits(examples, singles(examples), SPEC, seed=1)
    assert first != assign_splits(examples, singles(examples), SPEC, seed=2)


@pytest.mark.parametrize("seed", range(5))
def test_every_class_of_three_groups_is_everywhere(seed):
    examples = labelled(*["law"] * 60, *["math"] * 9)
    groups = [i // 3 for i in range(69)]  # math: three groups
    splits = assign_splits(examples, groups, SPEC, seed=seed)
    assert {s for s, e in zip(splits, examples, strict=True) if e.label == "math"} == set(SPLITS)


@pytest.mark.parametrize("seed", range(5))
def test_rare_entity_types_reach_as_many_splits_as_their_groups_allow(seed):
    texts = [named(["PERSON"], f"p{i}") for i in range(60)]
    texts += [named(["PERSON", "US_SSN"], f"s{i}") for i in range(3)]
    texts += [named(["IP_ADDRESS"], f"i{i}") for i in range(2)]
    texts += [named(["AGE"], "a"), Example(text="nothing here")]
    splits = assign_splits(texts, singles(texts), PII, seed=seed)
    found = defaultdict(set)
    for split, example in zip(splits, texts, strict=True):
        for span in example.spans:
            found[span.label].add(split)
    assert found["PERSON"] == found["US_SSN"] == set(SPLITS)
    assert found["IP_ADDRESS"] == {"train", "test"}
    assert found["AGE"] == {"train"}
    counts = Counter(splits)
    assert counts["train"] > 40
    assert min(counts["test"], counts["validation"]) >= 4


def test_official_splits_are_kept_and_validation_is_carved_out_of_train():
    examples = labelled(*["law", "math"] * 45, split="train")
    examples += [Example(text=f"t{i}", label="law", split="test") for i in range(7)]
    splits = assign_splits(examples, singles(examples), SPEC)
    counts = Counter(splits)
    assert splits[-7:] == ["test"] * 7
    assert counts == {"train": 80, "validation": 10, "test": 7}


def test_all_official_splits_are_kept_as_given():
    examples = [
        Example(text=f"{split} {label}", label=label, split=split)
        for split in SPLITS
        for label in ("law", "math")
    ]
    splits = assign_splits(examples, singles(examples), SPEC)
    assert splits == [example.split for example in examples]


def test_rows_near_an_official_test_row_are_neither_learned_nor_added():
    examples = labelled(*["law", "math"] * 20)
    examples.append(Example(text="official", label="law", split="test"))
    groups = singles(examples)
    groups[3] = groups[-1]
    splits = assign_splits(examples, groups, SPEC)
    assert splits[3] == NEAR_OFFICIAL
    assert Counter(splits)["test"] == 1


def test_slices_are_never_dealt():
    examples = labelled(*["law", "math"] * 20)
    examples += [Example(text="far", label="law", split="slice:ood")]
    splits = assign_splits(examples, singles(examples), SPEC)
    assert splits[-1] == "slice:ood"
    assert Counter(splits)["slice:ood"] == 1


@pytest.mark.parametrize(
    ("examples", "parts"),
    [
        ([], ["an empty data set"]),
        (labelled("law", split="slice:ood"), ["1 rows are slices"]),
        (labelled(*["law"] * 9), ["one only: law", "two classes"]),
        (labelled(*["law"] * 9, "math", "math"), ["math: 2 rows in 2 groups", "3 groups or more"]),
    ],
)
def test_what_cannot_be_split_says_why(examples, parts):
    with pytest.raises(DataError) as caught:
        assign_splits(examples, singles(examples), SPEC)
    assert caught.value.got is not None
    assert caught.value.fix is not None
    for part in parts:
        assert part in str(caught.value)


def test_a_class_without_rows_is_named():
    spec = TASKS["category"].adapt(labels=("law", "math", "physics"))
    examples = labelled(*["law", "math"] * 9)
    with pytest.raises(DataError, match="none of: physics"):
        assign_splits(examples, singles(examples), spec)


def test_many_rows_of_one_group_are_too_few_groups():
    examples = labelled(*["law"] * 9, *["math"] * 9)
    groups = [*range(9), *[99] * 9]
    with pytest.raises(DataError, match="math: 9 rows in 1 groups"):
        assign_splits(examples, groups, SPEC)


def test_a_token_task_without_spans():
    with pytest.raises(DataError, match="at least one span"):
        assign_splits([Example(text="nothing")], [0], PII)


def test_official_rows_that_leave_no_train():
    examples = labelled("law", "math", split="test")
    with pytest.raises(DataError, match="rows for train"):
        assign_splits(examples, singles(examples), SPEC)


def test_fractions_of_zero_leave_a_split_empty():
    examples = labelled(*["law", "math"] * 10)
    fractions = {"train": 0.5, "test": 0.5, "validation": 0.0}
    splits = assign_splits(examples, singles(examples), SPEC, fractions=fractions)
    assert Counter(splits) == {"train": 10, "test": 10}


def test_the_hash_of_a_split_knows_rows_and_not_order():
    examples = labelled("law", "math", "law")
    shuffled = random.Random(1).sample(examples, 3)
    assert split_hash(examples) == split_hash(shuffled)
    changed = [*examples[:2], Example(text="row 2", label="math")]
    assert split_hash(examples) != split_hash(changed)
    assert split_hash(examples) != split_hash(examples[:2])


@given(
    st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 50), min_size=1),
    st.integers(1, 300),
)
def test_shares_add_up_and_never_exceed(sizes, total):
    total = min(total, sum(sizes.values()))
    quotas = allocate(sizes, total)
    assert sum(quotas.values()) == total
    assert all(0 <= quotas[name] <= sizes[name] for name in sizes)
    if total >= len(sizes):
        assert min(quotas.values()) >= 1


def test_a_sample_keeps_proportions_and_depends_on_no_order():
    examples = labelled(*["law"] * 80, *["math"] * 20)
    labels = [example.label for example in examples]
    kept = stratified_sample(examples, labels, 10, seed=3)
    assert Counter(labels[i] for i in kept) == {"law": 8, "math": 2}
    backwards = stratified_sample(examples[::-1], labels[::-1], 10, seed=3)
    assert {examples[i].text for i in kept} == {examples[::-1][i].text for i in backwards}
    assert kept != stratified_sample(examples, labels, 10, seed=4)
