"""What the speed benchmarks share: sides that take turns, medians, tables, plots and the machine.

A figure of a busy machine says little, and one of a machine that drifts less. So the sides of a
comparison take turns within one process, each turn begins with another side, a side warms its
caches by one call that is not counted, and what is reported is a median and a ratio.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = ("pointsman", "torch", "transformers", "onnxruntime", "openvino", "tokenizers")
SETTLE_S = 0.05  # idle threads of the side before spin for a while; then the cores are free
TOO_BUSY = 0.5  # load average from which on a measuring warns


@dataclass(frozen=True, slots=True)
class Times:
    """The seconds of one side.

    Attributes:
        seconds: One a round, in the order of the rounds.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median, in seconds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The lower and the upper quartile, in seconds."""
        if len(self.seconds) < 2:
            return self.seconds[0], self.seconds[0]
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return low, high

    def ratio(self, other: Times) -> float:
        """Return how many times as long the other side took: our median under theirs."""
        return other.median / self.median

    def to_dict(self) -> dict[str, Any]:
        """Return median, quartiles and all rounds."""
        low, high = self.quartiles
        return {"median": self.median, "low": low, "high": high, "seconds": list(self.seconds)}


def take_turns(
    sides: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 20,
    warmup: int = 3,
    settle: bool = True,
) -> dict[str, Times]:
    """Time each side once a round.

    Args:
        sides: What to time, by name.
        rounds: Timed calls of each.
        warmup: Calls of each before the first round.
        settle: Before every timed call, wait until the threads of the last side sleep and make
            one call that does not count. False for sides that take long or start processes.
    """
    for side in sides.values():
        for _ in range(warmup):
            side()
    names = list(sides)
    spent: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            if settle:
                time.sleep(SETTLE_S)
                sides[name]()
            started = time.perf_counter()
            sides[name]()
            spent[name].append(time.perf_counter() - started)
    return {name: Times(tuple(seconds)) for name, seconds in spent.items()}


def measured_turns(
    sides: Mapping[str, Callable[[], float]],
    *,
    rounds: int,
    warmup: int = 1,
    fewer: Mapping[str, int] | None = None,
) -> dict[str, Times]:
    """Take turns with sides that time themselves and return seconds.

    Args:
        sides: What to run, by name.
        rounds: Timed calls of each.
        warmup: Calls of each before the first round.
        fewer: Sides that are left out after so many rounds.
    """
    for side in sides.values():
        for _ in range(warmup):
            side()
    names = list(sides)
    spent: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            if turn < (fewer or {}).get(name, rounds):
                spent[name].append(sides[name]())
    return {name: Times(tuple(seconds)) for name, seconds in spent.items()}


def machine(threads: int) -> dict[str, Any]:
    """Return what a reader must know of the machine: processor, memory, versions, load."""
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "features": _features(),
        "memory_gib": _memory_gib(),
        "gpu": _gpu(),
        "threads": threads,
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {name: found for name in LIBRARIES if (found := _version(name))},
        "date": datetime.now(UTC).date().isoformat(),
    }  # fmt: skip


def machine_line(facts: Mapping[str, Any]) -> str:
    """Return the machine in one line, as the pages write it."""
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    features = ", ".join(facts["features"]) or "no AVX-512, no AMX"
    gpu = f", {facts['gpu']}" if facts.get("gpu") else ""
    return (
        f"{facts['cores']} cores of {facts['cpu']} ({features}), {facts['memory_gib']} GiB{gpu}, "
        f"{facts['threads']} threads, load {facts['load']} at the start; "
        f"Python {facts['python']}, {versions}; {facts['date']}"
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _features() -> list[str]:
    known = {"amx_bf16": "AMX bf16", "amx_int8": "AMX int8", "avx512f": "AVX-512"}
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return []
    return [text for flag, text in known.items() if flag in words]


def _memory_gib() -> int:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (ValueError, OSError):
        return 0


def _gpu() -> str | None:
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def peak_mib(pid: int | str = "self") -> float:
    """Return the most memory that a process ever had resident, in MiB; 0 when it is gone.

    `ru_maxrss` would not do: over fork and exec it starts with what the parent had.
    """
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def reset_peak() -> None:
    """Start counting `peak_mib` of this process anew, where the system lets it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def run_child(command: Sequence[str]) -> tuple[float, float, str]:
    """Run a command to its end and return seconds, peak MiB and what it wrote to stdout.

    The peak is a high-water mark, read ten times a second: only what a process takes in its last
    tenth of a second may be missed.

    Raises:
        RuntimeError: If it failed.
    """
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(command, stdout=out, stderr=errors)
        peak = 0.0
        while child.poll() is None:
            peak = max(peak, peak_mib(child.pid))
            time.sleep(0.1 if time.perf_counter() - started > 1 else 0.01)
        seconds = time.perf_counter() - started
        out.seek(0)
        errors.seek(0)
        if child.returncode:
            raise RuntimeError(f"a run that ends well, got {child.returncode}: {errors.read()}")
        return seconds, peak, out.read()


