"""A small training job, run as a test or, to be killed, as a process of its own."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
from transformers import TrainerCallback

from pointsman.data.encode import TextEncoder
from pointsman.models.adapters import LoraOptions
from pointsman.models.network import build_network
from pointsman.models.weights import find_backbone
from pointsman.pipeline.steps import masking
from pointsman.tasks.spec import TaskSpec
from pointsman.training import trainer
from pointsman.training.config import TrainOptions
from pointsman.training.rows import Row

SPEC = TaskSpec(
    name="tiny", title="Tiny", question="?", level="sequence", labels=("a", "b", "c"),
    headline="accuracy", checkpoint="accuracy",
)  # fmt: skip
WORDS = {"a": "solve integral proof", "b": "card refund charged", "c": "court contract void"}


def rows(backbone: Path, count: int, seed: int) -> list[Row]:
    random = np.random.default_rng(seed)
    encoder = TextEncoder.from_directory(backbone, max_length=64)
    texts, labels = [], []
    for _ in range(count):
        label = int(random.integers(3))
        words = [*WORDS["abc"[label]].split(), "please", "now"]
        texts.append(" ".join(random.choice(words, random.integers(3, 20))))
        labels.append(label)
    windows = encoder.encode(texts)
    return [Row(w[0].input_ids, label) for w, label in zip(windows, labels, strict=True)]


def make_job(backbone: Path, directory: Path, **options: object) -> trainer.Job:
    chosen = {
        "epochs": 4, "batch_size": 8, "learning_rate": 5e-3, "weight_decay": 0.01,
        "warmup_ratio": 0.1, "evaluate": "steps", "evaluate_every": 3, "patience": 50,
        "precision": "fp32", "report_to": (), "max_length": 64, **options,
    }  # fmt: skip
    settings = TrainOptions.model_validate(chosen)
    validation = rows(backbone, 24, 2)
    gold = np.asarray([row.labels for row in validation])

    def metrics(logits: list[np.ndarray]) -> dict[str, float]:
        return {"accuracy": float((np.stack(logits).argmax(1) == gold).mean())}

    network = build_network(
        find_backbone(str(backbone)),
        SPEC,
        lora=LoraOptions(rank=4) if settings.method == "lora" else None,
        seed=settings.seed,
    )
    return trainer.Job(
        model=network.model, train=rows(backbone, 76, 1),
        objectives=[trainer.Objective("tiny", validation, metrics, "accuracy", 3)],
        pad_id=network.model.config.pad_token_id, options=settings, directory=directory,
        identity=trainer.identify(options=chosen),
        masking=masking(TextEncoder.from_directory(backbone, max_length=64), [settings.mask_tokens]),
    )  # fmt: skip


class StopAt(TrainerCallback):
    """Ends the run at a step: by an exception, or as `kill -9` would."""

    def __init__(self, step: int, *, kill: bool) -> None:
        self.step, self.kill = step, kill

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step:
            if self.kill:
                os.kill(os.getpid(), signal.SIGKILL)
            raise KeyboardInterrupt


def train_until(job: trainer.Job, step: int, *, kill: bool = False) -> None:
    build = trainer._trainer

    def stopping(job):
        built = build(job)
        built.add_callback(StopAt(step, kill=kill))
        return built

    trainer._trainer = stopping
    try:
        trainer.train(job)
    finally:
        trainer._trainer = build


if __name__ == "__main__":
    train_until(make_job(Path(sys.argv[1]), Path(sys.argv[2])), int(sys.argv[3]), kill=True)
