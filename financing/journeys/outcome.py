"""What became of one report of a bank."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """One word (applied, confirmed, waits, held, kept, parked) and why."""

    word: str
    why: str = ""
