"""What a head says of itself changes after it is packed: figures, temperature, thresholds."""

from __future__ import annotations

from pathlib import Path

from pointsman.bundle.card import write_card, write_shared_card
from pointsman.bundle.exports import read_exports
from pointsman.bundle.layout import CARD, read_meta, write_meta
from pointsman.bundle.meta import BundleMeta, SharedMeta
from pointsman.core.files import write_text


def update_bundle(path: Path, head: BundleMeta, *, disown: str | None = None) -> None:
    """Write what a bundle's head says of itself by now, and let the card say so.

    The hashes stay those that the bundle holds: a file may have been added since it was loaded.

    Args:
        path: The bundle: of one task, or a shared one that has the head.
        head: What the head says.
        disown: A file whose hash is left out, because it no longer fits.
    """
    held = read_meta(path)
    files = {name: digest for name, digest in held.files.items() if name != disown}
    held = held.model_copy(update={"files": files})
    whole = (
        held.with_head(head)
        if isinstance(held, SharedMeta)
        else head.model_copy(update={"files": files})
    )
    _write_card(path, whole)
    write_meta(path, whole)  # last: figures in it say that the run is finished


def refresh_card(path: Path) -> None:
    """Write a bundle's card again, of what it says of itself and of its exports by now."""
    _write_card(path, read_meta(path))


def _write_card(path: Path, meta: BundleMeta | SharedMeta) -> None:
    exports = read_exports(path)
    card = (
        write_shared_card(meta, exports)
        if isinstance(meta, SharedMeta)
        else write_card(meta, exports)
    )
    write_text(path / CARD, card)
