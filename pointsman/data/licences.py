"""What a source's licence allows, as far as its name tells: open, non-commercial, or unknown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

Standing = Literal["open", "non-commercial", "unknown"]
_NON_COMMERCIAL = re.compile(r"(?<![a-z])nc(?![a-z])|non-?_?\s?commercial", re.IGNORECASE)


def licence_standing(licence: str | None) -> Standing:
    """Return what a licence allows.

    Only an SPDX expression counts as known (`LicenseRef-OURS` is one, for data of your own):
    a sentence about a licence is none.

    Args:
        licence: SPDX expression, or whatever stands in its place.
    """
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    if licence and _NON_COMMERCIAL.search(licence):
        return "non-commercial"
    try:
        canonicalize_license_expression(licence or "")
    except InvalidLicenseExpression:
        return "unknown"
    return "open"


def sources_to_allow(sources: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the sources that are not to be trained on without being asked for.

    Args:
        sources: Sources with `name` and `licence`, as a manifest has them.

    Returns:
        Name, licence and standing of each that is non-commercial or of unknown licence.
    """
    found = []
    for source in sources:
        licence = str(source.get("licence") or "unknown")
        standing = licence_standing(licence)
        if standing != "open":
            found.append({"name": str(source["name"]), "licence": licence, "standing": standing})
    return found
