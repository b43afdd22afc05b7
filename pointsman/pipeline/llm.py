"""A language model as a baseline, through any endpoint that speaks OpenAI's chat completions.

Answers are kept as they come, a line each, so that a stopped comparison goes on and no call is
paid twice. What is kept is the reading of an answer and its cost, never a text.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from pointsman.core.config import Closed
from pointsman.core.errors import ConfigError, PeerError
from pointsman.core.files import sha256_json, storage_errors
from pointsman.core.types import Prediction
from pointsman.pipeline.llm_prompts import Answer, messages, read_answer, schema
from pointsman.pipeline.peer_http import Busy, Poster, public_url
from pointsman.tasks.spec import TaskSpec

MOST_FAILURES = 5  # in a row: the endpoint is down, and asking on would only take time
MILLION = 1_000_000


class LlmOptions(Closed):
    """How a language model is asked."""

    url: str = Field(description="Base URL of the endpoint; /chat/completions is added to it.")
    model: str = Field(min_length=1, description="Name of the model.")
    key_env: str = Field("OPENAI_API_KEY", description="Environment variable that holds the key.")
    temperature: float | None = Field(0.0, ge=0, description="None leaves it to the server.")
    concurrency: int = Field(4, ge=1, description="Requests at a time.")
    repeats: int = Field(1, ge=1, description="Calls for each text; the first one is scored.")
    timeout: float = Field(60.0, gt=0, description="Seconds a try.")
    retries: int = Field(4, ge=0, description="Further tries on 429, 5xx and timeouts.")
    input_price: float | None = Field(None, ge=0, description="Price of a million input tokens.")
    output_price: float | None = Field(None, ge=0, description="Price of a million output tokens.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.input_price is None) != (self.output_price is None):
            raise ValueError("a price of input tokens and one of output tokens, or neither")
        return self


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was answered.

    Attributes:
        answer: What it said.
        seconds: How long the try that was answered took.
        input_tokens: As the server counted them, or None where it did not say.
        output_tokens: The same of its answer.
        structured: Whether the answer was held to a JSON schema.
    """

    answer: Answer
    seconds: float
    input_tokens: int | None = None
    output_tokens: int | None = None
    structured: bool = True

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Call:
        """Read the form that a kept answer has."""
        held = dict(row["answer"])
        held["spans"] = tuple((a, b, name) for a, b, name in held["spans"])
        return cls(Answer(**held), *(row[key] for key in _NUMBERS))


_NUMBERS = ("seconds", "input_tokens", "output_tokens", "structured")


