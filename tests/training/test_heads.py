"""Several heads in one run: what a mixed batch costs, and that resuming is exact."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from pointsman.data.encode import IGNORED
from pointsman.models.adapters import LoraOptions, merge_lora
from pointsman.models.balance import MOST, SPEED, Balance
from pointsman.models.shared import build_shared
from pointsman.models.weights import find_backbone
from pointsman.tasks.spec import TaskSpec
from pointsman.training import trainer
from pointsman.training.average import AVERAGE
from pointsman.training.batching import Collator
from pointsman.training.config import TrainOptions
from pointsman.training.heads import HeadLosses
from pointsman.training.job import MEAN, Objective
from pointsman.training.losses import Distillation, WeightedCrossEntropy
from pointsman.training.rows import Row
from tests.training.jobs import SPEC, rows, train_until
from tests.training.jobs import make_job as single_job

FINDER = TaskSpec(
    name="finder", title="Finder", question="?", level="token", labels=("A",),
    headline="span_f1", checkpoint="span_f1",
)  # fmt: skip
SPECS = {"tiny": SPEC, "finder": FINDER}
CHOSEN = {
    "epochs": 6, "batch_size": 8, "learning_rate": 5e-3, "weight_decay": 0.01, "warmup_ratio": 0.1,
    "evaluate": "steps", "evaluate_every": 10, "patience": 50, "precision": "fp32", "report_to": (),
    "max_length": 64,
}  # fmt: skip


def class_rows(count, seed):
    """Rows whose tokens are those of their class alone."""
    random = np.random.default_rng(seed)
    made = []
    for label in random.integers(3, size=count):
        ids = 20 + 3 * random.integers(20, size=random.integers(3, 16)) + label
        made.append(Row([2, *map(int, ids), 3], int(label)))
    return made


def token_rows(backbone, count, seed):
    """Rows whose every token with an even id begins a span."""
    made = rows(backbone, count, seed)
    return [Row(r.input_ids, [int(i % 2 == 0) for i in r.input_ids], head=1) for r in made]


def make_job(backbone, directory, *, balance=False, weights=None, **options):
    settings = TrainOptions.model_validate({**CHOSEN, **options})
    validation = {"tiny": class_rows(24, 2), "finder": token_rows(backbone, 16, 3)}
    gold = np.asarray([row.labels for row in validation["tiny"]])

    def accuracy(logits):
        return {"accuracy": float((np.stack(logits).argmax(1) == gold).mean())}

    def share(logits):
        pairs = zip(logits, validation["finder"], strict=True)
        return {"span_f1": float(np.mean([(x.argmax(1) == r.labels).mean() for x, r in pairs]))}

    network = build_shared(
        find_backbone(str(backbone)), SPECS, seed=settings.seed, balance=balance,
        lora=LoraOptions(rank=4) if settings.method == "lora" else None,
    )  # fmt: skip
    return trainer.Job(
        model=network.model, train=[*class_rows(44, 1), *token_rows(backbone, 36, 4)],
        objectives=[
            Objective("tiny", validation["tiny"], accuracy, "accuracy", 3),
            Objective("finder", validation["finder"], share, "span_f1", 3),
        ],
        pad_id=network.model.config.pad_token_id, options=settings, directory=directory,
        identity=trainer.identify(options=options), weights=weights, shared=True,
    )  # fmt: skip


def last_weights(directory, name="model.safetensors"):
    return load_file(directory / "checkpoint-60" / name)


def equal(a, b):
    return a.keys() == b.keys() and all((a[key] == b[key]).all() for key in a)


@pytest.fixture(scope="module")
def whole(backbones, tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole")
    outcome = trainer.train(make_job(backbones["bert"], directory, balance=True))
    return outcome, last_weights(directory)


def test_both_heads_learn_and_the_mean_picks_the_checkpoint(whole):
    outcome, weights = whole
    (best,) = [e for e in outcome.history if e["step"] == outcome.best_step and "eval_loss" in e]
    reached = [best["eval_tiny/accuracy"], best["eval_finder/span_f1"]]
    assert outcome.best_metric == best[f"eval_{MEAN}"] == pytest.approx(np.mean(reached))
    assert reached[0] > 0.6 and reached[1] > 0.8
    assert outcome.steps == 60 and np.abs(weights["balance.log_variances"]).min() > 0


def test_a_stopped_run_goes_on_to_the_same_weights(backbones, tmp_path, whole):
    with pytest.raises(KeyboardInterrupt):
        train_until(make_job(backbones["bert"], tmp_path, balance=True), 27)
    trainer.train(make_job(backbones["bert"], tmp_path, balance=True))
    assert equal(last_weights(tmp_path), whole[1])


def test_a_lora_run_of_drawn_rows_resumes_to_the_same_weights(backbones, tmp_path):
    jobs = {"method": "lora", "balance": True, "weights": [1.0] * 44 + [2.0] * 36}
    outcome = trainer.train(make_job(backbones["modernbert"], tmp_path / "whole", **jobs))
    with pytest.raises(KeyboardInterrupt):
        train_until(make_job(backbones["modernbert"], tmp_path / "cut", **jobs), 23)
    trainer.train(make_job(backbones["modernbert"], tmp_path / "cut", **jobs))
    name = "adapter_model.safetensors"
    assert equal(last_weights(tmp_path / "cut", name), last_weights(tmp_path / "whole", name))
    saved = last_weights(tmp_path / "whole", name)
    for part in ("heads.tiny.classifier", "heads.finder.head.dense", "balance", "lora_A"):
        assert any(part in key for key in saved)
    assert set(merge_lora(outcome.model).heads) == set(SPECS)
    assert outcome.best_metric > 0.7


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_one_head_trains_to_the_weights_of_a_model_of_its_own(backbones, tmp_path, family):
    """Same rows, order, loss and dropout: what one task gets is the one-head case."""
    alone = single_job(backbones[family], tmp_path / "alone", epochs=1, evaluate_every=5)
    network = build_shared(find_backbone(str(backbones[family])), {"tiny": SPEC}, seed=42).model
    job = replace(alone, model=network, shared=True, directory=tmp_path / "shared")
    outcomes = trainer.train(alone), trainer.train(job)
    assert outcomes[0].best_metric == outcomes[1].best_metric
    names = [load_file(p / "checkpoint-10" / "model.safetensors") for p in (
        tmp_path / "alone", tmp_path / "shared")]  # fmt: skip
    network.load_state_dict({k: torch.tensor(v) for k, v in names[1].items()})
    tied = network.task_model("tiny").state_dict()
    assert all(np.allclose(tied[key].numpy(), value, atol=1e-6) for key, value in names[0].items())


def test_an_averaged_run_of_several_heads_resumes_to_the_same_weights(backbones, tmp_path):
    jobs = {"balance": True, "ema": 0.9, "max_steps": 30}
    whole = trainer.train(make_job(backbones["bert"], tmp_path / "whole", **jobs))
    with pytest.raises(KeyboardInterrupt):
        train_until(make_job(backbones["bert"], tmp_path / "cut", **jobs), 17)
    cut = trainer.train(make_job(backbones["bert"], tmp_path / "cut", **jobs))
    best = load_file(tmp_path / "whole" / f"checkpoint-{whole.best_step}" / AVERAGE)
    for outcome in (whole, cut):
        assert equal({n: p.detach().numpy() for n, p in outcome.model.named_parameters()}, best)


def test_early_stopping_sees_the_mean(backbones, tmp_path):
    job = make_job(backbones["bert"], tmp_path, patience=2, learning_rate=1e-9)
    assert trainer.train(job).steps == 30  # first evaluation, and two without gain


def test_bf16_trains_with_the_faster_kernels(backbones, tmp_path):
    outcome = trainer.train(make_job(backbones["bert"], tmp_path, precision="bf16", max_steps=5))
    assert outcome.precision == "bf16" and outcome.model.config._attn_implementation == "sdpa"


def batch():
    mixed = [
        {"input_ids": [2, 5, 6, 3], "labels": 1, "head": 0},
        {"input_ids": [2, 7, 3], "labels": [IGNORED, 2, IGNORED], "head": 1},
        {"input_ids": [2, 8, 9, 3], "labels": [IGNORED, 1, 0, IGNORED], "head": 1},
    ]
    return Collator(0)(mixed)


def losses(weights=(1.0, 1.0), balance=None):
    own = {name: WeightedCrossEntropy() for name in SPECS}
    return HeadLosses(own, weights, lambda: balance)


def outputs():
    torch.manual_seed(0)
    return {"tiny": torch.randn(1, 3), "finder": torch.randn(2, 4, 3)}


def test_a_mixed_batch_says_whose_each_row_is():
    made = batch()
    assert made["owners"].tolist() == [0, 1, 1]
    assert made["labels"][0].tolist() == [1, IGNORED, IGNORED, IGNORED]
    assert losses().count([made]).tolist() == [[1, 1], [3, 2]]


def test_every_row_weighs_the_same():
    made, given = batch(), outputs()
    tiny = WeightedCrossEntropy()({"logits": given["tiny"]}, torch.tensor([1]))
    finder = WeightedCrossEntropy()({"logits": given["finder"]}, made["labels"][1:])
    loss = losses()
    counts = loss.count([made])
    found = loss(given, made["labels"], made["owners"], counts)
    assert torch.allclose(found, (tiny + 2 * finder) / 3)
    weighted = losses((3.0, 0.0))(given, made["labels"], made["owners"], counts)
    assert torch.allclose(weighted, tiny)


def whole_and_in_parts(loss):
    """The loss of one batch, and the sum over its rows in two batches of one step."""
    made, given = batch(), outputs()
    counts = loss.count([made])
    whole = loss(given, made["labels"], made["owners"], counts)
    parts = loss({"tiny": given["tiny"], "finder": given["finder"][:1]}, made["labels"][:2],
                 made["owners"][:2], counts)  # fmt: skip
    return whole, parts + loss({"finder": given["finder"][1:]}, made["labels"][2:],
                               made["owners"][2:], counts)  # fmt: skip


def test_accumulated_batches_give_what_one_batch_gives():
    assert torch.allclose(*whole_and_in_parts(losses()))


def test_the_regulariser_of_learned_weights_counts_once_a_step():
    balance = Balance(2)
    balance.log_variances.data = torch.tensor([0.7, -0.4])
    assert torch.allclose(*whole_and_in_parts(losses(balance=balance)))


@pytest.mark.parametrize("balance", [False, True])
def test_the_trainer_takes_an_accumulated_step_for_one_large_one(backbones, tmp_path, balance):
    """Gradient norm and logged loss of the first steps, without dropout."""
    found = []
    for batch_size, accumulation in ((16, 1), (4, 4)):
        job = make_job(
            backbones["bert"], tmp_path / str(batch_size), balance=balance, logging_steps=1,
            batch_size=batch_size, accumulation=accumulation, max_steps=3, evaluate_every=3,
            length_grouped=False,
        )  # fmt: skip
        for module in job.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        history = trainer.train(job).history
        found.append([[e["grad_norm"], e["loss"]] for e in history if "grad_norm" in e])
    assert np.allclose(found[0][0], found[1][0], rtol=1e-3)
    assert np.allclose(found[0], found[1], rtol=0.05)


def test_learned_weights_do_not_drown_the_gradient_that_is_clipped(backbones, tmp_path):
    norms = []
    for balance in (False, True):
        job = make_job(backbones["bert"], tmp_path / str(balance), balance=balance,
                       logging_steps=1, max_steps=3, evaluate_every=3)  # fmt: skip
        norms.append([e["grad_norm"] for e in trainer.train(job).history if "grad_norm" in e])
    assert np.allclose(norms[0][0], norms[1][0], rtol=0.3)


def test_one_head_has_the_loss_of_a_model_of_its_own():
    made = Collator(0)([{"input_ids": [2, 5, 3], "labels": 1, "head": 0}] * 2)
    logits = torch.randn(2, 3)
    loss = HeadLosses({"tiny": WeightedCrossEntropy()}, [1.0], lambda: None)
    found = loss({"tiny": logits}, made["labels"], made["owners"], loss.count([made]))
    own = WeightedCrossEntropy()({"logits": logits}, torch.tensor([1, 1]))
    assert torch.allclose(found, own)


def learned(*sizes):
    """Return the log variances of losses that stay as they are."""
    balance = Balance(len(sizes))
    optimiser = torch.optim.Adam(balance.parameters(), lr=1e-3 * SPEED)
    for _ in range(300):
        optimiser.zero_grad()
        balance(torch.tensor(sizes)).sum().backward()
        optimiser.step()
    balance(torch.tensor(sizes))  # the bounds hold where losses are weighted
    return balance.log_variances.tolist()


def test_learned_weights_follow_the_size_of_a_loss():
    """At the least of exp(-s) L + s / 2 the log variance is log(2 L)."""
    assert learned(0.3, 0.8) == pytest.approx([np.log(0.6), np.log(1.6)], abs=0.05)


def test_a_task_known_by_heart_does_not_drown_the_others():
    assert learned(1e-5, 50.0) == pytest.approx([-np.log(MOST), np.log(MOST)])


def test_a_mixed_batch_gives_each_head_its_own_teacher():
    """Only the finder is taught: its cost is that of a batch of its own, at the labels' places."""
    torch.manual_seed(0)
    finder = np.log(np.full((4, 3), 1 / 3))
    batch = Collator(0)([
        {"input_ids": [2, 5, 3], "labels": 1, "head": 0},
        {"input_ids": [2, 6, 7, 3], "labels": [IGNORED, 1, 0, IGNORED], "head": 1,
         "teacher": finder.astype(np.float16)},
    ])  # fmt: skip
    assert batch["teacher"].shape == (2, 4, 3) and not batch["teacher"][0].any()
    outputs = {"tiny": torch.randn(1, 5), "finder": torch.randn(1, 4, 3)}
    taught = {
        "tiny": WeightedCrossEntropy(),
        "finder": WeightedCrossEntropy(distillation=Distillation(1.0, 1.0)),
    }

    def cost(teacher):
        losses = HeadLosses(taught, [1.0, 1.0], lambda: None)
        counts = losses.count([batch])
        return float(losses(outputs, batch["labels"], batch["owners"], counts, teacher))

    q = outputs["finder"][0, 1:3].softmax(-1)
    divergence = float((np.log(1 / 3) - q.log()).mean(-1).mean())
    labels = float(torch.nn.functional.cross_entropy(outputs["tiny"], torch.tensor([1])))
    assert cost(batch["teacher"]) == pytest.approx((labels + divergence) / 2, abs=1e-3)


