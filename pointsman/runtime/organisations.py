"""Business names told from persons by their legal forms and company words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pointsman.core.types import PredictedSpan


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# In their own spelling only: "AS", "SE" and "Co" are also words, and people are called "Sa".
# Dots are taken out before the comparison.
LEGAL_FORMS = _words("""
    Inc Incorporated LLC LLP Ltd Limited PLC Plc plc Corp Corporation Co Company
    GmbH gGmbH mbH AG KG KGaA OHG UG SE Aktiengesellschaft Gesellschaft
    SA SAS SARL Sàrl SNC EIRL SL SLU SRL Srl SpA Lda Ltda BV NV CV VOF
    AB ASA ApS Oy Oyj OÜ Aktiebolag Aktieselskab Kft Zrt Nyrt sro doo EOOD
    Sdn Bhd Pty Pte KK OOO ООО ОАО ЗАО PJSC
""")
COMPANY_WORDS = _words("""
    Bank Bancorp Consulting Consultants Group Holding Holdings Industries Enterprise Enterprises
    Technology Technologies Solutions Systems Software Partners Associates Ventures Capital
    Laboratories Labs Pharma Pharmaceuticals Therapeutics Biosciences Insurance Airlines Airways
    Motors Logistics Networks Telecom Communications Media Entertainment Studios Energy Petroleum
    Foundation Institute University Hospital Clinic Agency Services Financial Investments Realty
    Properties Trust Brothers Sons Trading Manufacturing Electronics Semiconductor Dynamics
    Robotics Analytics Corporation International
""")
_TOKEN = re.compile(r"[^\W_](?:[\w.]*[^\W_])?\.?|&")
_TAIL = re.compile(r"(,?) (?=[^\W\d_])(\S+)")


def is_business(text: str) -> bool:
    """Say whether a name holds what only names of businesses hold, beside a word of its own."""
    words = _TOKEN.findall(text)
    return len(words) > 1 and (
        words[-1].replace(".", "") in LEGAL_FORMS or any(w in COMPANY_WORDS for w in words[1:])
    )


def resolve_organisations(text: str, spans: Sequence[PredictedSpan]) -> list[PredictedSpan]:
    """Return spans in which persons that are businesses are organisations.

    A person or organisation takes in the legal form that follows it, unless another span holds it.

    Args:
        text: The text.
        spans: Sorted, disjoint spans in it.
    """
    resolved = []
    for number, span in enumerate(spans):
        if span.label in ("PERSON", "ORGANIZATION"):
            limit = spans[number + 1].start if number + 1 < len(spans) else len(text)
            end = _with_form(text, span.end, limit)
            piece = text[span.start : end]
            if end > span.end or is_business(piece):
                span = replace(span, end=end, text=piece, label="ORGANIZATION")
        resolved.append(span)
    return resolved


def _with_form(text: str, end: int, limit: int) -> int:
    """Return where a name ends with the legal forms that follow it."""
    while (match := _TAIL.match(text, end, limit)) is not None:
        word = match[2].rstrip(",;:!?)]}\"'")
        letters = word.replace(".", "")
        if letters not in LEGAL_FORMS or (match[1] and len(letters) < 3):
            break  # "Harrah's Reno, NV" is a state
        end = match.start(2) + len(word)
    return end
