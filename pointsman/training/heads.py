"""One head or several in one run: their loss in a mixed batch, and their evaluation one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler
from transformers import EvalPrediction, Trainer, TrainerControl

from pointsman.data.encode import IGNORED
from pointsman.models.balance import BALANCE, SPEED
from pointsman.training.average import WeightAverage
from pointsman.training.batching import LengthGroupedSampler
from pointsman.training.job import MEAN, Objective
from pointsman.training.losses import WeightedCrossEntropy
from pointsman.training.masking import TokenMasking

Compute = Callable[[EvalPrediction], dict[str, float]]


class HeadLosses:
    """The loss of a batch that mixes the rows of several heads.

    A head's loss is the mean over its labelled items, and enters by the share of its rows: every
    row weighs the same, so that sampling alone decides how much of a step each task has. One head
    alone has the loss that it has in a model of its own.

    Args:
        losses: One loss a head, by name and in order.
        weights: What each head's loss is multiplied with.
        balance: Turns the losses, shape `(heads,)`, into those under learned weights, given the
            batch's share of the step's rows; None leaves them as they are. Looked up anew for each
            batch, since adapters replace modules.
    """

    def __init__(
        self,
        losses: Mapping[str, WeightedCrossEntropy],
        weights: Sequence[float],
        balance: Callable[[], Callable[[torch.Tensor, float], torch.Tensor] | None],
    ) -> None:
        self._losses = losses
        self._weights = torch.tensor(list(weights))
        self._balance = balance

    def count(self, batches: Sequence[Mapping[str, torch.Tensor]]) -> torch.Tensor:
        """Return the labelled items and the rows of each head in a step, shape `(heads, 2)`."""
        counts = torch.zeros(len(self._losses), 2)
        for batch in batches:
            items = (batch["labels"] != IGNORED).sum(1).float().cpu()
            owners = batch["owners"].cpu()
            counts[:, 0].index_add_(0, owners, items)
            counts[:, 1].index_add_(0, owners, torch.ones_like(items))
        return counts

    def __call__(
        self,
        outputs: Mapping[str, torch.Tensor],
        labels: torch.Tensor,
        owners: torch.Tensor,
        counts: torch.Tensor,
        teacher: torch.Tensor | None = None,
        *,
        plain: bool = False,
    ) -> torch.Tensor:
        """Return the loss of one batch.

        Args:
            outputs: For each head that has rows, `(rows, classes)` or `(rows, length, classes)`.
            labels: Shape `(batch, length)`; a class in the first column for a sequence head.
            owners: Shape `(batch,)`, the index of each row's head.
            counts: As `count` gives them, of the whole optimiser step.
            teacher: As the collator gives it, where rows have a teacher.
            plain: Leave out the heads' weights, given and learned: those of a run say what it
                learned most from, and not how well it answers.
        """
        counts = counts.to(labels.device)
        losses = torch.zeros(len(self._losses), device=labels.device)
        parts = list(losses.unbind())
        for place, (name, loss) in enumerate(self._losses.items()):
            if name not in outputs:
                continue
            logits, mine = outputs[name], owners == place
            items = counts[place, 0].clamp(min=1)
            parts[place] = loss(
                {"logits": logits},
                _places(labels[mine], logits),
                items,
                None
                if teacher is None
                else _places(teacher[mine], logits)[..., : logits.shape[-1]],
            )
        found = torch.stack(parts)
        shares = counts[:, 1] / counts[:, 1].sum()
        if plain:
            return (found * shares).sum()
        balance = self._balance()
        if balance is not None:
            found = balance(found, len(owners) / float(counts[:, 1].sum()))
        return (found * shares * self._weights.to(labels.device)).sum()


def _places(values: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Return the values at the places of the logits: all of a row, or the first of a text's."""
    return values[:, 0] if logits.ndim == 2 else values


