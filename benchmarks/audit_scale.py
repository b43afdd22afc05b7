"""Seconds and peak memory of an audit of many rows of 40 words.

    python benchmarks/audit_scale.py 50000 200000 1000000

Rows are drawn from a vocabulary with the frequencies of a language; one in fifty is a copy and one
in twenty a near-duplicate of an earlier one. Each size is made by one process, and read and audited
by another, whose peak is measured.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pointsman.core.types import SPLITS, Example
from pointsman.data.audit import AuditedData
from pointsman.data.prepared import FORMAT, census, load_prepared, write_prepared
from pointsman.data.sampling import split_hash
from pointsman.pipeline.audit import audit_data
from pointsman.tasks.catalogue import load_task

WORDS = 40
VOCABULARY = 50_000
COPIES, NEAR = 0.02, 0.05
CHANGED = 3  # words of a near-duplicate


def texts(rows: int, seed: int = 0) -> list[str]:
    """Return the texts."""
    rng = np.random.default_rng(seed)
    frequencies = 1 / np.arange(1, VOCABULARY + 1)
    frequencies /= frequencies.sum()
    made: list[str] = []
    while len(made) < rows:
        block = rng.choice(VOCABULARY, (min(20_000, rows - len(made)), WORDS), p=frequencies)
        for row in block:
            draw = rng.random()
            if made and draw < COPIES:
                made.append(made[rng.integers(len(made))])
            elif made and draw < COPIES + NEAR:
                words = made[rng.integers(len(made))].split()
                start = rng.integers(len(words) - CHANGED)
                words[start : start + CHANGED] = [f"w{word}" for word in row[:CHANGED]]
                made.append(" ".join(words))
            else:
                made.append(" ".join(f"w{word}" for word in row))
    return made


def make(rows: int, place: Path) -> None:
    """Write prepared data of so many rows, four in five of them train, divided at random."""
    spec = load_task("category")
    rng = np.random.default_rng(1)
    parts: dict[str, list[Example]] = {split: [] for split in SPLITS}
    for number, text in enumerate(texts(rows)):
        label = spec.labels[int(rng.integers(len(spec.labels)))]
        split = SPLITS[int(rng.choice(3, p=(0.8, 0.1, 0.1)))]
        parts[split].append(Example(text, label=label, source=f"source-{number % 7}"))
    manifest = {
        "format": FORMAT,
        "task": spec.model_dump(mode="json"),
        "sources": [{"name": "generated", "licence": "Apache-2.0"}],
        "hashes": {name: split_hash(part) for name, part in parts.items()},
        "counts": {name: census(part) for name, part in parts.items()},
        "seed": 0,
    }
    write_prepared(place, parts, manifest)


def measure(place: Path) -> dict[str, float]:
    """Read and audit, and return what it took."""
    started = time.perf_counter()
    data = load_prepared(place)
    read = time.perf_counter()
    found = audit_data(AuditedData.from_prepared(data))
    return {
        "rows": sum(found["rows"].values()),
        "read_s": round(read - started, 1),
        "audit_s": round(time.perf_counter() - read, 1),
        "cpu_s": round(time.process_time(), 1),  # of both: what a busy machine cannot stretch
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "copies": found["duplicates"]["copies"],
        "near_duplicates": found["duplicates"]["near_duplicates"],
        "leaking": found["leakage"]["rows"],
    }


def main() -> None:
    """Print one JSON line a size."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("rows", nargs="+", type=int)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.make:
        make(args.rows[0], args.make)
    elif args.measure:
        print(json.dumps(measure(args.measure)), flush=True)
    else:
        for rows in args.rows:
            with tempfile.TemporaryDirectory() as place:
                for phase in ("--make", "--measure"):
                    subprocess.run([sys.executable, __file__, str(rows), phase, place], check=True)


if __name__ == "__main__":
    main()
