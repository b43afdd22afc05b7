"""The two ways to train that `train_speed.py` compares, and the clock that times both alike."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from pointsman.data.encode import TextEncoder
from pointsman.data.prepare import PreparedData, load_prepared
from pointsman.models.weights import Backbone
from pointsman.tasks.labels import model_labels
from pointsman.training.config import TrainOptions
from pointsman.training.rows import Row

# The document's middle tier; its batch of 8 in every one of its tables of CPU training.
DOCUMENT = {"learning_rate": 2e-5, "weight_decay": 0.1, "warmup_ratio": 0.06, "epochs": 3.0}
PLAIN_BATCH = 8
DRAWS = 500


@dataclass(frozen=True, slots=True)
class Measures:
    """What a side does; as it stands, nothing that the plain Trainer does not do.

    Attributes:
        precision: fp32, or bf16 where the CPU has AMX.
        kernels: Attention by batched products and dropout by random bits (`models/cpu_kernels`).
        grouped: Batches of texts of like length.
        batch: Rows a batch.
        no_attention_dropout: Leave the attention's dropout out.
    """

    precision: str = "fp32"
    kernels: bool = False
    grouped: bool = False
    batch: int = PLAIN_BATCH
    no_attention_dropout: bool = False


NOTHING = Measures()


def alone(ours: Measures) -> dict[str, Measures]:
    """Return each measure of ours alone, beside none of them."""
    changes: dict[str, dict[str, Any]] = {
        f"{ours.precision} arithmetic": {"precision": ours.precision},
        "kernels for attention and dropout": {"kernels": True},
        "batches of like length": {"grouped": True},
        f"batches of {ours.batch}": {"batch": ours.batch},
        "no attention dropout": {"no_attention_dropout": True},
    }
    return {name: dataclasses.replace(NOTHING, **change) for name, change in changes.items()}


def without(ours: Measures) -> dict[str, Measures]:
    """Return ours without one measure at a time."""
    names = [field.name for field in dataclasses.fields(Measures)]
    return {
        f"all without {name}": dataclasses.replace(ours, **{name: getattr(NOTHING, name)})
        for name in names
        if getattr(ours, name) != getattr(NOTHING, name)
    }


class Finished(Exception):
    """Ends a run after its last optimiser step, before anything is evaluated or saved."""


class Clock:
    """Times a training from its first forward pass to the end of its last optimiser step.

    Args:
        model: What trains.
        steps: After how many optimiser steps the run is over.
    """

    def __init__(self, model: Any, steps: int) -> None:
        self._model, self._steps = model, steps
        self._begun = 0.0
        self._made = 0
        self.seconds = float("nan")
        self.tokens = 0  # with padding

    def _before(self, module: Any, args: Any, keywords: dict[str, Any]) -> None:
        if not self._begun:
            self._begun = time.perf_counter()
        self.tokens += keywords["input_ids"].numel()

    def _after(self, optimiser: Any, args: Any, keywords: Any) -> None:
        self._made += 1
        if self._made == self._steps:
            import torch

            if torch.cuda.is_available():
                torch.cuda.synchronize()  # a GPU is told what to do, and does it later
            self.seconds = time.perf_counter() - self._begun
            raise Finished

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run until the last step."""
        from torch.optim.optimizer import register_optimizer_step_post_hook

        handles = [
            self._model.register_forward_pre_hook(self._before, with_kwargs=True),
            register_optimizer_step_post_hook(self._after),
        ]
        try:
            with contextlib.suppress(Finished):
                yield
        finally:
            for handle in handles:
                handle.remove()
        if self._made != self._steps:
            raise RuntimeError(f"needed {self._steps} steps, got {self._made}")


@dataclass(frozen=True, slots=True)
class Bench:
    """What all sides train on.

    Attributes:
        data: The prepared data.
        backbone: The encoder.
        rows: The encoded sample.
        texts: Texts of the sample, in the same order.
        lengths: Tokens of every training row.
        spent: The padded tokens of the last run of each side.
    """

    data: PreparedData
    backbone: Backbone
    rows: Sequence[Row]
    texts: Sequence[str]
    lengths: Sequence[int]
    spent: dict[str, int]


