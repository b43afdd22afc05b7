"""One recipe file: which tasks, from which data, on which backbone, trained how."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pointsman.core.config import Closed, apply_overrides, read_yaml, suggest
from pointsman.core.errors import ConfigError
from pointsman.data.perturb import refuse_lost_spans
from pointsman.data.prepare import PrepareOptions
from pointsman.data.sources import SOURCES, SourceRequest
from pointsman.evaluation.perturbed import EvaluateOptions
from pointsman.evaluation.rules import parse_rule
from pointsman.pipeline.gate import Consent
from pointsman.pipeline.given import check_given
from pointsman.pipeline.terms import Terms
from pointsman.tasks.catalogue import load_task
from pointsman.tasks.spec import TaskSpec
from pointsman.training.config import PER_HEAD, SharedOptions, TrainOptions, TrunkOptions

SHARED = "shared"  # the directory of a network of several heads, beside those of the tasks
RECIPES = Path(__file__).parents[1] / "recipes"


class TaskRecipe(Closed):
    """What a recipe says of one task."""

    task: str = Field(description="Name of a task, or a task's YAML file.")
    labels: tuple[str, ...] | None = Field(None, description="Keep these labels only.")
    label_map: dict[str, str] = Field(default_factory=dict, description="Labels to merge.")
    positive_kinds: tuple[str, ...] | None = Field(None, description="Kinds that are positive.")
    sources: tuple[SourceRequest, ...] = Field((), description="Where the rows come from.")
    data: str | None = Field(
        None,
        description="Directory of prepared data, in place of `sources` and `prepare`.",
    )
    prepare: PrepareOptions = Field(
        default_factory=lambda: PrepareOptions(), description="Splits, limits, bad rows."
    )
    at: str | None = Field(
        None, description="Operating point of the thresholds, as in fpr=0.01; the task's own."
    )
    train: dict[str, Any] = Field(
        default_factory=dict, description="Training options, laid over the recipe's own."
    )

    def spec(self) -> TaskSpec:
        """Return the task, narrowed as the recipe says."""
        task = load_task(self.task)
        return task.adapt(
            labels=self.labels, label_map=self.label_map, positive_kinds=self.positive_kinds
        )


class Recipe(Closed):
    """A whole run: a model for each of its tasks, or one for all of them."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$", description="Name of the run.")
    about: str = Field("", description="What it is for.")
    output: str | None = Field(None, description="Run directory; runs/NAME when not given.")
    backbone: str = Field("minilm", description="Backbone of every task.")
    backbone_revision: str | None = Field(None, description="Commit of the hub.")
    mirror: str | None = Field(None, description="Directory that mirrors the hub.")
    method: Literal["apart", "shared", "trunk"] = Field(
        "apart",
        description="`apart`: a model a task; `shared`: one encoder under all tasks, trained in "
        "one run; `trunk`: tasks trained apart above one frozen lower part.",
    )
    shared: SharedOptions = Field(
        default_factory=lambda: SharedOptions(), description="Used by `method: shared`."
    )
    trunk: TrunkOptions = Field(
        default_factory=lambda: TrunkOptions(), description="Used by `method: trunk`."
    )
    train: TrainOptions = Field(
        default_factory=lambda: TrainOptions(), description="For all tasks."
    )
    evaluate: EvaluateOptions = Field(
        default_factory=lambda: EvaluateOptions(), description="For all tasks."
    )
    allow_leakage: bool = Field(
        False, description="Train though rows of validation or test have relatives in train."
    )
    allow_noncommercial: bool = Field(
        False, description="Train on sources that are non-commercial or of unknown licence."
    )
    tasks: tuple[TaskRecipe, ...] = Field(min_length=1, description="The tasks, in order.")

    def train_options(self, task: TaskRecipe) -> TrainOptions:
        """Return the training options of one task: the recipe's, with the task's laid over."""
        merged = _overlay(self.train.model_dump(), task.train)
        return TrainOptions.parse(merged, where=f"recipe {self.name!r}: tasks.{task.task}.train")

    def consent(self) -> Consent:
        """Return what of its data the recipe agrees to train in spite of."""
        return Consent(self.allow_leakage, self.allow_noncommercial)

    def terms(self, task: TaskRecipe) -> Terms:
        """Return what holds around the training of one task."""
        return Terms(self.consent(), task.at, self.evaluate)

    def directory(self) -> Path:
        """Return the run directory."""
        return Path(self.output or f"runs/{self.name}")


