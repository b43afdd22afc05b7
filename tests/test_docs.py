"""Pages say what the code does: generated ones are fresh, examples valid, links whole."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.main import get_command
from typer.testing import CliRunner

from pointsman.cli.main import app
from pointsman.data.schema import to_example
from pointsman.data.sources import SOURCES
from pointsman.pipeline.recipe import Recipe, load_recipe
from pointsman.pipeline.variants import CompareRecipe, expand
from pointsman.tasks.catalogue import TASKS, load_task
from pointsman.tasks.spec import TaskSpec

ROOT = Path(__file__).resolve().parent.parent
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def load_script(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(language: str) -> list[tuple[str, str]]:
    """Every fenced block of a language, with the page it stands on."""
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return [(page.name, text) for page in PAGES for text in fence.findall(page.read_text())]


def ids(pairs: list[tuple[str, str]]) -> list[str]:
    return [f"{page}-{number}" for number, (page, _) in enumerate(pairs)]


def page_commands() -> list[tuple[str, str]]:
    lines = [(page, line) for page, text in blocks("bash") for line in text.splitlines()]
    lines += [(r.name, c) for r in RECIPES for c in re.findall(r"^#   (.*)", r.read_text(), re.M)]
    return [(page, line) for page, line in lines if "pointsman " in line and "pip " not in line]


@pytest.mark.parametrize("environment", [{}, {"CI": "true", "FORCE_COLOR": "1", "COLUMNS": "200"}])
def test_generated_pages_are_fresh(environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for path, text in load_script("make_command_docs").pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale: run `make docs`"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
@pytest.mark.parametrize("overrides", [(), ("backbone=minilm", "mirror=DIR", "output=runs/other")])
def test_every_recipe_is_valid(path, overrides):
    recipe = load_recipe(path, overrides)
    assert recipe.name == path.stem
    assert path.read_text().startswith("# "), "a recipe says first what of the document it is"
    for task in recipe.tasks:
        for source in task.sources:
            assert task.spec().name in SOURCES[source.name].tasks


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_runs_dry(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(app, ["run", str(path), "--dry-run", "--set", "backbone=minilm"])
    assert shown.exit_code == 0, shown.output
    assert "minilm" in shown.stdout
    assert not list(tmp_path.iterdir()), "a dry run writes nothing"


def test_the_quickstart_has_every_task_and_needs_no_hub():
    recipe = load_recipe(ROOT / "recipes" / "quickstart.yaml")
    assert [task.task for task in recipe.tasks] == list(TASKS)
    names = {s.name for task in recipe.tasks for s in task.sources}
    assert names == {"starter", "over_refusal"}  # both come with the package
    assert recipe.backbone == "minilm"


@pytest.mark.parametrize(("page", "text"), blocks("yaml"), ids=ids(blocks("yaml")))
def test_yaml_on_pages_is_a_recipe_or_a_task(page, text, tmp_path, monkeypatch):
    values = yaml.safe_load(text)
    if "level" in values:
        TaskSpec.parse(values, where=page)
        return
    monkeypatch.chdir(tmp_path)
    for name, spec in own_tasks().items():
        Path(f"{name}.yaml").write_text(yaml.safe_dump(spec))
    if "variants" in values:
        assert expand(CompareRecipe.parse(values, where=page))
        return
    recipe = Recipe.parse(values, where=page)
    for task in recipe.tasks:
        assert task.spec().labels
        recipe.train_options(task)


def own_tasks() -> dict[str, dict]:
    """The tasks that pages define, by name."""
    tasks = [yaml.safe_load(text) for _, text in blocks("yaml")]
    return {task["name"]: task for task in tasks if "level" in task}


def test_rows_on_pages_pass_the_door():
    rows = [json.loads(line) for _, text in blocks("jsonl") for line in text.splitlines()]
    assert rows
    for row in rows:
        spec = load_task("pii" if "spans" in row else "category")
        assert to_example(row, where="page", spec=spec) is not None


@pytest.mark.parametrize(("page", "text"), blocks("python"), ids=ids(blocks("python")))
def test_python_on_pages_compiles_and_imports(page, text):
    compile(text, page, "exec")
    for line in text.splitlines():
        if line.startswith(("from pointsman", "import pointsman")):
            exec(line, {})


@pytest.mark.parametrize(("page", "line"), page_commands(), ids=ids(page_commands()))
def test_commands_on_pages_have_these_options(page, line):
    call = line[line.index("pointsman ") :].partition(" # ")[0].partition(" < ")[0]
    words = shlex.split(call)[1:]
    command = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    used = {word for word in words if word.startswith("-")}
    assert not used - known, f"{page}: {line}"
    for word in words:
        if word.startswith("recipes/"):
            assert (ROOT / word).is_file(), f"{page}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_code_named_in_the_document_map_exists():
    text = (ROOT / "docs" / "document-map.md").read_text()
    for row in (line for line in text.splitlines() if line.startswith("| ")):
        ours = row.split(" | ")[1]
        files = [ROOT / name for name in re.findall(r"`(pointsman/[\w/]+\.py)`", ours)]
        assert all(file.is_file() for file in files), row
        if files:
            code = "\n".join(file.read_text() for file in files)
            names = re.findall(r"`(\w+)`(?= (?:in|and `\w+` in) `pointsman/)", ours)
            assert all(re.search(rf"^(?:def|class) {name}\b", code, re.M) for name in names), row


def test_every_dependency_is_pinned_to_a_release_that_fits():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert not [pin for pin in pins.values() if "+" in pin], "a release, not a build of it"
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    for requirement in map(Requirement, [*project["dependencies"], *extras]):
        name = canonicalize_name(requirement.name)
        if name != "pointsman":
            assert requirement.specifier.contains(pinned[name]), name
