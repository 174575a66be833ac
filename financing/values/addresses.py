"""E-mail addresses: which may be typed, and how one is shown to people it does not belong to."""

from __future__ import annotations

import re
from typing import Final

MOST: Final = 254

# The dot-atom of ASCII and host names with a point: no quotes, no comments, nothing that ends a
# line or a bracket. Source: RFC 5321, section 4.1.2; lengths section 4.5.3.1.
_LOCAL: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS: Final = re.compile(rf"(?=[^@]{{1,64}}@){_LOCAL}@(?:{_LABEL}\.)+{_LABEL}")
_ANY: Final = re.compile(r"[^\s<>@,;:]+@[^\s<>@,;:]+")


def is_address(text: str) -> bool:
    """Whether mail can be sent to this text as it stands."""
    return len(text) <= MOST and _ADDRESS.fullmatch(text) is not None


def masked(address: str) -> str:
    """An address by which its owner knows it: `l…@example.org`."""
    local, _, host = address.rpartition("@")
    return f"{local[:1]}…@{host}"


def without_addresses(text: str) -> str:
    """Words of a stranger with every address in them masked."""
    return _ANY.sub(lambda found: masked(found[0]), text)