def test_a_sequence_teacher_stands_in_the_first_place():
    given = np.asarray([-0.1, -2.0], dtype=np.float16)
    batch = Collator(0)([{"input_ids": [2, 5, 3], "labels": 1, "head": 0, "teacher": given}])
    assert batch["teacher"][0, 0].tolist() == pytest.approx(given.astype(float).tolist())
    assert not batch["teacher"][0, 1:].any()
    loss = WeightedCrossEntropy(distillation=Distillation(1.0, 1.0))
    losses = HeadLosses({"tiny": loss}, [1.0], lambda: None)
    args = batch["labels"], batch["owners"], losses.count([batch]), batch["teacher"]
    right = losses({"tiny": batch["teacher"][:, 0].float()}, *args)
    wrong = losses({"tiny": -batch["teacher"][:, 0].float()}, *args)
    assert float(right) == pytest.approx(0, abs=1e-6) and float(wrong) > 0.5


def test_a_validation_loss_knows_no_weights(backbones, tmp_path):
    """Else a task looks the worse the more it learned from, and no two runs can be compared."""
    job = make_job(backbones["bert"], tmp_path, balance=True)
    own = trainer._trainer(job)
    before = own.evaluate()
    job.model.balance.log_variances.data = torch.tensor([-0.6, 0.5])
    own._losses._weights = torch.tensor([3.0, 0.5])
    after = own.evaluate()
    for name in ("tiny/loss", "finder/loss", "loss"):
        assert after[f"eval_{name}"] == pytest.approx(before[f"eval_{name}"])
