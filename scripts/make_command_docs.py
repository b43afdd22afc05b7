"""Write the pages that are made from the code: commands, recipe keys, the tree in the README.

    python scripts/make_command_docs.py

`tests/test_docs.py` fails when one of them is stale.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
REFERENCE = ROOT / "docs" / "reference"
NAME, WIDTH = "pointsman", 80
TREE = re.compile(r"(<!-- tree: made by `make docs` -->\n).*?(<!-- end of tree -->)", re.DOTALL)
ROOMS = {
    "cli": "one thin file a command",
    "pipeline": "one recipe file in, a finished run directory out",
    "training": "configuration, order, losses, the Trainer",
    "evaluation": "figures, reports, the document's prompts, baselines",
    "export": "other forms of a bundle, and the contracts that they have to meet",
    "runtime": "text in, Prediction out",
    "models": "torch modules: backbone, head, adapter",
    "data": "sources to prepared and encoded rows; no torch",
    "bundle": "the saved thing; no ML library",
    "tasks": "what is decided: declarations only",
    "core": "words that everyone shares",
}
OTHER_FILES = {
    "data": {
        "function_classes.yaml": "The intent class of each function that Glaive's rows call",
        "starter/": "The starter corpora: prompts of three tasks, and templates for pii",
    }
}
BESIDE = {
    "recipes/": "one YAML file a run: the quickstart and every model of the document",
    "benchmarks/": "measurements of speed, and runs on real data",
    "scripts/": "the generated pages, and the wheel tried in clean environments",
    "tests/": "quick and offline; tiny backbones are built in fixtures",
    "docs/": "how-to, reference, design, results, claims, experiments",
}
COMMANDS_INTRO = """# Commands

This page is made from `--help` by `make docs`; do not edit it.

Results go to stdout, news and errors to stderr. Exit codes:

| code | meaning |
| --- | --- |
| 0 | done |
"""
RECIPE_INTRO = """# Keys of a recipe

This page is made from the code by `make docs`; do not edit it.

An unknown key is an error that names its path. `--set KEY.PATH=VALUE` lays a value over the file;
values are read as YAML. `pointsman train --set` takes the keys of `train`, and `pointsman data
prepare --set` those of `prepare`, without the prefix.
"""


def commands() -> Iterator[tuple[str, ...]]:
    """Yield the path of every command: the whole line first, then as `--help` lists them."""
    from typer.main import get_command

    from pointsman.cli.main import app

    yield from _below(get_command(app), ())


def _below(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from _below(inner, (*path, name))


def help_of(path: tuple[str, ...]) -> str:
    """Return what a command's `--help` prints, at a fixed width and without colours."""
    from typer.testing import CliRunner

    from pointsman.cli.main import app

    plain: dict[str, str | None] = {"COLUMNS": str(WIDTH), "TERM": "dumb", "NO_COLOR": "1"}
    plain |= {name: None for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "CI") if name in os.environ}
    result = CliRunner().invoke(app, [*path, "--help"], prog_name=NAME, env=plain)
    return "\n".join(line.rstrip() for line in result.stdout.strip().splitlines())


def render_commands() -> str:
    """Return the page of commands."""
    from pointsman.core import errors

    classes = [c for c in vars(errors).values() if isinstance(c, type)]
    coded = {c.exit_code: c for c in reversed(classes) if issubclass(c, errors.PointsmanError)}
    codes = [f"| {code} | {_first_line(coded[code].__doc__)} |\n" for code in sorted(coded)]
    codes.append("| 130 | Stopped by Ctrl-C; the same command goes on from the last checkpoint |\n")
    parts = [
        f"\n## {' '.join((NAME, *path))}\n\n```text\n{help_of(path)}\n```\n" for path in commands()
    ]
    return "".join([COMMANDS_INTRO, *codes, *parts])


def render_recipe_keys() -> str:
    """Return the page of recipe keys, one table a class of the configuration."""
    from pointsman.data.prepare import PrepareOptions
    from pointsman.data.request import SourceRequest
    from pointsman.evaluation.perturbed import EvaluateOptions
    from pointsman.models.adapters import LoraOptions
    from pointsman.models.network import NetworkOptions
    from pointsman.pipeline.recipe import Recipe, TaskRecipe
    from pointsman.pipeline.variants import CompareRecipe
    from pointsman.tasks.spec import TaskSpec
    from pointsman.training.config import DistillOptions, SharedOptions, TrainOptions, TrunkOptions

    tables = (
        ("The recipe", Recipe),
        ("`tasks`: a list of these", TaskRecipe),
        ("`tasks.sources`: a list of these", SourceRequest),
        ("`tasks.prepare`", PrepareOptions),
        ("`train`, and `tasks.train` laid over it", TrainOptions),
        ("`train.lora`", LoraOptions),
        ("`train.network`", NetworkOptions),
        ("`train.distill`", DistillOptions),
        ("`shared`", SharedOptions),
        ("`trunk`", TrunkOptions),
        ("`evaluate`", EvaluateOptions),
        ("A task's own YAML file", TaskSpec),
        ("A comparison recipe, for `pointsman compare`", CompareRecipe),
    )
    return RECIPE_INTRO + "".join(f"\n## {title}\n\n{_fields(model)}" for title, model in tables)


def _fields(model: Any) -> str:
    lines = ["| key | type | default | what |", "| --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        cells = (f"`{name}`", _type(field.annotation), _default(field), field.description or "")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _type(annotation: Any) -> str:
    """Return a type in few words: without modules, bounds, `None` and the tuple's dots."""
    text = str(annotation) if get_args(annotation) else annotation.__name__
    text = re.sub(r"[\w.]+\.(?=\w)", "", text)
    text = re.sub(r"Annotated\[(\w+), (?:[^\[\]]|\[[^\]]*\])*\]", r"\1", text)
    text = re.sub(r"Optional\[(.*)\]$", r"\1", text).replace("tuple[", "list[")
    text = re.sub(r"Union\[(\w+), (.*)\]$", r"\1 or \2", text)
    text = re.sub(r"Literal\[([^\]]*)\]", lambda m: m[1].replace("'", "").replace(",", " or"), text)
    return text.replace(", ...", "").replace(" | None", "").replace(" | ", " or ")


def _default(field: Any) -> str:
    from pydantic import BaseModel

    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "see below"
    if value in (None, (), {}, ""):
        return ""
    return f"`{list(value) if isinstance(value, tuple) else value}`"


def render_readme() -> str:
    """Return the README with its tree made anew."""
    lines = ["```text", "pointsman/"]
    for room, phrase in ROOMS.items():
        lines.append(f"  {room + '/':<24}{phrase}")
        files = {file.name: _first_line(_docstring(file)) for file in _modules(room)}
        files |= OTHER_FILES.get(room, {})
        lines += [f"    {name:<22}{what}" for name, what in files.items()]
    lines += [f"{folder:<26}{phrase}" for folder, phrase in BESIDE.items()]
    tree = "\n".join([*lines, "```", ""])
    return TREE.sub(lambda m: m[1] + tree + m[2], README.read_text(encoding="utf-8"))


def _modules(room: str) -> list[Path]:
    files = sorted((ROOT / NAME / room).glob("*.py"))
    return [file for file in files if file.name != "__init__.py"]


def _docstring(file: Path) -> str | None:
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0].removesuffix(".")


def pages() -> dict[Path, str]:
    """Return what every generated page should hold."""
    return {
        REFERENCE / "commands.md": render_commands(),
        REFERENCE / "recipe.md": render_recipe_keys(),
        README: render_readme(),
    }


def main() -> None:
    """Write the pages."""
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
