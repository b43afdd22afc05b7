"""The catalogue of public sources, and the one way in: `load_source`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError, RowError, SourceError
from pointsman.core.types import Example
from pointsman.data import hub_rows
from pointsman.data.door import Door, OnBadRow, RowRules
from pointsman.data.fetch import SourcePart, SourceSpec, Table, fetch
from pointsman.data.glaive import glaive
from pointsman.data.hub_rows import LeftOut, Raw
from pointsman.data.local_files import read_records
from pointsman.data.local_source import read_local, wanted
from pointsman.data.request import DROP, OOD, SourceRequest
from pointsman.data.sampling import strata_of, stratified_sample
from pointsman.data.schema import SLICE, is_split
from pointsman.tasks.catalogue import TASKS
from pointsman.tasks.spec import TaskSpec

STARTER = "starter"
OVER_REFUSAL = "over_refusal"
STARTER_PII_ROWS = 4000
NAME_LENGTH = 60  # of a source in the name of a slice, which is the name of a file
__all__ = ["SOURCES", "LoadedSource", "RowRules", "SourceRequest", "SourceSpec", "load_source"]

_MMLU_PRO = SourceSpec(
    name="mmlu_pro",
    tasks=("category",),
    licence="MIT",
    hub="TIGER-Lab/MMLU-Pro",
    parts=(
        SourcePart(
            hub_rows.mmlu_pro,
            columns=("question", "category"),
            splits=("test", "validation"),
            files={
                "test": "data/test-00000-of-00001.parquet",
                "validation": "data/validation-00000-of-00001.parquet",
            },
        ),
    ),
)
_PRESIDIO = SourceSpec(
    name="presidio",
    tasks=("pii",),
    licence="MIT",
    hub="microsoft/presidio-research",
    url="https://raw.githubusercontent.com/microsoft/presidio-research/master/data/synth_dataset_v2.json",
    sha256="ec08a771ba8135314cafb60752b2295212222ba3a4cd75d73811839c699e0012",
    parts=(
        SourcePart(
            hub_rows.presidio,
            columns=("full_text", "spans"),
            splits=("all",),
            files={"all": "data/synth_dataset_v2.json"},
        ),
    ),
)
_JAILBREAK_CLASSIFICATION = SourceSpec(
    name="jailbreak_classification",
    tasks=("jailbreak",),
    licence="Apache-2.0",
    hub="jackhhao/jailbreak-classification",
    parts=(
        SourcePart(
            hub_rows.jailbreak_classification,
            columns=("prompt", "type"),
            splits=("train", "test"),
            files={
                "train": "balanced/jailbreak_dataset_train_balanced.csv",
                "test": "balanced/jailbreak_dataset_test_balanced.csv",
            },
        ),
    ),
)
_TOXIC_CHAT = SourceSpec(
    name="toxic_chat",
    tasks=("jailbreak",),
    licence="CC-BY-NC-4.0",
    hub="lmsys/toxic-chat",
    parts=(
        SourcePart(
            hub_rows.toxic_chat,
            config="toxicchat0124",
            columns=("user_input", "jailbreaking", "toxicity"),
            splits=("train", "test"),
            files={
                "train": "data/0124/toxic-chat_annotation_train.csv",
                "test": "data/0124/toxic-chat_annotation_test.csv",
            },
        ),
    ),
)
_SALAD_DATA = SourceSpec(
    name="salad_data",
    tasks=("jailbreak",),
    licence="Apache-2.0",
    hub="OpenSafetyLab/Salad-Data",
    parts=(
        SourcePart(
            hub_rows.salad_base,
            config="base_set",
            columns=("question",),
            files={"train": "base_set.json"},
        ),
        SourcePart(
            hub_rows.salad_attack,
            config="attack_enhanced_set",
            columns=("augq",),
            files={"train": "attack_enhanced_set.json"},
        ),
    ),
)
_GLAIVE = SourceSpec(
    name="glaive",
    tasks=("intent",),
    licence="Apache-2.0",
    hub="glaiveai/glaive-function-calling-v2",
    parts=(
        SourcePart(
            glaive,
            columns=("system", "chat"),
            files={"train": "glaive-function-calling-v2.json"},
        ),
    ),
)
_STARTER = SourceSpec(
    name=STARTER, tasks=("category", "pii", "jailbreak", "intent"), licence="Apache-2.0"
)
# Harmless prompts that sound dangerous or look like attacks: tested on and never learned from.
_OVER_REFUSAL = SourceSpec(name=OVER_REFUSAL, tasks=("jailbreak",), licence="Apache-2.0")

SOURCES = {
    spec.name: spec
    for spec in (
        _STARTER,
        _OVER_REFUSAL,
        _MMLU_PRO,
        _PRESIDIO,
        _JAILBREAK_CLASSIFICATION,
        _TOXIC_CHAT,
        _SALAD_DATA,
        _GLAIVE,
    )
}


@dataclass(frozen=True, slots=True)
class LoadedSource:
    """The rows of one source.

    Attributes:
        examples: Validated rows.
        places: Where each of them came from.
        skipped: What was wrong with each row that was skipped.
        provenance: Name, licence, revision or files with their hashes.
        counts: `rows` read, `examples` kept, `sampled_out` by the limit, and `left_out`: reason ->
            name -> how many.
    """

    examples: list[Example]
    places: list[str]
    skipped: list[str]
    provenance: dict[str, Any]
    counts: dict[str, Any]


def load_source(
    request: SourceRequest,
    spec: TaskSpec,
    *,
    mirror: Path | None = None,
    seed: int = 0,
    on_bad_row: OnBadRow = "stop",
    rules: RowRules | None = None,
) -> LoadedSource:
    """Read and validate the rows of one source.

    Args:
        request: Which source, and how to read it.
        spec: The task, as the recipe narrowed it.
        mirror: A local mirror of the hub.
        seed: Of the sample that `limit` draws, and of generated rows.
        on_bad_row: `stop` at the first bad row, or `skip` and list them.
        rules: Bounds on rows.

    Raises:
        ConfigError: If the source, a column or a split is not known.
        SourceError: If it cannot be had or yields no rows.
        RowError: At the first bad row, unless they are skipped.
    """
    door = Door.of(request, spec, on_bad_row, rules or RowRules())
    records, provenance = _records(request, spec, mirror, seed)
    for where, row in records:
        door.enter(where, row)
    if not door.examples:
        raise _no_rows(request, door)
    kept = list(range(len(door.examples)))
    if request.limit:
        strata = strata_of(door.examples, spec)
        kept = stratified_sample(door.examples, strata, request.limit, seed=seed)
    examples, places = [door.examples[i] for i in kept], [door.places[i] for i in kept]
    if request.annotates:
        examples = _in_part(examples, request.annotates, spec)
    if request.ood:
        examples, provenance = [_apart(e) for e in examples], {**provenance, "ood": True}
    return LoadedSource(examples, places, door.skipped, provenance, door.counts(len(kept)))


def _in_part(examples: list[Example], types: tuple[str, ...], spec: TaskSpec) -> list[Example]:
    """Mark rows in which only some types are labelled.

    Raises:
        ConfigError: If the task has no spans, or not these types.
    """
    if spec.level != "token":
        raise ConfigError(f"`annotates` in a token task's source, not in one of {spec.name!r}")
    for label in types:
        if label not in spec.labels:
            raise ConfigError(f"annotates: unknown type {label!r}", fix=suggest(label, spec.labels))
    return [replace(example, annotated=tuple(sorted(types))) for example in examples]


def _apart(example: Example) -> Example:
    """Keep a row out of training, under its source's name; what is a slice already stays one."""
    if example.split and example.split.startswith(SLICE):
        return example
    name = re.sub(r"[^a-z0-9_.-]+", "-", example.source.lower())[:NAME_LENGTH]
    return replace(example, split=f"{SLICE}{OOD}{name}")


