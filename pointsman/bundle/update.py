"""What a head says of itself changes after it is packed: figures, temperature, thresholds."""

from __future__ import annotations

from pathlib import Path

from pointsman.bundle.card import write_card, write_shared_card
from pointsman.bundle.layout import CARD, read_meta, write_meta
from pointsman.bundle.meta import BundleMeta, SharedMeta
from pointsman.core.files import write_text


def update_bundle(path: Path, head: BundleMeta) -> None:
    """Write what a bundle's head says of itself by now, and let the card say so.

    Args:
        path: The bundle: of one task, or a shared one that has the head.
        head: What the head says.
    """
    held = read_meta(path)
    if isinstance(held, SharedMeta):
        whole = held.with_head(head)
        write_text(path / CARD, write_shared_card(whole))
        write_meta(path, whole)
        return
    write_text(path / CARD, write_card(head))
    write_meta(path, head)  # last: figures in it say that the run is finished
