"""What files a bundle holds, and how it is written, checked and found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from pointsman.bundle.meta import FORMAT, SHARED_FORMAT, BundleMeta, SharedMeta, heads_of
from pointsman.core.errors import BundleError, ConfigError
from pointsman.core.files import atomic_directory, read_json, sha256_file, write_json
from pointsman.tasks.labels import model_labels

Meta = TypeVar("Meta", BundleMeta, SharedMeta)

META = "bundle.json"
CARD = "README.md"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
WEIGHTS = "model.safetensors"
ADAPTER = "adapter"
REQUIRED = (CONFIG, TOKENIZER, WEIGHTS)
HASHED = (*REQUIRED, TOKENIZER_CONFIG)


def write_bundle(path: Path, meta: Callable[[], Meta], fill: Callable[[Path], None]) -> Meta:
    """Write a bundle whole, or not at all.

    Args:
        path: Directory of the bundle; an older bundle there is replaced.
        meta: Gives what the bundle says of itself, once it is filled; hashes are added here.
        fill: Writes weights, configuration and tokenizer into a directory.

    Raises:
        ConfigError: If something else stands at `path`.
        StorageError: If the disk is full or read-only.
    """
    if path.exists() and not (path / META).is_file():
        raise ConfigError(
            f"{path}: a place for a bundle", got="something else", fix="choose another directory"
        )
    with atomic_directory(path) as temporary:
        fill(temporary)
        whole = meta().model_copy(update={"files": _hashes(temporary)})
        write_meta(temporary, whole)
    return whole


def _hashes(path: Path) -> dict[str, str]:
    files = [path / name for name in HASHED if (path / name).is_file()]
    files += sorted(file for file in (path / ADAPTER).glob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): sha256_file(file) for file in files}


def write_meta(path: Path, meta: BundleMeta | SharedMeta) -> None:
    """Write `bundle.json` of the bundle at `path`."""
    write_json(path / META, meta.model_dump(mode="json"))


def read_bundle(path: Path) -> BundleMeta:
    """Read the metadata of a bundle of one head and check that its files are those packed.

    Raises:
        BundleError: If a file is missing or was changed, or the bundle is of another format.
    """
    return read_head(path)


def read_head(path: Path, head: str | None = None) -> BundleMeta:
    """Read what one head of a bundle says of itself, and check the bundle as `read_any` does.

    Args:
        path: The bundle, of one task or shared.
        head: Name of the head; not needed where there is only one, and ignored there.

    Raises:
        BundleError: As `read_any` does, or if a shared bundle has no such head.
    """
    meta = read_any(path)
    if not isinstance(meta, SharedMeta):
        return meta
    if head not in meta.heads:
        named = f", or one with a head {head}" if head else ""
        raise BundleError(
            f"{path}: a bundle of one task{named}",
            got=f"a shared one of {', '.join(meta.heads)}",
            fix="name one of its heads (--head NAME), or give a bundle of one task",
        )
    return meta.heads[head]


def read_any(path: Path) -> BundleMeta | SharedMeta:
    """Read a bundle's metadata and check that its files are those that were packed.

    Raises:
        BundleError: If a file is missing or was changed, or the format is not known.
    """
    meta = read_meta(path)
    for name in (*REQUIRED, *meta.files):
        _check_file(path, name, meta.files.get(name))
    for head in heads_of(meta).values():
        _check_labels(path, head)
    _check_versions(path, meta)
    return meta


def read_meta(path: Path) -> BundleMeta | SharedMeta:
    """Read a bundle's metadata without a look at its other files.

    Raises:
        BundleError: If it is missing or damaged, or the format is not known.
    """
    if not (path / META).is_file():
        raise BundleError(
            f"{path}: a bundle", got=f"no {META} in it", fix="give the directory that holds it"
        )
    try:
        values = read_json(path / META)
    except ConfigError as error:
        raise BundleError(
            f"{path}: a readable {META}", got=error.got, fix="copy the bundle again"
        ) from None
    kinds: dict[Any, type[BundleMeta] | type[SharedMeta]] = {
        FORMAT: BundleMeta,
        SHARED_FORMAT: SharedMeta,
    }
    found = values.get("format") if isinstance(values, dict) else type(values).__name__
    if found not in kinds:
        raise BundleError(
            f"{path}: a bundle of format {' or '.join(map(str, kinds))}",
            got=found,
            fix="pack it again with this version",
        )
    try:
        return kinds[found].parse(values, where=str(path / META))
    except ConfigError as error:
        raise BundleError(f"{path}: a whole {META}", got=error.needed, fix=error.fix) from None


def _check_versions(path: Path, meta: BundleMeta | SharedMeta) -> None:
    """Refuse a bundle that a newer major release made: what it means may have changed since."""
    for name in ("pointsman", "transformers"):
        made, here = _major(meta.versions.get(name)), _major(_installed(name))
        if made is not None and here is not None and made > here:
            raise BundleError(
                f"{path}: a bundle made with {name} {here} or older",
                got=f"{name} {meta.versions[name]}",
                fix=f"pip install --upgrade {name}",
            )


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _major(release: str | None) -> int | None:
    first = (release or "").partition(".")[0]
    return int(first) if first.isdigit() else None


def _check_file(path: Path, name: str, expected: str | None) -> None:
    file = path / name
    if not file.is_file():
        raise BundleError(f"{path}: its file {name}", got="missing", fix="copy the bundle again")
    if expected is None:
        raise BundleError(f"{path}: a hash of {name} in {META}", got="none", fix="pack it again")
    found = sha256_file(file)
    if found != expected:
        raise BundleError(
            f"{path}: {name} as it was packed (sha256 {expected[:12]})",
            got=f"a changed file (sha256 {found[:12]})",
            fix="copy the bundle again, or pack it again",
        )


def _check_labels(path: Path, meta: BundleMeta) -> None:
    """Refuse labels that are not the task's: `bundle.json` itself has no hash."""
    if meta.labels != model_labels(meta.task):
        raise BundleError(
            f"{path}: the labels of its task in {META}",
            got="other labels, or another order",
            fix="copy the bundle again, or pack it again",
        )


def find_bundles(paths: Iterable[Path]) -> list[Path]:
    """Return the bundles at or below the given directories.

    Args:
        paths: Bundles, run directories (`run/bundle`) or directories of runs.

    Raises:
        BundleError: If a directory holds none.
    """
    found: list[Path] = []
    for path in paths:
        here = _bundles_at(path)
        if not here:
            raise BundleError(
                f"{path}: a bundle, a run, or a directory of runs",
                got="no such directory" if not path.exists() else f"no {META} in it",
                fix="train one with `pointsman train`, or run `make demo`",
            )
        found += [bundle for bundle in here if bundle not in found]
    return found


def _bundles_at(path: Path) -> list[Path]:
    if (path / META).is_file():
        return [path]
    for pattern in (f"bundle/{META}", f"*/bundle/{META}"):
        below = sorted(file.parent for file in path.glob(pattern))
        if below:
            return below
    return []