def make_bench(place: Path, backbone: Backbone, count: int, seed: int) -> Bench:
    """Encode the training split and draw a sample of it."""
    from pointsman.pipeline.encoding import encode_split

    data = load_prepared(place)
    encoder = TextEncoder.from_backbone(backbone.path, lines=data.spec.level == "token")
    split = encode_split(data.spec, encoder, data.train, every_window=False)
    lengths = [len(row.input_ids) for row in split.rows]
    chosen = [split.rows[i] for i in draw_sample(lengths, count, seed)]
    texts = {  # a text may have given several rows
        id(window.input_ids): example.text[
            slice(window.offsets[0][0], window.offsets[-1][1]) if window.offsets else slice(0)
        ]
        for example, windows in zip(split.examples, split.windows, strict=True)
        for window in windows
    }
    return Bench(data, backbone, chosen, [texts[id(row.input_ids)] for row in chosen], lengths, {})


def draw_sample(lengths: Sequence[int], count: int, seed: int, batch: int = 32) -> list[int]:
    """Return the indices of a sample that costs each side what the whole split costs it.

    A few rows drawn at random have no neighbours of like length, which thousands of rows have. So
    whole batches of an epoch of like lengths are drawn; and of many draws the one is taken that is
    nearest the whole in mean length and in what either kind of batches pads it to.
    """
    from pointsman.training.batching import LengthGroupedSampler

    random = np.random.default_rng(seed)
    order = np.array(LengthGroupedSampler(lengths, batch, seed=seed).order(0))
    batches = order[: len(order) // batch * batch].reshape(-1, batch)
    sizes = np.array(lengths)
    wanted = _costs(sizes, batch, random)
    best, least = order[:count], float("inf")
    for _ in range(DRAWS if len(batches) > 1 else 0):
        picked = random.choice(len(batches), max(1, min(count // batch, len(batches))), False)
        rows = batches[picked].ravel()
        found = _costs(sizes[rows], batch, random)
        away = sum(abs(one / other - 1) for one, other in zip(found, wanted, strict=True))
        if away < least:
            best, least = rows, away
    return [int(row) for row in random.permutation(best)[:count]]


def sample_fit(bench: Bench) -> dict[str, tuple[float, float]]:
    """Return what a row costs, in tokens, of the sample and of the whole."""
    random = np.random.default_rng(0)
    sample = np.array([len(row.input_ids) for row in bench.rows])
    names = ("tokens a row", "in batches of like length", "in batches of 8 at random")
    pairs = zip(
        _costs(sample, 32, random), _costs(np.array(bench.lengths), 32, random), strict=True
    )
    return dict(zip(names, pairs, strict=True))


def _costs(
    sizes: NDArray[np.int64], batch: int, random: np.random.Generator
) -> tuple[float, float, float]:
    """Return the tokens a row: as they are, sorted into batches, and in batches of 8 at random."""
    ordered = np.sort(sizes)[::-1]
    sorted_ = np.repeat(ordered[::batch], batch)[: len(sizes)]
    mixed = [
        random.permutation(sizes)[: max(1, len(sizes) // PLAIN_BATCH) * PLAIN_BATCH]
        for _ in range(8)
    ]
    at_random = [rows.reshape(-1, min(PLAIN_BATCH, len(rows))).max(axis=1).mean() for rows in mixed]
    return float(sizes.mean()), float(sorted_.mean()), float(np.mean(at_random))


def our_seconds(bench: Bench, name: str, measures: Measures) -> float:
    """Return the seconds of one pass over the sample by `pointsman.training.trainer.train`."""
    from pointsman.training import trainer

    network = build(bench, no_attention_dropout=measures.no_attention_dropout)
    clock = Clock(network, _steps(bench, measures.batch))
    with tempfile.TemporaryDirectory() as place:
        job = _job(bench, network, measures, Path(place))
        with contextlib.ExitStack() as stack:
            # bf16 on a CPU brings the kernels along: to measure each alone, they are put on by hand
            stack.enter_context(mock.patch.object(trainer, "speed_up", lambda model: None))
            if measures.kernels:
                from pointsman.models.cpu_kernels import speed_up

                speed_up(network)
            stack.enter_context(clock.running())
            trainer.train(job)
    bench.spent[name] = clock.tokens
    return clock.seconds


def build(bench: Bench, *, no_attention_dropout: bool, seed: int = 0) -> Any:
    """Return a fresh network for the task."""
    from pointsman.models.network import NetworkOptions, build_network

    options = NetworkOptions(attention_dropout=0.0) if no_attention_dropout else NetworkOptions()
    return build_network(bench.backbone, bench.data.spec, options=options, seed=seed).model


def _steps(bench: Bench, batch: int) -> int:
    return -(-len(bench.rows) // batch)


def _job(bench: Bench, model: Any, measures: Measures, place: Path) -> Any:
    from pointsman.training.job import Job, Objective

    options = TrainOptions(
        epochs=1, batch_size=measures.batch, precision=measures.precision,
        length_grouped=measures.grouped, learning_rate=DOCUMENT["learning_rate"],
        weight_decay=DOCUMENT["weight_decay"], report_to=(), patience=0, evaluate="epoch",
    )  # fmt: skip
    spec = bench.data.spec
    learned = Objective(
        spec.name, bench.rows[:1], lambda logits: {}, spec.checkpoint, len(model_labels(spec))
    )
    return Job(
        model=model, train=bench.rows, objectives=[learned], pad_id=model.config.pad_token_id or 0,
        options=options, directory=place, identity={},
    )  # fmt: skip


def plain_seconds(
    bench: Bench, name: str, *, padding: str = "longest", tokenise: bool = False
) -> float:
    """Return the seconds of one pass by a plain Trainer.

    Args:
        bench: What is trained on.
        name: Of the side.
        padding: `longest` of a batch, or `max_length`.
        tokenise: Tokenise a row each time it is read, and not once before.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(bench.backbone.path)
    model = build(bench, no_attention_dropout=False)
    rows: list[dict[str, Any]] = [
        {"text": text, "labels": row.labels}
        if tokenise
        else {"input_ids": row.input_ids, "labels": row.labels}
        for text, row in zip(bench.texts, bench.rows, strict=True)
    ]
    clock = Clock(model, _steps(bench, PLAIN_BATCH))
    with tempfile.TemporaryDirectory() as place, clock.running():
        plain_trainer(model, rows, collate(tokenizer, padding), Path(place)).train()
    bench.spent[name] = clock.tokens
    return clock.seconds


def collate(tokenizer: Any, padding: str) -> Callable[[list[dict[str, Any]]], Any]:
    """Return a collator for rows of token ids, or of texts that it tokenises itself."""
    from transformers import DataCollatorWithPadding

    pad = DataCollatorWithPadding(tokenizer, padding=padding, max_length=512)

    def make(rows: list[dict[str, Any]]) -> Any:
        if "text" in rows[0]:
            encoded = tokenizer([row["text"] for row in rows], truncation=True, max_length=512)
            rows = [
                {"input_ids": ids, "labels": row["labels"]}
                for ids, row in zip(encoded["input_ids"], rows, strict=True)
            ]
        return pad(rows)

    return make


def plain_trainer(
    model: Any, rows: Any, collator: Any, place: Path, *, seed: int = 0, epochs: float = 1.0
) -> Any:
    """Return transformers' Trainer with the document's hyperparameters."""
    import torch
    from transformers import PrinterCallback, Trainer, TrainingArguments

    steps = int(-(-len(rows) // PLAIN_BATCH) * epochs)
    arguments = TrainingArguments(
        output_dir=str(place), num_train_epochs=epochs, per_device_train_batch_size=PLAIN_BATCH,
        learning_rate=DOCUMENT["learning_rate"], weight_decay=DOCUMENT["weight_decay"],
        warmup_steps=int(steps * DOCUMENT["warmup_ratio"]), eval_strategy="no", save_strategy="no",
        report_to=[], remove_unused_columns=False, disable_tqdm=True, seed=seed,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False, logging_steps=10**9,
    )  # fmt: skip
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collator)
    trainer.remove_callback(PrinterCallback)
    return trainer
