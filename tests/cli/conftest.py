"""The command line, in this process."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from pointsman.cli.main import main


@dataclass
class Result:
    """What a command gave."""

    code: int
    out: str
    err: str


class Terminal(io.StringIO):
    """A stdin that nothing is piped into."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def pointsman(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Run a command as a shell would; no command may ever show a traceback."""

    def run(*arguments: object, stdin: bytes | None = None) -> Result:
        monkeypatch.setattr(sys, "argv", ["pointsman", *map(str, arguments)])
        piped = Terminal() if stdin is None else io.TextIOWrapper(io.BytesIO(stdin))
        monkeypatch.setattr(sys, "stdin", piped)
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Result(code, out, err)

    return run
