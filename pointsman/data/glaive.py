"""glaiveai/glaive-function-calling-v2: conversations turned into labelled user turns.

A turn's label is the class of the function whose call followed it. Where the assistant first asks
for arguments, the request and the turn that supplies them both count with the call that came of
it. A turn whose reply calls nothing is `no_function_needed`, with two exceptions that are left out
and counted, because that label would be wrong for them: the assistant refused for want of a
fitting function, or asked for arguments that never came.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from pointsman.core.errors import SourceError
from pointsman.data.hub_rows import LeftOut, Raw

NO_CALL = "no_function_needed"
_CLASSES = "function_classes.yaml"
_TURN = re.compile(r"(?:\A|\n\n)\s*(USER|ASSISTANT|FUNCTION RESPONSE):")
_CALL = re.compile(r"<functioncall>\s*\{\s*\"name\"\s*:\s*\"([^\"]+)\"")
_OFFERED = re.compile(r"\"name\"\s*:\s*\"([^\"]+)\"\s*,\s*\"description\"")
_ASKS = re.compile(
    r"\b(?:(?:could|can|would|may) (?:you|i)\b|please (?:provide|tell|give|share|specify|enter)"
    r"|i(?:'ll| will)? (?:just )?need (?:to know|some|the|your|more)"
    r"|what(?:'s| is| are) (?:the|your))",
    re.IGNORECASE,
)
_REFUSES = re.compile(
    r"\b(?:i'?m (?:sorry|afraid)|i am (?:sorry|afraid)|i apologi[sz]e|unfortunately)\b"
    r"|\bi (?:do not|don't) have (?:the )?(?:ability|capability|access|function)"
    r"|\b(?:i'?m|i am) (?:unable|not able)\b|\bas an ai\b.{0,80}\b(?:can't|cannot|don't|unable)\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One user turn and what the assistant did before the next one.

    Attributes:
        text: What the user wrote.
        reply: The assistant's first reply.
        called: Name of the first function that was called, if any was.
    """

    text: str
    reply: str
    called: str | None


def glaive(row: Mapping[str, Any]) -> Iterator[Raw | LeftOut]:
    """Yield the labelled user turns of one conversation; the conversation is their group."""
    chat = str(row["chat"])
    group = hashlib.sha256(chat.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    offered = ",".join(_OFFERED.findall(str(row.get("system") or "")))
    turns = parse_chat(chat)
    for index, turn in enumerate(turns):
        decided = _decide(turns, index)
        if isinstance(decided, LeftOut):
            yield decided
            continue
        label, function = decided
        meta = {"function": function, "offered": offered or None}
        yield {"text": turn.text, "label": label, "group": group, "meta": meta}


def parse_chat(chat: str) -> list[Turn]:
    """Cut a `chat` text into user turns, each with the reply and the call that followed it."""
    pieces = _TURN.split(chat)[1:]
    turns: list[Turn] = []
    for role, body in zip(pieces[::2], pieces[1::2], strict=True):
        body = body.replace("<|endoftext|>", "").strip()
        if role == "USER":
            turns.append(Turn(body, "", None))
        elif role == "ASSISTANT" and turns:
            last = turns[-1]
            turns[-1] = Turn(last.text, last.reply or body, last.called or _called(body))
    return turns


def _called(reply: str) -> str | None:
    if "<functioncall>" not in reply:
        return None
    match = _CALL.search(reply)
    return match.group(1) if match else "(unreadable call)"


def _decide(turns: list[Turn], index: int) -> tuple[str, str | None] | LeftOut:
    """Return a turn's label and function, or why it has none."""
    turn = turns[index]
    if not turn.text:
        return LeftOut("blank turn", "user")
    function = turn.called or _call_after_questions(turns, index)
    if function is not None:
        label = function_classes().get(function)
        return (label, function) if label else LeftOut("unmapped function", function)
    if _REFUSES.search(turn.reply):
        return LeftOut("no call", "refused")
    if not turn.reply:
        return LeftOut("no call", "no reply")
    if asks_for_arguments(turn.reply):
        return LeftOut("no call", "asked for arguments")
    return NO_CALL, None


def _call_after_questions(turns: list[Turn], index: int) -> str | None:
    """Follow replies that only ask for arguments to the call that came of them, if one did."""
    while index + 1 < len(turns) and asks_for_arguments(turns[index].reply):
        index += 1
        if turns[index].called:
            return turns[index].called
    return None


def asks_for_arguments(reply: str) -> bool:
    """Say whether a reply asks the user for what a call would need, rather than answering."""
    if len(reply) > 400 or _REFUSES.search(reply):
        return False  # long replies answer; a question at their end is a courtesy
    return _ASKS.search(reply) is not None


@functools.cache
def function_classes() -> dict[str, str]:
    """Return function name -> intent class, from the data file beside this module."""
    import yaml

    text = resources.files("pointsman.data").joinpath(_CLASSES).read_text(encoding="utf-8")
    classes: dict[str, str] = {}
    for label, names in yaml.safe_load(text).items():
        for name in names:
            if name in classes:
                raise SourceError(
                    f"{_CLASSES}: every function in one class",
                    got=f"{name!r} in {classes[name]} and {label}",
                    fix="take it out of one of them",
                )
            classes[name] = label
    return classes
