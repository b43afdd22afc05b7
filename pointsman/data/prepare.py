"""From sources to a prepared data directory: load, deduplicate, split, write, account."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from pointsman.core.config import Closed, suggest
from pointsman.core.errors import ConfigError
from pointsman.core.files import atomic_directory, write_jsonl
from pointsman.core.texts import MAX_CHARS
from pointsman.core.types import SPLITS, Example
from pointsman.data.dedupe import Deduplicated, drop_duplicates, group_rows, name_groups
from pointsman.data.leakage import OnLeakage, repair_splits
from pointsman.data.neardup import THRESHOLD
from pointsman.data.prepared import (
    CONFLICTS,
    FORMAT,
    SKIPPED,
    SLICES,
    PreparedData,
    census,
    check_output,
    load_prepared,
    write_prepared,
)
from pointsman.data.sampling import (
    ranked_by_stratum,
    split_hash,
    strata_of,
    stratified_sample,
)
from pointsman.data.schema import labels_left_out
from pointsman.data.sources import LoadedSource, RowRules, SourceRequest, load_source
from pointsman.data.splits import FRACTIONS, assign_splits, slice_name
from pointsman.tasks.spec import TaskSpec

__all__ = ["PrepareOptions", "PreparedData", "SourceRequest", "load_prepared", "prepare"]

_CONFLICTS_KEPT = 20  # to be read in reports
_PACKAGES = ("pointsman", "datasets", "pyarrow", "rensa")


class PrepareOptions(Closed):
    """How sources become splits."""

    mirror: str | None = Field(default=None, description="A local mirror of the hub.")
    seed: int = Field(default=13, description="Of samples, generated rows and splits.")
    fractions: dict[str, float] = Field(
        default_factory=lambda: dict(FRACTIONS),
        description="Share of each split among rows that have no official one.",
    )
    max_rows: PositiveInt | None = Field(
        default=None, description="At most so many rows before the split, sampled by label."
    )
    max_rows_per_split: dict[str, PositiveInt] = Field(
        default_factory=dict, description="At most so many rows of a split, sampled by label."
    )
    rows_per_label: dict[str, PositiveInt] = Field(
        default_factory=dict, description="At most so many rows of a label, before the split."
    )
    balance: PositiveFloat | None = Field(
        default=None,
        ge=1,
        description="In train, at most so many times the rows of the smallest class.",
    )
    on_bad_row: Literal["stop", "skip"] = Field(
        default="stop", description="Stop at the first bad row, or skip and list them."
    )
    max_chars: PositiveInt = Field(default=MAX_CHARS, description="Longest text, in code points.")
    on_leakage: OnLeakage = Field(
        default="repair",
        description="Where official splits share a group: `repair` moves the group to the most "
        "protected of its splits (test, then validation), `stop` ends the run.",
    )
    near_duplicate_threshold: float | None = Field(
        default=THRESHOLD, gt=0, le=1, description="Least Jaccard similarity; null: look for none."
    )
    dropped_labels: tuple[str, ...] | None = Field(
        default=None,
        description="Labels of the data that are left out; null: those that the task of this name "
        "in the catalogue has beside its kept ones.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for split in (*self.fractions, *self.max_rows_per_split):
            if split not in SPLITS:
                raise ValueError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
        if any(share < 0 for share in self.fractions.values()):
            raise ValueError("fractions: shares are 0 or more")
        if abs(sum(self.fractions.values()) - 1) > 1e-6 or not self.fractions.get("train"):
            raise ValueError("fractions: train has a share, and the shares add up to 1")
        return self


@dataclass(slots=True)
class _Pool:
    """The rows of all sources while they are being prepared."""

    examples: list[Example] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    sources: list[dict[str, Any]] = field(default_factory=list)

    def add(self, loaded: LoadedSource) -> None:
        self.examples += loaded.examples
        self.places += loaded.places
        name = loaded.provenance["name"]
        self.skipped += [{"source": name, "problem": problem} for problem in loaded.skipped]
        self.sources.append({**loaded.provenance, "counts": loaded.counts})

    def report(self) -> dict[str, Any]:
        return {"sources": self.sources, "skipped_rows": len(self.skipped)}

    def keep(self, rows: Sequence[int]) -> None:
        self.examples = [self.examples[i] for i in rows]
        self.places = [self.places[i] for i in rows]


def prepare(
    spec: TaskSpec,
    requests: Sequence[SourceRequest],
    out_dir: Path,
    *,
    options: PrepareOptions | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Prepare a task's data and write it to a directory, whole or not at all.

    Args:
        spec: The task, as the recipe narrowed it (`TaskSpec.adapt`).
        requests: The sources, in order: of duplicates the first one's copy is kept.
        out_dir: Where to write; prepared data that is there is replaced.
        options: How.
        progress: Told of each step in one line.

    Returns:
        The manifest, as it was written.

    Raises:
        PointsmanError: For names, sources, rows and directories that will not do.
    """
    options, say, out_dir = options or PrepareOptions(), progress or _silent, Path(out_dir)
    _check_names(spec, requests, options)
    check_output(out_dir)
    pool = _load(spec, requests, options, say)
    unique = drop_duplicates(pool.examples, pool.places, spec)
    conflicts = _conflicts(pool, unique)
    pool.keep(unique.kept)
    say(f"{unique.duplicates} duplicates dropped, {len(unique.conflicts)} texts in conflict")
    samples = _sample(pool, spec, options, say)
    groups, near = group_rows(pool.examples, threshold=options.near_duplicate_threshold)
    say(f"{near['groups']} groups in {len(pool.examples)} rows")
    pool.examples, repair = repair_splits(pool.examples, groups, on_leakage=options.on_leakage)
    if repair["rows_moved"]:
        say(f"official splits leak: {repair['rows_moved']} rows moved to the side of their group")
    pool.examples = name_groups(pool.examples, groups)
    rows, in_part = _divide(pool, groups, spec, options)
    manifest = _head(spec, options, rows) | pool.report()
    manifest |= {"duplicates": unique.report(), "near_duplicates": near, "samples": samples}
    manifest |= {"leakage": repair, "labelled_in_part": in_part}
    with atomic_directory(out_dir) as folder:
        write_prepared(folder, rows, manifest)
        write_jsonl(folder / SKIPPED, pool.skipped)
        if conflicts:
            write_jsonl(folder / CONFLICTS, conflicts)
    say(", ".join(f"{name} {len(examples)}" for name, examples in rows.items()))
    return manifest


