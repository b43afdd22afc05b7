"""What the router computes otherwise, computed here: small where its head is near, large where not.

The bounds are not chosen: they follow from the weights, and the test works them out.
"""

import importlib.util
import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from pointsman.export.drift import (
    CHANGES,
    changes_of,
    global_theta,
    logits_of,
    measure_drift,
    norm_variance,
    router_eps,
    router_head,
    tanh_gelu,
    transposed_pooler,
)

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "router_drift.py"
HEAD = "the router's head"
THETA = "global theta in local layers"


def script():
    spec = importlib.util.spec_from_file_location("router_drift", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=["tiny", "small"])
def modern(request):
    return script().random_model("modernbert", request.param, seed=0)


@pytest.fixture(scope="module", params=["tiny", "small"])
def bert(request):
    return script().random_model("bert", request.param, seed=0)


@torch.inference_mode()
def head_inputs(model, rows):
    """What the head's norm is given: `(rows, hidden)`."""
    caught = []
    hook = model.head.norm.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    logits_of(model, rows)
    hook.remove()
    return torch.cat(caught)


def moved(model, rows, change):
    before = logits_of(model, rows)
    with change(model):
        after = logits_of(model, rows)
    return before, after


def gelu_gap():
    """The largest difference of the two forms of GELU anywhere, by a fine grid."""
    at = torch.linspace(-8, 8, 400_001, dtype=torch.float64)
    return float((functional.gelu(at) - functional.gelu(at, approximate="tanh")).abs().max())


def test_the_two_forms_of_gelu_are_never_far_apart():
    assert 4.7e-4 < gelu_gap() < 4.8e-4


def test_eps_stretches_logits_by_a_factor_that_follows_from_the_variance(modern):
    """Logits minus bias are linear in 1/sqrt(variance + eps), so the drift is known exactly."""
    model, rows = modern
    variance = norm_variance(model, rows).unsqueeze(-1)
    torch.testing.assert_close(
        variance, head_inputs(model, rows).double().var(-1, unbiased=False, keepdim=True)
    )
    before, after = moved(model, rows, router_eps)
    bias = model.classifier.bias.double()
    factor = torch.sqrt((variance + 1e-5) / (variance + 1e-12))
    torch.testing.assert_close(
        after.double(), bias + (before.double() - bias) * factor, atol=1e-4, rtol=1e-4
    )
    assert (after.argmax(-1) == before.argmax(-1)).float().mean() > 0.9
    # |softmax(y) - softmax(z)| <= |y - z| / 2 in the largest entry
    bound = ((before.double() - bias).abs().amax(-1) * (factor[:, 0] - 1)).amax() / 2
    gap = (after.softmax(-1) - before.softmax(-1)).abs().amax()
    assert 0 < gap <= bound


def test_tanh_gelu_stays_below_the_bound_of_its_weights(modern):
    """Centred vectors u, v of unit length differ by 2|u - v| / (|u| + |v|) at most."""
    model, rows = modern
    before, after = moved(model, rows, tanh_gelu)
    exact = head_inputs(model, rows)
    with tanh_gelu(model):
        near = head_inputs(model, rows)
    hidden = exact.shape[-1]
    assert (exact - near).abs().amax() <= gelu_gap() * 1.01
    sizes = [(x - x.mean(-1, keepdim=True)).norm(dim=-1) for x in (exact, near)]
    turned = 2 * gelu_gap() * math.sqrt(hidden) / (sizes[0] + sizes[1])
    weights = (model.classifier.weight * model.head.norm.weight).norm(dim=-1).amax()
    bound = weights * math.sqrt(hidden) * turned / 2
    gap = (after.softmax(-1) - before.softmax(-1)).abs().amax(-1)
    assert (gap <= bound + 1e-6).all() and gap.amax() > 0


def test_the_head_is_near_and_the_wrong_theta_is_not(modern):
    found = {drift.change: drift for drift in measure_drift(*modern)}
    assert list(found) == list(CHANGES["modernbert"])
    assert found["tanh-GELU in the head"].largest < 1e-3
    assert found[HEAD].largest < 0.05 and found[HEAD].mean < 0.01
    assert found[THETA].largest > 5 * found[HEAD].largest
    assert found[THETA].mean > 5 * found[HEAD].mean
    assert found[THETA].flipped >= found[HEAD].flipped


def test_a_head_is_both_of_its_parts_and_nothing_stays(modern):
    model, rows = modern
    before = logits_of(model, rows)
    with router_head(model):
        both = logits_of(model, rows)
    with tanh_gelu(model), router_eps(model):
        torch.testing.assert_close(logits_of(model, rows), both)
    measure_drift(model, rows)
    torch.testing.assert_close(logits_of(model, rows), before, rtol=0, atol=0)


def test_the_wrong_theta_does_nothing_where_it_is_the_same(modern):
    model, rows = modern
    rotary = model.base_model.rotary_emb
    own = rotary.sliding_attention_inv_freq
    try:
        rotary.sliding_attention_inv_freq = rotary.full_attention_inv_freq
        before, after = moved(model, rows[:4], global_theta)
        torch.testing.assert_close(before, after, rtol=0, atol=0)
    finally:
        rotary.sliding_attention_inv_freq = own


def test_a_transposed_pooler_is_another_model(bert):
    model, rows = bert
    (drift,) = measure_drift(model, rows)
    assert drift.change == "transposed pooler"
    assert drift.largest > 0.5 and drift.flipped > 0.5
    before, _ = moved(model, rows[:4], transposed_pooler)
    torch.testing.assert_close(logits_of(model, rows[:4]), before, rtol=0, atol=0)


def test_token_models_and_others_have_only_what_concerns_them(bundles, backbones):
    from pointsman.models.network import load_network
    from pointsman.tasks.pii import PII

    rows = [list(range(5, 5 + n)) for n in (6, 20)]
    model = load_network(bundles["modernbert", "pii"], PII)
    found = measure_drift(model, rows)
    assert [drift.change for drift in found] == list(CHANGES["modernbert"])
    assert logits_of(model, rows).shape == (26, 35)
    assert changes_of(load_network(bundles["bert", "pii"], PII)) == {}
