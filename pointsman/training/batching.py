"""Batches of texts of like length, in an order that depends on seed and epoch alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from pointsman.data.encode import IGNORED
from pointsman.training.rows import Row


class EncodedRows(Dataset[dict[str, Any]]):
    """Encoded rows as the Trainer wants them."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.rows[index]
        item: dict[str, Any] = {
            "input_ids": row.input_ids, "labels": row.labels, "head": row.head,
        }  # fmt: skip
        return item if row.teacher is None else item | {"teacher": row.teacher}

    @property
    def lengths(self) -> list[int]:
        """Tokens of every row."""
        return [len(row.input_ids) for row in self.rows]


class Collator:
    """Pads a batch to its longest row, or to a fixed length.

    Args:
        pad_id: Id of the padding token.
        fixed: Pad to this length always (what the document's scripts do); None pads dynamically.
    """

    def __init__(self, pad_id: int, *, fixed: int | None = None) -> None:
        self._pad_id = pad_id
        self._fixed = fixed

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Return `input_ids`, `attention_mask` and `labels`, all of shape `(batch, length)`.

        A row of a sequence head has its class in the first column of `labels`. Beside them
        `owners`, shape `(batch,)`: the place of each row's head; and where rows have a teacher
        `teacher`, shape `(batch, length, classes)`, in the places of the labels and 0 elsewhere.
        """
        longest = max(len(row["input_ids"]) for row in rows)
        length = max(longest, self._fixed or 0)
        ids = torch.full((len(rows), length), self._pad_id, dtype=torch.long)
        mask = torch.zeros((len(rows), length), dtype=torch.long)
        for index, row in enumerate(rows):
            size = len(row["input_ids"])
            ids[index, :size] = torch.as_tensor(row["input_ids"])
            mask[index, :size] = 1
        batch = {
            "input_ids": ids,
            "attention_mask": mask,
            "labels": self._labels(rows, length),
            "owners": torch.as_tensor([row["head"] for row in rows]),
        }
        if any("teacher" in row for row in rows):
            batch["teacher"] = self._teacher(rows, length)
        return batch

    def _labels(self, rows: Sequence[Mapping[str, Any]], length: int) -> torch.Tensor:
        labels = torch.full((len(rows), length), IGNORED, dtype=torch.long)
        for index, row in enumerate(rows):
            own = row["labels"] if isinstance(row["labels"], list) else [row["labels"]]
            labels[index, : len(own)] = torch.as_tensor(own)
        return labels

    def _teacher(self, rows: Sequence[Mapping[str, Any]], length: int) -> torch.Tensor:
        own = {i: np.atleast_2d(row["teacher"]) for i, row in enumerate(rows) if "teacher" in row}
        classes = max(given.shape[1] for given in own.values())
        answers = torch.zeros(len(rows), length, classes)
        for index, given in own.items():
            answers[index, : given.shape[0], : given.shape[1]] = torch.as_tensor(given)
        return answers


class LengthGroupedSampler(Sampler[int]):
    """Row order in which neighbours have like lengths, and batches come at random.

    The order is a pure function of seed and epoch. The Trainer's own sampler draws from the
    global generator, so a run resumed in its second epoch sees other batches than the run that
    was cut off.

    Like lengths are often like rows: of one task among several, or of the label whose texts are
    long. Only the rows of a batch are of like length, and not those of an accumulated step, whose
    batches come at random: its gradient is nearer to that of rows drawn whatever their length.

    Args:
        lengths: Tokens of every row.
        batch_size: Rows of one batch on this device.
        seed: Seed of the order.
        grouped: False gives a plain shuffle, as pure.
        keep: Rows of an epoch; the last of the order beyond them are left out.
        weights: How often each row is drawn, in proportion and with replacement; None takes
            each row once an epoch.
    """

    POOL = 50  # batches that are sorted together: enough for like lengths, few enough to mix

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        *,
        seed: int,
        grouped: bool = True,
        keep: int | None = None,
        weights: Sequence[float] | None = None,
    ) -> None:
        self._lengths = np.asarray(lengths)
        self._batch_size = batch_size
        self._seed = seed
        self._grouped = grouped
        self._keep = len(lengths) if keep is None else keep
        self._shares = None if weights is None else np.asarray(weights) / np.sum(weights)
        self.epoch = 0

    def __len__(self) -> int:
        return self._keep

    def __iter__(self) -> Iterator[int]:
        return iter(self.order(self.epoch)[: self._keep])

    def order(self, epoch: int) -> list[int]:
        """Return the row order of an epoch."""
        random = np.random.default_rng([self._seed, epoch])
        rows = len(self._lengths)
        if self._shares is None:
            order = random.permutation(rows)
        else:
            order = random.choice(rows, size=rows, p=self._shares)
        if not self._grouped:
            return [int(i) for i in order]
        pool = self._batch_size * self.POOL
        batches: list[Any] = []
        for start in range(0, len(order), pool):
            part = order[start : start + pool]
            part = part[np.argsort(-self._lengths[part], kind="stable")]
            batches += np.split(part, range(self._batch_size, len(part), self._batch_size))
        full = [batch for batch in batches if len(batch) == self._batch_size]
        # A short batch in the middle would shift every batch after it across lengths.
        rest = [batch for batch in batches if len(batch) < self._batch_size]
        mixed = [full[i] for i in random.permutation(len(full))] + rest
        return [int(i) for batch in mixed for i in batch]


def rows_per_epoch(rows: int, batch_size: int, *, drop_last: bool) -> int:
    """Return how many rows an epoch reads: all, or those of full batches if there is one.

    The Trainer's own `dataloader_drop_last` would drop the last batch of evaluations, too.
    """
    full = rows // batch_size * batch_size
    return full if drop_last and full else rows


def steps_per_epoch(rows: int, batch_size: int, accumulation: int) -> int:
    """Return how many optimiser steps an epoch has."""
    return math.ceil(math.ceil(rows / batch_size) / accumulation)
