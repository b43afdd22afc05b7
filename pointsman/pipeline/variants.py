"""A comparison recipe: one recipe trained in several variants and seeds, then compared."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from pointsman.core.config import Closed, apply_overrides, read_yaml, suggest
from pointsman.core.errors import ConfigError
from pointsman.core.files import atomic_directory, read_json, write_json
from pointsman.data.prepared import is_prepared, load_prepared
from pointsman.pipeline.compare import compare_bundles
from pointsman.pipeline.contestants import Contestant, Rivals, choose_rows
from pointsman.pipeline.pages import RECIPE
from pointsman.pipeline.recipe import RECIPES, SHARED, Recipe, load_recipe
from pointsman.pipeline.run import plan, run_recipe
from pointsman.pipeline.steps import Say

COMPARISONS = RECIPES / "compare"
# What variants may differ in: none of it decides on which rows they train and are tested.
FREE = {"name", "about", "output", "backbone", "backbone_revision", "train"}
FREE |= {"method", "shared", "trunk"}
NAME = r"^[A-Za-z0-9_.-]+$"


class CompareRecipe(Closed):
    """A comparison: variants of one recipe, trained on the same rows."""

    name: str = Field(pattern=NAME, description="Name of the comparison.")
    about: str = Field("", description="What it is to find out.")
    output: str | None = Field(None, description="Run directory; runs/NAME when not given.")
    recipe: str = Field(description="Recipe that is varied: a file beside this one, or a name.")
    tasks: tuple[str, ...] = Field((), description="Its tasks to train; all when none are given.")
    base: dict[str, Any] = Field(
        default_factory=dict, description="KEY.PATH: VALUE laid over the recipe for every variant."
    )
    variants: dict[str, dict[str, Any]] = Field(
        min_length=2,
        description="Name -> KEY.PATH: VALUE laid over the recipe. Keys of `train`, of a task's "
        "`train`, and the backbone may differ; the rows may not.",
    )
    seeds: tuple[int, ...] = Field(
        (), description="Seeds of each variant; the recipe's own when none are given."
    )
    against: str | None = Field(
        None, description="Variant that the others are told apart from; the first when not given."
    )
    limit: int | None = Field(None, gt=0, description="At most so many test rows, a seeded sample.")
    latency_texts: int = Field(100, gt=0, description="Texts that are asked one by one.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.variants:
            if not re.match(NAME, name):
                raise ValueError(f"variants: {name!r} is to be letters, digits, `_`, `.` and `-`")
        if self.against is not None and self.against not in self.variants:
            raise ValueError(f"against: {suggest(self.against, self.variants)}")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds: each once")
        return self

    def directory(self) -> Path:
        """Return the run directory."""
        return Path(self.output or f"runs/{self.name}")


class Variant(Closed):
    """One training of a comparison: a variant with one seed, as a recipe of its own."""

    variant: str
    seed: int | None
    recipe: Recipe

    @property
    def name(self) -> str:
        """The name of its directory and in the tables."""
        return self.variant if self.seed is None else f"{self.variant}-seed-{self.seed}"


def load_comparison(path: Path, overrides: tuple[str, ...] = ()) -> CompareRecipe:
    """Read a comparison recipe: a file, or one of the package's own by name.

    Raises:
        ConfigError: If a key or value is not known.
    """
    if not path.exists():
        known = {file.stem: file for file in sorted(COMPARISONS.glob("*.yaml"))}
        if str(path) not in known:
            fix = suggest(path.stem, known)
            raise ConfigError(f"a comparison recipe at {path}", got="no such file", fix=fix)
        path = known[str(path)]
    values = apply_overrides(read_yaml(path), overrides)
    recipe = CompareRecipe.parse(values, where=str(path))
    beside = path.parent / recipe.recipe
    return recipe.model_copy(update={"recipe": str(beside)}) if beside.is_file() else recipe


def expand(comparison: CompareRecipe) -> list[Variant]:
    """Return every training of a comparison.

    Raises:
        ConfigError: If a variant changes the rows, names what is not known, or hides the seeds.
    """
    base = _narrowed(comparison, load_recipe(Path(comparison.recipe), _pairs(comparison.base)))
    found = []
    for name, changes in comparison.variants.items():
        values = apply_overrides(base.model_dump(mode="json"), _pairs(changes))
        recipe = Recipe.parse(values, where=f"variant {name!r}")
        _check_rows(name, base, recipe)
        for seed in comparison.seeds or (None,):
            found.append(_seeded(comparison, name, recipe, seed))
    return found


def _pairs(changes: dict[str, Any]) -> tuple[str, ...]:
    return tuple(f"{key}={json.dumps(value)}" for key, value in changes.items())


def _narrowed(comparison: CompareRecipe, recipe: Recipe) -> Recipe:
    """Return the recipe with the comparison's tasks alone."""
    names = {task.spec().name: task for task in recipe.tasks}
    for name in comparison.tasks:
        if name not in names:
            raise ConfigError(f"tasks of {recipe.name}: no {name!r}", fix=suggest(name, names))
    chosen = [names[name] for name in comparison.tasks or names]
    return recipe.model_copy(update={"tasks": tuple(chosen)})


