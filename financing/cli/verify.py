"""`financing verify`: check a packet offline; no store is opened, no key is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from financing import settings, words
from financing.errors import Invalid, Unreachable, Unreadable
from financing.evidence import verify as verifier
from financing.evidence.keys import CA
from financing.rules.verdicts import remedy


@click.command("verify", epilog="Example: financing verify packet.asice --trust ca.pem")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--trust",
    type=click.Path(path_type=Path),
    metavar="PEM",
    help="Roots that you trust (default: the root of this service's own key store).",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option(
    "--lang",
    type=click.Choice(["zh", "en"]),
    default=settings.terminal_language,
    help="Language of what people read (default: from LANG).",
)
def verify(file: Path, trust: Path | None, as_json: bool, lang: str) -> int:
    """Check a packet (融资数据包): exit 0 accepted, 1 refused, 3 cannot be known."""
    own = settings.from_environment().keys / CA
    roots = _read(trust or own, lang) if trust or own.exists() else b""
    prints = _prints(roots, str(trust or own), lang) if roots else []
    try:
        found = verifier.verify(_read(file, lang), roots)
    except verifier.NoOpenssl as problem:
        raise Unreachable(
            words.t("verify.no_openssl", lang),
            where=str(problem)[:200],
            remedy=words.t("verify.no_openssl.remedy", lang),
        ) from problem
    if as_json:
        click.echo(json.dumps(document(found, prints), ensure_ascii=False))
    else:
        for line in lines(found, prints, lang):
            click.echo(line)
    return found.exit_code


def document(found: verifier.Verdict, prints: list[str]) -> dict[str, Any]:
    """The verdict as the one JSON document of the verb."""
    return {
        "verdict": found.indication,
        "indication": found.sub_indication or None,
        "reason": found.reason,
        "part": found.part or None,
        "packet": found.packet or None,
        "status": _status(found),
        "sentence": words.both(f"verify.{found.reason}"),
        "remedy": words.both(remedy(found.reason)),
        "trusted": prints,
    }


def lines(found: verifier.Verdict, prints: list[str], lang: str) -> list[str]:
    """The verdict for people: what was found, where, what to do, and of which packet."""
    said = [
        words.t(f"verify.indication.{found.indication}", lang, sub=found.sub_indication),
        words.t(f"verify.{found.reason}", lang),
    ]
    if found.part:
        said.append(words.t("verify.place", lang, part=found.part))
    said.append(words.t(remedy(found.reason), lang))
    if found.packet:
        said.append(words.t("verify.packet", lang, packet=found.packet))
    status = _status(found)
    if status:
        word = words.t(f"verify.status.{status['status']}", lang)
        said.append(words.t("verify.status", lang, status=word, at=status["as_of"]))
    return said + [words.t("verify.root", lang, print=each) for each in prints]


def _status(found: verifier.Verdict) -> dict[str, str] | None:
    """The packet's own copy of its status, which is one of the day of issue."""
    copy = json.loads(found.parts.get("status.json", b"null"))
    if not isinstance(copy, dict) or copy.get("status") != "current":
        return None
    return {"status": "current", "as_of": str(copy.get("as_of", ""))}


def _read(path: Path, lang: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(verifier.MOST_BYTES + 1)  # one more than a packet may have
    except OSError as problem:
        raise Unreadable(
            words.t("verify.no_file", lang),
            where=str(path),
            remedy=words.t("verify.no_file.remedy", lang),
        ) from problem


def _prints(roots: bytes, where: str, lang: str) -> list[str]:
    """Fingerprints as `openssl x509 -fingerprint -sha256` prints them."""
    try:
        certificates = x509.load_pem_x509_certificates(roots)
    except ValueError as problem:
        raise Invalid(
            words.t("verify.no_root", lang),
            where=where,
            remedy=words.t("verify.no_root.remedy", lang),
        ) from problem
    return [each.fingerprint(SHA256()).hex(":").upper() for each in certificates]
