"""Bundles, other classifiers and a language model, side by side on the same labelled rows."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pointsman.bundle.layout import ADAPTER
from pointsman.bundle.meta import BundleMeta
from pointsman.core.files import write_json, write_text
from pointsman.core.types import Prediction
from pointsman.evaluation.comparison import Entrant, Pair, compare, over_seeds
from pointsman.evaluation.comparison_plots import plot_comparison
from pointsman.evaluation.comparison_report import write_comparison
from pointsman.pipeline.contestants import (
    PRESIDIO,
    Contestant,
    Rivals,
    Rows,
    check_names,
    check_same_task,
    is_url,
)
from pointsman.pipeline.llm import LlmOptions, LlmPeer
from pointsman.pipeline.measure import measure, measure_apart
from pointsman.pipeline.peer_http import HttpPeer
from pointsman.pipeline.peers import Foreign
from pointsman.pipeline.steps import Say
from pointsman.tasks.spec import TaskSpec

COMPARISON, REPORT, KEPT = "compare.json", "compare.md", "llm-answers.jsonl"


def compare_bundles(
    contestants: Sequence[Contestant],
    rows: Rows,
    out: Path,
    *,
    head: str | None = None,
    rivals: Rivals | None = None,
    against: str | None = None,
    latency_texts: int = 100,
    say: Say = lambda line: None,
) -> dict[str, Any]:
    """Compare bundles, and what they are to be compared with, on the same rows.

    Rivals that others run are asked first: they are the ones that may not answer.

    Args:
        contestants: The bundles.
        rows: Labelled rows.
        out: Directory for `compare.json`, `compare.md`, the plots and a language model's answers.
        head: Which head of shared bundles answers.
        rivals: Other classifiers and a language model.
        against: Whom every other one is told apart from; the first bundle when not given.
        latency_texts: How many texts are asked one by one.
        say: Takes news.

    Raises:
        ConfigError: If the bundles differ in task or labels, or there are fewer than two in all.
        PeerError: If a rival does not answer.
    """
    rivals = rivals or Rivals()
    spec, metas = check_same_task(contestants, head)
    machine = _machine()
    not_run = check_names(contestants, rivals, against)
    texts = [example.text for example in rows.examples]
    asked = _Asking(spec, texts, latency_texts, say)
    others = [
        asked.peer(name, place, rivals)
        for name, place in rivals.peers.items()
        if name not in not_run
    ]
    if rivals.llm is not None:
        others.append(asked.llm(rivals.llm, out / KEPT))
    entrants = [asked.bundle(c, m) for c, m in zip(contestants, metas, strict=True)] + others
    pairs = _pairs(contestants, entrants, against or contestants[0].name)
    result = compare(spec, rows.examples, entrants, pairs)
    result |= {
        "data": rows.data,
        "machine": machine,
        "not_run": not_run,
        "notes": [*_notes(result["entrants"], machine), *_strangers(rows, contestants, metas)],
        "seeds": over_seeds(result["entrants"], spec.headline),
    }
    write_result(result, out)
    return result


def write_result(result: Mapping[str, Any], out: Path) -> None:
    """Write a comparison into a directory, plots first: `compare.json` says that all is there."""
    plots = plot_comparison(result, out)
    shown = "".join(f"\n![{path.stem}]({path.name})\n" for path in plots)
    write_text(out / REPORT, write_comparison(result) + shown)
    write_json(out / COMPARISON, result)


class _Asking:
    """Asks one classifier after another the same texts."""

    def __init__(self, spec: TaskSpec, texts: Sequence[str], latency_texts: int, say: Say) -> None:
        self._spec = spec
        self._texts = texts
        self._latency_texts = latency_texts
        self._say = say

    def bundle(self, contestant: Contestant, meta: BundleMeta) -> Entrant:
        """Measure a bundle in a process of its own, and add what its training cost."""
        predictions, facts = self._apart("bundle", contestant.name, contestant.path)
        facts |= training_facts(contestant.path, meta)
        if contestant.variant is not None:
            facts["variant"] = contestant.variant
        return Entrant(contestant.name, predictions, facts=facts)

    def peer(self, name: str, place: str, rivals: Rivals) -> Entrant:
        """Measure another classifier: a URL from here, anything else in a process of its own."""
        if is_url(place):
            self._say(f"{name}: asking {len(self._texts):,} texts")
            peer = HttpPeer(
                name, place, self._spec, foreign=rivals.foreign, concurrency=rivals.concurrency
            )
            result = measure(peer, self._texts, self._latency_texts)
            facts = {**result["facts"], "kind": "server", "place": peer.place}
            facts["unknown_labels"] = dict(peer.reader.strange)
            return Entrant(name, result["predictions"], peer.reader.ranks, facts)
        kind = PRESIDIO if place == PRESIDIO else "transformers"
        path = None if place == PRESIDIO else Path(place)
        predictions, facts = self._apart(kind, name, path, rivals.foreign)
        return Entrant(name, predictions, facts.pop("ranks"), facts)

    def llm(self, options: LlmOptions, kept: Path) -> Entrant:
        """Ask a language model; answers that were had already are not asked for again."""
        self._say(f"{options.model}: asking {len(self._texts):,} texts")
        peer = LlmPeer(options.model, self._spec, options, kept)
        predictions = peer.predict(self._texts)
        return Entrant(options.model, predictions, False, peer.facts())

    def _apart(
        self, kind: str, name: str, path: Path | None, foreign: Foreign | None = None
    ) -> tuple[list[Prediction], dict[str, Any]]:
        self._say(f"{name}: measuring on {len(self._texts):,} texts")
        return measure_apart(
            kind,
            path,
            self._spec,
            self._texts,
            foreign=foreign,
            latency_texts=self._latency_texts,
        )


def _pairs(
    contestants: Sequence[Contestant], entrants: Sequence[Entrant], against: str
) -> list[Pair]:
    own = {c.name: c.against for c in contestants if c.against is not None}
    pairs = [Pair(entrant.name, own.get(entrant.name, against)) for entrant in entrants]
    return [pair for pair in pairs if pair.first != pair.second]


def training_facts(path: Path, meta: BundleMeta) -> dict[str, Any]:
    """Return what a bundle cost to train and takes on disk, in seconds and MiB.

    `disk_mb` is what is needed to answer; the adapter, which is in its weights, stands apart.
    """
    files = [file for file in path.rglob("*") if file.is_file()]
    size = sum(f.stat().st_size for f in files if ADAPTER not in f.relative_to(path).parts)
    facts: dict[str, Any] = {
        "backbone": meta.provenance.get("backbone", {}).get("name"),
        "disk_mb": size / 2**20,
    }
    if meta.cost is not None:
        cost = meta.cost.model_dump(exclude={"weights_mb", "peak_memory_mb"})
        facts |= {**cost, "training_memory_mb": meta.cost.peak_memory_mb}
    return facts


def _machine() -> dict[str, Any]:
    """Return what the measured times rest on, before anything is measured."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"system": platform.platform(), "processors": os.cpu_count(), "load": load}


