"""Runs: prepared data to a bundle, and a recipe to a finished run directory, resuming."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pointsman.bundle.layout import META, read_any, read_bundle
from pointsman.bundle.meta import SharedMeta
from pointsman.core.errors import ConfigError
from pointsman.core.files import read_json, write_json
from pointsman.data.licences import sources_to_allow
from pointsman.data.prepare import PreparedData, load_prepared, prepare
from pointsman.data.prepared import MANIFEST, is_prepared
from pointsman.data.request import SourceRequest
from pointsman.export.golden import ensure_golden
from pointsman.models.weights import Backbone, find_backbone
from pointsman.pipeline.depths import check_head_layers, deeper_heads
from pointsman.pipeline.finish import train_and_evaluate
from pointsman.pipeline.gate import check_licences, requested_licences
from pointsman.pipeline.given import refuse_other_rows, take_given
from pointsman.pipeline.labelled import load_prepared_for
from pointsman.pipeline.pages import RECIPE, write_run_index
from pointsman.pipeline.recipe import SHARED, Recipe, TaskRecipe
from pointsman.pipeline.shared import SharedRequest, train_and_evaluate_shared
from pointsman.pipeline.starts import check_start
from pointsman.pipeline.steps import Say, TrainRequest
from pointsman.pipeline.teachers import find_teacher
from pointsman.pipeline.terms import Terms
from pointsman.pipeline.trunk import TrunkRequest, check_depth, train_and_evaluate_trunk
from pointsman.tasks.catalogue import load_task
from pointsman.tasks.spec import TaskSpec
from pointsman.training.config import TrainOptions


def train_prepared(
    task: str,
    data: Path,
    output: Path,
    *,
    find: Callable[[], Backbone],
    options: TrainOptions,
    terms: Terms | None = None,
    say: Say,
) -> Path:
    """Train a task's model from prepared data, pack it and evaluate it on the test split.

    Args:
        task: Name of a task, or its YAML file.
        data: Prepared data.
        output: Run directory.
        find: Gives the backbone; asked once the data and the directory will do.
        options: Training options.
        terms: What holds around the training.
        say: Prints a line of news.

    Raises:
        ConfigError: If the data was prepared for another task, or other files stand at `output`.
    """
    prepared = load_prepared_for(load_task(task).name, data)
    _check_train_directory(output)
    backbone = find()
    request = TrainRequest(
        prepared,
        backbone,
        options,
        output,
        {"task": task, "backbone": backbone.name},
        terms or Terms(),
    )
    return train_and_evaluate(request, say)


def _check_train_directory(output: Path) -> None:
    """Refuse a directory of other files, or of a recipe's run: reports would be overwritten."""
    held = sorted(path.name for path in output.iterdir()) if output.is_dir() else []
    if held and not {"bundle", "checkpoints"} & set(held):
        raise ConfigError(
            f"{output}: a new directory, or a run of `train`",
            got=f"one that holds {', '.join(held[:5])}",
            fix="choose another output directory: nothing here was touched",
        )


def plan(recipe: Recipe) -> list[str]:
    """Return what a recipe would do, a line a step, checking all that needs no data.

    Raises:
        ConfigError: If a task's options are not to be had, or the recipe's mirror, a warm start or
            a teacher is not there.
        BundleError: If nothing lies where a teacher should.
    """
    _mirror(recipe)
    _check_starts(recipe)
    lines = [f"{recipe.name}: {recipe.about}".rstrip(": "), f"run directory {recipe.directory()}"]
    for task in recipe.tasks:
        spec = task.spec()
        options = recipe.train_options(task)
        lines.append(
            f"{spec.name}: {_origin(task, spec)} -> {len(spec.labels)} labels -> "
            f"{recipe.backbone}, {_way(recipe, options)}, preset {options.preset} -> "
            f"{recipe.directory() / spec.name}"
        )
        for source in sources_to_allow(_licences(task, spec)):
            lines.append(f"  {source['name']}: {source['licence']}, needs --allow-noncommercial")
    return lines + _plan_together(recipe)


