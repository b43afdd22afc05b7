"""The tasks that come with Pointsman, and how a user's own is found."""

from __future__ import annotations

from pathlib import Path

from pointsman.core.config import read_yaml, suggest
from pointsman.core.errors import ConfigError
from pointsman.tasks.category import CATEGORY
from pointsman.tasks.intent import INTENT
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.pii import PII
from pointsman.tasks.spec import TaskSpec

TASKS = {spec.name: spec for spec in (CATEGORY, PII, JAILBREAK, INTENT)}


def load_task(name: str) -> TaskSpec:
    """Return a task by its name, or from a YAML file.

    Args:
        name: A name of the catalogue, or a path that ends in `.yaml` or `.yml`.

    Raises:
        ConfigError: If there is no such task, or its file is not valid.
    """
    if name.endswith((".yaml", ".yml")):
        return TaskSpec.parse(read_yaml(Path(name)), where=name)
    if name not in TASKS:
        raise ConfigError(
            f"unknown task {name!r}",
            fix=f"{suggest(name, TASKS)}; or give the path of a task's YAML file",
        )
    return TASKS[name]
