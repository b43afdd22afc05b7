"""A model directory as its files say it is: what each holds, or why it cannot be read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, TypeGuard

from pointsman.bundle.layout import CONFIG, TOKENIZER, WEIGHTS
from pointsman.export.clauses import Outcome, unneeded
from pointsman.export.slots import SLOTS, Slot
from pointsman.export.tensors import Tensor, parse_json, read_tensors

LORA = "lora_config.json"
SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
)


MOST_LAYERS = 1000  # each is looked for by its name; the deepest encoders have under a hundred


@dataclass(frozen=True, slots=True)
class ModelDirectory:
    """What was read of a model directory; what could not be read is None, and `faults` says why.

    Attributes:
        name: Its name.
        files: Names of the files in it.
        config: `config.json`.
        tokenizer: `tokenizer.json`.
        tensors: The tensors of `model.safetensors`.
        lora: `lora_config.json`.
        slots: The slots whose mapping file is there.
        mapping: The mapping file, where there is one alone.
        faults: Why something is None, by file.
    """

    name: str
    files: tuple[str, ...]
    config: dict[str, Any] | None
    tokenizer: dict[str, Any] | None
    tensors: dict[str, Tensor] | None
    lora: dict[str, Any] | None
    slots: tuple[Slot, ...]
    mapping: dict[str, Any] | None
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def slot(self) -> Slot | None:
        """The slot that it is for, where one mapping file says so."""
        return self.slots[0] if len(self.slots) == 1 else None

    @property
    def family(self) -> str | None:
        """`model_type` of its configuration."""
        found = (self.config or {}).get("model_type")
        return found if isinstance(found, str) else None

    @property
    def sizes(self) -> dict[str, int] | None:
        """The sizes of its configuration, where all of them are there and make sense."""
        found = {name: (self.config or {}).get(name) for name in SIZES}
        sizes = {name: value for name, value in found.items() if is_size(value, name)}
        return sizes if len(sizes) == len(found) else None

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The labels of its configuration in index order, where its indices have no gap."""
        return in_order((self.config or {}).get("id2label"))

    @property
    def mapped(self) -> tuple[str, ...] | None:
        """The labels of its mapping in index order, where both directions agree."""
        if self.slot is None or self.mapping is None:
            return None
        labels = in_order(self.mapping.get(self.slot.backward))
        forward = self.mapping.get(self.slot.forward)
        if labels is None or forward != {label: index for index, label in enumerate(labels)}:
            return None
        return labels

    @property
    def sequence(self) -> bool:
        """Whether it gives a text one label, as far as its slot or its architecture tells."""
        if self.slot is not None:
            return self.slot.level == "sequence"
        return "TokenClassification" not in str((self.config or {}).get("architectures"))


def is_count(value: Any) -> TypeGuard[int]:
    """Say whether a value is a whole number above zero, and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def is_size(value: Any, name: str) -> TypeGuard[int]:
    """Say whether a value can be one of `SIZES`."""
    return is_count(value) and (name != "num_hidden_layers" or value <= MOST_LAYERS)


def is_number(value: Any) -> TypeGuard[float]:
    """Say whether a value is a finite number above zero, and no truth value."""
    # an int may be too large for a float, which it cannot be printed without
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 < value <= sys.float_info.max
    )


def in_order(found: Any) -> tuple[str, ...] | None:
    """Return the labels of an object of string indices, or None if an index or label is wrong."""
    if not isinstance(found, dict) or not found:
        return None
    labels = [found.get(str(index)) for index in range(len(found))]
    return tuple(labels) if all(isinstance(label, str) for label in labels) else None  # type: ignore[arg-type]


def read_directory(path: Path, *, name: str | None = None) -> ModelDirectory:
    """Read a model directory; what is missing or damaged is left to the clauses.

    Args:
        path: The directory.
        name: Its name, where it does not have its last one yet.
    """
    faults: dict[str, str] = {}
    files = tuple(sorted(file.name for file in path.iterdir() if file.is_file()))
    slots = tuple(slot for slot in SLOTS.values() if slot.mapping in files)
    mapping = _object(path / slots[0].mapping, faults) if len(slots) == 1 else None
    return ModelDirectory(
        name or path.name,
        files,
        _object(path / CONFIG, faults),
        _object(path / TOKENIZER, faults),
        _tensors(path / WEIGHTS, faults),
        _object(path / LORA, faults),
        slots,
        mapping,
        faults,
    )


def _object(path: Path, faults: dict[str, str]) -> dict[str, Any] | None:
    if not path.is_file():
        faults[path.name] = "missing"
        return None
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        faults[path.name] = f"not readable as JSON: {type(error).__name__}"
        return None
    if not isinstance(found, dict):
        faults[path.name] = f"holds no object but {type(found).__name__}"
        return None
    return found


def _tensors(path: Path, faults: dict[str, str]) -> dict[str, Tensor] | None:
    if not path.is_file():
        faults[path.name] = "missing"
        return None
    try:
        return read_tensors(path)
    except (OSError, ValueError) as error:
        faults[path.name] = f"not readable: {error}"
        return None


Check = Callable[[ModelDirectory], Outcome]


def needing(*parts: str) -> Callable[[Check], Check]:
    """Make a check say "not applicable" where a part is None: another clause says what is wrong.

    Args:
        parts: Attributes of `ModelDirectory`.
    """

    def wrap(check: Check) -> Check:
        @wraps(check)
        def guarded(directory: ModelDirectory) -> Outcome:
            for part in parts:
                if getattr(directory, part) is None:
                    return unneeded(f"needs its {part}, which another clause is about")
            return check(directory)

        return guarded

    return wrap
