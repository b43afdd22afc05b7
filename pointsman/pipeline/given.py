"""Prepared data that a recipe names, instead of sources to prepare it from."""

from __future__ import annotations

import shutil
from pathlib import Path

from pointsman.core.errors import ConfigError
from pointsman.core.files import atomic_directory, read_json
from pointsman.data.prepared import MANIFEST, is_prepared, load_prepared
from pointsman.tasks.spec import TaskSpec

AGAIN = "or prepare it again: `pointsman data prepare`"


def check_given(data: Path, spec: TaskSpec, *, where: str) -> None:
    """Refuse a directory that holds no prepared data of a task as a recipe has it.

    Args:
        data: The directory.
        spec: The task, narrowed as the recipe says.
        where: Place of the recipe's key, for messages.

    Raises:
        ConfigError: If it holds none, or data of another task, other labels or another definition.
    """
    if not is_prepared(data):
        raise ConfigError(
            f"{where}: a directory of prepared data",
            got=f"none at {data}",
            fix=f"name another one, {AGAIN}",
        )
    held = TaskSpec.parse(read_json(data / MANIFEST)["task"], where=str(data / MANIFEST))
    if held.name != spec.name:
        raise ConfigError(f"{where}: data prepared for {spec.name}", got=f"data for {held.name}")
    if held.labels != spec.labels:
        raise ConfigError(
            f"{where}: data with the labels {', '.join(spec.labels)}",
            got=f"data with {', '.join(held.labels)}",
            fix=f"give the task the `labels` and `label_map` that the data has, {AGAIN}",
        )
    if held != spec:
        differ = [key for key, value in spec if getattr(held, key) != value]
        raise ConfigError(
            f"{where}: data prepared for {spec.name} as it is defined here",
            got=f"data for another {', '.join(differ)}",
            fix=f"say the same in the recipe, {AGAIN}",
        )


def take_given(data: Path, place: Path) -> None:
    """Copy prepared data to where a run keeps its own, whole or not at all.

    A run holds the rows that it was trained on, so that what is done with it later does not depend
    on a directory that is somebody else's.

    Raises:
        DataError: If a file is missing or was changed since it was prepared.
    """
    load_prepared(data)
    with atomic_directory(place) as folder:
        shutil.copytree(data, folder, dirs_exist_ok=True)


def refuse_other_rows(data: Path, place: Path) -> None:
    """Refuse a directory whose rows are other ones than those that a run took from it.

    Raises:
        ConfigError: If they are.
    """
    if is_prepared(place) and _hashes(place) != _hashes(data):
        raise ConfigError(
            f"{data}: the rows that it held when this run began",
            got="other rows",
            fix="set another output (--set output=DIR), or put the rows back",
        )


def _hashes(data: Path) -> object:
    return read_json(data / MANIFEST)["hashes"]
