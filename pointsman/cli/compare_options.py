"""The options of `pointsman compare`, as types: a name and its help in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

Bundles = Annotated[
    list[str], Argument(help="Bundles or runs, as DIR or NAME=DIR; or one comparison recipe.")
]
Data = Annotated[
    Path | None,
    Option("--data", help="Labelled rows: a file, or prepared data, whose test split is used."),
]
Output = Annotated[
    Path | None,
    Option("-o", "--output", help="Where results go; compare-DATA here. A recipe names its own."),
]
Head = Annotated[
    str | None, Option(help="Which head of shared bundles; that of prepared data when not given.")
]
Against = Annotated[
    str | None, Option(help="Whom the others are told apart from; the first one when not given.")
]
Limit = Annotated[int | None, Option(min=1, help="At most so many rows, a seeded sample.")]
Seed = Annotated[int | None, Option(help="Of that sample; 0 when not given.")]
LatencyTexts = Annotated[
    int | None, Option(min=1, help="Texts that are asked one by one; 100 when not given.")
]
Columns = Annotated[list[str], Option("--column", help="FIELD=COLUMN, as in text=prompt.")]
Peers = Annotated[
    list[str],
    Option("--peer", help="URL, transformers directory or presidio, or NAME=... Repeatable."),
]
LabelMap = Annotated[
    list[str], Option("--label-map", help="THEIRS=OURS, for peers; THEIRS= drops their spans.")
]
Offsets = Annotated[
    Literal["code-points", "bytes", "utf-16"], Option(help="What peers' offsets count.")
]
Llm = Annotated[str | None, Option("--llm", help="URL of an OpenAI-compatible endpoint.")]
Model = Annotated[str | None, Option(help="Model at that endpoint.")]
KeyEnv = Annotated[str, Option(help="Environment variable that holds the endpoint's key.")]
Temperature = Annotated[float, Option(help="Of the model; below 0 leaves it to the server.")]
Repeats = Annotated[int, Option(min=1, help="Calls a text, to see whether answers agree.")]
Concurrency = Annotated[int, Option(min=1, help="Requests at a time, to a model or a URL.")]
InputPrice = Annotated[float | None, Option(min=0, help="Of a million input tokens.")]
OutputPrice = Annotated[float | None, Option(min=0, help="Of a million output tokens.")]
Overrides = Annotated[list[str], Option("--set", help="Override a key of the recipe.")]
DryRun = Annotated[bool, Option("--dry-run", help="Check a recipe and print the plan.")]
