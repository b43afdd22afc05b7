"""Closed configuration: wrong keys are named with their path and the nearest right one."""

import pytest
from pydantic import Field

from pointsman.core.config import Closed, apply_overrides, read_yaml, suggest
from pointsman.core.errors import ConfigError


class Leaf(Closed):
    rank: int = Field(8, gt=0)
    alpha: float = 16.0


class Tree(Closed):
    name: str
    leaf: Leaf = Leaf()
    leaves: tuple[Leaf, ...] = ()
    named: dict[str, Leaf] = {}
    maybe: Leaf | None = None


def problem(values):
    with pytest.raises(ConfigError) as caught:
        Tree.parse(values, where="some.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("extra", "path", "near"),
    [
        ({"nmae": 1}, "nmae", "name"),
        ({"leaf": {"rang": 4}}, "leaf.rang", "rank"),
        ({"leaves": [{}, {"alfa": 1}]}, "leaves.1.alfa", "alpha"),
        ({"named": {"x": {"rnk": 4}}}, "named.x.rnk", "rank"),
        ({"maybe": {"rankk": 4}}, "maybe.rankk", "rank"),
    ],
)
def test_an_unknown_key_is_named_with_its_path_and_the_nearest(extra, path, near):
    error = problem({"name": "t", **extra})
    assert error.needed == f"some.yaml: unknown key {path!r}"
    assert f"did you mean {near!r}?" in error.fix


def test_an_unknown_key_without_a_neighbour_lists_all():
    assert problem({"name": "t", "leaf": {"zzzz": 1}}).fix == "known: alpha, rank"


def test_a_wrong_value_says_what_came():
    error = problem({"name": "t", "leaf": {"rank": -3}})
    assert error.needed.startswith("some.yaml: leaf.rank: ")
    assert error.got == "-3"


def test_a_missing_key_is_named():
    error = problem({})
    assert error.needed == "some.yaml: name: Field required"
    assert error.got is None


def test_a_key_that_is_no_text_is_an_error_too():
    assert "1" in str(problem({"name": "t", 1: 2}))


def test_a_long_value_is_cut_in_the_message():
    assert len(problem({"name": ["x" * 5000]}).got) <= 200


def test_parsed_configuration_is_frozen():
    tree = Tree.parse({"name": "t"}, where="-")
    with pytest.raises(ValueError, match="frozen"):
        tree.name = "u"


def test_suggest():
    assert (
        suggest("categry", ["category", "pii"]) == "did you mean 'category'? known: category, pii"
    )
    assert suggest("zzz", ["category", "pii"]) == "known: category, pii"
    assert suggest("zzz", []) == "known: none"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("a.b=3", {"a": {"b": 3, "c": 1}, "l": [1]}),
        ("a.d.e=x", {"a": {"b": 2, "c": 1, "d": {"e": "x"}}, "l": [1]}),
        ("l=[law, math]", {"a": {"b": 2, "c": 1}, "l": ["law", "math"]}),
        ("a=null", {"a": None, "l": [1]}),
        ("t=x=y", {"a": {"b": 2, "c": 1}, "l": [1], "t": "x=y"}),
        ("t=", {"a": {"b": 2, "c": 1}, "l": [1], "t": None}),
    ],
)
def test_overrides_are_yaml_laid_over_the_file(override, expected):
    below = {"a": {"b": 2, "c": 1}, "l": [1]}
    assert apply_overrides(below, [override]) == expected
    assert below == {"a": {"b": 2, "c": 1}, "l": [1]}


def test_later_overrides_win():
    assert apply_overrides({}, ["a.b=1", "a.b=2", "a.c=3"]) == {"a": {"b": 2, "c": 3}}


@pytest.mark.parametrize("override", ["a", "=3", "l.9=3", "l.²=3", "a.b.c=3", "t=[a", "t={"])
def test_a_bad_override_is_shown(override):
    with pytest.raises(ConfigError) as caught:
        apply_overrides({"a": {"b": 2}, "l": [1]}, [override])
    assert override.partition("=")[0] in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: [1", "valid YAML"),
        (b"- a\n- b", "got: list"),
        (b"", "a mapping"),
        (b"a: \xff\xfe", "UTF-8"),
        (b"a: \x00", "valid YAML"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused_by_name(tmp_path, content, words):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        read_yaml(path)
    assert "recipe.yaml" in str(caught.value)


def test_a_missing_file_and_a_directory_are_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="Is a directory"):
        read_yaml(tmp_path)


def test_an_override_reaches_into_a_list_by_task_name_or_index():
    values = {"tasks": [{"task": "pii"}, {"task": "intent", "sources": [{"name": "starter"}]}]}
    changed = apply_overrides(values, ["tasks.intent.sources.starter.limit=5", "tasks.0.x=1"])
    assert changed["tasks"][1]["sources"] == [{"name": "starter", "limit": 5}]
    assert changed["tasks"][0] == {"task": "pii", "x": 1}
    with pytest.raises(ConfigError, match="'intent'"):
        apply_overrides(values, ["tasks.intend.x=1"])


@pytest.mark.parametrize(
    "text", ["a: 1\nb: 2\na: 3\n", "x:\n  - {b: 1, a: 2}\n  - a: 1\n    a: 2\n"]
)
def test_a_key_that_stands_twice_is_refused(tmp_path, text):
    path = tmp_path / "twice.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="valid YAML") as caught:
        read_yaml(path)
    assert "'a' a second time" in caught.value.got and "line" in caught.value.got