def _check_starts(recipe: Recipe) -> None:
    """Refuse warm starts and teachers that are not there, but for those that the run itself makes.

    Found out only when its task begins, a missing one would cost the tasks before it.
    """
    for task in recipe.tasks:
        options = recipe.train_options(task)
        if options.warm_start is not None and not _is_made_by(recipe, options.warm_start):
            check_start(Path(options.warm_start))
        teacher = options.distill.teacher
        if teacher is not None and not _is_made_by(recipe, teacher):
            find_teacher(task.spec(), options.distill, train_hash="")


def _is_made_by(recipe: Recipe, path: str) -> bool:
    return Path(path).resolve().is_relative_to(recipe.directory().resolve())


def _way(recipe: Recipe, options: TrainOptions) -> str:
    return "trunk" if recipe.method == "trunk" else options.method


def _plan_together(recipe: Recipe) -> list[str]:
    """Return what becomes of the tasks' networks, where they are not left apart."""
    place, heads = recipe.directory() / SHARED, len(recipe.tasks)
    if recipe.method == "shared":
        chosen = recipe.shared
        own = deeper_heads(chosen)
        deeper = f", {own}" if own else ""
        return [
            f"shared: one encoder, {heads} heads, trained in one run at sampling temperature "
            f"{chosen.temperature:g} with loss weights {chosen.loss}{deeper} -> {place}"
        ]
    if recipe.method == "trunk":
        layers = recipe.trunk.top_layers
        adapted = f"LoRA in the top {layers} layers of each" if layers else "heads alone"
        return [f"trunk: {heads} tasks trained apart, {adapted}, put together -> {place}"]
    return []


def run_recipe(recipe: Recipe, say: Say) -> list[Path]:
    """Run every task of a recipe; what is finished already is not done again.

    Returns:
        The bundles, in the recipe's order; the one bundle of tasks under one encoder.

    Raises:
        ConfigError: If the run directory holds a run of another recipe, or what a new run starts
            or learns from is not there.
        DataError: If the data leaks or a licence forbids it, without the recipe's consent.
    """
    _check_directory(recipe)
    if not (recipe.directory() / RECIPE).is_file():  # what a run has used may be gone by its end
        _check_starts(recipe)
    for task in recipe.tasks:
        spec = task.spec()
        check_licences(_licences(task, spec), recipe.consent())
        if task.data is not None:
            refuse_other_rows(Path(task.data), _data_of(recipe, spec))
    backbone = find_backbone(
        recipe.backbone, mirror=_mirror(recipe), revision=recipe.backbone_revision
    )
    write_json(recipe.directory() / RECIPE, recipe.model_dump(mode="json"))
    if recipe.method == "apart":
        bundles = [_run_task(recipe, task, backbone, say) for task in recipe.tasks]
    else:
        bundles = [_run_together(recipe, backbone, say)]
    write_run_index(recipe.directory())
    return bundles


def _check_directory(recipe: Recipe) -> None:
    """Refuse a run directory that holds something else; a recipe that made nothing may change."""
    directory = recipe.directory()
    file = directory / RECIPE
    if not directory.is_dir() or all(path == file for path in directory.iterdir()):
        return
    if not file.is_file():
        raise ConfigError(f"{directory}: a new directory, or a run", got="other files")
    if _without_consent(read_json(file)) != _without_consent(recipe.model_dump(mode="json")):
        raise ConfigError(
            f"{directory}: a new directory, or a run of this very recipe",
            got="a run of another recipe or with other overrides",
            fix="set another output (--set output=DIR), or delete the directory",
        )


