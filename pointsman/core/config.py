"""Typed, closed configuration: an unknown key is an error that names its path."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import pydantic

from pointsman.core.errors import ConfigError


class Closed(pydantic.BaseModel):
    """Base of every configuration class: frozen, and no key that it does not know."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @classmethod
    def parse(cls, values: Mapping[str, Any], *, where: str) -> Self:
        """Validate `values`.

        Args:
            values: The mapping to read.
            where: What is being read, for the message: a file or an option.

        Raises:
            ConfigError: With the path of the first wrong key and the nearest known one.
        """
        try:
            return cls.model_validate(values)
        except pydantic.ValidationError as error:
            raise _explain(error, cls, where) from None


def _explain(error: pydantic.ValidationError, model: type[Closed], where: str) -> ConfigError:
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"]) or "(top level)"
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, first["loc"][:-1])
        return ConfigError(
            f"{where}: unknown key {path!r}", fix=suggest(str(first["loc"][-1]), known)
        )
    got = None if first["type"] == "missing" else repr(first["input"])[:200]
    return ConfigError(f"{where}: {path}: {first['msg']}", got=got)


def _known_keys(model: type[Closed], loc: Iterable[str | int]) -> list[str]:
    """Follow `loc` into nested models as far as the annotations say, and list the keys there."""
    current: Any = model
    for part in loc:
        field = getattr(current, "model_fields", {}).get(part)
        if field is None:
            continue  # a key of a mapping, or an index of a list: its value type is already current
        current = _model_in(field.annotation) or current
    return sorted(current.model_fields)


def _model_in(annotation: Any) -> type[Closed] | None:
    if isinstance(annotation, type) and issubclass(annotation, Closed):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown `name`: the nearest known one, and all of them."""
    options = list(known)
    near = difflib.get_close_matches(name, options, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}known: {', '.join(options) or 'none'}"


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Raises:
        ConfigError: If the file cannot be read, is not YAML, names a key twice, or holds
            something else.
    """
    import yaml  # here: a bundle is loaded without it, and imports count there

    from pointsman.core.unique_keys import UniqueKeys

    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=UniqueKeys)
    except OSError as error:
        raise ConfigError(f"a file at {path}", got=error.strerror) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: valid YAML in UTF-8", got=error) from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a mapping of keys to values", got=type(values).__name__)
    return values


def apply_overrides(values: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return `values` with `key.path=value` overrides laid over them.

    Values are read as YAML, so `train.epochs=3` is a number and `labels=[law, math]` a list. An
    entry of a list is named by its index, its `task` or its `name`: `tasks.pii.train.epochs=3`.

    Raises:
        ConfigError: If an override has no `=`, is no YAML, names no entry, or goes through a
            plain value.
    """
    merged: dict[str, Any] = _deep_copy(values)
    for override in overrides:
        path, equals, text = override.partition("=")
        if not equals or not path:
            raise ConfigError("--set KEY.PATH=VALUE", got=override)
        *parents, last = path.strip().split(".")
        place: Any = merged
        for parent in parents:
            place = _step(place, parent, path)
        key = _index(place, last, path) if isinstance(place, list) else last
        place[key] = _value(override, text)
    return merged


def _step(place: Any, key: str, path: str) -> Any:
    if isinstance(place, list):
        inner = place[_index(place, key, path)]
    else:
        inner = place.setdefault(key, {})
    if not isinstance(inner, dict | list):
        raise ConfigError(f"--set {path}: {key!r} to be a mapping", got=inner)
    return inner


def _index(entries: list[Any], key: str, path: str) -> int:
    names = [
        entry.get("task", entry.get("name")) if isinstance(entry, dict) else None
        for entry in entries
    ]
    if key in names:
        return names.index(key)
    if key.isdecimal() and int(key) < len(entries):
        return int(key)
    known = [str(name) for name in names if name] or [str(i) for i in range(len(entries))]
    raise ConfigError(f"--set {path}: no entry {key!r}", fix=suggest(key, known))


def _value(override: str, text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: a value in YAML", got=error) from None


def _deep_copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _deep_copy(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_deep_copy(inner) for inner in value]
    return value
