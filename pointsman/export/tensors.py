"""What a safetensors file says of its tensors, read from its header alone: no tensor is loaded."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

LONGEST = 100_000_000  # bytes of a header; the format's own limit
DEEPEST = 64  # objects and lists in each other; what is deeper is no file of a model
MOST_SIDES = 16
WIDTHS = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
    "BOOL": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """Type and shape of one tensor."""

    dtype: str
    shape: tuple[int, ...]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file, by name.

    Raises:
        ValueError: If the file is not whole, or not of this format.
        OSError: If it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 1 < length <= min(LONGEST, size - 8):
            raise ValueError("no safetensors header in it")
        header = parse_json(file.read(length).decode("utf-8"))
    if not isinstance(header, dict):
        raise ValueError("a header that is no object")
    header.pop("__metadata__", None)
    tensors, end = {}, 0
    for name, entry in header.items():
        tensors[name], last = _tensor(name, entry)
        end = max(end, last)
    if end != size - 8 - length:
        raise ValueError(f"{size - 8 - length} bytes of tensors where its header says {end}")
    return tensors


def parse_json(text: str) -> Any:
    """Return what a JSON document of somebody else's holds.

    Raises:
        ValueError: If it is no JSON, or nested so deeply that nothing could be done with it.
    """
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("values nested too deeply") from None
    level = [found]
    for _ in range(DEEPEST):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return found
    raise ValueError("values nested too deeply")


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _tensor(name: str, entry: Any) -> tuple[Tensor, int]:
    known = entry if isinstance(entry, dict) else {}
    dtype, shape, place = (known.get(key) for key in ("dtype", "shape", "data_offsets"))
    if (
        not isinstance(dtype, str)
        or not _are_counts(shape)
        or len(shape) > MOST_SIDES
        or not _are_counts(place)
        or len(place) != 2
    ):
        raise ValueError(f"{name} without a type, shape or place")
    start, end = place
    if dtype in WIDTHS and end - start != WIDTHS[dtype] * math.prod(shape):
        raise ValueError(f"{name} of another size than its type and shape say")
    return Tensor(dtype, tuple(shape)), end


def _are_counts(values: Any) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)
