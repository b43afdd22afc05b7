"""Where a public source's rows are had: the hub, a mirror directory, or a pinned URL.

Nothing is configured globally and no code of a data set is run. What was read is said in full:
the revision that was resolved, or the files and their hashes.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pointsman.core.errors import ConfigError, SourceError
from pointsman.core.files import sha256_file, storage_errors
from pointsman.data.hub_rows import Converter

UNPINNED = "unpinned"
_COMMIT = re.compile(r"@([0-9a-f]{40})/")
_TIMEOUT_S = 30
_NO_CONFIG = "BuilderConfig"  # how the error of `datasets` begins for an unknown configuration


@dataclass(frozen=True, slots=True)
class SourcePart:
    """One configuration of a source.

    Attributes:
        convert: From one of its rows to ours.
        columns: Columns that the converter reads.
        splits: Splits of the data set that are used.
        config: Name of the configuration on the hub, or None for the only one.
        files: Split -> file, for a mirror without a README that says so.
    """

    convert: Converter
    columns: tuple[str, ...]
    splits: tuple[str, ...] = ("train",)
    config: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A public source.

    Attributes:
        name: Its name in recipes.
        tasks: Tasks that it serves.
        licence: SPDX identifier, or `unknown`.
        parts: Its configurations.
        hub: `organisation/name`: its hub id and its place in a mirror.
        url: Where its one file is had, if it is not on the hub.
        sha256: Hash of that file.
    """

    name: str
    tasks: tuple[str, ...]
    licence: str
    parts: tuple[SourcePart, ...] = ()
    hub: str | None = None
    url: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one split of one part, not yet converted."""

    part: SourcePart
    split: str
    place: str
    rows: Iterable[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a source gave, and where it came from."""

    tables: tuple[Table, ...]
    provenance: dict[str, Any]


def fetch(spec: SourceSpec, *, mirror: Path | None, revision: str | None) -> Fetched:
    """Open a source.

    Args:
        spec: The source.
        mirror: A directory laid out `<organisation>/<name>/...`; None reads the hub or the URL.
        revision: A pinned revision of the hub, or None.

    Raises:
        SourceError: If it cannot be had, with what was tried and what to do.
        ConfigError: If a revision is asked of a file that is pinned by its hash.
    """
    if revision and spec.url:
        fix = "leave `revision` out: the file's sha256 is pinned"
        raise ConfigError(f"source {spec.name!r}: no `revision`", got=revision, fix=fix)
    if mirror is not None:
        fetched = _from_mirror(spec, mirror)
        asked = {"revision_asked": revision} if revision else {}
        return Fetched(fetched.tables, fetched.provenance | asked)
    return _from_url(spec) if spec.url else _from_hub(spec, revision)


def _from_mirror(spec: SourceSpec, mirror: Path) -> Fetched:
    folder = Path(os.path.abspath(mirror / (spec.hub or spec.name)))  # noqa: PTH100
    if not folder.is_dir():
        raise _unavailable(spec, f"no directory {folder}", mirror)
    tables: list[Table] = []
    files: set[Path] = set()
    missing: list[str] = []
    for part in spec.parts:
        opened = _open_json(part, folder) if spec.url else _open_mirrored(part, folder)
        for split in part.splits:
            if split not in opened:
                missing.append(f"{part.config or 'default'}/{split}")
                continue
            rows, paths = opened[split]
            files.update(paths)
            tables.append(
                Table(part, split, _place(spec, part, split), _guarded(rows, spec, mirror))
            )
    if not tables:
        raise _unavailable(spec, f"no file in {folder} for {', '.join(missing)}", mirror)
    hashes = {str(p.relative_to(folder)): sha256_file(p) for p in sorted(files)}
    provenance = _provenance(spec) | {"revision": "mirror", "files": hashes}
    if spec.sha256:
        provenance["is_pinned_file"] = spec.sha256 in hashes.values()
    return Fetched(tuple(tables), provenance | ({"missing": missing} if missing else {}))


Opened = dict[str, tuple[Iterable[Mapping[str, Any]], list[Path]]]


def _open_mirrored(part: SourcePart, folder: Path) -> Opened:
    """Open a part as `datasets` reads its directory, else by the files that the part names."""
    opened = _open_builder(part, str(folder), {"name": part.config})
    if opened:
        return opened
    present = {
        split: folder / name for split, name in part.files.items() if (folder / name).is_file()
    }
    if not present:
        return {}
    kind = next(iter(present.values())).suffix.lstrip(".")
    data_files = {split: str(path) for split, path in present.items()}
    return _open_builder(part, kind, {"data_files": data_files})


def _open_builder(part: SourcePart, path: str, how: dict[str, Any]) -> Opened:
    """Stream the splits: nothing is copied to a cache, so a read-only home will do."""
    import datasets

    with tempfile.TemporaryDirectory() as scratch:
        try:
            builder = datasets.load_dataset_builder(path, cache_dir=scratch, **how)
        except FileNotFoundError:
            return {}  # no data file: the caller says what is missing
        except (ValueError, yaml.YAMLError) as error:
            if _NO_CONFIG not in str(error):
                raise SourceError(
                    f"the data set at {path}: a layout that `datasets` can read",
                    got=_first_line(error),
                    fix="repair the README.md (its `configs`) or the data files there",
                ) from error
            return {}  # the mirror has not this configuration: the caller says what is missing
        found = builder.config.data_files or {}
        return {
            split: (
                builder.as_streaming_dataset(split=split),
                [Path(file) for file in found[split]],
            )
            for split in part.splits
            if split in found
        }