def _records(
    request: SourceRequest, spec: TaskSpec, mirror: Path | None, seed: int
) -> tuple[Iterable[tuple[str, Raw | LeftOut | RowError]], dict[str, Any]]:
    if request.name is None:
        return read_local(request)
    known = _known(request.name, spec)
    if known.name in (STARTER, OVER_REFUSAL):
        rows = _packaged(known.name, spec, request, seed)
        return rows, {"name": known.name, "licence": known.licence}
    asked = _with_parts(known, request.parts)
    fetched = fetch(asked, mirror=mirror, revision=request.revision)
    return _converted(fetched.tables, known, request), fetched.provenance


def _known(name: str, spec: TaskSpec) -> SourceSpec:
    """Return a source that serves the task; a user's own task may use any."""
    fitting = [s.name for s in SOURCES.values() if spec.name in s.tasks or spec.name not in TASKS]
    if name not in SOURCES:
        raise ConfigError(f"unknown source {name!r}", fix=suggest(name, fitting))
    if name not in fitting:
        raise ConfigError(
            f"a source for the task {spec.name!r}", got=repr(name), fix=suggest(name, fitting)
        )
    return SOURCES[name]


def source_at(place: Path) -> tuple[SourceSpec, Path] | None:
    """Return the source whose directory in a mirror of the hub this is, and the mirror.

    Args:
        place: As in `MIRROR/jackhhao/jailbreak-classification`.
    """
    whole = place.resolve()
    name = "/".join(whole.parts[-2:])
    found = next((spec for spec in SOURCES.values() if spec.hub == name), None)
    return (found, whole.parents[1]) if found is not None and whole.is_dir() else None