def _overlay(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _overlay(merged[key], value)
        else:
            merged[key] = value
    return merged


def find_recipe(path: Path) -> Path:
    """Return the file of a recipe: the one given, or of the package's own the one of that name.

    Raises:
        ConfigError: If there is neither, with the names of the package's own.
    """
    if path.exists():
        return path
    known = {file.stem: file for file in sorted(RECIPES.glob("*.yaml"))}
    if str(path) in known:
        return known[str(path)]
    raise ConfigError(f"a recipe at {path}", got="no such file", fix=suggest(path.stem, known))


def load_recipe(path: Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe and lay `--set` overrides over it.

    Raises:
        ConfigError: If a key, task, label or value is not known; before anything runs.
    """
    path = find_recipe(path)
    recipe = Recipe.parse(apply_overrides(read_yaml(path), overrides), where=str(path))
    names = [task.spec().name for task in recipe.tasks]
    if len(set(names)) != len(names):
        raise ConfigError(f"{path}: each task once", got=", ".join(names))
    for task in recipe.tasks:
        options = recipe.train_options(task)
        if task.spec().level == "token":
            refuse_lost_spans(options.augment)
        if task.at is not None:
            parse_rule(task.at, task.spec())
        _check_sources(task, where=str(path))
    _check_method(recipe, names, where=str(path))
    return recipe


def _check_method(recipe: Recipe, names: list[str], *, where: str) -> None:
    """Refuse what does not go with the way that tasks are put together.

    Raises:
        ConfigError: If tasks under one encoder differ in what they must agree on, or something
            is set for a method that is not used.
    """
    if recipe.method != "shared" and recipe.shared != SharedOptions():
        raise ConfigError(f"{where}: `shared` with method: shared", got=f"method: {recipe.method}")
    if recipe.method != "trunk" and recipe.trunk != TrunkOptions():
        raise ConfigError(f"{where}: `trunk` with method: trunk", got=f"method: {recipe.method}")
    if recipe.method == "apart":
        return
    if SHARED in names:
        raise ConfigError(f"{where}: a task of another name than {SHARED!r}", got=SHARED)
    if recipe.shared.head_layers and recipe.train.lora.top_layers:
        raise ConfigError(
            f"{where}: shared.head_layers, or train.lora.top_layers",
            got="both",
            fix="leave out top_layers: LoRA adapts the layers of all heads then",
        )
    _check_named(recipe, names, where=where)
    for task in recipe.tasks:
        strange = _not_per_head(recipe, task)
        if strange:
            raise ConfigError(
                f"{where}: training options that all tasks share, under method: {recipe.method}",
                got=f"tasks.{task.task}.train: {', '.join(strange)}",
                fix="set it in the recipe's own `train`; tasks may differ in "
                + (", ".join(PER_HEAD) if recipe.method == "shared" else "the other options"),
            )


def _check_named(recipe: Recipe, names: list[str], *, where: str) -> None:
    """Refuse options of the shared encoder for tasks that the recipe has not."""
    layers = recipe.shared.head_layers
    named = {"weights": recipe.shared.weights, "head_layers": layers}
    for key, given in named.items():
        for name in () if isinstance(given, int) else given:
            if name not in names:
                raise ConfigError(f"{where}: shared.{key}.{name}", fix=suggest(name, names))


def _not_per_head(recipe: Recipe, task: TaskRecipe) -> list[str]:
    """Return the training options of a task that must be those of all tasks."""
    if recipe.method == "shared":
        return [key for key in task.train if key not in PER_HEAD]
    return [key for key in task.train if key in ("max_length", "method")]


def _check_sources(task: TaskRecipe, *, where: str) -> None:
    spec = task.spec()
    if task.data is not None:
        _check_data(task, task.data, spec, where=f"{where}: tasks.{task.task}.data")
        return
    names = [source.name for source in task.sources] or list(spec.sources[:1])
    if not names:
        raise ConfigError(f"{where}: `sources` for the task {spec.name!r}", got="none")
    for name in names:
        if name is not None and name not in SOURCES:
            raise ConfigError(f"{where}: unknown source {name!r}", fix=suggest(name, SOURCES))


def _check_data(task: TaskRecipe, data: str, spec: TaskSpec, *, where: str) -> None:
    own = {"sources": bool(task.sources), "prepare": task.prepare != PrepareOptions()}
    beside = [key for key, given in own.items() if given]
    if beside:
        raise ConfigError(
            f"{where}: alone, since that data is prepared",
            got=f"{' and '.join(beside)} beside it",
            fix="take out one or the other",
        )
    check_given(Path(data), spec, where=where)
