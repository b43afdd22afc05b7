"""Requests to servers that may be busy, and classifiers behind `POST /classify` or `/predict`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from pointsman.core.errors import ConfigError, PeerError
from pointsman.core.types import Prediction
from pointsman.pipeline.peers import Foreign, Reader
from pointsman.tasks.spec import TaskSpec

LONGEST_WAIT = 60.0  # seconds, whatever `Retry-After` says
BODIES: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "/classify": lambda text: {"text": text},
    "/predict": lambda text: {"inputs": text},
    "/analyze": lambda text: {"text": text, "language": "en"},  # Presidio's own server
}


class Busy(PeerError):
    """A request that failed after all its retries; another one may succeed."""


class Poster:
    """Posts JSON, and tries again where waiting may help: 429, 5xx, timeouts, broken connections.

    Args:
        url: Where to.
        headers: Sent with each request; never shown.
        timeout: Seconds for each try.
        retries: Further tries after the first.
        sleep: What waits; for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        retries: int = 4,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        import httpx2

        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ConfigError("a URL that begins with http:// or https://", got=public_url(url))
        self.url = url
        self.place = public_url(url)
        self._retries = retries
        self._sleep = sleep
        self._client = httpx2.Client(headers=dict(headers or {}), timeout=timeout)

    def post(self, body: Mapping[str, Any]) -> tuple[int, Any, float]:
        """Return status, JSON (None where it is none) and seconds of the try that was answered.

        Raises:
            Busy: If every try ended in 429, 5xx, a timeout or a broken connection.
        """
        import httpx2

        reason = ""
        for attempt in range(self._retries + 1):
            start = time.perf_counter()
            try:
                answer = self._client.post(self.url, json=body)
            except httpx2.TransportError as error:
                reason = type(error).__name__  # its text may hold the URL with a password
                wait = None
            else:
                if answer.status_code != 429 and answer.status_code < 500:
                    return answer.status_code, _json(answer), time.perf_counter() - start
                reason = f"status {answer.status_code}"
                wait = answer.headers.get("retry-after")
            if attempt < self._retries:
                self._sleep(pause(attempt, wait))
        raise Busy(
            f"an answer of {self.place}",
            got=f"{reason}, {self._retries + 1} times",
            fix="see that it runs, ask for fewer at a time, or wait; the same command goes on",
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def pause(attempt: int, asked: str | None) -> float:
    """Return how long to wait before the next try: what the server asked for, else doubling."""
    try:
        seconds = float(asked or "")
    except ValueError:  # nothing, or a date
        seconds = 0.5 * 2**attempt * random.uniform(0.75, 1.25)
    return min(max(seconds, 0.0), LONGEST_WAIT)


def public_url(url: str) -> str:
    """Return a URL without what may be secret: user, password, query."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def _json(answer: Any) -> Any:
    try:
        return answer.json()
    except ValueError:  # what came instead may quote the text: it is never shown
        return None


class HttpPeer:
    """A classifier behind a URL, asked one text a request.

    Args:
        name: What it is called.
        url: Where it answers. `/classify` is added where the path is none that is known.
        spec: The task.
        foreign: How its answers are read.
        concurrency: Requests at a time, for more texts than one.
        timeout: Seconds a try.
    """

    def __init__(
        self,
        name: str,
        url: str,
        spec: TaskSpec,
        *,
        foreign: Foreign | None = None,
        concurrency: int = 4,
        timeout: float = 60.0,
    ) -> None:
        path = next((path for path in BODIES if urlsplit(url).path.endswith(path)), None)
        self.name = name
        self.reader = Reader(spec, foreign or Foreign())
        self._body = BODIES[path or "/classify"]
        self._poster = Poster(url if path else f"{url.rstrip('/')}/classify", timeout=timeout)
        self._concurrency = concurrency

    @property
    def place(self) -> str:
        """Its URL without what may be secret."""
        return self._poster.place

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Return one prediction a text.

        Raises:
            PeerError: If it does not answer, or in no form that is understood.
        """
        with ThreadPoolExecutor(self._concurrency) as pool:
            answers = list(pool.map(self._ask, texts))
        return [self.reader.read(text, a) for text, a in zip(texts, answers, strict=True)]

    def _ask(self, text: str) -> Any:
        status, answer, _ = self._poster.post(self._body(text))
        if status != 200 or answer is None:
            got = f"status {status}" if status != 200 else "no JSON"
            raise PeerError(
                f"an answer in JSON of {self.place}", got=got, fix="see its log, and its path"
            )
        return answer
