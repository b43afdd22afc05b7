"""Recipes are found by name in the package, by path anywhere."""

import pytest
import yaml

from pointsman.core.errors import ConfigError
from pointsman.pipeline.recipe import RECIPES, find_recipe, load_recipe


def test_a_recipe_of_the_package_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_recipe(find_recipe(RECIPES / "quickstart.yaml")).name == "quickstart"
    from pathlib import Path

    assert find_recipe(Path("quickstart")) == RECIPES / "quickstart.yaml"
    (tmp_path / "quickstart").write_text("name: mine\n")
    assert find_recipe(Path("quickstart")) == Path("quickstart")  # a file of one's own comes first
    with pytest.raises(ConfigError, match="a recipe at quickstrat") as caught:
        find_recipe(Path("quickstrat"))
    assert "did you mean 'quickstart'" in caught.value.fix


def write(directory, **more):
    values = {"name": "mine", "tasks": [{"task": "pii"}], **more}
    path = directory / "mine.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_recipe_says_what_its_evaluation_asks(tmp_path):
    assert load_recipe(write(tmp_path)).evaluate.perturbations is None
    recipe = load_recipe(write(tmp_path, evaluate={"perturbations": [], "rows": 50}))
    assert recipe.evaluate.perturbations == () and recipe.evaluate.rows == 50
    with pytest.raises(ConfigError, match="unknown perturbation 'typo'"):
        load_recipe(write(tmp_path, evaluate={"perturbations": ["typo"]}))


def test_augmentation_is_checked_before_anything_runs(tmp_path):
    recipe = load_recipe(write(tmp_path, train={"augment": {"typos": 0.2}}))
    assert recipe.train_options(recipe.tasks[0]).augment == {"typos": 0.2}
    with pytest.raises(ConfigError, match="keeps spans"):
        load_recipe(write(tmp_path, train={"augment": {"base64": 0.2}}))
