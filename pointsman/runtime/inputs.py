"""Inputs as gateways have them: a text, or OpenAI chat messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError

Turns = Literal["last-user", "user", "all"]
TURNS = ("last-user", "user", "all")
ROLES = ("user", "assistant", "system", "developer", "tool", "function")
# Kinds of parts that hold no words of their own. Any other kind without a `text` is refused: its
# words may lie under a key that is not known here, and would go past a guard unread.
WORDLESS = (
    *("image", "image_url", "input_image", "audio", "audio_url", "input_audio"),
    *("video", "video_url", "input_video", "file", "input_file", "refusal"),
)


def text_of(value: str | Mapping[str, Any] | Sequence[Any], turns: str = "last-user") -> str:
    """Return the text to classify.

    Args:
        value: A text, a list of messages, or a request body with `messages`.
        turns: Which turns count: the last of the user, all of the user, or all of everybody.

    Raises:
        ConfigError: If the messages are not what the API takes, hold no such turn, or their last
            user turn has no text and is asked for: an older one is never judged in its place.
    """
    if turns not in TURNS:
        raise ConfigError(f"unknown turns {turns!r}", fix=suggest(turns, TURNS))
    if isinstance(value, str):
        return value
    messages = value.get("messages") if isinstance(value, Mapping) else value
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        raise ConfigError("a text, or `messages` as a list", got=type(messages).__name__)
    chosen = [_content(m, i) for i, m in enumerate(messages) if _counts(m, i, turns)]
    if turns == "last-user" and chosen and not chosen[-1].strip():
        raise ConfigError(
            "messages whose last user turn holds text",
            got="a last user turn without any",
            fix="--turns user judges all turns of the user",
        )
    chosen = [text for text in chosen if text.strip()]
    if not chosen:
        raise ConfigError(
            "messages with a user turn that holds text", got=f"{len(messages)} messages"
        )
    return chosen[-1] if turns == "last-user" else "\n\n".join(chosen)


def _counts(message: Any, index: int, turns: str) -> bool:
    role = message.get("role") if isinstance(message, Mapping) else None
    if not isinstance(role, str):
        raise ConfigError(f"message {index + 1}: an object with `role` and `content`")
    if role not in ROLES:  # "User" or "human" may be a user's: passing over it would judge less
        fix = suggest(role, ROLES)
        raise ConfigError(f"message {index + 1}: a role of the API", got="another role", fix=fix)
    return turns == "all" or role == "user"


def _content(message: Mapping[str, Any], index: int) -> str:
    content = message.get("content")
    if content is None:  # an assistant turn that only calls a tool
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        places = [f"message {index + 1}: part {n}" for n in range(1, len(content) + 1)]
        texts = [_part(part, where) for part, where in zip(content, places, strict=True)]
        return "\n".join(text for text in texts if text is not None)
    raise ConfigError(
        f"message {index + 1}: `content` as a text or a list of parts", got=type(content).__name__
    )


def _part(part: Any, where: str) -> str | None:
    """Return the text of one part of a content, or None if its kind has none.

    Raises:
        ConfigError: If it has no text, and is not of a kind that is known to hold none.
    """
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        raise ConfigError(f"{where}: a text or an object", got=type(part).__name__)
    text = part.get("text")
    if isinstance(text, str):
        return text
    # rows of Parquet name the keys of all parts in each, with null for those it lacks
    if text is None and part.get("type") in WORDLESS:
        return None
    raise ConfigError(
        f"{where}: a `text`, or a kind that holds none",
        got="neither" if text is None else f"`text` as {type(text).__name__}",
        fix=f"give its words as `text`; kinds without text: {', '.join(WORDLESS)}",
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
