"""The gate before training: data is audited, and what is wrong with it needs a word of consent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pointsman.core.errors import DataError
from pointsman.data.audit import AuditedData, summarise
from pointsman.data.encode import TextEncoder
from pointsman.data.licences import sources_to_allow
from pointsman.data.prepared import PreparedData
from pointsman.data.request import SourceRequest
from pointsman.data.sources import SOURCES
from pointsman.pipeline.audit import audit_data


@dataclass(frozen=True, slots=True)
class Consent:
    """What the user agrees to train in spite of; nothing, unless it is said.

    Attributes:
        leakage: Rows of validation or test with a relative in a less protected split.
        noncommercial: Sources that are non-commercial or of unknown licence.
    """

    leakage: bool = False
    noncommercial: bool = False


@dataclass(frozen=True, slots=True)
class Passed:
    """What the gate let through.

    Attributes:
        audit: The whole audit, for `audit.json`.
        provenance: Its summary, and what was consented to, for the bundle.
    """

    audit: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=dict)


def check_data(
    data: PreparedData, consent: Consent, *, encoder: TextEncoder, say: Callable[[str], None]
) -> Passed:
    """Audit prepared data before it is trained on.

    Args:
        data: The data.
        consent: What the user agrees to.
        encoder: The backbone's tokenizer, to measure lengths with.
        say: Told of every error and warning in one line.

    Raises:
        DataError: If rows leak across splits, or a source is not to be used, without consent.
    """
    sources = check_licences(data.manifest["sources"], consent)
    found = audit_data(AuditedData.from_prepared(data), encoder=encoder)
    leaking = found["leakage"]["rows"]
    if leaking and not consent.leakage:
        raise DataError(
            f"data of {data.spec.name} whose splits share no copy, near-duplicate, group or "
            "template",
            got=f"{leaking} rows of validation and test with a relative in another split",
            fix="see `pointsman data audit`; prepare the data again, or train in spite of it with "
            "--allow-leakage (recipe key `allow_leakage`): the bundle will carry it",
        )
    for entry in found["findings"]:
        if entry["severity"] != "info":
            say(f"  audit: {entry['text']}")
    allowed: dict[str, Any] = {"leakage": leaking} if leaking else {}
    allowed |= {"sources": sources} if sources else {}
    provenance = {"audit": summarise(found)} | ({"allowed": allowed} if allowed else {})
    return Passed(found, provenance)


def check_licences(sources: Iterable[Mapping[str, Any]], consent: Consent) -> list[dict[str, str]]:
    """Return the sources that need consent.

    Raises:
        DataError: If there are any and consent was not given, with their names and licences.
    """
    needing = sources_to_allow(sources)
    if needing and not consent.noncommercial:
        named = ", ".join(f"{s['name']}: {s['licence']} ({s['standing']})" for s in needing)
        raise DataError(
            "sources whose licence is known and allows commercial use",
            got=named,
            fix="leave them out, give a source of your own its `licence` (an SPDX identifier), or "
            "train in spite of it with --allow-noncommercial (recipe key `allow_noncommercial`): "
            "the bundle will carry it",
        )
    return needing


def requested_licences(requests: Iterable[SourceRequest]) -> list[dict[str, str]]:
    """Return name and licence of the sources that a recipe asks for, before any is read."""
    found = []
    for request in requests:
        known = SOURCES.get(request.name or "")
        licence = request.licence if known is None else known.licence
        found.append({"name": request.title, "licence": licence or "unknown"})
    return found
