"""Training: the same result twice, and after being stopped anywhere."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from pointsman.core.errors import ConfigError, StorageError, TrainingError
from pointsman.training import trainer
from pointsman.training.average import AVERAGE, WeightAverage
from pointsman.training.spent import SPENT
from tests.training.jobs import make_job, train_until

STEPS = 40  # 76 rows in batches of 8 make 10 steps an epoch, four epochs
ROOT = Path(__file__).parents[2]


def last_weights(directory, name="model.safetensors"):
    return load_file(directory / f"checkpoint-{STEPS}" / name)


def equal(a, b):
    return a.keys() == b.keys() and all((a[key] == b[key]).all() for key in a)


@pytest.fixture(scope="module")
def uninterrupted(backbones, tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole")
    outcome = trainer.train(make_job(backbones["bert"], directory, evaluate_every=5))
    return outcome, last_weights(directory)


def test_it_learns(uninterrupted):
    outcome, _ = uninterrupted
    assert outcome.best_metric > 0.6 and outcome.steps == STEPS


def test_the_same_seed_gives_the_same_weights(backbones, tmp_path, uninterrupted):
    trainer.train(make_job(backbones["bert"], tmp_path, evaluate_every=5))
    assert equal(last_weights(tmp_path), uninterrupted[1])


def test_another_seed_gives_others(backbones, tmp_path, uninterrupted):
    trainer.train(make_job(backbones["bert"], tmp_path, evaluate_every=5, seed=7))
    assert not equal(last_weights(tmp_path), uninterrupted[1])


# Evaluations (and checkpoints) fall on every fifth step: in and at the end of epochs.
@pytest.mark.parametrize("step", [7, 13, 20, 28], ids="first second boundary third".split())
def test_a_stopped_run_goes_on_to_the_same_weights(backbones, tmp_path, uninterrupted, step):
    with pytest.raises(KeyboardInterrupt):
        train_until(make_job(backbones["bert"], tmp_path, evaluate_every=5), step)
    assert trainer.last_checkpoint(tmp_path).name == f"checkpoint-{(step - 1) // 5 * 5}"
    outcome = trainer.train(make_job(backbones["bert"], tmp_path, evaluate_every=5))
    assert outcome.steps == STEPS
    assert equal(last_weights(tmp_path), uninterrupted[1])


def test_a_resumed_run_says_what_all_of_it_cost(backbones, tmp_path):
    job = make_job(backbones["bert"], tmp_path, evaluate_every=5)
    with pytest.raises(KeyboardInterrupt):
        train_until(job, 13)
    spent = json.loads((tmp_path / SPENT).read_text())
    assert spent["checkpoint-10"]["seconds"] > spent["checkpoint-5"]["seconds"] > 0
    spent["checkpoint-10"]["seconds"] = 1000.0
    spent["checkpoint-10"]["peak_memory_mb"] = 1e6
    (tmp_path / SPENT).write_text(json.dumps(spent))
    outcome = trainer.train(make_job(backbones["bert"], tmp_path, evaluate_every=5))
    assert 1000 < outcome.seconds < 1100 and outcome.peak_memory_mb == 1e6
    assert outcome.gpu_memory_mb is None


def test_a_lora_run_resumes_to_the_same_weights(backbones, tmp_path):
    jobs = {"method": "lora", "evaluate_every": 5}
    trainer.train(make_job(backbones["modernbert"], tmp_path / "whole", **jobs))
    with pytest.raises(KeyboardInterrupt):
        train_until(make_job(backbones["modernbert"], tmp_path / "cut", **jobs), 18)
    trainer.train(make_job(backbones["modernbert"], tmp_path / "cut", **jobs))
    name = "adapter_model.safetensors"
    assert equal(last_weights(tmp_path / "cut", name), last_weights(tmp_path / "whole", name))


def test_accumulation_resumes_to_the_same_weights(backbones, tmp_path):
    jobs = {"batch_size": 4, "accumulation": 2, "evaluate_every": 5}
    trainer.train(make_job(backbones["bert"], tmp_path / "whole", **jobs))
    with pytest.raises(KeyboardInterrupt):
        train_until(make_job(backbones["bert"], tmp_path / "cut", **jobs), 18)
    trainer.train(make_job(backbones["bert"], tmp_path / "cut", **jobs))
    assert equal(last_weights(tmp_path / "cut"), last_weights(tmp_path / "whole"))


def test_masked_tokens_resume_to_the_same_weights(backbones, tmp_path, uninterrupted):
    jobs = {"mask_tokens": 0.3, "evaluate_every": 5}
    trainer.train(make_job(backbones["bert"], tmp_path / "whole", **jobs))
    with pytest.raises(KeyboardInterrupt):
        train_until(make_job(backbones["bert"], tmp_path / "cut", **jobs), 18)
    trainer.train(make_job(backbones["bert"], tmp_path / "cut", **jobs))
    assert equal(last_weights(tmp_path / "cut"), last_weights(tmp_path / "whole"))
    assert not equal(last_weights(tmp_path / "whole"), uninterrupted[1])


def parameters(model):
    return {name: p.detach().numpy() for name, p in model.named_parameters() if p.requires_grad}


def test_the_average_is_of_every_step_and_is_what_is_kept(backbones, tmp_path, monkeypatch):
    """By hand: the weights after each step, and the decay that grows to its most."""
    steps = []
    taken = WeightAverage.on_step_end

    def recorded(self, args, state, control, **more):
        steps.append({name: p.detach().clone() for name, p in self._parameters.items()})
        return taken(self, args, state, control, **more)

    job = make_job(backbones["bert"], tmp_path, evaluate_every=5, ema=0.6)
    name = "classifier.weight"
    average = job.model.get_parameter(name).detach().clone()
    monkeypatch.setattr(WeightAverage, "on_step_end", recorded)
    outcome = trainer.train(job)
    wanted = {}
    for step, weights in enumerate(steps, start=1):
        decay = min(0.6, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weights[name]
        wanted[step] = average.numpy()
    for place in tmp_path.glob("checkpoint-*"):
        step = int(place.name.split("-")[1])
        assert np.allclose(load_file(place / AVERAGE)[name], wanted[step], atol=1e-6)
        raw = load_file(place / "model.safetensors")[name]
        assert np.array_equal(raw, steps[step - 1][name].numpy())  # to resume from
    assert equal(
        parameters(outcome.model), load_file(tmp_path / f"checkpoint-{outcome.best_step}" / AVERAGE)
    )
    assert job.objectives[0].metrics(answers(outcome.model, job)) == {
        "accuracy": outcome.best_metric
    }


def answers(model, job):
    model.eval()
    with torch.no_grad():
        rows = (torch.tensor([row.input_ids]) for row in job.objectives[0].validation)
        return [model(ids).logits[0].numpy() for ids in rows]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_an_averaged_run_resumes_to_the_same_weights_and_average(backbones, tmp_path, method):
    jobs = {"method": method, "ema": 0.9, "evaluate_every": 5}
    whole = trainer.train(make_job(backbones["bert"], tmp_path / "whole", **jobs))
    with pytest.raises(KeyboardInterrupt):
        train_until(make_job(backbones["bert"], tmp_path / "cut", **jobs), 18)
    cut = trainer.train(make_job(backbones["bert"], tmp_path / "cut", **jobs))
    weights = "adapter_model.safetensors" if method == "lora" else "model.safetensors"
    for name in (weights, AVERAGE):
        assert equal(last_weights(tmp_path / "cut", name), last_weights(tmp_path / "whole", name))
    assert equal(parameters(cut.model), parameters(whole.model))
    again = trainer.train(make_job(backbones["bert"], tmp_path / "cut", **jobs))  # it had ended
    assert equal(parameters(again.model), parameters(whole.model))
    kept = load_file(tmp_path / "whole" / f"checkpoint-{whole.best_step}" / AVERAGE)
    assert equal(parameters(whole.model), kept)


def test_kill_9_loses_nothing(backbones, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    trainer.train(make_job(backbones["bert"], whole))
    killed = subprocess.run(
        [sys.executable, "-m", "tests.training.jobs", str(backbones["bert"]), str(cut), "17"],
        cwd=ROOT, capture_output=True, timeout=200,
    )  # fmt: skip
    assert killed.returncode == -9, killed.stderr.decode()[-500:]
    half = cut / "checkpoint-99"  # as if it had been killed while saving
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    trainer.train(make_job(backbones["bert"], cut))
    assert not half.exists()
    a, b = (load_file(d / "checkpoint-40" / "model.safetensors") for d in (whole, cut))
    assert equal(a, b)


def test_early_stopping_counts_on_after_a_resume(backbones, tmp_path):
    jobs = {"patience": 2, "learning_rate": 1e-9, "evaluate_every": 5}
    job = make_job(backbones["bert"], tmp_path / "whole", **jobs)
    said = []
    whole = trainer.train(dataclasses.replace(job, say=said.append))
    assert "stopped at step 15 of" in said[-1] and job.checkpoint_metric in said[-1]
    with pytest.raises(KeyboardInterrupt):
        train_until(make_job(backbones["bert"], tmp_path / "cut", **jobs), 12)
    cut = trainer.train(make_job(backbones["bert"], tmp_path / "cut", **jobs))
    assert whole.steps == cut.steps == 15  # first evaluation, and two without gain


def test_a_run_killed_just_after_its_last_checkpoint_had_ended(backbones, tmp_path):
    jobs = {"patience": 2, "learning_rate": 1e-9, "evaluate_every": 5}
    whole = trainer.train(make_job(backbones["bert"], tmp_path, **jobs))
    (tmp_path / trainer.FINISHED).unlink()
    again = trainer.train(make_job(backbones["bert"], tmp_path, **jobs))
    assert again.steps == whole.steps == 15 and again.best_step == whole.best_step
    assert (tmp_path / trainer.FINISHED).is_file() and again.seconds > 0


def test_another_runs_directory_is_refused(backbones, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train_until(make_job(backbones["bert"], tmp_path), 4)
    with pytest.raises(TrainingError, match="differs in options"):
        trainer.train(make_job(backbones["bert"], tmp_path, learning_rate=3e-3))


def test_checkpoints_of_nobody_are_refused(backbones, tmp_path):
    (tmp_path / "checkpoint-5").mkdir()
    with pytest.raises(TrainingError, match=r"run\.json"):
        trainer.train(make_job(backbones["bert"], tmp_path))


def test_a_full_disk_is_named(backbones, tmp_path, monkeypatch):
    import errno

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(trainer.PureOrderTrainer, "save_model", full)
    with pytest.raises(StorageError, match="free some space"):
        trainer.train(make_job(backbones["bert"], tmp_path))


def test_a_full_disk_under_torch_is_named(backbones, tmp_path, monkeypatch):
    """torch's writer says neither the number nor the reason: only where in it the write failed."""

    def full(*_, **__):
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")

    monkeypatch.setattr(trainer.PureOrderTrainer, "_save_optimizer_and_scheduler", full)
    with pytest.raises(StorageError, match="free some space"):
        trainer.train(make_job(backbones["bert"], tmp_path))


