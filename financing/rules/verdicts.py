"""What the reader of a packet's verdict should do, by the reason of `evidence/verify.py`."""

from __future__ import annotations

from typing import Final

REMEDY: Final = {
    "passed": "verify.nothing_to_do",
    "no-trusted-issuer": "verify.ask_root",
    "certificate-ended": "verify.ask_newer",
    "certificate-not-begun": "verify.ask_newer",
    "digest-algorithm": "verify.tell_issuer",
    "no-certificate": "verify.tell_issuer",
    "key-kind": "verify.tell_issuer",
    "signature-form": "verify.tell_issuer",
    "high-s": "verify.tell_issuer",
    "signing-time": "verify.tell_issuer",
    "certificate-usage": "verify.tell_issuer",
}
CHANGED: Final = "verify.ask_again"  # all other reasons: the file was changed, or cut, on its way


def remedy(reason: str) -> str:
    """The key of the words that say what to do."""
    return REMEDY.get(reason, CHANGED)
