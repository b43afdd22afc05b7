"""`pointsman verify`: a bundle's golden answers through every runtime that it can have here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pointsman.bundle.exports import read_exports
from pointsman.bundle.layout import read_any
from pointsman.bundle.meta import BundleMeta, SharedMeta, heads_of
from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError, PointsmanError
from pointsman.data.encode import TextEncoder
from pointsman.export.golden import GOLDEN, read_golden
from pointsman.export.parity import Outcome, Subject, verify
from pointsman.runtime.backend import (
    INSTALL,
    LIBRARIES,
    PRECISIONS,
    TORCH,
    load_backend,
    load_export,
)
from pointsman.runtime.predictor import Progress


class ParityError(PointsmanError):
    """A runtime that does not answer as torch did when the bundle was packed."""

    exit_code = 9


@dataclass(frozen=True, slots=True)
class Verified:
    """What `verify_bundle` found.

    Attributes:
        path: The bundle.
        texts: How many golden texts were replayed.
        windows: How many windows they have.
        outcomes: One a head of each runtime, the first of them of the tokenizer.
        missing: Libraries that could answer and are not installed.
        unexported: Libraries that the bundle has no export for.
        lacking: What was required and could not be asked, with the reason.
    """

    path: Path
    texts: int
    windows: int
    outcomes: tuple[Outcome, ...]
    missing: tuple[str, ...] = ()
    unexported: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every runtime passed, and every one that was required was asked."""
        return not self.lacking and all(outcome.passed for outcome in self.outcomes)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        outcomes = [outcome.to_dict() for outcome in self.outcomes]
        return {
            "texts": self.texts,
            "windows": self.windows,
            "passed": self.passed,
            "missing": list(self.missing),
            "unexported": list(self.unexported),
            "lacking": list(self.lacking),
            "outcomes": outcomes,
        }

    def check(self) -> None:
        """Raise for what failed.

        Raises:
            ParityError: With the first fault.
        """
        failed = [outcome for outcome in self.outcomes if not outcome.passed]
        if failed:
            first = failed[0]
            raise ParityError(
                f"{self.path}: every runtime to answer as torch did when the bundle was packed",
                got=f"{len(failed)} of {len(self.outcomes)} checks failed; "
                f"{first.backend}, {first.asked}: {first.faults[0]}",
                fix="copy the bundle again, or export it again",
            )
        if self.lacking:
            raise ParityError(
                f"{self.path}: an answer of every runtime that is required",
                got="; ".join(self.lacking),
                fix="export the bundle for it, or install it",
            )


def verify_bundle(
    path: Path,
    subjects: Sequence[Subject] | None = None,
    *,
    require: Sequence[str] = (),
    progress: Progress | None = None,
) -> Verified:
    """Replay a bundle's golden answers.

    Args:
        path: Directory of the bundle.
        subjects: The runtimes; those that `find_subjects` finds when not given.
        require: Runtimes that have to be asked, as in onnxruntime or openvino-bf16; the verdict is
            bad without them.
        progress: Called with 1 after each runtime.

    Raises:
        BundleError: If the bundle or its golden answers are missing, damaged or changed.
        ConfigError: If a runtime that is required is not known.
        PointsmanError: If no runtime is installed that could answer.
    """
    needed = [_runtime(name) for name in require]
    meta = read_any(path)
    heads = heads_of(meta)
    rows = read_golden(path, listed=GOLDEN in meta.files)
    encoder = TextEncoder.from_directory(path, max_length=meta.max_length)
    missing: tuple[str, ...] = ()
    if subjects is None:
        subjects, missing = find_subjects(path, meta)
    targets = {entry.target for entry in read_exports(path)}
    unexported = tuple(library for library, target in LIBRARIES.items() if target not in targets)
    asked = [subject.name for subject in subjects]
    lacking = [
        f"{name} {_why_not(name, missing, unexported)}"
        for name in dict.fromkeys(needed)
        if not any(one == name or one.startswith(f"{name} ") for one in asked)
    ]
    outcomes = verify(subjects, rows, heads, encoder, progress=progress)
    windows = sum(len(row.windows) for row in rows)
    return Verified(path, len(rows), windows, tuple(outcomes), missing, unexported, tuple(lacking))


def _runtime(name: str) -> str:
    """Return a runtime's name as subjects have it, of one that a user may require.

    Raises:
        ConfigError: If it is not known.
    """
    library, _, precision = name.replace("-", " ").partition(" ")
    known = (TORCH, *LIBRARIES)
    if library not in known:
        raise ConfigError(f"unknown runtime {name!r}", fix=suggest(library, known))
    precisions = ("fp32",) if library == TORCH else PRECISIONS
    if precision and precision not in precisions:
        raise ConfigError(f"unknown precision in {name!r}", fix=suggest(precision, precisions))
    return f"{library} {precision}".rstrip()


def _why_not(name: str, missing: Sequence[str], unexported: Sequence[str]) -> str:
    """Say why a runtime was not asked."""
    library = name.partition(" ")[0]
    if library in unexported:
        return "has no export in the bundle"
    return "is not installed" if library in missing else "has no export of that precision"


def find_subjects(
    path: Path, meta: BundleMeta | SharedMeta
) -> tuple[list[Subject], tuple[str, ...]]:
    """Return the runtimes that can answer for a bundle here, and the libraries that are missing.

    The runtimes are torch, and every export of the bundle. OpenVINO's bf16 form holds its weights
    in fp32, so the same file is forced to fp32, too.

    Raises:
        PointsmanError: If there are none.
    """
    found = []
    missing = []
    if all(find_spec(library) is not None for library in (TORCH, "transformers")):
        found.append(Subject("torch fp32", "fp32", partial(load_backend, TORCH, path, meta)))
    else:
        missing.append(TORCH)
    libraries = {target: library for library, target in LIBRARIES.items()}
    for entry in read_exports(path):
        library = libraries.get(entry.target)
        if library is None:
            continue
        if find_spec(library) is None:
            missing.append(library)
            continue
        both = entry.target == "openvino" and entry.precision == "bf16"
        for precision in ("fp32", "bf16") if both else (entry.precision,):
            opened = partial(load_export, path, entry, meta, precision=precision)
            found.append(Subject(f"{library} {precision}", precision, opened))
    names = tuple(dict.fromkeys(missing))
    if not found:
        raise PointsmanError(
            f"{path}: a runtime that can answer its golden texts",
            got=f"not installed: {', '.join(names)}",
            fix=" or ".join(dict.fromkeys(INSTALL[name] for name in names)),
        )
    return found, names
