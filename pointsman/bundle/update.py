"""What a head says of itself changes after it is packed: figures, temperature, thresholds."""

from __future__ import annotations

from pathlib import Path

from pointsman.bundle.card import write_card, write_shared_card
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
    if isinstance(held, SharedMeta):
        whole = held.with_head(head)
        write_text(path / CARD, write_shared_card(whole))
        write_meta(path, whole)
        return
    write_text(path / CARD, write_card(head))
    # last: figures in it say that the run is finished
    write_meta(path, head.model_copy(update={"files": files}))