def _check_rows(name: str, base: Recipe, recipe: Recipe) -> None:
    """Refuse a variant that would be trained or tested on other rows."""
    if _rows_of(base) != _rows_of(recipe):
        raise ConfigError(
            f"variant {name!r}: changes of train, tasks.TASK.train, method or backbone",
            got="a change of the tasks or their rows",
            fix="put it into `base`, where it holds for every variant",
        )


def _rows_of(recipe: Recipe) -> list[Any]:
    """Return what of a recipe decides on which rows it trains and tests."""
    tasks = [task.model_dump(exclude={"train"}) for task in recipe.tasks]
    return [recipe.model_dump(exclude=FREE | {"tasks"}), tasks]


def _seeded(comparison: CompareRecipe, name: str, recipe: Recipe, seed: int | None) -> Variant:
    """Return a variant with one seed, in its own directory below the comparison's."""
    changes: dict[str, Any] = {}
    if seed is not None:
        changes["train"] = recipe.train.model_copy(update={"seed": seed})
    found = Variant(variant=name, seed=seed, recipe=recipe.model_copy(update=changes))
    for task in found.recipe.tasks:
        held = found.recipe.train_options(task).seed
        if seed is not None and held != seed:
            raise ConfigError(
                f"variant {name!r}: seed {seed} for {task.task}",
                got=f"{held}, from the task's own `train`",
                fix="take `seed` out of it",
            )
    place = {"name": found.name, "output": str(comparison.directory() / found.name)}
    return found.model_copy(update={"recipe": found.recipe.model_copy(update=place)})


def plan_comparison(comparison: CompareRecipe) -> list[str]:
    """Return what a comparison would do, a line a step, checking all that needs no data."""
    lines = [f"{comparison.name}: {comparison.about}".rstrip(": ")]
    for variant in expand(comparison):
        seed = f", seed {variant.seed}" if variant.seed is not None else ""
        lines += [f"{variant.variant}{seed}", *(f"  {x}" for x in plan(variant.recipe)[1:])]
    place = comparison.directory() / "compare"
    return [*lines, f"compare on the test split of each task -> {place}"]


def run_comparison(
    comparison: CompareRecipe, say: Say, *, rivals: Rivals | None = None
) -> dict[str, dict[str, Any]]:
    """Train every variant, and compare them on the test split of each task; resuming.

    Args:
        comparison: What to train.
        say: Takes news.
        rivals: Other classifiers and a language model to put beside them.

    Returns:
        The comparison of each task.

    Raises:
        ConfigError: If the run directory holds another comparison.
    """
    variants = expand(comparison)
    _claim(comparison)
    for variant in variants:
        say(f"variant {variant.name}")
        _share_data(variants[0].recipe, variant.recipe)
        run_recipe(variant.recipe, say)
    names = [task.spec().name for task in variants[0].recipe.tasks]
    return {
        name: _compare_task(comparison, variants, name, rivals=rivals, say=say) for name in names
    }


def _claim(comparison: CompareRecipe) -> None:
    """Take the run directory, or refuse one that is another's."""
    directory = comparison.directory()
    file = directory / "comparison.json"
    values = comparison.model_dump(mode="json")
    held = {"limit", "latency_texts", "against", "about"}  # do not change what is trained
    if not file.is_file() and directory.is_dir() and any(directory.iterdir()):
        raise ConfigError(f"{directory}: a new directory, or a comparison", got="other files")
    if file.is_file():
        was = read_json(file)
        if any(was.get(key) != values[key] for key in values.keys() - held):
            raise ConfigError(
                f"{directory}: a new directory, or a run of this very comparison",
                got="a run of another one, or with other overrides",
                fix="set another output (--set output=DIR), or delete the directory",
            )
    write_json(file, values)


def _share_data(first: Recipe, recipe: Recipe) -> None:
    """Copy what the first variant prepared, so that rows are prepared once."""
    if first.directory() == recipe.directory():
        return
    for task in recipe.tasks:
        name = task.spec().name
        source, place = first.directory() / name / "data", recipe.directory() / name / "data"
        if is_prepared(place) or not is_prepared(source):
            continue
        if not (recipe.directory() / RECIPE).is_file():  # says whose directory it is
            write_json(recipe.directory() / RECIPE, recipe.model_dump(mode="json"))
        with atomic_directory(place) as temporary:
            shutil.copytree(source, temporary, dirs_exist_ok=True)


def bundle_of(recipe: Recipe, task: str) -> Path:
    """Return where the recipe's run puts the bundle that answers a task."""
    return recipe.directory() / (task if recipe.method == "apart" else SHARED) / "bundle"


def _compare_task(
    comparison: CompareRecipe,
    variants: list[Variant],
    task: str,
    *,
    rivals: Rivals | None,
    say: Say,
) -> dict[str, Any]:
    against = comparison.against or variants[0].variant
    contestants = [
        Contestant(
            variant.name,
            bundle_of(variant.recipe, task),
            variant=variant.variant,
            against=variant.model_copy(update={"variant": against}).name,
        )
        for variant in variants
    ]
    data = variants[0].recipe.directory() / task / "data"
    prepared = load_prepared(data)
    rows = choose_rows(prepared.spec, prepared.test, data, limit=comparison.limit)
    return compare_bundles(
        contestants,
        rows,
        comparison.directory() / "compare" / task,
        head=task,
        rivals=rivals,
        against=contestants[0].against,
        latency_texts=comparison.latency_texts,
        say=say,
    )
