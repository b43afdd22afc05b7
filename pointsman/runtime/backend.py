"""What computes logits: one small protocol, so that torch is one backend among several."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pointsman.bundle.exports import (
    WEIGHTS,
    ExportEntry,
    check_export,
    hash_operating_point,
    outdated_exports,
    read_exports,
)
from pointsman.bundle.meta import BundleMeta, SharedMeta
from pointsman.bundle.network_config import check_network_labels, pad_id_of
from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError, PointsmanError
from pointsman.core.files import sha256_json
from pointsman.runtime.machine import count_threads, has_wide_vectors

Meta = BundleMeta | SharedMeta

AUTO, TORCH = "auto", "torch"
LIBRARIES = {"openvino": "openvino", "onnxruntime": "onnx"}  # library -> target of its exports
PRECISIONS = ("int8", "bf16", "fp32")  # the fastest first
OUTDATED = "proven at another temperature or other thresholds"
INSTALL = {
    "onnxruntime": "pip install onnxruntime",
    "openvino": "pip install 'pointsman[openvino]'",
    TORCH: "pip install 'pointsman[train]'",
}


class Backend(Protocol):
    """Computes the logits of padded batches.

    Attributes:
        name: Library and precision, as in "torch fp32": what `load` says it chose.
        heads: Names of the heads that it can run.
        digest: Hash of the export that it computes from; empty for the bundle's own weights, whose
            hash the bundle's metadata holds.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def heads(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def digest(self) -> str: ...  # noqa: D102

    def run(
        self, batch: Sequence[Sequence[int]], heads: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Return the logits of each head that is asked for; the others are left out where it can.

        Args:
            batch: Token ids of every row, special tokens included, not padded.
            heads: Names of heads, out of `heads`.

        Returns:
            For each head `(batch, labels)` or `(batch, longest, labels)`, where rows may be longer
            than the longest of them: what stands behind a row's end means nothing.
        """
        ...


def load_backend(name: str, path: Path, meta: Meta, *, threads: int | None = None) -> Backend:
    """Load a bundle's network into a backend.

    Args:
        name: `auto` for the fastest blessed export whose library is here, else torch; or a
            library (`torch`, `onnxruntime`, `openvino`), alone or with a precision, as in
            "openvino bf16" or `openvino-bf16`.
        path: The bundle.
        meta: What it says of itself on disk: exports are blessed for those thresholds.
        threads: How many threads compute; the physical cores when not given.

    Raises:
        ConfigError: If the backend is not known, or the bundle has no such export.
        BundleError: If the export is damaged.
        PointsmanError: If its library is not installed.
    """
    library, _, precision = name.replace("-", " ").partition(" ")
    _check_name(name, library, precision)
    if library == AUTO:
        entry = _fastest(path, meta)
        if entry is None:
            return _load_torch(path, meta, threads, asked=False)
        return load_export(path, entry, meta, threads=threads)
    if library == TORCH:
        return _load_torch(path, meta, threads, precision=precision or "fp32")
    entry = _asked(path, library, precision, meta)
    if not _installed(library):
        raise PointsmanError(
            f"{library}, to answer from {entry.name}", got="not installed", fix=INSTALL[library]
        )
    return load_export(path, entry, meta, threads=threads, precision=precision or None)


def load_export(
    path: Path,
    entry: ExportEntry,
    meta: Meta,
    *,
    threads: int | None = None,
    precision: str | None = None,
) -> Backend:
    """Load one export of a bundle, after checking its hashes.

    Args:
        path: The bundle.
        entry: The export.
        meta: What the bundle says of itself.
        threads: How many threads compute.
        precision: Compute in this precision instead of the export's own: OpenVINO's bf16 and fp32
            are one file.

    Raises:
        BundleError: If it is damaged, was made from other weights, or has other labels.
    """
    place = check_export(path, entry, meta.files.get(WEIGHTS))
    if isinstance(meta, BundleMeta):  # the heads of a shared bundle have no labels in config.json
        check_network_labels(path, meta)
    return open_export(
        place,
        entry.target,
        precision or entry.precision,
        outputs=entry.outputs,
        digest=sha256_json(entry.files),
        pad_id=pad_id_of(path),
        longest=meta.max_length,
        threads=threads,
    )


def open_export(
    place: Path,
    target: str,
    precision: str,
    *,
    outputs: Mapping[str, str],
    pad_id: int,
    longest: int,
    threads: int | None = None,
    digest: str = "",
) -> Backend:
    """Load the export that lies in a directory; nothing is checked.

    Args:
        place: Directory of the export.
        target: Its target, onnx or openvino.
        precision: What to compute in.
        outputs: Name of the graph's output of each head.
        pad_id: Id of the padding token.
        longest: Longest window in tokens.
        threads: How many threads compute.
        digest: Hash of its files, where they were checked.
    """
    count = count_threads(threads)
    if target == "onnx":
        from pointsman.runtime.onnx_backend import OnnxBackend

        return OnnxBackend(
            place, outputs, precision=precision, pad_id=pad_id, threads=count, digest=digest
        )
    from pointsman.runtime.openvino_backend import OpenVinoBackend

    return OpenVinoBackend(
        place,
        outputs,
        precision=precision,
        pad_id=pad_id,
        longest=longest,
        threads=count,
        digest=digest,
    )


def _check_name(name: str, library: str, precision: str) -> None:
    known = (AUTO, TORCH, *LIBRARIES)
    if library not in known:
        raise ConfigError(f"unknown backend {name!r}", fix=suggest(library, known))
    if library == AUTO and precision:
        raise ConfigError(
            f"{AUTO} alone, which takes the fastest blessed export",
            got=repr(name),
            fix="name the library, too, as in 'onnxruntime fp32'",
        )
    precisions = ("bf16", "fp32") if library == TORCH else PRECISIONS
    if precision and precision not in precisions:
        raise ConfigError(f"unknown precision in {name!r}", fix=suggest(precision, precisions))


def _installed(library: str) -> bool:
    return importlib.util.find_spec(library) is not None


def _ranked(path: Path, libraries: Sequence[str]) -> list[ExportEntry]:
    """Return a bundle's exports for some libraries, the fastest first."""
    targets = [LIBRARIES[library] for library in libraries]
    entries = [e for e in read_exports(path) if e.target in targets and e.precision in PRECISIONS]
    return sorted(entries, key=lambda e: (targets.index(e.target), PRECISIONS.index(e.precision)))


def _fastest(path: Path, meta: Meta) -> ExportEntry | None:
    """Return the fastest blessed export whose library is installed, if there is one."""
    order = ("openvino", "onnxruntime") if has_wide_vectors() else ("onnxruntime", "openvino")
    libraries = [library for library in order if _installed(library)]
    point = hash_operating_point(meta)
    return next((entry for entry in _ranked(path, libraries) if entry.is_blessed_at(point)), None)


def _asked(path: Path, library: str, precision: str, meta: Meta) -> ExportEntry:
    """Return the export that was asked for: by its whole name any, by its library a blessed one."""
    entries = _ranked(path, [library])
    if precision:
        fitting = [e for e in entries if e.precision == precision]
        if not fitting and precision == "fp32":
            # the bf16 form holds weights in fp32, so the same file computes in fp32 too
            fitting = [e for e in entries if e.precision == "bf16"]
    else:
        point = hash_operating_point(meta)
        fitting = [e for e in entries if e.is_blessed_at(point)]
    if fitting:
        return fitting[0]
    target = LIBRARIES[library]
    asked = f"{path}: an export for {library}{f' in {precision}' if precision else ''}"
    more = f" --precision {precision}" if precision else ""
    if entries and not precision:
        raise ConfigError(
            f"{asked} that is blessed",
            got=_without_blessing(entries),
            fix=f"export it again, or ask for one by its whole name, as in "
            f"{entries[0].name.replace(target, library)}",
        )
    got = ", ".join(entry.name for entry in read_exports(path)) or "no exports"
    raise ConfigError(asked, got=got, fix=f"pointsman export {path} --to {target}{more}")


def _without_blessing(entries: Sequence[ExportEntry]) -> str:
    """Say in words why none of some exports is blessed."""
    forced = [entry.name for entry in entries if not entry.blessed]
    outdated = [entry.name for entry in entries if entry.blessed]
    kinds = (("only forced ones", forced), (f"only ones {OUTDATED}", outdated))
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in kinds if names)


def _load_torch(
    path: Path,
    meta: Meta,
    threads: int | None,
    *,
    asked: bool = True,
    precision: str = "fp32",
) -> Backend:
    """Load torch, asked for by its name or because nothing else can answer."""
    try:
        from pointsman.runtime.torch_backend import TorchBackend
        from pointsman.runtime.torch_shared import TorchSharedBackend
    except ImportError as error:
        why, fix = "asked for by name", INSTALL[TORCH]
        if not asked:
            why = "no blessed export that can run here"
            outdated = ", ".join(entry.name for entry in outdated_exports(path, meta))
            if outdated:
                why = f"only exports {OUTDATED}: {outdated}"
            fix += " or export it where torch is installed"
        raise PointsmanError(
            "torch and transformers, to answer", got=f"{error}; {why}", fix=fix
        ) from error
    if isinstance(meta, SharedMeta):
        return TorchSharedBackend(path, meta, precision=precision, threads=threads)
    return TorchBackend(path, meta, precision=precision, threads=threads)
