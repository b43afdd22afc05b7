"""A server of the tests' own: it says what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """One answer: a status, a value (JSON, or bytes as they are), headers, and a pause before."""

    value: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0


@dataclass
class Server:
    """Where it listens, and what it was asked: path, body and headers of each request."""

    url: str = ""
    asked: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [body for _, body, _ in self.asked]


Answering = Callable[[dict[str, Any], int], Reply]


@contextlib.contextmanager
def serving(reply: Answering) -> Iterator[Server]:
    """Serve on a free port; `reply` gets each body and how many requests came before."""
    server = Server()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                number = len(server.asked)
                server.asked.append((self.path, body, dict(self.headers)))
            answer = reply(body, number)
            time.sleep(answer.pause)
            raw = (
                answer.value
                if isinstance(answer.value, bytes)
                else json.dumps(answer.value).encode()
            )
            with contextlib.suppress(OSError):  # who asked may have gone
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{httpd.server_port}"
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def completion(content: Any, *, usage: tuple[int, int] | None = (100, 10), **message: Any) -> Reply:
    """A chat completion with the given content: a text as it is, anything else as JSON."""
    words = content if isinstance(content, str) or content is None else json.dumps(content)
    value: dict[str, Any] = {
        "choices": [
            {"message": {"role": "assistant", "content": words, **message}, "finish_reason": "stop"}
        ]
    }
    if usage is not None:
        value["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return Reply(value)