def test_out_of_memory_names_the_batch_to_try(backbones, tmp_path, monkeypatch):
    def exhausted(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    monkeypatch.setattr(trainer.PureOrderTrainer, "training_step", exhausted)
    with pytest.raises(TrainingError, match="batch_size 4 with accumulation 2"):
        trainer.train(make_job(backbones["bert"], tmp_path))


@pytest.mark.parametrize("step", [None, 13])
def test_every_epoch_has_its_own_order(backbones, tmp_path, monkeypatch, step):
    seen = []
    order = trainer.LengthGroupedSampler.order

    def recorded(self, epoch):
        seen.append(epoch)
        return order(self, epoch)

    if step is not None:
        with pytest.raises(KeyboardInterrupt):
            train_until(make_job(backbones["bert"], tmp_path, evaluate_every=5), step)
    monkeypatch.setattr(trainer.LengthGroupedSampler, "order", recorded)
    trainer.train(make_job(backbones["bert"], tmp_path, evaluate_every=5))
    assert seen == ([0, 1, 2, 3] if step is None else [1, 2, 3])


def test_a_finished_run_is_taken_up_and_not_trained_on(backbones, tmp_path):
    jobs = {"patience": 2, "learning_rate": 1e-9, "evaluate_every": 5}
    first = trainer.train(make_job(backbones["bert"], tmp_path, **jobs))
    again = trainer.train(make_job(backbones["bert"], tmp_path, **jobs))
    assert again.steps == first.steps == 15 and again.seconds == first.seconds
    a, b = (dict(outcome.model.state_dict()) for outcome in (first, again))
    assert all((a[name] == b[name]).all() for name in a)


def test_a_best_checkpoint_that_is_gone_is_named(backbones, tmp_path):
    import shutil

    first = trainer.train(make_job(backbones["bert"], tmp_path))
    shutil.rmtree(tmp_path / f"checkpoint-{first.best_step}")
    with pytest.raises(TrainingError, match=f"checkpoint-{first.best_step}"):
        trainer.train(make_job(backbones["bert"], tmp_path))


def test_dropping_the_last_batch_leaves_evaluation_whole(backbones, tmp_path):
    outcome = trainer.train(make_job(backbones["bert"], tmp_path, drop_last=True, evaluate_every=9))
    assert outcome.steps == 36  # 76 rows make nine full batches of 8
    assert outcome.best_metric is not None


@pytest.mark.parametrize("names", [("foo",), ("wandb",)])
def test_a_reporter_that_is_not_there_is_named(backbones, tmp_path, names):
    with pytest.raises(ConfigError, match=names[0]):
        trainer.train(make_job(backbones["bert"], tmp_path, report_to=names))


def test_bf16_trains_on_a_cpu_with_faster_kernels_and_the_plain_ones_come_back(tmp_path, backbones):
    job = make_job(backbones["bert"], tmp_path, precision="bf16", seed=3)
    outcome = trainer.train(job)

    assert outcome.precision == "bf16"
    assert outcome.best_metric > 0.9
    assert outcome.model.config._attn_implementation == "sdpa"


def test_a_checkpoint_without_its_average_is_refused(backbones, tmp_path):
    jobs = {"ema": 0.9, "evaluate_every": 5}
    with pytest.raises(KeyboardInterrupt):
        train_until(make_job(backbones["bert"], tmp_path, **jobs), 7)
    (tmp_path / "checkpoint-5" / AVERAGE).unlink()
    with pytest.raises(TrainingError, match=AVERAGE):
        trainer.train(make_job(backbones["bert"], tmp_path, **jobs))
