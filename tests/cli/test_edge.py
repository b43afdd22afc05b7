"""What every command has in common: its start, its errors, and what a base install says."""

import json
import subprocess
import sys

import pytest
import typer

from pointsman import __version__
from pointsman.cli import main as edge
from pointsman.core import errors


def test_tasks_lists_the_catalogue(pointsman):
    result = pointsman("tasks")
    assert result.code == 0
    for word in ("category", "pii", "jailbreak", "intent", "recall_at_fpr_1", "starter"):
        assert word in result.out
    specs = {spec["name"]: spec for spec in json.loads(pointsman("tasks", "--json").out)}
    assert len(specs["category"]["labels"]) == 14 and specs["jailbreak"]["checkpoint"] == "roc_auc"


def test_version(pointsman):
    assert pointsman("--version").out == f"pointsman {__version__}\n"


def test_the_command_line_starts_without_the_heavy_libraries():
    code = (
        "import sys, pointsman.cli.main; "
        "heavy = {'torch', 'transformers', 'sklearn', 'datasets', 'peft', 'pyarrow'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, text=True)
    assert done.returncode == 0, done.stderr


BLOCKED = (
    "import sys; "
    "libraries = 'torch transformers peft accelerate datasets pyarrow sklearn safetensors faker "
    "rensa huggingface_hub tensorboard jinja2 matplotlib'; "
    "sys.modules.update(dict.fromkeys(libraries.split())); "
    "from pointsman.cli.main import main; main()"
)


def without_extras(*arguments):
    command = [sys.executable, "-c", BLOCKED, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, text=True)


def test_a_base_install_lists_the_tasks():
    done = without_extras("tasks", "--json")
    assert done.returncode == 0 and len(json.loads(done.stdout)) == 4, done.stderr


def test_a_base_install_says_what_reads_parquet(demo, tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"text": ["hello"]}), tmp_path / "rows.parquet")
    bundle, out = demo / "run" / "jailbreak", tmp_path / "out.jsonl"
    done = without_extras("score", tmp_path / "rows.parquet", "--bundle", bundle, "--out", out)
    assert done.returncode == 1 and "pip install 'pointsman[parquet]'" in done.stderr
    assert "pyarrow" in done.stderr and "[train]" not in done.stderr and not out.exists()


@pytest.mark.parametrize("command", ["classify", "train", "evaluate"])
def test_a_base_install_says_what_to_install(demo, prepared, backbones, tmp_path, command):
    bundle = demo / "run" / "jailbreak"
    arguments = {
        "classify": (bundle, "hello"),
        "train": ("jailbreak", "--data", prepared, "--backbone", backbones["bert"], "-o", tmp_path),
        "evaluate": (bundle, "--reference"),
    }[command]
    done = without_extras(command, *arguments)
    assert done.returncode == 1 and "pip install 'pointsman[train]'" in done.stderr
    assert "Traceback" not in done.stderr


def raising(monkeypatch, error):
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)

    @app.command()
    def command() -> None:
        raise error

    @app.command()
    def other() -> None: ...

    monkeypatch.setattr(edge, "app", app)


@pytest.mark.parametrize(
    "error",
    [
        errors.PointsmanError, errors.ConfigError, errors.SourceError, errors.DataError,
        errors.BundleError, errors.TrainingError, errors.StorageError,
    ],
)  # fmt: skip
def test_every_error_class_ends_with_its_code(pointsman, monkeypatch, error):
    raising(monkeypatch, error("a [bold] thing", got="[/] none", fix="do it"))
    result = pointsman("command")
    assert result.code == error.exit_code
    assert result.err == "error: a [bold] thing\n  got: [/] none\n  do:  do it\n"


def test_ctrl_c_says_how_to_go_on(pointsman, monkeypatch):
    raising(monkeypatch, KeyboardInterrupt())
    result = pointsman("command")
    assert result.code == 130 and result.err.strip() == "error: stopped"
    monkeypatch.setattr("pointsman.cli.main.RESUMABLE", {"command"})
    assert "goes on from the last checkpoint" in pointsman("command").err


@pytest.mark.parametrize("name", ["torch", "transformers", "peft", "datasets", "sklearn"])
def test_a_missing_library_says_what_to_install(pointsman, monkeypatch, name):
    raising(monkeypatch, ModuleNotFoundError(f"No module named '{name}'", name=name))
    result = pointsman("command")
    assert (
        result.code == 1 and name in result.err and "pip install 'pointsman[train]'" in result.err
    )


def test_a_missing_module_of_our_own_is_a_bug_and_not_hidden(pointsman, monkeypatch):
    raising(monkeypatch, ModuleNotFoundError("No module named 'x'", name="pointsman.x"))
    with pytest.raises(ModuleNotFoundError):
        pointsman("command")
