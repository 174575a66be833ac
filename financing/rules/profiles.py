"""Jurisdictions: which rules and which strictness of checks a contract falls under."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from financing.errors import Invalid


@dataclass(frozen=True, slots=True)
class Profile:
    """One jurisdiction.

    Args:
        scopes: whose rows of `rules/deadlines.py` apply.
        confirmation_days: natural days for which a purchaser's confirmation carries.
    """

    id: str
    scopes: tuple[str, ...]
    confirmation_days: int


PROFILES: Final = {
    "zhengzhou": Profile("zhengzhou", ("china", "zhengzhou"), 30),
    # Contracts of other places: no Chinese law, no Chinese source systems.
    "generic": Profile("generic", (), 30),
}


def profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        Invalid: there is none.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise Invalid(
            f"no profile {name!r}", where="profile", remedy=f"use one of {', '.join(PROFILES)}"
        ) from None