@dataclass(slots=True)
class Report:
    """What a benchmark found: printed as Markdown, kept as JSON.

    Attributes:
        name: Of the script.
        arguments: As they were given.
        machine: From `machine`.
        tables: Title, headers and rows of each table.
        data: Figures in full, for the JSON file.
        verdicts: What the bars say.
    """

    name: str
    arguments: dict[str, Any]
    machine: dict[str, Any]
    tables: list[dict[str, Any]] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    verdicts: list[dict[str, Any]] = field(default_factory=list)

    def table(self, title: str, headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add a table and print it at once, so that a run cut off has shown what it had."""
        self.tables.append({"title": title, "headers": list(headers), "rows": [*map(list, rows)]})
        print(f"\n{title}\n\n{markdown(headers, rows)}", flush=True)

    def judge(self, what: str, ratio: float, bar: float, *, below: bool = False) -> bool:
        """Hold a figure against its bar, and say whether it is met.

        Args:
            what: The figure.
            ratio: Its value.
            bar: What it must reach.
            below: The figure must stay under the bar instead.
        """
        met = ratio < bar if below else ratio >= bar
        self.verdicts.append({"what": what, "value": ratio, "bar": bar, "below": below, "met": met})
        words = f"under {bar:g}" if below else f"at least {bar:g}"
        print(f"\n{'MET' if met else 'MISSED'}: {what}: {ratio:.2f}, bar {words}", flush=True)
        return met

    def save(self, directory: Path) -> Path:
        """Write the JSON file and return its path."""
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / f"{self.name}.json"
        content = {
            "name": self.name, "arguments": self.arguments, "machine": self.machine,
            "tables": self.tables, "verdicts": self.verdicts, "data": self.data,
        }  # fmt: skip
        file.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
        print(f"\nfigures in full: {file}")
        return file


def markdown(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table; floats are shown with three figures."""
    lines = ["| " + " | ".join(headers) + " |", "|" + " --- |" * len(headers)]
    lines += ["| " + " | ".join(map(shown, row)) + " |" for row in rows]
    return "\n".join(lines)


def shown(value: Any) -> str:
    """Return a cell: floats with three figures, large numbers with commas."""
    if value is None:
        return "not run"
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{2 if abs(value) < 10 else 1}f}" if abs(value) >= 0.1 else f"{value:.2g}"


def start(name: str, args: argparse.Namespace) -> Report:
    """Print the machine, warn where it is busy, and return an empty report."""
    facts = machine(args.threads)
    print(f"{name}: {machine_line(facts)}")
    if facts["load"] > TOO_BUSY and not args.quick:
        print(f"warning: the load is {facts['load']}: figures of a busy machine", file=sys.stderr)
    if args.rounds < 20:
        print(f"warning: medians of {args.rounds}, for trying out and not for the page")
    return Report(name, {key: str(value) for key, value in vars(args).items()}, facts)


def parse(
    parser: argparse.ArgumentParser, *, quick: Mapping[str, Any] | None = None
) -> argparse.Namespace:
    """Add what all benchmarks take, parse, and set the threads of every library.

    Args:
        parser: With the script's own arguments.
        quick: Values that `--quick` sets beside `--rounds 2`.
    """
    parser.add_argument("--rounds", type=int, default=20, help="timed rounds: medians of these")
    parser.add_argument("--warmup", type=int, default=3, help="calls of each side before them")
    parser.add_argument("--threads", type=int, default=2, help="threads of every side")
    parser.add_argument("--quick", action="store_true", help="try the script: tiny, no figures")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/bench"))
    args = parser.parse_args()
    if args.quick:
        for key, value in {"rounds": 2, "warmup": 1, **(quick or {})}.items():
            setattr(args, key, value)
    limit_threads(args.threads)
    return args


def limit_threads(threads: int) -> None:
    """Give every library so many threads; before torch is imported, its pool has the right size."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the exponent of growth between the last half of the points: 1 is linear."""
    import numpy as np

    half = max(2, len(xs) // 2 + 1)
    return float(np.polyfit(np.log(xs[-half:]), np.log(ys[-half:]), 1)[0])
