"""What a recipe may say of training, and what is chosen where it says nothing."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, field_validator, model_validator

from pointsman.core.config import Closed, suggest
from pointsman.data.perturb import PERTURBATIONS
from pointsman.models.adapters import LoraOptions
from pointsman.models.network import NetworkOptions

SMALL_BACKBONE = 60_000_000  # parameters: below it, rates for base-size models train too slowly
LARGE_BACKBONE = 250_000_000
LORA_WARM_UP = 64  # steps, as far as a short training has them; see `_warm_up_of_lora`


class DistillOptions(Closed):
    """Learning from another model's answers beside the labels."""

    teacher: str | None = Field(
        None,
        description="Bundle that answers the training rows, or a run or directory of runs with one "
        "of the task. None learns from labels alone.",
    )
    weight: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of the loss that is the teacher's; the labels' is 1 less it.",
    )
    temperature: float = Field(
        2.0, gt=0, description="What the logits of both are divided by: higher, softer targets."
    )


class TrainOptions(Closed):
    """Training options of a recipe; what is None is chosen by the preset."""

    preset: Literal["default", "document"] = Field(
        "default", description="`document`: its three tiers by dataset size; `default`: ours."
    )
    method: Literal["full", "lora"] = Field("full", description="Which parameters train.")
    lora: LoraOptions = Field(default_factory=LoraOptions, description="Used by `method: lora`.")
    network: NetworkOptions = Field(
        default_factory=NetworkOptions, description="Dropout, freezing."
    )
    epochs: float | None = Field(None, gt=0, description="Passes over the training split.")
    max_steps: int | None = Field(None, gt=0, description="Stop after this many optimiser steps.")
    batch_size: int | None = Field(None, gt=0, description="Rows a batch.")
    accumulation: int = Field(
        1,
        gt=0,
        description="Batches an optimiser step. They are of unlike lengths, and so of unlike rows.",
    )
    learning_rate: float | None = Field(None, gt=0, description="Peak learning rate.")
    weight_decay: float | None = Field(None, ge=0, description="AdamW's weight decay.")
    warmup_ratio: float | None = Field(None, ge=0, lt=1, description="Share of steps that warm up.")
    scheduler: Literal["linear", "cosine", "constant"] = Field("linear", description="Decay.")
    evaluate: Literal["epoch", "steps"] | None = Field(
        None, description="When to evaluate and save."
    )
    evaluate_every: int | None = Field(None, gt=0, description="Steps, for `evaluate: steps`.")
    patience: int | None = Field(
        None, ge=0, description="Evaluations without gain before stopping; 0 never stops early."
    )
    class_weights: Literal["none", "ratio", "balanced"] = Field(
        "none", description="`ratio`: n_max / n_k, as in the document; `balanced`: scikit-learn's."
    )
    source_power: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of a source in an epoch: its rows to this power. 1: as they are; 0: "
        "every source alike, its rows drawn with replacement.",
    )
    ema: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Evaluate and keep a moving average of the weights: its decay at a step, as in "
        "0.999; it is less in the first steps.",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Label smoothing.")
    max_length: int = Field(512, ge=8, description="Longest window in tokens.")
    padding: Literal["longest", "max_length"] = Field("longest", description="Pad to what.")
    length_grouped: bool = Field(True, description="Make batches of texts of like length.")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="Arithmetic.")
    gradient_checkpointing: bool = Field(False, description="Recompute activations: less memory.")
    drop_last: bool = Field(False, description="Leave out an epoch's last, short batch.")
    save_total_limit: int = Field(2, ge=1, description="Checkpoints that are kept.")
    logging_steps: int = Field(10, gt=0, description="Steps between log lines.")
    report_to: tuple[str, ...] = Field(("tensorboard",), description="The Trainer's reporters.")
    warm_start: str | None = Field(
        None, description="Bundle or checkpoint directory to start from."
    )
    seed: int = Field(42, ge=0, description="Seed of weights, order and dropout.")
    distill: DistillOptions = Field(
        default_factory=DistillOptions, description="A teacher to learn from."
    )
    augment: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(
        default_factory=dict,
        description="Perturbation -> perturbed copies to add, as a share of the training rows.",
    )

    swap_mentions: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Token tasks: copies of rows whose runs of spans come from other rows, as a "
        "share of the rows with spans.",
    )
    mask_tokens: float = Field(
        0.0, ge=0, lt=1, description="Share of the tokens that each step hides at random."
    )

    @property
    def trained_part(self) -> str:
        """What trains, in words: the method, and what it leaves of the encoder as it is."""
        if self.method == "lora":
            top = self.lora.top_layers
            return "lora" if top is None else f"lora in the top {top} layers"
        layers, network = self.network.freeze_layers, self.network
        frozen = ["embeddings"] if network.freeze_embeddings or layers else []
        frozen += [f"the lower {layers} layers"] if layers else []
        return f"full, {' and '.join(frozen)} frozen" if frozen else "full"

    @field_validator("method", mode="before")
    @classmethod
    def _refuse_joint(cls, method: Any) -> Any:
        if method in ("shared", "trunk"):
            raise ValueError(
                f"method: full or lora say which parameters train; {method} says how the tasks of "
                "a recipe are put together, and stands beside `train` and not in it"
            )
        return method

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.augment:
            if name not in PERTURBATIONS:
                hint = suggest(name, PERTURBATIONS)
                raise ValueError(f"augment: unknown perturbation {name!r}; {hint}")
        return self


# What tasks that are trained together may differ in.
PER_HEAD = (
    "class_weights", "source_power", "distill", "augment", "swap_mentions", "mask_tokens",
)  # fmt: skip