def _conflicts(pool: _Pool, unique: Deduplicated) -> list[dict[str, Any]]:
    """Return one copy of some texts that are left out, with the labels that it came under."""
    pairs = zip(unique.conflicts, unique.contradicting, strict=True)
    return [
        {"labels": entry["labels"], **pool.examples[row].to_row()}
        for entry, row in islice(pairs, _CONFLICTS_KEPT)
    ]


def _silent(_line: str) -> None:
    """Tell nobody."""


def _check_names(
    spec: TaskSpec, requests: Sequence[SourceRequest], options: PrepareOptions
) -> None:
    if not requests:
        raise ConfigError(f"a source for the task {spec.name!r}", fix=suggest("", spec.sources))
    for label in options.rows_per_label:
        if label not in spec.labels or spec.level == "token":
            known = () if spec.level == "token" else spec.labels
            raise ConfigError(f"rows_per_label: unknown class {label!r}", fix=suggest(label, known))


def _load(
    spec: TaskSpec,
    requests: Sequence[SourceRequest],
    options: PrepareOptions,
    say: Callable[[str], None],
) -> _Pool:
    pool = _Pool()
    dropped = options.dropped_labels
    left_out = labels_left_out(spec) if dropped is None else frozenset(dropped)
    for request in requests:
        say(f"reading {request.title}")
        loaded = load_source(
            request,
            spec,
            mirror=None if options.mirror is None else Path(options.mirror),
            seed=options.seed,
            on_bad_row=options.on_bad_row,
            rules=RowRules(options.max_chars, left_out),
        )
        pool.add(loaded)
        say(f"{request.title}: {len(loaded.examples)} rows, {len(loaded.skipped)} skipped")
        if missing := loaded.provenance.get("missing"):
            say(f"{request.title}: not there, and done without: {', '.join(missing)}")
    return pool


def _sample(
    pool: _Pool, spec: TaskSpec, options: PrepareOptions, say: Callable[[str], None]
) -> dict[str, Any]:
    """Cut the pool down to `rows_per_label`, then to `max_rows`; slices are left whole."""
    report: dict[str, Any] = {}
    if options.rows_per_label:
        kept, report["rows_per_label"] = _cap_labels(pool, options)
        pool.keep(kept)
        for label, number in report["rows_per_label"].items():
            if number["got"] < number["asked"]:
                say(f"{label}: {number['got']} rows, fewer than the {number['asked']} asked for")
    if options.max_rows is not None:
        before = len(pool.examples)
        slices = [i for i, e in enumerate(pool.examples) if e.split and slice_name(e.split)]
        rows = sorted(set(range(before)) - set(slices))
        kept = _sampled([pool.examples[i] for i in rows], spec, options.max_rows, options.seed)
        pool.keep(sorted([*slices, *(rows[i] for i in kept)]))
        report["max_rows"] = {"asked": options.max_rows, "dropped": before - len(pool.examples)}
    return report


