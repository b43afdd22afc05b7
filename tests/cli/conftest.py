"""The command line, in this process."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pointsman.cli.main import main
from tests.runs import jailbreak_rows, write_rows


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


@pytest.fixture
def bundles(demo: Path) -> tuple[Path, Path]:
    """The bundles of the finished run: a detector and a PII model."""
    return demo / "run" / "jailbreak" / "bundle", demo / "run" / "pii" / "bundle"


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A file of rows for the detector, which it has not seen."""
    return write_rows(tmp_path / "more.jsonl", jailbreak_rows(20, seed=9))


@pytest.fixture
def prepared(demo: Path) -> Path:
    """The detector's prepared data."""
    return demo / "run" / "jailbreak" / "data"
