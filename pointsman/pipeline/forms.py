"""The forms that a bundle can be exported in, and which of them are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError
from pointsman.export.router import export_router
from pointsman.export.router_onnx import export_router_onnx

Say = Callable[[str], None]

# target -> precisions, the one that is made unasked first
TARGETS = {
    "onnx": ("fp32", "int8"),
    "openvino": ("bf16", "fp32", "int8"),
    "router": ("fp32",),
    "router-onnx": ("fp32",),
}
OUTSIDE = {"router": export_router, "router-onnx": export_router_onnx}  # what bundles do not hold
ROUTER = "router"  # name of the directory that they go to unasked


def choose_forms(
    targets: Sequence[str], precisions: Sequence[str], say: Say
) -> list[tuple[str, str]]:
    """Return the pairs of target and precision that were asked for.

    Args:
        targets: Of `TARGETS`.
        precisions: Each target takes those that it has; its own default when none are given.
        say: Is told which targets lack one.

    Raises:
        ConfigError: If a target or precision is not known, or no target has any of the precisions.
    """
    known = tuple({precision: None for each in TARGETS.values() for precision in each})
    for name, what, names in (
        *((target, "target", tuple(TARGETS)) for target in targets),
        *((precision, "precision", known) for precision in precisions),
    ):
        if name not in names:
            raise ConfigError(f"unknown {what} {name!r}", fix=suggest(name, names))
    forms: list[tuple[str, str]] = []
    lacking = []
    for target in dict.fromkeys(targets):
        own = TARGETS[target]
        forms += [(target, p) for p in own if p in (precisions or own[:1])]
        without = [precision for precision in precisions if precision not in own]
        if without:
            lacking.append(f"{target} has no {' and no '.join(without)}, but {', '.join(own)}")
    if not forms:
        raise ConfigError(
            "a target, and a precision that it has", got="; ".join(lacking) or "no target"
        )
    for line in lacking:
        say(f"{line}: left out")
    return forms


def directory_beside(bundles: Sequence[Path]) -> Path:
    """Return where what bundles do not hold goes unasked: `router`, beside or above all of them."""
    inside = [bundle.resolve().parent for bundle in bundles]
    return Path(os.path.commonpath(inside)) / ROUTER
