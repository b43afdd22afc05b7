"""What of this machine decides how to answer: its cores and the instructions that it knows."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")  # Linux alone has it; elsewhere nothing is known, which is fine


@cache
def _cpuinfo() -> tuple[dict[str, str], ...]:
    """Return what the system says of each logical processor."""
    try:
        text = CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    blocks = (block.splitlines() for block in text.split("\n\n") if block.strip())
    return tuple(
        {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in block)}
        for block in blocks
    )


def has_wide_vectors() -> bool:
    """Say whether the processor has AMX or AVX-512, where OpenVINO outruns onnxruntime."""
    flags = _cpuinfo()[0].get("flags", "").split() if _cpuinfo() else []
    return "avx512f" in flags or "amx_tile" in flags


def count_threads(asked: int | None = None) -> int:
    """Return how many threads to compute with.

    Args:
        asked: What the user said. Without it `OMP_NUM_THREADS` counts, as everywhere, and without
            that the physical cores that this process may use: two threads on one core take turns.
    """
    if asked is not None:
        return max(1, asked)
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(first) if first.isdigit() and int(first) > 0 else physical_cores()


def physical_cores() -> int:
    """Return the number of physical cores that this process may run on; at least 1."""
    if platform.system() != "Linux":
        return os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    cores = {
        (entry.get("physical id"), entry.get("core id"))
        for entry in _cpuinfo()
        if int(entry.get("processor", -1)) in allowed and "core id" in entry
    }
    return len(cores) or len(allowed)
