"""`pointsman classify`: ask one bundle or several."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pointsman.cli.console import show_table

if TYPE_CHECKING:
    from pointsman.core.types import Prediction
    from pointsman.runtime.predictor import Predictor


def classify_cli(
    bundles: list[str] = typer.Argument(
        help="Bundles, runs or directories of runs, then the text; without a text, stdin is read."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object a text."),
    mask: bool = typer.Option(
        False, "--mask", help="Print the text with personal data replaced by [TYPE_n]."
    ),
    turns: str = typer.Option("last-user", help="Of chat messages: last-user, user or all."),
) -> None:
    """Classify a text, or stdin: a JSON request, or in each line a text or JSON."""
    from pointsman.bundle.layout import find_bundles
    from pointsman.core.errors import ConfigError
    from pointsman.runtime.predictor import load

    if mask and as_json:
        raise ConfigError("--mask or --json", got="both")
    paths, texts = _split_arguments(bundles, turns)
    predictors = [load(path) for path in find_bundles(paths)]
    answers = [predictor.predict(texts) for predictor in predictors]
    for position, text in enumerate(texts):
        found = [answer[position] for answer in answers]
        if mask:
            typer.echo(_masked(text, predictors, found))
        elif as_json:
            typer.echo(json.dumps([p.to_dict() for p in found], ensure_ascii=False))
        else:
            _show(found)


def _split_arguments(arguments: list[str], turns: str) -> tuple[list[Path], list[str]]:
    """Tell bundles from the text: directories come first, one text may follow."""
    from pointsman.core.errors import ConfigError

    paths: list[Path] = []
    while arguments and _is_directory(arguments[0]):
        paths.append(Path(arguments.pop(0)))
    if not paths:
        first = arguments[0]  # a text, maybe, that is nobody's business
        shown = f"{len(first)} characters" if " " in first or len(first) > 200 else repr(first)
        raise ConfigError(
            "a bundle, a run or a directory of runs", got=f"{shown}, which is no directory"
        )
    if len(arguments) > 1:
        raise ConfigError(
            "bundles, then one text",
            got=f"{len(arguments)} texts",
            fix="quote the text, or use stdin",
        )
    return paths, _texts(arguments[0], turns) if arguments else _texts_of_lines(_stdin(), turns)


def _is_directory(argument: str) -> bool:
    try:
        return bool(argument) and Path(argument).is_dir()
    except OSError:  # a text too long for a path
        return False


def _texts(text: str, turns: str) -> list[str]:
    from pointsman.runtime.inputs import parse_line, text_of

    return [text_of(parse_line(text), turns)]


def _texts_of_lines(text: str, turns: str) -> list[str]:
    """Read stdin: one JSON request over any number of lines, or one input a line."""
    from pointsman.core.errors import ConfigError
    from pointsman.runtime.inputs import parse_line

    if parse_line(text) is not text:
        return _texts(text, turns)
    texts = []
    for number, line in enumerate(text.split("\n"), 1):  # JSON may hold what splitlines splits at
        if line.strip():
            try:
                texts += _texts(line.rstrip("\r"), turns)
            except ConfigError as error:
                needed = f"line {number}: {error.needed}"
                raise ConfigError(needed, got=error.got, fix=error.fix) from None
    if not texts:
        raise ConfigError("a text to classify", got="nothing", fix="give one, or pipe lines in")
    return texts


def _stdin() -> str:
    from pointsman.core.errors import ConfigError

    if sys.stdin.isatty():
        raise ConfigError("a text to classify", got="none", fix='add "a text", or pipe lines in')
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError("stdin in UTF-8", got=f"byte {error.start} is not") from None


def _masked(text: str, predictors: list[Predictor], found: list[Prediction]) -> str:
    from pointsman.core.errors import ConfigError
    from pointsman.runtime.masking import mask_spans, merge_spans

    if not any(predictor.task.level == "token" for predictor in predictors):
        raise ConfigError("a bundle that finds spans, to mask", got="none", fix="add a pii bundle")
    return mask_spans(text, merge_spans(span for answer in found for span in answer.spans))


def _show(found: list[Prediction]) -> None:
    rows: list[tuple[object, ...]] = []
    for prediction in found:
        if prediction.label is not None:
            rows.append((prediction.task, prediction.label, prediction.score, _note(prediction)))
            continue
        rows += [
            (prediction.task, s.label, s.score, f"{s.start}-{s.end}: {s.text}")
            for s in prediction.spans
        ]
        if not prediction.spans:
            rows.append((prediction.task, "nothing found", "", ""))
    show_table("", ("task", "label", "score", "detail"), rows)


def _note(prediction: Prediction) -> str:
    if prediction.tools:
        return f"tools: {', '.join(prediction.tools)}"
    others = sorted(prediction.probabilities.items(), key=lambda item: -item[1])[1:3]
    return "then " + ", ".join(f"{label} {p:.2f}" for label, p in others)
