"""Weighted cross-entropy, and what accumulation does to it."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from pointsman.core.errors import ConfigError
from pointsman.training.losses import (
    Distillation,
    WeightedCrossEntropy,
    class_weights,
    frequencies,
)

LABELS = [0] * 25 + [1] * 8


def test_ratio_weights_are_the_documents():
    weights = class_weights([0] * 25000 + [1] * 8000, 2, "ratio")
    assert weights.tolist() == pytest.approx([1.0, 3.125])


def test_balanced_weights_are_scikit_learns():
    from sklearn.utils.class_weight import compute_class_weight

    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=LABELS)
    assert class_weights(LABELS, 2, "balanced").tolist() == pytest.approx(list(expected))


def test_unknown_weighting_is_refused():
    with pytest.raises(ConfigError, match="balanced"):
        class_weights(LABELS, 2, "balance")


@pytest.mark.parametrize("weighting", ["none", "ratio", "balanced"])
def test_accumulated_batches_give_what_one_batch_gives(weighting):
    torch.manual_seed(0)
    logits, labels = torch.randn(12, 7, 3), torch.randint(0, 3, (12, 7))
    labels[:, 5:] = -100
    labels[3, 1:] = -100
    flat = labels.flatten().tolist()
    loss = WeightedCrossEntropy(class_weights(flat, 3, weighting), frequencies(flat, 3))
    items = (labels != -100).sum()
    whole = loss({"logits": logits}, labels, items)
    parts = sum(
        loss({"logits": logits[i : i + 4]}, labels[i : i + 4], items) for i in range(0, 12, 4)
    )
    assert torch.allclose(whole, parts, atol=1e-6)
    assert torch.allclose(whole, loss({"logits": logits}, labels), atol=1e-6)


def test_without_weights_it_is_torchs_mean():
    logits, labels = torch.randn(6, 4), torch.randint(0, 4, (6,))
    mine = WeightedCrossEntropy()({"logits": logits}, labels)
    assert torch.allclose(mine, functional.cross_entropy(logits, labels), atol=1e-6)


def test_weights_change_the_balance_but_not_the_scale():
    flat = torch.zeros(33, 2)
    loss = WeightedCrossEntropy(class_weights(LABELS, 2, "ratio"), frequencies(LABELS, 2))
    # With equal losses for every row the weighted mean over the data is the plain mean.
    assert loss({"logits": flat}, torch.tensor(LABELS)).item() == pytest.approx(0.6931472, abs=1e-5)


def in_part(logits, labels, open_labels, weights=None):
    loss = WeightedCrossEntropy(
        weights, None if weights is None else torch.tensor([0.5, 0.3, 0.2]), open_labels=open_labels
    )
    return loss({"logits": logits}, labels)


def test_a_label_that_leaves_classes_open_asks_for_their_sum():
    logits = torch.tensor([[[1.0, 2.0, 0.5], [0.2, -1.0, 3.0]]], requires_grad=True)
    loss = in_part(logits, torch.tensor([[-200, 1]]), [(0, 2)])
    p = logits.detach()[0].softmax(-1)
    assert loss.item() == pytest.approx(float(-(p[0, 0] + p[0, 2]).log() - p[1, 1].log()) / 2)
    loss.backward()
    grad = logits.grad[0, 0]
    assert grad[1] > 0 > grad[0] and grad[2] < 0  # away from the class that is ruled out alone


def test_two_sets_of_open_labels_are_kept_apart():
    logits, labels = torch.randn(1, 2, 3), torch.tensor([[-201, -200]])
    one = in_part(logits, labels, [(0, 1), (0, 2)])
    p = logits[0].softmax(-1)
    expected = -(p[0, 0] + p[0, 2]).log() - (p[1, 0] + p[1, 1]).log()
    assert float(one) == pytest.approx(float(expected) / 2)


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 2.0, 3.0])])
def test_a_label_that_leaves_one_class_open_is_that_class(weights):
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 5, 3), torch.tensor([[0, 1, 2, 0, -100], [0, 0, 2, 1, 0]])
    hidden = labels.masked_fill(labels == 0, -200)
    plain = in_part(logits, labels, [], weights)
    assert float(in_part(logits, hidden, [(0,)], weights)) == pytest.approx(float(plain))


def test_open_labels_are_no_class_of_their_own():
    labels = [0, 1, 1, -200, -100]
    assert frequencies(labels, 2).tolist() == pytest.approx([1 / 3, 2 / 3])
    assert class_weights(labels, 2, "ratio").tolist() == [2.0, 1.0]


def test_a_teacher_costs_its_divergence_at_the_temperature():
    torch.manual_seed(1)
    logits, teacher = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    labels = torch.tensor([[0, 1, -200, 0, -100], [0, 0, 2, -100, -100]])
    loss = WeightedCrossEntropy(open_labels=[(0, 2)], distillation=Distillation(0.3, 2.0))
    known = labels != -100
    p, q = (teacher[known] / 2).softmax(-1), (logits[known] / 2).softmax(-1)
    divergence = 4 * float((p * (p.log() - q.log())).sum()) / 7
    plain = float(in_part(logits, labels, [(0, 2)]))
    mixed = float(loss({"logits": logits}, labels, teacher=teacher))
    assert mixed == pytest.approx(0.7 * plain + 0.3 * divergence)
    assert float(loss({"logits": logits}, labels)) == pytest.approx(plain)  # as in evaluation


def test_a_teachers_gradient_does_not_fade_with_the_temperature():
    torch.manual_seed(2)
    start, teacher, labels = torch.randn(64, 5), torch.randn(64, 5), torch.zeros(64).long()

    def pull(temperature):
        logits = start.clone().requires_grad_()
        loss = WeightedCrossEntropy(distillation=Distillation(1.0, temperature))
        loss({"logits": logits}, labels, teacher=teacher).backward()
        return float(logits.grad.norm())

    assert pull(8.0) == pytest.approx(pull(2.0), rel=0.3)
    assert pull(2.0) > 0.1 * pull(1.0)


def test_class_weights_are_for_labels_alone():
    logits, teacher = torch.randn(9, 2), torch.randn(9, 2)
    labels = torch.tensor([0, 1, 0, 1, 0, 1, 0, 0, 0])
    weights = torch.tensor([1.0, 3.0]), frequencies(LABELS, 2)
    only = Distillation(1.0, 1.0)
    weighted = WeightedCrossEntropy(*weights, distillation=only)
    plain = WeightedCrossEntropy(distillation=only)
    args = {"logits": logits}, labels, None, teacher
    assert float(weighted(*args)) == pytest.approx(float(plain(*args)))