def _sampled(examples: Sequence[Example], spec: TaskSpec, size: int, seed: int) -> list[int]:
    """Sample by label within each official split, so that those keep their proportions."""
    labels = strata_of(examples, spec)
    strata = [(e.split, label) for e, label in zip(examples, labels, strict=True)]
    return stratified_sample(examples, strata, size, seed=seed)


def _cap_labels(pool: _Pool, options: PrepareOptions) -> tuple[list[int], dict[str, Any]]:
    """Draw the asked rows of each label; labels that are not named keep all of theirs."""
    in_slice = [bool(e.split and slice_name(e.split)) for e in pool.examples]
    strata = [None if s else e.label for e, s in zip(pool.examples, in_slice, strict=True)]
    kept: list[int] = []
    report: dict[str, Any] = {}
    for label, rows in ranked_by_stratum(pool.examples, strata, seed=options.seed).items():
        asked = options.rows_per_label.get(str(label)) if label is not None else None
        kept += rows[:asked]
        if asked is not None:
            report[str(label)] = {"asked": asked, "got": min(asked, len(rows))}
    return sorted(kept), report


def _divide(
    pool: _Pool, groups: Sequence[int], spec: TaskSpec, options: PrepareOptions
) -> tuple[dict[str, list[Example]], dict[str, int]]:
    """Return the rows of each file, the splits in order and then the slices.

    Beside them counts of the rows that are labelled in part: how many train and are left out.
    """
    whole = [i for i, example in enumerate(pool.examples) if example.annotated is None]
    examples, sides = [pool.examples[i] for i in whole], [groups[i] for i in whole]
    splits = assign_splits(examples, sides, spec, fractions=options.fractions, seed=options.seed)
    added = _in_part(pool, groups, dict(zip(sides, splits, strict=True)))
    in_part = {"train": len(added), "left_out": len(pool.examples) - len(whole) - len(added)}
    rows: dict[str, list[Example]] = {split: [] for split in SPLITS}
    for example, split in zip([*examples, *added], [*splits, *["train"] * len(added)], strict=True):
        name = slice_name(split)
        rows.setdefault(split if name is None else f"{SLICES}/{name}", []).append(example)
    for split in SPLITS:
        if split == "train" and options.balance is not None:
            rows[split] = _balanced(rows[split], options)
        most = options.max_rows_per_split.get(split)
        if most is not None:
            rows[split] = [rows[split][i] for i in _sampled(rows[split], spec, most, options.seed)]
    return rows, in_part if any(in_part.values()) else {}


def _in_part(pool: _Pool, groups: Sequence[int], side_of: Mapping[int, str]) -> list[Example]:
    """Return the rows labelled in part that may train.

    They cannot tell a figure, so none of them is dealt to another split; those that are official
    rows of another one, or of a group that is there, are left out.
    """
    return [
        example
        for example, group in zip(pool.examples, groups, strict=True)
        if example.annotated is not None
        and example.split in (None, "train")
        and side_of.get(group, "train") == "train"
    ]


def _balanced(examples: list[Example], options: PrepareOptions) -> list[Example]:
    ranked = ranked_by_stratum(examples, [e.label for e in examples], seed=options.seed)
    most = int(min(map(len, ranked.values()), default=0) * (options.balance or 1))
    return [examples[i] for i in sorted(i for rows in ranked.values() for i in rows[:most])]


def _head(
    spec: TaskSpec, options: PrepareOptions, rows: Mapping[str, Sequence[Example]]
) -> dict[str, Any]:
    found = {label for name in SPLITS for label in census(rows[name])["labels"]}
    return {
        "format": FORMAT,
        "task": spec.model_dump(mode="json"),
        "options": options.model_dump(mode="json"),
        "seed": options.seed,
        "counts": {name: census(examples) for name, examples in rows.items()},
        "labels_without_rows": [label for label in spec.labels if label not in found],
        "hashes": {name: split_hash(examples) for name, examples in rows.items()},
        "versions": {"python": platform.python_version(), **_versions()},
    }


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # run from a checkout
    return versions