def _open_json(part: SourcePart, folder: Path) -> Opened:
    present = {s: folder / name for s, name in part.files.items() if (folder / name).is_file()}
    return {split: (_json_rows(path), [path]) for split, path in present.items()}


def _json_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    yield from json.loads(path.read_text(encoding="utf-8"))


def _from_url(spec: SourceSpec) -> Fetched:
    path = _cached_file(spec)
    part = spec.parts[0]
    split = part.splits[0]
    table = Table(part, split, _place(spec, part, split), _guarded(_json_rows(path), spec, None))
    files = {"url": spec.url, "revision": f"sha256:{spec.sha256}"}
    return Fetched((table,), _provenance(spec) | files)


def _cached_file(spec: SourceSpec) -> Path:
    """Return the source's file, downloaded once and checked every time."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = base / "pointsman" / f"{spec.name}-{(spec.sha256 or 'any')[:12]}.json"
    if path.is_file() and sha256_file(path) == spec.sha256:
        return path
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}:
        raise _unavailable(spec, f"HF_HUB_OFFLINE is set and {path} does not hold it", None)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.part")
        try:
            _download(spec, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return path


def _download(spec: SourceSpec, path: Path) -> None:
    import shutil
    import urllib.request

    try:
        answer = urllib.request.urlopen(str(spec.url), timeout=_TIMEOUT_S)
        with answer, path.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise _unavailable(spec, f"{spec.url}: {error}", None) from error
    found = sha256_file(path)
    if found != spec.sha256:
        raise SourceError(
            f"source {spec.name!r}: the file with sha256 {spec.sha256}",
            got=f"{spec.url} has {found}",
            fix="the file was changed upstream: give the old one with --mirror, or as a local file",
        )


def _from_hub(spec: SourceSpec, revision: str | None) -> Fetched:
    import datasets

    tables: list[Table] = []
    missing: list[str] = []
    resolved: str | None = None
    for part in spec.parts:
        try:
            loaded = datasets.load_dataset(spec.hub, part.config, revision=revision)
        except Exception as error:  # whatever httpx, fsspec, pyarrow or datasets raise
            raise _unavailable(spec, _first_line(error), None) from error
        for split in part.splits:
            if split not in loaded:
                missing.append(f"{part.config or 'default'}/{split}")
                continue
            resolved = resolved or _commit(loaded[split])
            tables.append(Table(part, split, _place(spec, part, split), loaded[split]))
    provenance = _provenance(spec) | {
        "revision": revision or UNPINNED,
        "resolved_revision": resolved or _ask_hub(spec, revision),
    }
    return Fetched(tuple(tables), provenance | ({"missing": missing} if missing else {}))


def _commit(loaded: Any) -> str | None:
    """Read the commit out of the addresses that were downloaded: it is what was really read."""
    for address in getattr(loaded.info, "download_checksums", None) or ():
        match = _COMMIT.search(address)
        if match:
            return match.group(1)
    return None


def _ask_hub(spec: SourceSpec, revision: str | None) -> str | None:
    import huggingface_hub

    try:
        info = huggingface_hub.HfApi().dataset_info(str(spec.hub), revision=revision, timeout=10)
    except Exception:  # best effort: the rows are already here, from a cache
        return None
    return str(info.sha) if info.sha else None


def _guarded(
    rows: Iterable[Mapping[str, Any]], spec: SourceSpec, mirror: Path | None
) -> Iterator[Mapping[str, Any]]:
    """Pass rows on; what breaks while they are read is the source's error."""
    try:
        yield from rows
    except Exception as error:  # whatever the reader of that file format raises
        raise _unavailable(spec, f"{type(error).__name__} while reading it", mirror) from error


def _place(spec: SourceSpec, part: SourcePart, split: str) -> str:
    return "/".join(piece for piece in (spec.name, part.config, split) if piece)


def _provenance(spec: SourceSpec) -> dict[str, Any]:
    configs = [part.config for part in spec.parts if part.config]
    known = {"hub": spec.hub, "configs": configs, "licence": spec.licence}
    return {"name": spec.name} | {key: value for key, value in known.items() if value}


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"


def _unavailable(spec: SourceSpec, tried: str, mirror: Path | None) -> SourceError:
    if mirror is not None:
        fix = (
            f"put it at {mirror / (spec.hub or spec.name)}, or leave the mirror out to use the hub"
        )
    else:
        fix = (
            "check the network and HF_HUB_OFFLINE, log in if it is gated (`hf auth login`), "
            "or give a local copy with --mirror DIR (`mirror` in a recipe)"
        )
    return SourceError(f"source {spec.name!r} cannot be had", got=tried, fix=fix)
