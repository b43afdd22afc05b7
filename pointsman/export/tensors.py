"""What a safetensors file says of its tensors, read from its header alone: no tensor is loaded."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST = 100_000_000  # bytes of a header; the format's own limit
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
        header = json.loads(file.read(length).decode("utf-8"))
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


def _tensor(name: str, entry: Any) -> tuple[Tensor, int]:
    try:
        dtype, shape = str(entry["dtype"]), tuple(int(side) for side in entry["shape"])
        start, end = (int(offset) for offset in entry["data_offsets"])
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{name} without a type, shape or place") from None
    if dtype in WIDTHS and end - start != WIDTHS[dtype] * math.prod(shape):
        raise ValueError(f"{name} of another size than its type and shape say")
    return Tensor(dtype, shape), end
