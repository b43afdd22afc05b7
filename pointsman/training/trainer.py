"""Training: the transformers Trainer with our order, our loss, and resume that is exact."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer import TRAINER_STATE_NAME

from pointsman.core.errors import ConfigError, TrainingError, is_out_of_memory
from pointsman.core.files import read_json, sha256_json, storage_errors, write_json
from pointsman.models.adapters import count_parameters
from pointsman.models.cpu_kernels import slow_down, speed_up
from pointsman.models.network import quiet
from pointsman.training.average import WeightAverage
from pointsman.training.batching import (
    Collator,
    EncodedRows,
    LengthGroupedSampler,
    rows_per_epoch,
    steps_per_epoch,
)
from pointsman.training.heads import HeadLosses, PureOrderTrainer
from pointsman.training.job import Job, Objective, Outcome
from pointsman.training.losses import (
    Distillation,
    WeightedCrossEntropy,
    class_weights,
    frequencies,
)
from pointsman.training.precision import choose_precision
from pointsman.training.progress import TrainingProgress
from pointsman.training.spent import SpentCallback

FINGERPRINT = "run.json"
FINISHED = "finished.json"


class EpochCallback(TrainerCallback):
    """Tells the sampler its epoch from the step count.

    accelerate forwards `set_epoch` through some of its wrappers and not through the one that
    skips batches on resume, so the step count is the only reliable source.
    """

    def __init__(self, sampler: LengthGroupedSampler, steps: int) -> None:
        self._sampler = sampler
        self._steps = steps

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Set the epoch before the loader is read."""
        self._sampler.epoch = state.global_step // self._steps


def train(job: Job) -> Outcome:
    """Train, resuming from the last checkpoint of the same run if there is one.

    Raises:
        TrainingError: If the directory holds another run, or memory runs out.
        StorageError: If the disk is full or read-only.
    """
    check_reporters(job.options.report_to)
    claim_directory(job.directory, job.identity)
    trainer = _trainer(job)
    parts = {one.name: one.checkpoint_metric for one in job.objectives} if job.shared else {}
    progress = TrainingProgress(job.say, job.checkpoint_metric, parts)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(progress)
    last = last_checkpoint(job.directory)
    trainable, parameters = count_parameters(job.model)
    if trainer.args.bf16 and trainer.args.device.type == "cpu":
        speed_up(job.model)
    try:
        with quiet(), storage_errors(job.directory):
            spent = _fit(trainer, job.directory, last)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise _out_of_memory(job, error) from error
    finally:
        progress.close()
        slow_down(job.model)
    state = trainer.state
    return Outcome(
        model=trainer.model,
        seconds=spent["seconds"],
        peak_memory_mb=spent["peak_memory_mb"],
        gpu_memory_mb=spent.get("gpu_memory_mb"),
        trainable=trainable,
        parameters=parameters,
        best_metric=state.best_metric,
        best_step=state.best_global_step,
        steps=state.global_step,
        history=state.log_history,
        precision=choose_precision(job.options.precision).name,
    )


def _fit(trainer: PureOrderTrainer, directory: Path, last: Path | None) -> dict[str, float]:
    """Train to the end, or take up a run that had ended, and return what it cost.

    A run that stopped early must not go on when the command is repeated, so its end is noted: by
    its last checkpoint, and with what it cost in a file of its own.
    """
    done = directory / FINISHED
    meter = SpentCallback(directory, last)
    held = None if last is None else TrainerState.load_from_json(str(last / TRAINER_STATE_NAME))
    if held is not None and (done.is_file() or _was_to_stop(held)):
        trainer.state = held
        _check_best(trainer.state)
        trainer._load_best_model()
        if not done.is_file():  # it was cut off between its last checkpoint and this file
            write_json(done, meter.spent())
        return dict(read_json(done))
    trainer.add_callback(meter)
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    _check_best(trainer.state)
    spent = meter.spent()
    write_json(done, spent)
    return spent


