"""Row order and padding."""

import numpy as np
import pytest
import torch

from pointsman.training.batching import Collator, LengthGroupedSampler, steps_per_epoch

LENGTHS = np.random.default_rng(1).integers(3, 200, 501).tolist()


def test_order_is_a_pure_function_of_seed_and_epoch():
    torch.manual_seed(1)
    a = LengthGroupedSampler(LENGTHS, 16, seed=7)
    first = a.order(2)
    torch.rand(1000)
    a.order(0)
    assert a.order(2) == first == LengthGroupedSampler(LENGTHS, 16, seed=7).order(2)
    assert a.order(1) != first
    assert LengthGroupedSampler(LENGTHS, 16, seed=8).order(2) != first


@pytest.mark.parametrize("grouped", [True, False])
def test_every_row_comes_once(grouped):
    order = LengthGroupedSampler(LENGTHS, 16, seed=7, grouped=grouped).order(3)
    assert sorted(order) == list(range(len(LENGTHS)))


def padding(order, size):
    batches = [order[i : i + size] for i in range(0, len(order), size)]
    padded = sum(max(LENGTHS[i] for i in batch) * len(batch) for batch in batches)
    return padded / sum(LENGTHS) - 1


def test_grouping_saves_most_of_the_padding():
    grouped = padding(LengthGroupedSampler(LENGTHS, 16, seed=7).order(0), 16)
    plain = padding(LengthGroupedSampler(LENGTHS, 16, seed=7, grouped=False).order(0), 16)
    assert plain > 0.5 and grouped < 0.1


def test_batches_come_in_no_order_of_length():
    order = LengthGroupedSampler(LENGTHS, 16, seed=7).order(0)
    means = [np.mean([LENGTHS[i] for i in order[k : k + 16]]) for k in range(0, 496, 16)]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.5


def test_collator_pads_to_the_longest_or_to_a_fixed_length():
    rows = [
        {"input_ids": [5, 6, 7], "labels": [-100, 1, -100], "head": 0},
        {"input_ids": [5, 7], "labels": [-100, -100], "head": 0},
    ]
    batch = Collator(9)(rows)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [5, 7, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["labels"].tolist() == [[-100, 1, -100], [-100, -100, -100]]
    assert Collator(9, fixed=8)(rows)["input_ids"].shape == (2, 8)


def test_steps_per_epoch():
    assert steps_per_epoch(33, 8, 1) == 5
    assert steps_per_epoch(33, 8, 2) == 3


def test_weights_decide_how_often_a_row_is_drawn():
    lengths = [10] * 100
    weights = [9.0] * 50 + [1.0] * 50
    sampler = LengthGroupedSampler(lengths, 5, seed=1, weights=weights)
    drawn = [row for epoch in range(40) for row in sampler.order(epoch)]
    assert len(drawn) == 4000
    assert sum(row < 50 for row in drawn) / 4000 == pytest.approx(0.9, abs=0.02)
    assert sampler.order(3) == LengthGroupedSampler(lengths, 5, seed=1, weights=weights).order(3)
    assert sampler.order(3) != sampler.order(4)


def test_an_accumulated_step_mixes_what_length_tells_apart():
    """Long rows of one label and short ones of the other: a step has both, its batches do not."""
    long = np.asarray(LENGTHS) > np.median(LENGTHS)
    order = np.asarray(LengthGroupedSampler(LENGTHS, 8, seed=7).order(0))[:480]
    of_batches, of_steps = (long[order].reshape(-1, size).mean(1) for size in (8, 32))
    assert np.mean((of_batches == 0) | (of_batches == 1)) > 0.8
    assert of_steps.std() < 0.6 * of_batches.std()