def _notes(accounts: Sequence[Mapping[str, Any]], machine: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know of the figures."""
    timed = next((a for a in accounts if a["kind"] == "bundle"), accounts[0])
    load = "" if machine["load"] is None else f", with a load of {machine['load']:.1f} before"
    notes = [
        f"Latency is that of one text alone, over {timed['latency_texts']} texts after a warm-up; "
        "a server's and a language model's holds the way there and back.",
        f"Measured on {machine['processors']} processors{load}: other work makes times longer.",
        "Each classifier of this machine was measured in a process of its own, one after the "
        "other. Peak memory is the whole process's; its own is what came after the libraries.",
        "Intervals are 95%, by bootstrap over groups; differences are paired. A verdict needs an "
        "interval without zero and, for several pairs, McNemar's p below 0.05 after Holm.",
        "A missing answer is wrong. Mean confidence says how sure a classifier is, not how right.",
    ]
    for account in accounts:
        strange = account.get("unknown_labels")
        if strange:
            listed = ", ".join(f"{label} ({count})" for label, count in sorted(strange.items()))
            notes.append(f"{account['name']} gave labels that the task does not have: {listed}.")
        if str(account.get("structured", "yes")) != "yes":
            notes.append(f"{account['name']}: the server takes no JSON schema; asked without.")
    return notes


def _strangers(
    rows: Rows, contestants: Sequence[Contestant], metas: Sequence[BundleMeta]
) -> list[str]:
    """Say which bundles were trained on other data, whose rows may be among these."""
    return [
        f"{contestant.name} was trained on other data than these rows were prepared with: some of "
        "them may have been among its own."
        for contestant, meta in zip(contestants, metas, strict=True)
        if rows.train_hash is not None
        and meta.provenance.get("data", {}).get("hashes", {}).get("train") != rows.train_hash
    ]