class SharedOptions(Closed):
    """How tasks that share an encoder are trained together."""

    temperature: float = Field(
        1.0,
        ge=1,
        description="A task of n rows is drawn in proportion to n^(1 / temperature). 1: every row "
        "once an epoch; higher: more of the small tasks, rows drawn with replacement.",
    )
    loss: Literal["fixed", "uncertainty"] = Field(
        "fixed",
        description="Weights of the tasks' losses: as given, or learned beside that, between a "
        "half and twice.",
    )
    weights: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="Task -> weight of its loss; 1 where none is given."
    )
    head_layers: NonNegativeInt | dict[str, NonNegativeInt] = Field(
        0,
        description="Upper encoder layers that each task has a copy of its own of: deeper heads, "
        "which are computed once a task. By task, tasks that are not named share all layers.",
    )

    def own_layers(self, task: str) -> int:
        """Return how many upper encoder layers a task has of its own."""
        if isinstance(self.head_layers, int):
            return self.head_layers
        return self.head_layers.get(task, 0)


class TrunkOptions(Closed):
    """How tasks that were trained apart keep a lower part in common."""

    top_layers: int = Field(
        0, ge=0, description="Upper encoder layers that each task adapts; 0 trains heads alone."
    )


class Schedule(Closed):
    """The values that a preset chooses."""

    epochs: float
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup_ratio: float
    evaluate: Literal["epoch", "steps"]
    evaluate_every: int | None = None
    patience: int


def document_schedule(rows: int) -> Schedule:
    """Return the document's tier for a dataset of `rows` training rows."""
    if rows < 1000:
        return Schedule(
            epochs=2, batch_size=4, learning_rate=1e-5, weight_decay=0.15, warmup_ratio=0.1,
            evaluate="epoch", patience=1,
        )  # fmt: skip
    if rows < 5000:
        return Schedule(
            epochs=3, batch_size=8, learning_rate=2e-5, weight_decay=0.1, warmup_ratio=0.06,
            evaluate="steps", evaluate_every=100, patience=2,
        )  # fmt: skip
    return Schedule(
        epochs=4, batch_size=16, learning_rate=3e-5, weight_decay=0.05, warmup_ratio=0.03,
        evaluate="steps", evaluate_every=200, patience=3,
    )  # fmt: skip


def default_schedule(rows: int, parameters: int, method: str) -> Schedule:
    """Return our own preset.

    The document's first tier cannot train a small backbone: two epochs at 1e-5 leave MiniLM
    behind TF-IDF. Small encoders want a higher rate, small data more epochs, adapters a rate
    several times that of full training. `docs/experiments.md` has the runs behind the values.

    Args:
        rows: Training rows.
        parameters: Parameters of the backbone.
        method: `full` or `lora`.
    """
    small = parameters < SMALL_BACKBONE
    rate = 2e-4 if small else 5e-5
    if parameters > LARGE_BACKBONE:
        rate = 2e-5
    if method == "lora":
        rate *= 5
    epochs = 10 if rows < 1000 else 6 if rows < 4000 else 4
    return Schedule(
        epochs=epochs,
        batch_size=16 if rows < 4000 else 32,
        learning_rate=rate,
        weight_decay=0.01,
        warmup_ratio=0.1,
        evaluate="epoch",
        patience=3,
    )


def _warm_up_of_lora(options: TrainOptions, rows: int) -> float:
    """Return the share of the steps that an adapter's rate rises in, from 0.1 to 0.3.

    With Adam, entries of an adapter's B grow by the rate a step, and as many as its rank add up
    before alpha / rank scales them: early steps move a layer's output by alpha times the rate,
    whatever the loss says. At the full rate after a score of steps a tagger of alpha 64 never finds
    a span; after some more it learns faster than at any lower rate.

    Args:
        options: Resolved but for this.
        rows: Training rows.
    """
    batch = (options.batch_size or 8) * options.accumulation
    steps = options.max_steps or max(1, int(math.ceil(rows / batch) * (options.epochs or 1)))
    return min(0.3, max(0.1, LORA_WARM_UP / steps))


def resolve(
    options: TrainOptions, *, rows: int, parameters: int, lora_rank: int = 8
) -> TrainOptions:
    """Fill in what a recipe left open, so that the result says everything that was chosen."""
    if options.evaluate is None and options.evaluate_every is not None:
        options = options.model_copy(update={"evaluate": "steps"})
    if options.lora.rank is None:
        lora = options.lora.model_copy(update={"rank": lora_rank})
        options = options.model_copy(update={"lora": lora})
    if options.preset == "document":
        chosen = document_schedule(rows)
    else:
        chosen = default_schedule(rows, parameters, options.method)
    values: dict[str, Any] = {
        name: value for name, value in chosen.model_dump().items() if getattr(options, name) is None
    }
    if options.preset == "default" and options.network.attention_dropout is None:
        # Attention without dropout runs in torch's fused kernels, on CPUs too.
        values["network"] = options.network.model_copy(update={"attention_dropout": 0.0})
    if options.preset == "default" and options.method == "lora" and "warmup_ratio" in values:
        values["warmup_ratio"] = _warm_up_of_lora(options.model_copy(update=values), rows)
    if options.evaluate == "epoch":
        values["evaluate_every"] = None  # a recipe's, where one of its tasks evaluates by epochs
    if options.evaluate == "steps" and options.evaluate_every is None:
        values["evaluate_every"] = chosen.evaluate_every or 100
    return options.model_copy(update=values)