def _without_consent(recipe: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is said after a run has stopped for want of it."""
    return {k: v for k, v in recipe.items() if k not in ("allow_leakage", "allow_noncommercial")}


def _mirror(recipe: Recipe) -> Path | None:
    if recipe.mirror is None:
        return None
    path = Path(recipe.mirror)
    if not path.is_dir():
        raise ConfigError(f"the recipe's mirror: a directory at {path}", got="no such directory")
    return path


def _sources(task: TaskRecipe, spec: TaskSpec) -> tuple[SourceRequest, ...]:
    """Return the recipe's sources, or the task's first known one."""
    return task.sources or tuple(
        SourceRequest.parse({"name": name}, where=spec.name) for name in spec.sources[:1]
    )


def _origin(task: TaskRecipe, spec: TaskSpec) -> str:
    if task.data is not None:
        return f"prepared data in {task.data}"
    return ", ".join(source.title for source in _sources(task, spec))


def _licences(task: TaskRecipe, spec: TaskSpec) -> list[dict[str, Any]]:
    """Return the sources behind a task's rows with their licences, before any row is read."""
    if task.data is not None:
        return list(read_json(Path(task.data) / MANIFEST)["sources"])
    return list(requested_licences(_sources(task, spec)))


def _data_of(recipe: Recipe, spec: TaskSpec) -> Path:
    return recipe.directory() / spec.name / "data"


def _run_task(recipe: Recipe, task: TaskRecipe, backbone: Backbone, say: Say) -> Path:
    spec = task.spec()
    place = recipe.directory() / spec.name
    bundle = place / "bundle"
    if (bundle / META).is_file() and (meta := read_bundle(bundle)).metrics:
        _refuse_changed(spec, meta.task, place)
        say(f"{spec.name}: finished already, kept")
        ensure_golden(bundle)
        return bundle
    return train_and_evaluate(_request(recipe, task, backbone, say), say)


def _run_together(recipe: Recipe, backbone: Backbone, say: Say) -> Path:
    """Run all tasks of a recipe under one encoder."""
    place = recipe.directory() / SHARED
    bundle = place / "bundle"
    specs = [task.spec() for task in recipe.tasks]
    if _is_finished(bundle, specs):
        say(f"{SHARED}: finished already, kept")
        ensure_golden(bundle)
        return bundle
    check_depth(backbone, recipe.trunk.top_layers)
    check_head_layers(backbone, recipe.shared)
    parts = [_request(recipe, task, backbone, say) for task in recipe.tasks]
    told = {"recipe": recipe.name, "method": recipe.method}
    if recipe.method == "trunk":
        layers = recipe.trunk.top_layers
        return train_and_evaluate_trunk(TrunkRequest(parts, layers, place, told), say)
    request = SharedRequest(parts, recipe.train, recipe.shared, place, told)
    return train_and_evaluate_shared(request, say)


def _is_finished(bundle: Path, specs: Sequence[TaskSpec]) -> bool:
    """Say whether a shared bundle of these tasks stands there with the figures of every head."""
    if not (bundle / META).is_file():
        return False
    meta = read_any(bundle)
    if not isinstance(meta, SharedMeta) or set(meta.heads) != {spec.name for spec in specs}:
        return False
    for spec in specs:
        _refuse_changed(spec, meta.heads[spec.name].task, bundle.parent)
    return all(head.metrics for head in meta.heads.values())


def _request(recipe: Recipe, task: TaskRecipe, backbone: Backbone, say: Say) -> TrainRequest:
    """Prepare a task's data, unless that is done, and return what is asked of its training."""
    spec = task.spec()
    place = recipe.directory() / spec.name
    return TrainRequest(
        _prepare_once(recipe, task, spec, _data_of(recipe, spec), say),
        backbone,
        recipe.train_options(task),
        place,
        {"recipe": recipe.name, **task.model_dump(mode="json", exclude={"train"})},
        recipe.terms(task),
    )


def _prepare_once(
    recipe: Recipe, task: TaskRecipe, spec: TaskSpec, place: Path, say: Say
) -> PreparedData:
    if task.data is not None and not is_prepared(place):
        say(f"{spec.name}: prepared already, in {task.data}")
        take_given(Path(task.data), place)
    if not is_prepared(place):
        say(f"{spec.name}: preparing")
        options = task.prepare
        if (mirror := _mirror(recipe)) is not None:
            options = options.model_copy(update={"mirror": str(mirror)})
        prepare(spec, _sources(task, spec), place, options=options, progress=say)
    data = load_prepared(place)
    _refuse_changed(spec, data.spec, place)
    return data


def _refuse_changed(spec: TaskSpec, held: TaskSpec, place: Path) -> None:
    """Refuse a task that is another one by now: a recipe names only the file of a user's own."""
    if held != spec:
        raise ConfigError(
            f"{place}: the task {spec.name!r} as it was when this run began",
            got="another definition",
            fix="set another output (--set output=DIR), or undo the change of the task's file",
        )
