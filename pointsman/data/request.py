"""What a recipe asks of a source: a public one by name, or local files with a column map."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from pointsman.core.config import Closed
from pointsman.data.schema import is_split

FIELDS = ("text", "label", "spans", "kind", "group", "split", "source", "meta")
META = "meta."
DROP = "drop"
OOD = "ood-"  # what the slices of out-of-distribution sources are named with


class SourceRequest(Closed):
    """One source of a recipe: exactly one of `name`, `path` and `files`."""

    name: str | None = Field(default=None, description="A source of the catalogue.")
    path: str | None = Field(
        default=None, description="A file, or a directory of train, validation and test files."
    )
    files: dict[str, str] = Field(
        default_factory=dict, description="Split (or slice:NAME) -> file; splits are kept as given."
    )
    format: Literal["jsonl", "csv", "tsv", "parquet", "json", "presidio"] | None = Field(
        default=None, description="Format of local files; by the suffix if left out."
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Our field (text, label, spans, kind, group, split, source, meta, meta.NAME) "
        "-> their column. A field that is not named has a column of its own name.",
    )
    split_field: str | None = Field(
        default=None, description="Column that says the official split of a row."
    )
    split_map: dict[str, str] = Field(
        default_factory=dict,
        description="Their split -> train, validation, test, drop, or slice:NAME.",
    )
    label_map: dict[str, str | None] = Field(
        default_factory=dict,
        description="Their label, span label or kind -> ours; null leaves its rows or spans out.",
    )
    where: dict[str, tuple[str | bool | int | float, ...]] = Field(
        default_factory=dict, description="Column -> values; other rows are not read."
    )
    limit: PositiveInt | None = Field(
        default=None, description="At most so many rows, a seeded sample of every label."
    )
    parts: tuple[str, ...] = Field(
        default=(), description="Configurations of a public source; all of them when not given."
    )
    revision: str | None = Field(default=None, description="Pinned revision on the hub.")
    licence: str | None = Field(default=None, description="SPDX identifier of local data.")
    official_splits: bool = Field(
        default=False, description="Keep the splits of a public source; some of them leak."
    )
    annotates: tuple[str, ...] = Field(
        default=(),
        description="Types that a source labels, where it leaves others unlabelled: those are then "
        "unknown in its rows and not absent. Such rows only train. All types when not given.",
    )
    ood: bool = Field(
        default=False,
        description="Out of distribution: learn from none of its rows, report all of them as the "
        "slice ood-SOURCE.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum(map(bool, (self.name, self.path, self.files))) != 1:
            raise ValueError("needs exactly one of `name`, `path` and `files`")
        if self.name:
            self._refuse(("columns", "format", "split_field"), "a source of the catalogue")
        else:
            self._refuse(("revision", "official_splits", "parts"), "local files")
        if self.annotates and self.ood:
            raise ValueError("`annotates` does not go with `ood`: rows labelled in part only train")
        if self.split_field and "split" in self.columns:
            raise ValueError("`split_field` and `columns.split` say the same: give one of them")
        for field in self.columns:
            if field not in FIELDS and not field.startswith(META):
                raise ValueError(f"columns: unknown field {field!r}; known: {', '.join(FIELDS)}")
        for split in (*self.files, *(x for x in self.split_map.values() if x != DROP)):
            if not is_split(split):
                raise ValueError(
                    f"{split!r} is no split: train, validation, test or slice:NAME "
                    "(a NAME of small letters, digits, `_`, `.` and `-`)"
                )
        return self

    def _refuse(self, keys: tuple[str, ...], what: str) -> None:
        for key in keys:
            if getattr(self, key):
                raise ValueError(f"`{key}` does not go with {what}")

    @property
    def title(self) -> str:
        """The request's name in messages: the source's, or the path."""
        return self.name or self.path or ", ".join(self.files.values())
