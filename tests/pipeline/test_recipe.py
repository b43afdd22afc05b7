"""Recipes are found by name in the package, by path anywhere."""

import pytest

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
