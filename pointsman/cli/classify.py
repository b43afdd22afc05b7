"""`pointsman classify`: ask one bundle or several."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pointsman.cli.console import show_table
from pointsman.cli.predictors import HEAD_HELP, load_predictors

if TYPE_CHECKING:
    from pointsman.core.types import Prediction
    from pointsman.runtime.predictor import Predictor
    from pointsman.runtime.shared import SharedPredictor


def classify_cli(
    bundles: list[str] = typer.Argument(
        help="Bundles, runs or directories of runs, then the text; without a text, stdin is read."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object a text."),
    mask: bool = typer.Option(
        False, "--mask", help="Print the text with personal data replaced by [TYPE_n]."
    ),
    no_postprocess: bool = typer.Option(
        False, "--no-postprocess", help="Give spans as the model found them, not corrected."
    ),
    turns: str = typer.Option("last-user", help="Of chat messages: last-user, user or all."),
    heads: list[str] = typer.Option([], "--head", help=HEAD_HELP),
    backend: str = typer.Option("auto", help="What computes, as in onnxruntime or openvino-bf16."),
) -> None:
    """Classify a text, or stdin: a JSON request, or in each line a text or JSON.

    A blank line gets an empty answer. With --mask, stdin that is not a request is one text.
    """
    from pointsman.core.errors import ConfigError

    if mask and as_json:
        raise ConfigError("--mask or --json", got="both")
    paths, lines = _split_arguments(bundles, turns, whole=mask)
    texts = [text for text in lines if text is not None]
    answers, levels = [], set()
    for predictor in load_predictors(paths, heads, backend=backend, postprocess=not no_postprocess):
        for level, predictions in _answers(predictor, texts):
            levels.add(level)
            answers.append(iter(predictions))
    for text in lines:
        if text is None:  # a blank line: nothing was asked, and answers stay in line with input
            if as_json:
                typer.echo("[]")
            continue
        found = [next(answer) for answer in answers]
        if mask:
            typer.echo(_masked(text, levels, found))
        elif as_json:
            typer.echo(json.dumps([p.to_dict() for p in found], ensure_ascii=False))
        else:
            _show(found)


def _answers(
    predictor: Predictor | SharedPredictor, texts: list[str]
) -> list[tuple[str, list[Prediction]]]:
    """Return level and predictions of each head of a bundle."""
    from pointsman.runtime.predictor import Predictor

    if isinstance(predictor, Predictor):
        return [(predictor.task.level, predictor.predict(texts))]
    found = predictor.predict(texts)
    return [(predictor.head(name).task.level, answers) for name, answers in found.items()]


def _split_arguments(
    arguments: list[str], turns: str, *, whole: bool
) -> tuple[list[Path], list[str | None]]:
    """Tell bundles from the text: directories come first, one text may follow.

    Args:
        arguments: Of the command line.
        turns: Which turns of messages count.
        whole: Take stdin as one text, line breaks and all.
    """
    from pointsman.core.errors import ConfigError

    paths: list[Path] = []
    while arguments and _is_directory(arguments[0]):
        paths.append(Path(arguments.pop(0)))
    if not paths:
        # never quoted: it may be a text, and errors end in logs
        raise ConfigError(
            "a bundle, a run or a directory of runs, then the text",
            got=f"{len(arguments[0])} characters first, which are no directory",
            fix="check the path of the bundle",
        )
    if len(arguments) > 1:
        raise ConfigError(
            "bundles, then one text",
            got=f"{len(arguments)} texts",
            fix="quote the text, or use stdin",
        )
    if arguments:
        return paths, [_text(arguments[0], turns)]
    return paths, _texts_of_stdin(_stdin(), turns, whole=whole)


def _is_directory(argument: str) -> bool:
    try:
        return bool(argument) and Path(argument).is_dir()
    except OSError:  # a text too long for a path
        return False


def _text(text: str, turns: str) -> str:
    from pointsman.runtime.inputs import parse_line, text_of

    return text_of(parse_line(text), turns)


def _texts_of_stdin(text: str, turns: str, *, whole: bool) -> list[str | None]:
    """Read stdin: one JSON request over any number of lines, one text, or one input a line."""
    from pointsman.core.errors import ConfigError
    from pointsman.runtime.inputs import parse_line

    if not text.strip():
        raise ConfigError("a text to classify", got="nothing", fix="give one, or pipe lines in")
    if parse_line(text) is not text:
        return [_text(text, turns)]
    if whole:
        return [text.removesuffix("\n")]
    texts: list[str | None] = []
    # JSON may hold what splitlines splits at
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        try:
            texts.append(_text(line.rstrip("\r"), turns) if line.strip() else None)
        except ConfigError as error:
            needed = f"line {number}: {error.needed}"
            raise ConfigError(needed, got=error.got, fix=error.fix) from None
    return texts


def _stdin() -> str:
    from pointsman.core.errors import ConfigError

    if sys.stdin.isatty():
        raise ConfigError("a text to classify", got="none", fix='add "a text", or pipe lines in')
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError("stdin in UTF-8", got=f"byte {error.start} is not") from None


def _masked(text: str, levels: set[str], found: list[Prediction]) -> str:
    from pointsman.core.errors import ConfigError
    from pointsman.runtime.masking import mask_spans, merge_spans

    if "token" not in levels:
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
    """Return what stands beside a label: whether to rely on it, its tools or the runners-up."""
    if prediction.tools:
        note = f"tools: {', '.join(prediction.tools)}"
    else:
        others = sorted(prediction.probabilities.items(), key=lambda item: -item[1])[1:3]
        note = "then " + ", ".join(f"{label} {p:.2f}" for label, p in others)
    return f"unsure; {note}" if prediction.unsure else note
