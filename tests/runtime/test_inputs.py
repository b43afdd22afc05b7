"""Inputs as gateways have them."""

import pytest

from pointsman.core.errors import ConfigError
from pointsman.runtime.inputs import parse_line, text_of

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "First?"},
    {"role": "assistant", "content": "One."},
    {"role": "user", "content": [
        {"type": "text", "text": "Second,"},
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": "please?"},
    ]},
    {"role": "assistant", "content": None, "tool_calls": []},
]  # fmt: skip


def test_a_text_is_a_text():
    assert text_of("hello") == "hello"


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ("last-user", "Second,\nplease?"),
        ("user", "First?\n\nSecond,\nplease?"),
        ("all", "Be brief.\n\nFirst?\n\nOne.\n\nSecond,\nplease?"),
    ],
)
@pytest.mark.parametrize("body", [CHAT, {"model": "m", "messages": CHAT}])
def test_turns(body, turns, expected):
    assert text_of(body, turns) == expected


def test_an_empty_last_turn_is_passed_over():
    assert text_of([{"role": "user", "content": "a"}, {"role": "user", "content": " "}]) == "a"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"messages": "hi"}, "list"),
        ({"prompt": "hi"}, "list"),
        ([], "0 messages"),
        (["hi"], "message 1"),
        ([{"content": "hi"}], "message 1"),
        ([{"role": "user", "content": 7}], "int"),
        ([{"role": "user", "content": [{"type": "text"}]}], "message 1"),
        ([{"role": "user", "content": [{"type": "text", "text": None}]}], "message 1"),
        ([{"role": "assistant", "content": "hi"}], "user turn"),
    ],
)
def test_what_is_no_chat_is_refused(value, words):
    with pytest.raises(ConfigError, match=words):
        text_of(value)


@pytest.mark.parametrize("value", [CHAT, "a text"])
def test_unknown_turns_suggest(value):
    with pytest.raises(ConfigError, match="last-user"):
        text_of(value, "lastuser")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hello", "hello"),
        ('{"text": "hello"}', "hello"),
        ('  {"messages": []}', {"messages": []}),
        ('[{"role": "user", "content": "x"}]', [{"role": "user", "content": "x"}]),
        ("[1, 2, 3] is a list", "[1, 2, 3] is a list"),
        ("[1, 2, 3]", "[1, 2, 3]"),
        ("{not json", "{not json"),
        ('{"other": 1}', '{"other": 1}'),
        ('{"text": 5}', '{"text": 5}'),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_only_json_of_the_right_shape_is_json(line, expected):
    assert parse_line(line) == expected
