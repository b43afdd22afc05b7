"""Labelled rows that a command was given: a file, or a split of prepared data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pointsman.bundle.layout import find_bundles, read_meta
from pointsman.bundle.meta import SharedMeta
from pointsman.core.errors import ConfigError
from pointsman.core.files import read_json
from pointsman.core.types import Example
from pointsman.data.audit import AuditedData
from pointsman.data.dedupe import group_rows, name_groups
from pointsman.data.door import OnBadRow
from pointsman.data.prepare import PreparedData, load_prepared
from pointsman.data.prepared import MANIFEST, is_prepared
from pointsman.data.request import SourceRequest
from pointsman.data.schema import labels_left_out
from pointsman.data.sources import RowRules, load_source
from pointsman.pipeline.steps import Say
from pointsman.tasks.spec import TaskSpec


def load_prepared_for(task: str, path: Path) -> PreparedData:
    """Load prepared data, and refuse it where it is another task's.

    Raises:
        ConfigError: If the data was prepared for another task.
        DataError: If it is damaged.
    """
    prepared = load_prepared(path)
    if prepared.spec.name != task:
        raise ConfigError(f"data prepared for {task}", got=f"data for {prepared.spec.name}")
    return prepared


@dataclass(frozen=True, slots=True)
class Labelled:
    """Labelled rows that a command was given.

    Attributes:
        rows: Those to evaluate on, or to choose by.
        slices: Rows that are reported apart, by name.
        everything: All of the data, for an audit.
        train: Its training rows; None for a file, which has none set apart.
    """

    rows: list[Example]
    slices: dict[str, list[Example]]
    everything: AuditedData
    train: list[Example] | None = None


def read_labelled(
    spec: TaskSpec,
    path: Path,
    *,
    columns: Mapping[str, str],
    on_bad_row: OnBadRow,
    say: Say,
    split: Literal["validation", "test"] = "test",
) -> Labelled:
    """Read labelled rows: a file, or a split of prepared data.

    Rows and spans of labels that the bundle was narrowed by are left out, as in training.

    Args:
        spec: The task.
        path: The file or the directory.
        columns: Our field -> column of the file.
        on_bad_row: What a row that does not fit does.
        say: Takes a line of news.
        split: Which split of prepared data: test to evaluate, validation to choose by.

    Raises:
        ConfigError: If the data was prepared for another task or other labels.
    """
    if is_prepared(path):
        prepared = load_prepared_for(spec.name, path)
        strange = [label for label in prepared.spec.labels if label not in spec.labels]
        if strange:
            raise ConfigError(
                f"{path}: data prepared with the labels of the bundle",
                got=f"others: {', '.join(strange)}",
                fix="give the file that it was prepared from",
            )
        return Labelled(
            list(getattr(prepared, split)),
            {name: list(rows) for name, rows in prepared.slices.items()},
            AuditedData.from_prepared(prepared),
            list(prepared.train),
        )
    request = SourceRequest.parse(
        {"path": str(path), "columns": dict(columns)}, where=f"--data {path}"
    )
    rules = RowRules(dropped_labels=labels_left_out(spec))
    loaded = load_source(request, spec, on_bad_row=on_bad_row, rules=rules)
    for what, names in loaded.counts["left_out"].items():
        listed = ", ".join(f"{name} ({count})" for name, count in names.items())
        say(f"left out, since the bundle does not have the {what}: {listed}")
    if loaded.skipped:
        say(f"{len(loaded.skipped)} bad rows skipped; the first: {loaded.skipped[0]}")
    rows: list[Example] = []
    slices: dict[str, list[Example]] = {}
    groups, _ = group_rows(loaded.examples)
    for example in name_groups(loaded.examples, groups):
        if example.split and example.split.startswith("slice:"):
            slices.setdefault(example.split.removeprefix("slice:"), []).append(example)
        else:
            rows.append(example)
    audited = AuditedData.from_examples(spec, loaded.examples, [loaded.provenance])
    return Labelled(rows, slices, audited)


def head_of(bundle: Path, data: Path | None) -> str | None:
    """Return the head of a shared bundle that prepared data is for; None where nothing tells."""
    found = find_bundles([bundle])
    if len(found) > 1 or not isinstance(read_meta(found[0]), SharedMeta):
        return None
    return task_of(data)


def task_of(data: Path | None) -> str | None:
    """Return the name of the task that prepared data is for; None where nothing tells."""
    if data is None or not is_prepared(data):
        return None
    return str(read_json(data / MANIFEST)["task"]["name"])
