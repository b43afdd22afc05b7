"""Rows of public data sets, each in its own columns, turned into our fields.

A converter yields a raw row under our field names (see `pointsman.data.schema`), several of them,
or `LeftOut` for what it cannot use: that is counted in the manifest and never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Raw = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that a source holds and the task cannot use.

    Attributes:
        reason: Why, in a word or two: the key it is counted under.
        name: What it was: a function, a label.
    """

    reason: str
    name: str


Converter = Callable[[Mapping[str, Any]], Iterator[Raw | LeftOut]]


def mmlu_pro(row: Mapping[str, Any]) -> Iterator[Raw | LeftOut]:
    """TIGER-Lab/MMLU-Pro: the question alone; its options would give the format away.

    It was put together from other sets of questions. `src` says which, before the first dash
    (`stemez-Physics`): a set of its own manner, which may own a category.
    """
    subject = row.get("src")
    meta = {"subject": subject, "question_id": row.get("question_id")}
    collection = str(subject or "").partition("-")[0]
    yield {"text": row["question"], "label": row["category"], "source": collection, "meta": meta}


def presidio(row: Mapping[str, Any]) -> Iterator[Raw | LeftOut]:
    """Presidio-research JSON: spans by code point, one template a group."""
    spans = row["spans"]
    if isinstance(spans, list):
        spans = [_presidio_span(span) if isinstance(span, Mapping) else span for span in spans]
    yield {"text": row["full_text"], "spans": spans, "group": row.get("template_id")}


def _presidio_span(span: Mapping[str, Any]) -> Raw:
    return {
        "start": span.get("start_position"),
        "end": span.get("end_position"),
        "label": span.get("entity_type"),
    }


def jailbreak_classification(row: Mapping[str, Any]) -> Iterator[Raw | LeftOut]:
    """jackhhao/jailbreak-classification: `type` is benign, and jailbreak or malicious.

    Files of the data set differ in the positive's name: its `balanced` ones say malicious.
    """
    kind = "jailbreak" if row["type"] == "malicious" else row["type"]
    yield {"text": row["prompt"], "kind": kind}


def toxic_chat(row: Mapping[str, Any]) -> Iterator[Raw | LeftOut]:
    """lmsys/toxic-chat: `toxicity` is not `jailbreaking`.

    A row that is only toxic circumvents nothing: it is a kind of its own.
    """
    kind = "benign"
    if int(row["jailbreaking"]):
        kind = "jailbreak"
    elif int(row["toxicity"]):
        kind = "toxic"
    yield {"text": row["user_input"], "kind": kind}


def salad_base(row: Mapping[str, Any]) -> Iterator[Raw | LeftOut]:
    """OpenSafetyLab/Salad-Data base_set: plain harmful questions."""
    yield {"text": row["question"], "kind": "harmful", "meta": _salad_meta(row)}


def salad_attack(row: Mapping[str, Any]) -> Iterator[Raw | LeftOut]:
    """OpenSafetyLab/Salad-Data attack_enhanced_set: `augq` wraps a base question in an attack.

    All attacks on one base question are one group.
    """
    meta = {"method": row.get("method"), **_salad_meta(row)}
    yield {"text": row["augq"], "kind": "jailbreak", "group": row.get("qid"), "meta": meta}


def _salad_meta(row: Mapping[str, Any]) -> Raw:
    return {"domain": row.get("1-category")}
