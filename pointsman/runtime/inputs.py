"""Inputs as gateways have them: a text, or OpenAI chat messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError

Turns = Literal["last-user", "user", "all"]
TURNS = ("last-user", "user", "all")


def text_of(value: str | Mapping[str, Any] | Sequence[Any], turns: str = "last-user") -> str:
    """Return the text to classify.

    Args:
        value: A text, a list of messages, or a request body with `messages`.
        turns: Which turns count: the last of the user, all of the user, or all of everybody.

    Raises:
        ConfigError: If the messages are not what the API takes, or hold no such turn.
    """
    if turns not in TURNS:
        raise ConfigError(f"unknown turns {turns!r}", fix=suggest(turns, TURNS))
    if isinstance(value, str):
        return value
    messages = value.get("messages") if isinstance(value, Mapping) else value
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        raise ConfigError("a text, or `messages` as a list", got=type(messages).__name__)
    chosen = [_content(m, i) for i, m in enumerate(messages) if _counts(m, i, turns)]
    chosen = [text for text in chosen if text.strip()]
    if not chosen:
        raise ConfigError(
            "messages with a user turn that holds text", got=f"{len(messages)} messages"
        )
    return chosen[-1] if turns == "last-user" else "\n\n".join(chosen)


def _counts(message: Any, index: int, turns: str) -> bool:
    if not isinstance(message, Mapping) or "role" not in message:
        raise ConfigError(f"message {index + 1}: an object with `role` and `content`")
    return turns == "all" or message["role"] == "user"


def _content(message: Mapping[str, Any], index: int) -> str:
    content = message.get("content")
    if content is None:  # an assistant turn that only calls a tool
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        parts = [p for p in content if isinstance(p, Mapping) and p.get("type") == "text"]
        texts = [part.get("text") for part in parts]
        if not all(isinstance(text, str) for text in texts):
            raise ConfigError(f"message {index + 1}: a `text` in every part of type text")
        return "\n".join(map(str, texts))
    raise ConfigError(
        f"message {index + 1}: `content` as a text or a list of parts", got=type(content).__name__
    )


def parse_line(line: str) -> str | list[Any] | dict[str, Any]:
    """Read one line of input: JSON messages, a JSON object with `text` or `messages`, or a text.

    A line is JSON only if it parses as an object or list of that shape; anything else is text,
    since people do type brackets.
    """
    if not line.lstrip().startswith(("{", "[")):
        return line
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return str(value["text"])
    if isinstance(value, dict) and "messages" in value:
        return value
    if (
        isinstance(value, list)
        and value
        and all(isinstance(m, dict) and "role" in m for m in value)
    ):
        return value
    return line
