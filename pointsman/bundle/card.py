"""The model card: what a bundle is, in words, for whoever finds it on a shelf."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pointsman.bundle.doubts import doubts, known_leakage, unknown_teacher
from pointsman.bundle.exports import ExportEntry, hash_operating_point
from pointsman.bundle.meta import BundleMeta, Cost, SharedMeta, heads_of


def write_card(meta: BundleMeta, exports: Sequence[ExportEntry] = ()) -> str:
    """Return the README.md of a bundle, with the exports that it holds, as Markdown."""
    backbone = meta.provenance.get("backbone", {})
    parts = [
        _front_matter(meta, backbone),
        f"# {meta.task.title} classifier\n\n{meta.task.question}\n",
        _labels(meta),
        _operating_point(meta),
        _figures(meta),
        _cost(meta.cost) if meta.cost else "",
        _teacher(meta.provenance.get("teacher")),
        _sources(meta.provenance.get("data", {})),
        _audit(meta.provenance),
        _exports(meta, exports),
        _use(),
    ]
    return "\n".join(part for part in parts if part)


def write_shared_card(meta: SharedMeta, exports: Sequence[ExportEntry] = ()) -> str:
    """Return the README.md of a shared bundle, with the exports that it holds, as Markdown."""
    backbone = meta.provenance.get("backbone", {})
    parts = [
        f"---\nlibrary_name: pointsman\nbase_model: {backbone.get('origin', 'unknown')}\n"
        f"tags: [pointsman, {', '.join(meta.heads)}]\n---\n",
        f"# One encoder, {len(meta.heads)} heads: {', '.join(meta.heads)}\n",
        _depth(meta),
        _cost(meta.cost) if meta.cost else "",
    ]
    for name, head in meta.heads.items():
        own = (
            _labels(head),
            _operating_point(head),
            _figures(head),
            _teacher(head.provenance.get("teacher")),
            _sources(head.provenance.get("data", {})),
        )
        parts.append(f"# {name}: {head.task.title}\n\n{head.task.question}\n")
        parts += [_deeper(text) for text in (*own, _audit(head.provenance))]
    parts += [_exports(meta, exports), _use_shared(meta)]
    return "\n".join(part for part in parts if part)


def _depth(meta: SharedMeta) -> str:
    own = {name: head.provenance.get("own_layers", 0) for name, head in meta.heads.items()}
    above = ""
    if isinstance(meta.trunk_layers, dict):
        deep = [f"{layers} of {name}" for name, layers in own.items() if layers]
        above = f" Heads have upper layers of their own: {', '.join(deep)}; the others share them."
    elif any(own.values()):
        above = f" {max(own.values())} layers above them are each head's own."
    return (
        f"{meta.least_depth()} layers of the encoder are computed once for all heads.{above} "
        f"Texts are read in windows of up to {meta.max_length} tokens.\n"
    )


def _deeper(text: str) -> str:
    """Return a section one level down."""
    return f"#{text}" if text.startswith("##") else text


def _use_shared(meta: SharedMeta) -> str:
    return (
        "# Use\n\n```python\nfrom pointsman import load\n\n"
        'answers = load("path/to/this/directory").predict(["a text"])\n'
        f'answers["{next(iter(meta.heads))}"][0]\n```\n\n'
        "One pass over the text answers for every head. `predict(texts, heads=[...])` asks some.\n"
    )


def _front_matter(meta: BundleMeta, backbone: dict[str, Any]) -> str:
    pipeline = "token-classification" if meta.task.level == "token" else "text-classification"
    return (
        f"---\nlibrary_name: transformers\npipeline_tag: {pipeline}\n"
        f"base_model: {backbone.get('origin', 'unknown')}\n"
        f"tags: [pointsman, {meta.task.name}]\n---\n"
    )


def _labels(meta: BundleMeta) -> str:
    rows = []
    for label in meta.task.labels:
        tools = meta.task.tools.get(label)
        rows.append(f"- `{label}`" + (f" (tools: {', '.join(tools)})" if tools else ""))
    return "## Labels\n\n" + "\n".join(rows) + "\n"


def _operating_point(meta: BundleMeta) -> str:
    """Return what decides: rule, temperature, thresholds, and the rows that chose them."""
    point = meta.operating_point
    if not point:
        return ""
    rows = point.get("chosen_on", {})
    chosen = f"{rows.get('rows', 0):,} rows of {rows.get('data', 'unknown data')}"
    digest = f" (SHA-256 of the rows {rows['sha256']})" if rows.get("sha256") else ""
    return (
        f"## Operating point\n\nRule: {point.get('rule', 'none')}. {_settings(meta)}. "
        f"Chosen on {chosen}{digest}.{_notes(point)}\n"
    )


def _settings(meta: BundleMeta) -> str:
    words = [f"Temperature: {meta.temperature:.4g}"]
    if meta.thresholds:
        named = ", ".join(f"{label} {value:.4g}" for label, value in meta.thresholds.items())
        words.append(f"Thresholds: {named}")
    if meta.abstain_below:
        words.append(f"Unsure below: {meta.abstain_below:.4g}")
    return ". ".join(words)


def _notes(point: dict[str, Any]) -> str:
    note = f" Note: {point['note']}." if point.get("note") else ""
    return note + "".join(f"\n\n**{words}**" for words in doubts(point))


def _former_point(meta: BundleMeta) -> str:
    """Return a warning where the figures were measured before the bundle was calibrated anew."""
    measured = {k: v for k, v in meta.metrics.get("operating_point", {}).items() if k != "test"}
    if not measured or measured == meta.operating_point:
        return ""
    rows = measured.get("chosen_on", {}).get("data", "unknown data")
    temperature = meta.metrics.get("calibration", {}).get("temperature")
    at = "" if temperature is None else f", temperature {temperature:.4g}"
    return (
        f"**Measured at the former operating point** (rule {measured.get('rule')}, chosen on "
        f"{rows}{at}): what depends on thresholds or on probabilities is another by now.\n\n"
    )


def _figures(meta: BundleMeta) -> str:
    figures = {k: v for k, v in meta.metrics.items() if isinstance(v, int | float)}
    if not figures:
        return "## Figures\n\nNot evaluated yet.\n"
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in figures.items())
    former = _former_point(meta)
    return f"## Figures on the test split\n\n{former}| metric | value |\n| --- | --- |\n{rows}\n"


def _cost(cost: Cost) -> str:
    adapter = "" if cost.adapter_mb is None else f" Adapter: {cost.adapter_mb:.1f} MiB."
    return (
        f"## Training\n\nMethod: {cost.method}, in {cost.precision}. Trainable parameters: "
        f"{cost.trainable_parameters:,} of {cost.parameters:,} ({cost.trainable_share:.2%}). "
        f"Time: {cost.seconds:.0f} s, {cost.steps} steps. Peak memory: "
        f"{cost.peak_memory_mb:.0f} MiB. Weights: {cost.weights_mb:.1f} MiB.{adapter}\n"
    )


def _teacher(teacher: dict[str, Any] | None) -> str:
    if teacher is None:
        return ""
    origin = teacher["backbone"].get("origin", "an unknown backbone")
    return (
        f"## Teacher\n\nLearned from labels and from the answers of a model of {origin} "
        f"(SHA-256 of its weights {teacher['weights']}).\n"
    )


def _sources(data: dict[str, Any]) -> str:
    sources = data.get("sources", [])
    if not sources:
        return ""
    rows = "\n".join(
        f"| {source.get('name')} | {_origin(source)} | {_revision(source)} "
        f"| {source.get('licence', 'unknown')} |"
        for source in sources
    )
    return (
        f"## Data\n\n| source | origin | revision | licence |\n| --- | --- | --- | --- |\n{rows}\n"
    )


def _audit(provenance: dict[str, Any]) -> str:
    """Return what the audit of the training data found, what was trained in spite of first."""
    audit, allowed = provenance.get("audit"), provenance.get("allowed", {})
    if audit is None:
        return ""
    lines = []
    if leakage := known_leakage(provenance):
        lines.append(f"**{leakage}**\n")
    if doubt := unknown_teacher(provenance):
        lines.append(f"**{doubt}**\n")
    if allowed.get("sources"):
        named = ", ".join(f"{s['name']} ({s['licence']})" for s in allowed["sources"])
        lines.append(f"**Trained on non-commercial or unlicensed sources:** {named}.\n")
    lines += [f"- {finding}" for finding in audit["findings"]]
    return "## Data audit\n\n" + ("\n".join(lines) or "Nothing found.") + "\n"


def _exports(meta: BundleMeta | SharedMeta, exports: Sequence[ExportEntry]) -> str:
    """Return what each export was proven to do, head by head, and on what."""
    if not exports:
        return ""
    heads = tuple(heads_of(meta))
    point = hash_operating_point(meta)
    rows = "\n".join(
        f"| {entry.name} | {head} | {_verdict(entry, point)} | {_proof(entry, head)} |"
        for entry in exports
        for head in heads
    )
    return (
        "## Exports\n\n| form | head | verdict | proven on | headline, torch and export "
        "| same decisions | largest difference of a logit |\n"
        f"| --- | --- | --- | --- | --- | --- | --- |\n{rows}\n"
    )


def _verdict(entry: ExportEntry, point: str) -> str:
    if not entry.blessed:
        return "forced, not blessed"
    return "blessed" if entry.is_blessed_at(point) else "blessed at other thresholds"


def _proof(entry: ExportEntry, head: str) -> str:
    """Return the cells of one head's proof; what an older version did not write is a dash."""
    figures = entry.figures.get(head, {})
    headline = figures.get("headline")
    pair = f"{headline['torch']:.4f}, {headline['export']:.4f}" if headline else "-"
    rows = f"{figures['rows']:,} rows" if "rows" in figures else "-"
    data = f" ({figures['data']})" if "data" in figures else ""
    same, error = figures.get("agreement"), figures.get("logit_error")
    return " | ".join(
        (
            f"{rows}{data}",
            pair,
            "-" if same is None else f"{same:.2%}",
            "-" if error is None else f"{error:.1e}",
        )
    )


def _origin(source: dict[str, Any]) -> str:
    place = source.get("url") or source.get("hub")
    return str(place or ("local files" if source.get("files") else "the package"))


def _revision(source: dict[str, Any]) -> str:
    asked, resolved = source.get("revision", ""), source.get("resolved_revision")
    return str(asked) if resolved in (None, asked) else f"{resolved} ({asked})"


def _use() -> str:
    return (
        "## Use\n\n```python\nfrom pointsman import load\n\n"
        'load("path/to/this/directory").predict(["a text"])\n```\n\n'
        "The directory also loads with `transformers`' `from_pretrained`.\n"
    )
