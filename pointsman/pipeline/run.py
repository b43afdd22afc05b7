"""Runs: prepared data to a bundle, and a recipe to a finished run directory, resuming."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pointsman.bundle.layout import META, read_bundle
from pointsman.bundle.meta import BundleMeta
from pointsman.core.errors import ConfigError, DataError
from pointsman.core.files import read_json, write_json
from pointsman.core.types import Example
from pointsman.data.door import OnBadRow
from pointsman.data.licences import sources_to_allow
from pointsman.data.prepare import (
    PreparedData,
    load_prepared,
    prepare,
)
from pointsman.data.prepared import is_prepared, missing_splits
from pointsman.data.request import SourceRequest
from pointsman.data.schema import labels_left_out
from pointsman.data.sources import RowRules, load_source
from pointsman.evaluation.thresholds import Rule
from pointsman.export.golden import GOLDEN, add_golden
from pointsman.models.weights import Backbone, find_backbone
from pointsman.pipeline.calibrate import calibrate, rule_for, write_calibrated
from pointsman.pipeline.evaluate import evaluate_bundle
from pointsman.pipeline.gate import check_licences, requested_licences
from pointsman.pipeline.pages import RECIPE, write_run_index
from pointsman.pipeline.progress import progress_bar
from pointsman.pipeline.recipe import Recipe, TaskRecipe
from pointsman.pipeline.steps import Say, TrainRequest, train_and_pack
from pointsman.pipeline.terms import Terms
from pointsman.runtime.predictor import Predictor, load_head
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
    prepared = _load_prepared_for(load_task(task).name, data)
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


def _load_prepared_for(task: str, path: Path) -> PreparedData:
    prepared = load_prepared(path)
    if prepared.spec.name != task:
        raise ConfigError(f"data prepared for {task}", got=f"data for {prepared.spec.name}")
    return prepared


def train_and_evaluate(request: TrainRequest, say: Say) -> Path:
    """Train, pack, and evaluate on the test split; a finished training is not done again.

    Raises:
        DataError: If a split is empty.
    """
    data = request.data
    empty = missing_splits({"train": data.train, "validation": data.validation, "test": data.test})
    if empty:
        raise DataError(
            f"rows of {data.spec.name} in every split",
            got=f"none in {' and '.join(empty)}",
            fix="give each a share with `fractions`, or a file with `files`",
        )
    rule = rule_for(data.spec, request.terms.at)  # before hours of training, not after
    bundle = train_and_pack(request, say)
    predictor = _calibrate_once(bundle, request, rule, say)
    say(f"{request.data.spec.name}: evaluating on {len(request.data.test):,} test rows")
    evaluate_bundle(
        predictor, bundle, data, perturbations=request.terms.evaluation, out=request.directory
    )
    return bundle


def _calibrate_once(bundle: Path, request: TrainRequest, rule: Rule, say: Say) -> Predictor:
    """Choose temperature and thresholds on the validation split, unless they are chosen."""
    predictor = load_head(bundle)
    if predictor.meta.operating_point:
        whole = GOLDEN in predictor.meta.files  # a run can end between thresholds and answers
        return predictor if whole else predictor.with_meta(add_golden(bundle, predictor.meta))
    rows = request.data.validation
    say(f"{request.data.spec.name}: calibrating on {len(rows):,} validation rows, {rule}")
    with progress_bar("  calibrating", len(rows)) as progress:
        meta = calibrate(predictor, rows, rule, data="its validation split", progress=progress)
    meta = write_calibrated(bundle, meta)
    say(f"  temperature {meta.temperature:g}{_thresholds(meta)}")
    if meta.operating_point["note"]:
        say(f"  {meta.operating_point['note']}")
    return predictor.with_meta(meta)


def _thresholds(meta: BundleMeta) -> str:
    chosen = [f"{label} {value:.3f}" for label, value in meta.thresholds.items()]
    if meta.abstain_below:
        chosen.append(f"unsure below {meta.abstain_below:.3f}")
    return f"; thresholds: {', '.join(chosen)}" if chosen else ""


def read_labelled(
    spec: TaskSpec, path: Path, *, columns: Mapping[str, str], on_bad_row: OnBadRow, say: Say
) -> tuple[list[Example], dict[str, list[Example]]]:
    """Read labelled rows for an evaluation: a file, or the test split of prepared data.

    Rows and spans of labels that the bundle was narrowed by are left out, as in training.

    Returns:
        The rows, and kept-out slices by name.

    Raises:
        ConfigError: If the data was prepared for another task or other labels.
    """
    if is_prepared(path):
        prepared = _load_prepared_for(spec.name, path)
        strange = [label for label in prepared.spec.labels if label not in spec.labels]
        if strange:
            raise ConfigError(
                f"{path}: data prepared with the labels of the bundle",
                got=f"others: {', '.join(strange)}",
                fix="give the file that it was prepared from",
            )
        return list(prepared.test), {name: list(rows) for name, rows in prepared.slices.items()}
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
    for example in loaded.examples:
        if example.split and example.split.startswith("slice:"):
            slices.setdefault(example.split.removeprefix("slice:"), []).append(example)
        else:
            rows.append(example)
    return rows, slices


def plan(recipe: Recipe) -> list[str]:
    """Return what a recipe would do, a line a step, checking all that needs no data."""
    lines = [f"{recipe.name}: {recipe.about}".rstrip(": "), f"run directory {recipe.directory()}"]
    for task in recipe.tasks:
        spec = task.spec()
        options = recipe.train_options(task)
        sources = ", ".join(source.title for source in _sources(task, spec))
        lines.append(
            f"{spec.name}: {sources} -> {len(spec.labels)} labels -> {recipe.backbone}, "
            f"{options.method}, preset {options.preset} -> {recipe.directory() / spec.name}"
        )
        for source in sources_to_allow(requested_licences(_sources(task, spec))):
            lines.append(f"  {source['name']}: {source['licence']}, needs --allow-noncommercial")
    return lines


def run_recipe(recipe: Recipe, say: Say) -> list[Path]:
    """Run every task of a recipe; what is finished already is not done again.

    Returns:
        The bundles, in the recipe's order.

    Raises:
        ConfigError: If the run directory holds a run of another recipe.
        DataError: If the data leaks or a licence forbids it, without the recipe's consent.
    """
    _check_directory(recipe)
    for task in recipe.tasks:
        check_licences(requested_licences(_sources(task, task.spec())), recipe.consent())
    backbone = find_backbone(
        recipe.backbone, mirror=_mirror(recipe), revision=recipe.backbone_revision
    )
    write_json(recipe.directory() / RECIPE, recipe.model_dump(mode="json"))
    bundles = [_run_task(recipe, task, backbone, say) for task in recipe.tasks]
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
        raise ConfigError(f"mirror: a directory at {path}", got="no such directory")
    return path


def _sources(task: TaskRecipe, spec: TaskSpec) -> tuple[SourceRequest, ...]:
    """Return the recipe's sources, or the task's first known one."""
    return task.sources or tuple(
        SourceRequest.parse({"name": name}, where=spec.name) for name in spec.sources[:1]
    )


def _run_task(recipe: Recipe, task: TaskRecipe, backbone: Backbone, say: Say) -> Path:
    spec = task.spec()
    place = recipe.directory() / spec.name
    bundle = place / "bundle"
    if (bundle / META).is_file() and (meta := read_bundle(bundle)).metrics:
        _refuse_changed(spec, meta.task, place)
        say(f"{spec.name}: finished already, kept")
        return bundle
    data = _prepare_once(recipe, task, spec, place / "data", say)
    request = TrainRequest(
        data,
        backbone,
        recipe.train_options(task),
        place,
        {"recipe": recipe.name, **task.model_dump(mode="json", exclude={"train"})},
        recipe.terms(task),
    )
    return train_and_evaluate(request, say)


def _prepare_once(
    recipe: Recipe, task: TaskRecipe, spec: TaskSpec, place: Path, say: Say
) -> PreparedData:
    if not is_prepared(place):
        say(f"{spec.name}: preparing")
        mirror = _mirror(recipe)
        options = task.prepare
        if mirror is not None:
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
