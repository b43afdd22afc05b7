"""The exports inside a bundle: which there are, what they were proven to do, and their hashes.

`export/export.json` is a list of entries, one a directory `export/TARGET-PRECISION`. An entry is
written after its files and taken out before they change, so that it never speaks of other files.

A blessing says that decisions are torch's, and decisions follow from temperature and thresholds. So
an entry also says at which operating point it was proven, and is not blessed at another one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from pointsman.bundle.meta import BundleMeta, SharedMeta, heads_of
from pointsman.core.config import Closed
from pointsman.core.errors import BundleError, ConfigError
from pointsman.core.files import atomic_directory, read_json, sha256_file, sha256_json, write_json

EXPORT = "export"
INDEX = "export.json"
WEIGHTS = "model.safetensors"
_AGAIN = "export it again with `pointsman export`"
# what of a head's metadata its decisions follow from, beside its logits
_DECIDES = {
    "temperature",
    "thresholds",
    "abstain_below",
    "pool_words",
    "adjacent_cost",
    "postprocess",
}


class ExportEntry(Closed):
    """One exported form of a bundle's network."""

    target: str = Field(description="onnx, openvino or another target.")
    precision: str = Field(description="fp32, bf16 or int8.")
    files: dict[str, str] = Field(description="SHA-256 of each file, by its path in the bundle.")
    opset: int = Field(description="ONNX opset of the graph that it was made from.")
    outputs: dict[str, str] = Field(description="Name of the output of each head.")
    weights: str = Field(description="SHA-256 of the bundle's weights that it was made from.")
    stored: str = Field("fp32", description="How weights are stored, and what is computed in.")
    blessed: bool = Field(description="Whether it was proven to answer as torch fp32 does.")
    proven_at: str | None = Field(
        None, description="Hash of the operating point that it was proven at; None if not known."
    )
    forced: bool = Field(False, description="Whether it was kept in spite of its figures.")
    figures: dict[str, Any] = Field(default_factory=dict, description="What the proof found.")

    @property
    def name(self) -> str:
        """Name of its directory below `export/`."""
        return directory_name(self.target, self.precision)

    def is_blessed_at(self, point: str) -> bool:
        """Say whether it was proven to answer as torch fp32 does at an operating point.

        Args:
            point: What `hash_operating_point` gives of the bundle.
        """
        # In fp32 no logit was further than 1e-4 from torch's: at any operating point the same
        # decisions follow, but for scores that lie on a threshold to the fourth digit.
        return self.blessed and (self.precision == "fp32" or self.proven_at == point)


def hash_operating_point(meta: BundleMeta | SharedMeta) -> str:
    """Return a hash of what turns a bundle's logits into decisions, of all of its heads.

    Args:
        meta: What the bundle says of itself, as it was read.
    """
    heads = heads_of(meta)
    return sha256_json(
        {name: head.model_dump(mode="json", include=_DECIDES) for name, head in heads.items()}
    )


def outdated_exports(path: Path, meta: BundleMeta | SharedMeta) -> list[ExportEntry]:
    """Return a bundle's blessed exports that were proven at another operating point than its own.

    Args:
        path: The bundle.
        meta: What it says of itself.

    Raises:
        BundleError: If the list of them cannot be read.
    """
    point = hash_operating_point(meta)
    return [e for e in read_exports(path) if e.blessed and not e.is_blessed_at(point)]


def head_graph(head: str) -> str:
    """Return the name of the ONNX file that holds what one head of several needs, and no more."""
    return f"head-{head}.onnx"


def directory_name(target: str, precision: str) -> str:
    """Return the name of an export's directory below `export/`."""
    return f"{target}-{precision}"


def read_exports(path: Path) -> tuple[ExportEntry, ...]:
    """Return the exports of a bundle, in the order in which they were made.

    Raises:
        BundleError: If the list of them cannot be read.
    """
    file = path / EXPORT / INDEX
    if not file.is_file():
        return ()
    try:
        values = read_json(file)
        if not isinstance(values, list):
            raise ConfigError("a list", got=type(values).__name__)
        return tuple(ExportEntry.parse(value, where=str(file)) for value in values)
    except ConfigError as error:
        raise BundleError(f"{file}: a list of exports", got=error.needed, fix=_AGAIN) from None


def check_export(path: Path, entry: ExportEntry, weights: str | None) -> Path:
    """Return the directory of an export after checking that it is what was proven.

    Args:
        path: The bundle.
        entry: One of its exports.
        weights: SHA-256 of the bundle's weights.

    Raises:
        BundleError: If a file is missing or was changed, or it was made from other weights.
    """
    if entry.weights != weights:
        raise BundleError(
            f"{path}: {entry.name} made from its weights", got="one of other weights", fix=_AGAIN
        )
    for name, expected in entry.files.items():
        if not (path / name).is_file():
            raise BundleError(f"{path}: its file {name}", got="missing", fix=_AGAIN)
        if sha256_file(path / name) != expected:
            raise BundleError(
                f"{path}: {name} as it was exported", got="a changed file", fix=_AGAIN
            )
    return path / EXPORT / entry.name


@contextlib.contextmanager
def new_export(path: Path, target: str, precision: str) -> Iterator[Path]:
    """Give a temporary directory that becomes `export/TARGET-PRECISION` if no error ends the block.

    Until then the older export stands there, and is in the list.
    """
    with atomic_directory(path / EXPORT / directory_name(target, precision)) as temporary:
        yield temporary
        # the directory is about to be exchanged: the list must not speak of the old one any more
        _write(path, _others(path, target, precision))


def add_export(path: Path, entry: ExportEntry) -> ExportEntry:
    """Put an export whose files stand into the list, with their hashes, and return the entry."""
    place = path / EXPORT / entry.name
    files = sorted(file for file in place.rglob("*") if file.is_file())
    hashes = {file.relative_to(path).as_posix(): sha256_file(file) for file in files}
    whole = entry.model_copy(update={"files": hashes})
    _write(path, [*_others(path, entry.target, entry.precision), whole])
    return whole


def _others(path: Path, target: str, precision: str) -> list[ExportEntry]:
    name = directory_name(target, precision)
    return [entry for entry in read_exports(path) if entry.name != name]


def _write(path: Path, entries: list[ExportEntry]) -> None:
    write_json(path / EXPORT / INDEX, [entry.model_dump(mode="json") for entry in entries])