class Kept:
    """Answers that were had already, in a JSONL file; each new one is written at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._calls = dict(_read_kept(path))

    def get(self, key: str) -> Call | None:
        """Return the call of a key, if it was made."""
        return self._calls.get(key)

    def add(self, key: str, call: Call) -> None:
        """Keep a call.

        Raises:
            StorageError: If it cannot be written.
        """
        line = json.dumps({"key": key, **asdict(call)}) + "\n"
        with self._lock, storage_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)
            self._calls[key] = call


def _read_kept(path: Path) -> Iterable[tuple[str, Call]]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            yield row.pop("key"), Call.from_row(row)
        except (ValueError, KeyError, TypeError):
            if number < len(lines):  # the last one may have been cut off while it was written
                raise ConfigError(
                    f"{path}: line {number} as it was written", got="another", fix="delete the line"
                ) from None
            path.write_text("".join(f"{kept}\n" for kept in lines[:-1]), encoding="utf-8")


class LlmPeer:
    """A language model that is asked to do a task.

    Args:
        name: What it is called.
        spec: The task; prompt and schema are made from it.
        options: Where and how it is asked.
        kept: File of the answers that were had already.
        sleep: What waits between tries; for tests.
    """

    def __init__(
        self,
        name: str,
        spec: TaskSpec,
        options: LlmOptions,
        kept: Path,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self.options = options
        self._spec = spec
        self._kept = Kept(kept)
        self._structured = True
        self._settled = False
        self._failures = 0
        self._calls: list[list[Call | None]] = []
        self._poster = Poster(
            f"{options.url.rstrip('/')}/chat/completions",
            headers=_headers(options.key_env),
            timeout=options.timeout,
            retries=options.retries,
            sleep=sleep,
        )

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Return one prediction a text: its first answer's, or none where it failed.

        Raises:
            PeerError: If the endpoint refuses the request, or does not answer any more. What was
                answered is kept.
        """
        asked = [(text, repeat) for text in texts for repeat in range(self.options.repeats)]
        first, rest = asked[:1], asked[1:]
        # The first call settles alone whether answers can be held to the schema.
        calls = [self._call(*item) for item in first]
        with ThreadPoolExecutor(self.options.concurrency) as pool:
            try:
                calls += pool.map(lambda item: self._call(*item), rest)
            except BaseException:  # Ctrl-C too: what waits in the queue would still be paid
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        size = self.options.repeats
        self._calls = [calls[i : i + size] for i in range(0, len(calls), size)]
        nothing = Answer("unparsable")
        return [
            (row[0].answer if row[0] else nothing).prediction(self._spec, text)
            for text, row in zip(texts, self._calls, strict=True)
        ]

    def facts(self) -> dict[str, Any]:
        """Return what the calls of the last `predict` cost and how they went."""
        first = [row[0] for row in self._calls]
        had = [call for call in first if call is not None]
        statuses = Counter(call.answer.status for call in had)
        every = [call for row in self._calls for call in row if call is not None]
        times = [1000 * call.seconds for call in had]
        return {
            "kind": "language model",
            "model": self.options.model,
            "place": public_url(self.options.url),
            "temperature": self.options.temperature,
            "structured": "yes"
            if all(c.structured for c in every)
            else "no: the server refused it",
            "refusals": statuses["refused"],
            "unparsable": statuses["unparsable"],
            "wrong_labels": statuses["wrong label"],
            "failed": sum(call is None for call in first),
            "unmatched": sum(call.answer.unmatched for call in had),
            "latency_ms": float(np.median(times)) if times else None,
            "latency_p95_ms": float(np.quantile(times, 0.95)) if times else None,
            "latency_texts": len(times),
            "repeats": self.options.repeats,
            "consistency": self._consistency(),
            **self._costs(every),
        }

    def _consistency(self) -> float | None:
        """Return the share of texts whose repeated calls all gave the same answer."""
        if self.options.repeats < 2 or not self._calls:
            return None
        same = [len({c.answer if c else None for c in row}) == 1 for row in self._calls]
        return float(np.mean(same))

    def _costs(self, calls: Sequence[Call]) -> dict[str, Any]:
        """Return tokens and price, over the calls whose tokens the server counted."""
        known = [c for c in calls if c.input_tokens is not None and c.output_tokens is not None]
        tokens_in = sum(call.input_tokens or 0 for call in known)
        tokens_out = sum(call.output_tokens or 0 for call in known)
        facts: dict[str, Any] = {"calls": len(calls), "calls_with_usage": len(known)}
        if not known:
            return facts
        facts |= {"input_tokens": tokens_in, "output_tokens": tokens_out}
        if self.options.input_price is not None and self.options.output_price is not None:
            price = tokens_in * self.options.input_price + tokens_out * self.options.output_price
            facts["cost_per_query"] = price / MILLION / len(known)
        return facts

    def _call(self, text: str, repeat: int) -> Call | None:
        asked = messages(self._spec, text)
        key = self._key(asked, repeat)
        call = self._kept.get(key)
        if call is not None:
            return call
        try:
            call = self._ask(text, asked, structured=self._structured)
        except Busy:
            self._failures += 1
            if self._failures >= MOST_FAILURES:
                raise
            return None
        if call is not None:
            self._failures = 0
            self._kept.add(key, call)
        return call

    def _key(self, asked: Sequence[dict[str, str]], repeat: int) -> str:
        options = self.options
        held = [public_url(options.url), options.model, options.temperature, schema(self._spec)]
        return sha256_json([*held, list(asked), repeat])

    def _ask(self, text: str, asked: list[dict[str, str]], *, structured: bool) -> Call | None:
        """Return the call of a text, or None where the server refuses this text alone."""
        status, value, seconds = self._post(asked, structured=structured)
        if status == 400 and _filtered(value):
            return Call(Answer("refused"), seconds, structured=structured)
        if status == 400 and structured and not (self._settled and self._structured):
            self._structured = False
            return self._ask(text, asked, structured=False)
        if status == 400 and self._settled:
            return None  # others were answered: it is this text, too long maybe
        if status != 200:
            raise PeerError(
                f"an answer of {self._poster.place}",
                got=f"status {status}",
                fix="see the key, the model's name, and whether it takes a temperature",
            )
        self._settled = True
        return _read_call(self._spec, text, value, seconds, structured)

    def _post(self, asked: list[dict[str, str]], *, structured: bool) -> tuple[int, Any, float]:
        body: dict[str, Any] = {"model": self.options.model, "messages": asked}
        if self.options.temperature is not None:
            body["temperature"] = self.options.temperature
        if structured:
            held = {"name": self._spec.name, "strict": True, "schema": schema(self._spec)}
            body["response_format"] = {"type": "json_schema", "json_schema": held}
        return self._poster.post(body)


def _headers(variable: str) -> dict[str, str]:
    """Return the header with the key; an endpoint of one's own may need none."""
    key = os.environ.get(variable, "").strip()
    return {"Authorization": f"Bearer {key}"} if key else {}


def _filtered(value: Any) -> bool:
    """Say whether a 400 means that a content filter refused the text."""
    error = value.get("error") if isinstance(value, dict) else None
    return isinstance(error, dict) and error.get("code") == "content_filter"


def _read_call(spec: TaskSpec, text: str, value: Any, seconds: float, structured: bool) -> Call:
    """Return the call that a chat completion stands for; what is no completion is unparsable."""
    usage = value.get("usage") if isinstance(value, dict) else None
    usage = usage if isinstance(usage, dict) else {}
    tokens_in, tokens_out = (
        _count(usage.get(f"{what}_tokens")) for what in ("prompt", "completion")
    )
    return Call(_read_choice(spec, text, value), seconds, tokens_in, tokens_out, structured)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _read_choice(spec: TaskSpec, text: str, value: Any) -> Answer:
    try:
        choice = value["choices"][0]
        message = choice["message"]
        if message.get("refusal") or choice.get("finish_reason") == "content_filter":
            return Answer("refused")
        content = message.get("content")
    except (TypeError, KeyError, IndexError, AttributeError):
        return Answer("unparsable")
    return read_answer(spec, text, content) if isinstance(content, str) else Answer("unparsable")