class PureOrderTrainer(Trainer):
    """The Trainer with a row order that depends on seed and epoch alone, and with several heads.

    A task of its own is the one-head case: the same batches, loss and evaluation. Its model is one
    of transformers, which does not ask whose a row is, and its figures go by their plain names.

    Args:
        sampler: Gives the order.
        losses: The loss of a batch.
        objectives: The heads, with what computes each one's figures.
        shared: The model is a `SharedNetwork`; else it has the one head that there is.
        masking: Hides tokens of the training batches.
        average: Averages the weights; evaluations and the best model are then the average's.
        keywords: For the Trainer.
    """

    control: TrainerControl

    def __init__(
        self,
        *,
        sampler: LengthGroupedSampler,
        losses: HeadLosses,
        objectives: Mapping[str, tuple[Objective, Compute]],
        shared: bool = False,
        masking: TokenMasking | None = None,
        average: WeightAverage | None = None,
        **keywords: Any,
    ) -> None:
        self._sampler = sampler
        self._losses = losses
        self._objectives = objectives
        self._shared = shared
        self._masking = masking
        self._average = average
        super().__init__(**keywords)
        self.loss_is_scaled_for_ga = True  # losses are shares of a step's loss already
        if average is not None:
            self.add_callback(average)

    def create_optimizer(self, *given: Any, **keywords: Any) -> Any:
        """Return the optimiser; the weights of the heads' losses have a rate of their own."""
        optimizer = super().create_optimizer(*given, **keywords)
        own = [p for name, p in self.model.named_parameters()
               if p.requires_grad and BALANCE in name.split(".")]  # fmt: skip
        known = {id(p) for p in own}
        if own and not any(group.get("name") == BALANCE for group in optimizer.param_groups):
            for group in optimizer.param_groups:
                group["params"] = [p for p in group["params"] if id(p) not in known]
            rate = self.args.learning_rate * SPEED
            optimizer.add_param_group(
                {"params": own, "lr": rate, "weight_decay": 0.0, "name": BALANCE}
            )
        return optimizer

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> Sampler[int]:
        return self._sampler

    def _get_num_items_in_batch(
        self, batch_samples: list[Any], device: torch.device
    ) -> torch.Tensor:
        own = self._losses.count(batch_samples).to(device)
        counts: torch.Tensor = self.accelerator.reduce(own, reduction="sum")  # over the workers
        return counts

    def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any, **keywords: Any) -> Any:
        """Return the loss of a training batch, some of its tokens hidden, and go backward."""
        if self._masking is not None:
            inputs = inputs | {
                "input_ids": self._masking(inputs["input_ids"], inputs.get("owners"))
            }
        return super().training_step(model, inputs, *rest, **keywords)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the loss of a batch, and the outputs if they are asked for."""
        inputs = dict(inputs)
        labels, owners = inputs.pop("labels"), inputs.pop("owners")
        teacher = inputs.pop("teacher", None)
        if self._shared:
            outputs = model(**inputs, owners=owners)
        else:
            (name,) = self._objectives
            outputs = {name: model(**inputs).logits}
        loss = self._losses(
            outputs, labels, owners, num_items_in_batch, teacher, plain=not model.training
        )
        # Workers' gradients are averaged, and each one's loss is a share of the whole step's.
        loss = loss * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Return the figures of the validation rows: of every head, and the mean of them.

        The Trainer's own way with several sets reports each of them as an evaluation, so that
        early stopping would look for the mean in every one and never see it.
        """
        with nullcontext() if self._average is None else self._average.shown():
            found = {name: self._measure(name, ignore_keys) for name in self._objectives}
        metrics: dict[str, float] = {}
        for name, figures in found.items():
            start = f"{metric_key_prefix}_{name}/" if self._shared else f"{metric_key_prefix}_"
            metrics |= {f"{start}{key}": value for key, value in figures.items()}
        if self._shared:
            leading = [found[n][one.checkpoint_metric] for n, (one, _) in self._objectives.items()]
            losses = [figures["loss"] for figures in found.values()]
            metrics[f"{metric_key_prefix}_{MEAN}"] = sum(leading) / len(leading)
            metrics[f"{metric_key_prefix}_loss"] = sum(losses) / len(losses)
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _measure(self, name: str, ignore_keys: list[str] | None) -> dict[str, float]:
        """Return the figures of one head's validation rows."""
        _, self.compute_metrics = self._objectives[name]
        output = self.evaluation_loop(
            self.get_eval_dataloader(self.eval_dataset[name]),
            description=f"Evaluation of {name}",
            ignore_keys=ignore_keys,
            metric_key_prefix="eval",
        )
        return {key.removeprefix("eval_"): value for key, value in output.metrics.items()}

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the weights, and beside them their average: resuming needs both."""
        super().save_model(output_dir, _internal_call)
        if self._average is not None and self.args.should_save:
            self._average.save(Path(output_dir or self.args.output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self._average is not None:
            self._average.load(Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        super()._load_best_model()
        if self._average is not None:
            self._average.load(Path(self.state.best_model_checkpoint))
            self._average.apply()
