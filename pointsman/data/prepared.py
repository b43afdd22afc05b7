"""A prepared data directory: its layout, and how it is read back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pointsman.core.errors import ConfigError, DataError
from pointsman.core.files import read_json, write_json, write_jsonl
from pointsman.core.types import SPLITS, Example
from pointsman.data.sampling import split_hash
from pointsman.tasks.spec import TaskSpec

FORMAT = "pointsman.prepared/1"
MANIFEST = "manifest.json"
SKIPPED = "skipped.jsonl"
SLICES = "slices"
CONFLICTS = "conflicts.jsonl"  # texts that were left out, since their copies contradict
AUDIT = "audit.json"  # written by `pointsman data audit`
_KEYS = ("task", "hashes", "counts", "sources", "seed")  # what training reads of a manifest


@dataclass(frozen=True, slots=True)
class PreparedData:
    """A task's rows, ready to be encoded.

    Attributes:
        spec: The task, as it was narrowed.
        train: Rows to learn from.
        validation: Rows to choose checkpoints and thresholds on.
        test: Rows to report on.
        slices: Rows that are reported apart and never learned from, by name.
        manifest: Where everything came from.
        conflicts: Some of the texts that were left out since their copies contradict each other:
            the labels, and one copy.
    """

    spec: TaskSpec
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    slices: Mapping[str, tuple[Example, ...]] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    conflicts: tuple[tuple[tuple[str, ...], Example], ...] = ()


def check_output(out_dir: Path) -> None:
    """Refuse an output directory that holds something else.

    Raises:
        ConfigError: If it is a file, or a directory with anything but prepared data in it.
    """
    if not out_dir.exists():
        return
    if not out_dir.is_dir():
        raise ConfigError(f"{out_dir}: a directory to write to", got="a file")
    ours = {MANIFEST, SKIPPED, SLICES, CONFLICTS, AUDIT, *(f"{split}.jsonl" for split in SPLITS)}
    inside = sorted(path.name for path in out_dir.iterdir())
    if is_prepared(out_dir):  # to be replaced whole: a run that was put into it would be lost
        inside = [name for name in inside if name not in ours]
    if inside:
        raise ConfigError(
            f"{out_dir}: an empty directory, or one that holds prepared data alone",
            got=f"one that holds {', '.join(inside[:5])}",
            fix="choose another directory: nothing here was touched",
        )


def is_prepared(path: Path) -> bool:
    """Say whether a directory holds prepared data."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT


def write_prepared(
    out_dir: Path, rows: Mapping[str, Sequence[Example]], manifest: Mapping[str, Any]
) -> None:
    """Write splits, slices (`slices/NAME`) and the manifest into a directory."""
    for name, examples in rows.items():
        write_jsonl(out_dir / f"{name}.jsonl", (example.to_row() for example in examples))
    write_json(out_dir / MANIFEST, manifest)


def load_prepared(path: Path) -> PreparedData:
    """Read a prepared data directory, and check that it is what its manifest says.

    Raises:
        ConfigError: If it holds no prepared data.
        DataError: If a file is missing or was changed, with its name.
    """
    path = Path(path)
    if not is_prepared(path):
        raise ConfigError(
            f"{path}: prepared data",
            got=f"no {MANIFEST} of {FORMAT}",
            fix="make it with `pointsman data prepare TASK --source ... -o DIR`",
        )
    manifest = read_json(path / MANIFEST)
    for key in _KEYS:
        if key not in manifest:
            fix = "prepare the data again"
            raise DataError(f"{path / MANIFEST}: its {key}", got="nothing", fix=fix)
    rows = {name: _read(path, name, sha) for name, sha in manifest["hashes"].items()}
    return PreparedData(
        spec=TaskSpec.parse(manifest["task"], where=str(path / MANIFEST)),
        train=rows.get("train", ()),
        validation=rows.get("validation", ()),
        test=rows.get("test", ()),
        slices={n.partition("/")[2]: r for n, r in rows.items() if n.startswith(f"{SLICES}/")},
        manifest=manifest,
        conflicts=_read_conflicts(path / CONFLICTS),
    )


def _read_conflicts(path: Path) -> tuple[tuple[tuple[str, ...], Example], ...]:
    if not path.is_file():  # nothing was left out
        return ()
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        return tuple((tuple(row["labels"]), Example.from_row(row)) for row in rows)
    except (ValueError, KeyError, TypeError) as error:
        got, fix = type(error).__name__, "prepare the data again"
        raise DataError(f"{path}: rows as prepared", got=got, fix=fix) from None


def _read(folder: Path, name: str, expected: str) -> tuple[Example, ...]:
    path = folder / f"{name}.jsonl"
    fix = "prepare the data again"
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        examples = tuple(Example.from_row(json.loads(line)) for line in lines if line)
    except FileNotFoundError:
        raise DataError(f"a file at {path}", got="no such file", fix=fix) from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: rows as prepared", got=type(error).__name__, fix=fix) from None
    if split_hash(examples) != expected:
        raise DataError(f"{path}: the rows of its manifest", got="a changed file", fix=fix)
    return examples


def census(examples: Sequence[Example]) -> dict[str, Any]:
    """Count a split's rows by label (or span label), kind and source."""
    spans = [span.label for example in examples for span in example.spans]
    labels = [example.label for example in examples if example.label is not None]
    kinds = [example.kind for example in examples if example.kind]
    counts: dict[str, Any] = {"rows": len(examples), "labels": _tally(labels or spans)}
    if not labels:
        counts["rows_without_spans"] = sum(not example.spans for example in examples)
    if kinds:
        counts["kinds"] = _tally(kinds)
    return counts | {"sources": _tally([example.source for example in examples])}


def _tally(names: Sequence[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def missing_splits(rows: Mapping[str, Sequence[Example]]) -> list[str]:
    """Return the splits that hold no rows."""
    return [split for split in SPLITS if not rows.get(split)]
