"""What `classify` and `score` share: loading bundles, or some of their heads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pointsman.cli.console import say

if TYPE_CHECKING:
    from pointsman.runtime.predictor import Predictor
    from pointsman.runtime.shared import SharedPredictor

HEAD_HELP = "Only this task; may be given more than once. Of a shared bundle no other is computed."


def load_predictors(
    bundles: Iterable[Path],
    heads: Sequence[str],
    *,
    backend: str,
    postprocess: bool = True,
    threads: int | None = None,
) -> list[Predictor | SharedPredictor]:
    """Load bundles, or those of their heads that are asked for, and say what computes.

    Args:
        bundles: Bundles, runs or directories of runs.
        heads: Names of tasks; all when there is none. A bundle that has none of them is left out.
        backend: As `load` takes it.
        postprocess: As `load` takes it.
        threads: As `load` takes it.

    Raises:
        ConfigError: If no bundle has a task of that name, or as `load` does.
        BundleError: As `load` does.
    """
    from pointsman.bundle.layout import find_bundles, read_meta
    from pointsman.bundle.meta import heads_of
    from pointsman.core.config import suggest
    from pointsman.core.errors import ConfigError
    from pointsman.runtime.predictor import load
    from pointsman.runtime.shared import SharedPredictor

    metas = {path: read_meta(path) for path in find_bundles(bundles)}
    own = {path: tuple(heads_of(meta)) for path, meta in metas.items()}
    known = tuple(dict.fromkeys(name for names in own.values() for name in names))
    for head in heads:
        if head not in known:
            raise ConfigError(f"no head named {head!r} in these bundles", fix=suggest(head, known))
    found: list[Predictor | SharedPredictor] = []
    for path, names in own.items():
        asked = [name for name in names if not heads or name in heads]
        if not asked:
            continue
        predictor = load(path, backend=backend, postprocess=postprocess, threads=threads)
        found.append(predictor.only(asked) if isinstance(predictor, SharedPredictor) else predictor)
    say(f"computing with {', '.join(dict.fromkeys(p.backend_name for p in found))}")
    return found
