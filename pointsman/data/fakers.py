"""Faker's generators, each giving the same values in every process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pointsman.core.errors import ConfigError


def faker_factory() -> Callable[[str], Any]:
    """Return what makes a generator of Faker for a locale.

    Raises:
        ConfigError: If Faker is not installed.
    """
    try:
        from faker import Factory
    except ImportError:
        needed, fix = "Faker, which fills the PII templates", "pip install pointsman[train]"
        raise ConfigError(needed, got="no module named faker", fix=fix) from None

    def create(locale: str) -> Any:
        fake = Factory.create(locale, use_weighting=False)
        for provider in fake.get_providers():
            if hasattr(provider, "cities"):  # Italy's come out of a set, in each process anew
                provider.cities = sorted(provider.cities)
        return fake

    return create