def _was_to_stop(state: TrainerState) -> bool:
    """Say whether training was to end with this checkpoint: by patience, or as planned.

    The Trainer forgets it when it resumes, and would go on to the next evaluation.
    """
    control = state.stateful_callbacks.get("TrainerControl", {})
    return bool(control.get("args", {}).get("should_training_stop"))


def _check_best(state: TrainerState) -> None:
    """Refuse a best checkpoint that is gone: the Trainer would only warn and keep the last one.

    Raises:
        TrainingError: If it is not there.
    """
    best = state.best_model_checkpoint
    if best is not None and not Path(best).is_dir():
        raise TrainingError(
            f"the best checkpoint at {best}",
            got="no such directory",
            fix="move the run directory back to where it was trained, or train anew",
        )


def claim_directory(directory: Path, identity: dict[str, Any]) -> None:
    """Make a checkpoint directory this run's own.

    Raises:
        TrainingError: If it holds another run's checkpoints.
    """
    file = directory / FINGERPRINT
    if file.is_file():
        held = read_json(file)
        differs = sorted(k for k in {*held, *identity} if held.get(k) != identity.get(k))
        if differs:
            raise TrainingError(
                f"{directory}: checkpoints of this run",
                got=f"those of a run that differs in {', '.join(differs)}",
                fix="choose another output directory, or delete this one",
            )
    elif any(directory.glob("checkpoint-*")):
        raise TrainingError(
            f"{directory}: an output directory of Pointsman",
            got=f"checkpoints without {FINGERPRINT}",
            fix="choose another output directory",
        )
    write_json(file, identity)


def last_checkpoint(directory: Path) -> Path | None:
    """Return the newest whole checkpoint; a half-written one is deleted.

    The Trainer writes `trainer_state.json` last, so a checkpoint without a readable one was cut
    off while it was saved.
    """
    found = sorted(directory.glob("checkpoint-*"), key=lambda p: -int(p.name.split("-")[1]))
    for checkpoint in found:
        try:
            json.loads((checkpoint / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(checkpoint)
            continue
        return checkpoint
    return None


def identify(**parts: Any) -> dict[str, Any]:
    """Return an identity: each part as a short hash of its JSON form."""
    return {name: sha256_json(value)[:16] for name, value in parts.items()}


def _trainer(job: Job) -> PureOrderTrainer:
    options = job.options
    data = EncodedRows(job.train)
    batch = options.batch_size or 8
    rows = rows_per_epoch(len(data), batch, drop_last=options.drop_last)
    sampler = LengthGroupedSampler(
        data.lengths,
        batch,
        seed=options.seed,
        grouped=options.length_grouped,
        keep=rows,
        weights=job.weights,
    )
    callbacks: list[TrainerCallback] = [
        EpochCallback(sampler, max(1, steps_per_epoch(rows, batch, options.accumulation)))
    ]
    if options.patience:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=options.patience))
    objectives = {one.name: (one, _metrics(one)) for one in job.objectives}
    return PureOrderTrainer(
        sampler=sampler,
        losses=_head_losses(job),
        objectives=objectives,
        shared=job.shared,
        masking=job.masking,
        average=None if options.ema is None else WeightAverage(job.model, options.ema),
        model=job.model,
        args=training_arguments(job),
        train_dataset=data,
        eval_dataset={one.name: EncodedRows(one.validation) for one in job.objectives},
        data_collator=Collator(
            job.pad_id, fixed=options.max_length if options.padding == "max_length" else None
        ),
        callbacks=callbacks,
    )


