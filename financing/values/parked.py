"""What could not be used, kept with everything needed to mend and replay it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parked:
    """One thing that could not be used.

    Args:
        kind: `record`, `statement`, `line`, or `event`.
        source: file name or bank that delivered it.
        where: JSON pointer, XML path, `:61:` number, or cell.
        value: the offending value, cut to 80 characters.
        reason: stable slug in capitals with a sentence, e.g. `CURRENCY-UNKNOWN: …`.
        remedy: what mends it.
        raw: the bytes as received, so that a replay reads them again.
    """

    kind: str
    source: str
    where: str
    value: str
    reason: str
    remedy: str
    raw: bytes = b""
