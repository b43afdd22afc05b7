"""Options that several commands have: types with their help, pairs, sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Option

if TYPE_CHECKING:
    from pointsman.data.request import SourceRequest

OnBadRow = Annotated[Literal["stop", "skip"], Option(help="stop or skip.")]
Mirror = Annotated[
    Path | None, Option(exists=True, file_okay=False, help="Local mirror of the hub.")
]

FILE_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


def parse_pairs(pairs: Sequence[str], *, option: str) -> dict[str, str]:
    """Read `KEY=VALUE` options.

    Raises:
        ConfigError: If one has no `=`.
    """
    from pointsman.core.errors import ConfigError

    parsed = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"{option} KEY=VALUE", got=pair)
        parsed[key] = value
    return parsed


def parse_names(names: str) -> list[str]:
    """Read names with commas between them."""
    return [name.strip() for name in names.split(",") if name.strip()]


def source_requests(
    names: Sequence[str], *, limit: int | None, columns: dict[str, str], licence: str | None = None
) -> list[SourceRequest]:
    """Return the requests for sources, each a name or a local file or directory.

    Raises:
        ConfigError: If one names a file that is not there, or columns or a licence have none.
    """
    from pointsman.core.errors import ConfigError

    requests = [
        source_request(name, limit=limit, columns=columns, licence=licence) for name in names
    ]
    for option, value in (("--column", columns), ("--licence", licence)):
        if value and not any(request.path for request in requests):
            raise ConfigError(f"a local file, for {option}", got=", ".join(names))
    return requests


def source_request(
    name: str,
    *,
    limit: int | None = None,
    columns: dict[str, str] | None = None,
    licence: str | None = None,
) -> SourceRequest:
    """Return the request for a source's name, or for a local file or directory.

    Raises:
        ConfigError: If it names a file that is not there.
    """
    from pointsman.core.errors import ConfigError
    from pointsman.data.request import SourceRequest
    from pointsman.data.sources import SOURCES

    values: dict[str, Any] = {"limit": limit}
    if name in SOURCES:
        values["name"] = name
    elif Path(name).exists():
        values |= {"path": name, "columns": columns or {}, "licence": licence}
    elif name.endswith(FILE_SUFFIXES) or "/" in name:
        raise ConfigError(f"a file or directory at {name}", got="no such file")
    else:
        values["name"] = name  # the catalogue says which names it knows
    return SourceRequest.parse(values, where=f"--source {name}")
