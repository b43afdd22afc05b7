"""What the network's own `config.json` says that answering needs, read without transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pointsman.bundle.meta import BundleMeta
from pointsman.core.errors import BundleError, ConfigError
from pointsman.core.files import read_json

CONFIG = "config.json"


def pad_id_of(path: Path) -> int:
    """Return the id of a bundle's padding token; RoBERTa counts positions by it."""
    return int(_read(path).get("pad_token_id") or 0)


def check_network_labels(path: Path, meta: BundleMeta) -> None:
    """Refuse metadata whose labels are not the network's.

    `bundle.json` has no hash of its own: turned labels would turn every answer.

    Raises:
        BundleError: If the labels differ, or stand in another order.
    """
    named = _read(path).get("id2label") or {}
    if tuple(named[key] for key in sorted(named, key=int)) != meta.labels:
        raise BundleError(
            f"{path}: the labels of its network in bundle.json",
            got="other labels, or another order",
            fix="copy the bundle again, or pack it again",
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        config = read_json(path / CONFIG)
    except ConfigError as error:
        raise BundleError(f"{path}: a readable {CONFIG}", got=error.got) from None
    if not isinstance(config, dict):
        raise BundleError(f"{path}: {CONFIG} that holds an object", got=type(config).__name__)
    return config