def training_arguments(job: Job) -> TrainingArguments:
    """Return the Trainer's arguments for resolved options.

    Saving follows evaluation: the document's own pair (evaluate each epoch, save every 200 steps)
    is refused by the Trainer, which wants to load the best model at the end.
    """
    options = job.options
    precision = choose_precision(options.precision).name
    batch = options.batch_size or 8
    rows = rows_per_epoch(len(job.train), batch, drop_last=options.drop_last)
    per_epoch = steps_per_epoch(rows, batch, options.accumulation)
    total = options.max_steps or int(per_epoch * (options.epochs or 1))
    return TrainingArguments(
        output_dir=str(job.directory.resolve()),
        num_train_epochs=options.epochs or 1,
        max_steps=options.max_steps or -1,
        per_device_train_batch_size=batch,
        per_device_eval_batch_size=max(32, batch),
        gradient_accumulation_steps=options.accumulation,
        learning_rate=options.learning_rate or 5e-5,
        weight_decay=options.weight_decay or 0.0,
        warmup_steps=int(total * (options.warmup_ratio or 0)),
        lr_scheduler_type=options.scheduler,
        eval_strategy=options.evaluate or "epoch",
        eval_steps=options.evaluate_every,
        save_strategy=options.evaluate or "epoch",
        save_steps=options.evaluate_every or 500,
        save_total_limit=options.save_total_limit,
        load_best_model_at_end=True,
        metric_for_best_model=job.checkpoint_metric,
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        use_cpu=precision == "bf16" and not torch.cuda.is_available(),  # else bf16 is refused
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        activation_checkpointing=options.gradient_checkpointing,
        dataloader_pin_memory=torch.cuda.is_available(),
        logging_steps=options.logging_steps,
        report_to=list(options.report_to),
        label_names=["labels"],
        remove_unused_columns=False,
        disable_tqdm=True,
        seed=options.seed,
    )


def check_reporters(names: Sequence[str]) -> None:
    """Refuse reporters that the Trainer does not know or whose package is not installed.

    Raises:
        ConfigError: With the name.
    """
    from transformers.integrations import get_reporting_integration_callbacks

    try:
        for reporter in get_reporting_integration_callbacks(list(names)):
            reporter()  # says so when its package is missing
    except (ValueError, RuntimeError, ImportError) as error:
        raise ConfigError(
            "report_to: known, installed reporters",
            got=", ".join(names),
            fix=str(error),
        ) from None


def _loss(job: Job, objective: Objective, head: int) -> WeightedCrossEntropy:
    labels = [
        label
        for row in job.train
        if row.head == head
        for label in (row.labels if isinstance(row.labels, list) else [row.labels])
    ]
    distill = objective.distill
    return WeightedCrossEntropy(
        class_weights(labels, objective.classes, objective.weighting),
        frequencies(labels, objective.classes),
        smoothing=job.options.label_smoothing,
        open_labels=objective.open_labels,
        distillation=None if distill is None else Distillation(distill.weight, distill.temperature),
    )


def _head_losses(job: Job) -> HeadLosses:
    model: Any = job.model
    shared = model.get_base_model() if hasattr(model, "get_base_model") else model
    return HeadLosses(
        {one.name: _loss(job, one, head) for head, one in enumerate(job.objectives)},
        [one.weight for one in job.objectives],
        lambda: getattr(shared, "balance", None),
    )


def _metrics(objective: Objective) -> Callable[[EvalPrediction], dict[str, float]]:
    lengths = [len(row.input_ids) for row in objective.validation]

    def compute(prediction: EvalPrediction) -> dict[str, float]:
        logits = np.asarray(prediction.predictions, dtype=np.float32)
        if logits.ndim == 2:
            return objective.metrics(list(logits))
        return objective.metrics([row[:n] for row, n in zip(logits, lengths, strict=True)])

    return compute


def _out_of_memory(job: Job, error: BaseException) -> TrainingError:
    batch = job.options.batch_size or 8
    return TrainingError(
        f"memory for batches of {batch} rows",
        got=type(error).__name__,
        fix=f"try batch_size {max(1, batch // 2)} with accumulation "
        f"{job.options.accumulation * 2} (as many rows a step), or gradient_checkpointing",
    )