def _with_parts(source: SourceSpec, parts: tuple[str, ...]) -> SourceSpec:
    """Return the source narrowed to the configurations that a request names."""
    known = [part.config for part in source.parts if part.config]
    for name in parts:
        if name not in known:
            raise ConfigError(
                f"source {source.name!r}: unknown part {name!r}", fix=suggest(name, known)
            )
    kept = tuple(part for part in source.parts if not parts or part.config in parts)
    return replace(source, parts=kept)


def _no_rows(request: SourceRequest, door: Door) -> SourceError:
    account = door.counts(0)
    reasons = [f"{sum(names.values())} for {why}" for why, names in account["left_out"].items()]
    return SourceError(
        f"source {request.title!r}: at least one row for the task {door.spec.name!r}",
        got=f"{account['rows']} rows read, {account['skipped']} skipped, "
        f"left out: {', '.join(reasons) or 'none'}",
        fix="check the file, `where`, `split_map`, `columns` and the labels the recipe keeps",
    )


def _converted(
    tables: Iterable[Table], source: SourceSpec, request: SourceRequest
) -> Iterator[tuple[str, Raw | LeftOut | RowError]]:
    for table in tables:
        split = _official_split(table.split, request)
        if split == DROP:
            continue
        for number, row in enumerate(table.rows, start=1):
            where = f"{table.place}: row {number}"
            if number == 1:
                _check_source_columns(row, table.part, source)
            if not wanted(row, request.where):
                continue
            for raw in table.part.convert(row):
                yield where, raw if isinstance(raw, LeftOut) else _owned(raw, source, split)


def _official_split(split: str, request: SourceRequest) -> str | None:
    """Return what a public split counts as: nothing, unless the request keeps official splits."""
    if split in request.split_map:
        return request.split_map[split]
    return split if request.official_splits and is_split(split) else None


def _owned(raw: Raw, source: SourceSpec, split: str | None) -> Raw:
    """Name the source, with the part of it that a row names (`mmlu_pro/stemez`).

    Its groups are its own, so that two sources' numbers never meet.
    """
    group = raw.get("group")
    group = None if group is None else f"{source.name}:{group}"
    name = "/".join(filter(None, (source.name, raw.get("source"))))
    return raw | {"source": name, "group": group, "split": split}


def _check_source_columns(row: Mapping[str, Any], part: SourcePart, source: SourceSpec) -> None:
    missing = [column for column in part.columns if column not in row]
    if missing:
        raise SourceError(
            f"source {source.name!r}: columns {', '.join(part.columns)}",
            got=", ".join(map(str, row)),
            fix=f"{', '.join(missing)} is missing: pin an older `revision`, or use a local `path`",
        )


def _packaged(
    name: str, spec: TaskSpec, request: SourceRequest, seed: int
) -> Iterator[tuple[str, Raw | LeftOut | RowError]]:
    """Give the package's own rows: generated ones for a token task, files for the others."""
    if spec.level == "token" and name == STARTER:
        from pointsman.data.synthetic import generate_pii

        rows = request.limit or STARTER_PII_ROWS
        for number, example in enumerate(generate_pii(rows, seed=seed), start=1):
            yield f"starter/{spec.name}: row {number}", example.to_row() | {"source": STARTER}
        return
    file = f"{spec.name if name == STARTER else name}.jsonl"
    path = Path(__file__).parent / "starter" / file
    for where, row in read_records(path):
        if isinstance(row, RowError) or wanted(row, request.where):
            yield where, row if isinstance(row, RowError) else _packaged_row(name, row)


def _packaged_row(source: str, row: Mapping[str, Any]) -> Raw:
    fields = ("text", "label", "kind", "group")
    meta = {key: value for key, value in row.items() if key not in fields}
    split = f"{SLICE}{OVER_REFUSAL}" if source == OVER_REFUSAL else None
    return {x: row.get(x) for x in fields} | {"source": source, "split": split, "meta": meta}
