"""The demo's result: as a document, and as a story that needs no knowledge of the service.

Pure functions over `history.Case`; the recipe at the end is what `openssl` needs to check a
packet without us.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from financing.city.history import Both, Case, Told
from financing.values.money import money_json, show_money
from financing.values.times import civil, rfc3339
from financing.words import both, t

WIDTH: Final = 100
# A Chinese letter with the marks that may not begin a line, else a word with the blanks before it.
_MARKS: Final = "，。；：！？、）”》…—"
_PIECES: Final = re.compile(rf"[\u2e80-\uffef][{_MARKS}]*|\s*[^\s\u2e80-\uffef]+[{_MARKS}]*|\s+")


@dataclass(frozen=True, slots=True)
class Verification:
    """What the checks said of a contract on the day that mattered: when its supplier applied."""

    financeable: bool
    sentence: Both


@dataclass(frozen=True, slots=True)
class Ending:
    """The whole run.

    Args:
        remarks: by contract, what the demo's people supplied that no record holds.
        left_out: contracts of the files that could not be read: ocid, reason, remedy.
        broken: invariants that do not hold.
        hundredths: hundredths of a second that it took.
    """

    cases: tuple[Case, ...]
    verified: Mapping[Any, Verification]
    remarks: Mapping[Any, Sequence[Both]]
    banks: tuple[Mapping[str, Any], ...]
    days: tuple[date, date]
    hundredths: int
    broken: tuple[str, ...]
    left_out: tuple[Mapping[str, str], ...] = ()

    @property
    def holds(self) -> bool:
        return not self.broken

    @property
    def is_good(self) -> bool:
        """Whether a loan settled, a bank refused, and the check holds."""
        applications = [one for case in self.cases for one in case.applications]
        settled = any(one.loan == "settled" for one in applications)
        return settled and any(one.state == "refused" for one in applications) and self.holds


# For programs


def document(ending: Ending) -> dict[str, Any]:
    """The JSON document of the demo."""
    return {
        "cases": [_case(ending, case) for case in ending.cases],
        "left_out": [dict(one) for one in ending.left_out],
        "banks": [dict(bank) for bank in ending.banks],
        "timing": {"seconds": _seconds(ending)},
        "check": {"holds": ending.holds, "broken": list(ending.broken)},
    }


def _seconds(ending: Ending) -> float:
    return round(ending.hundredths * 0.01, 2)


def _case(ending: Ending, case: Case) -> dict[str, Any]:
    verified = ending.verified.get(case.id, Verification(case.is_financeable, case.sentence))
    return {
        "id": str(case.id),
        "contract": case.contract,
        "ocid": case.ocid,
        "title": case.title,
        "supplier": case.supplier,
        "purchaser": case.purchaser,
        "amount": None if case.amount_fen is None else money_json(case.amount_fen, case.currency),
        "state": case.state,
        "verification": {
            "financeable": verified.financeable,
            "sentence": dict(verified.sentence),
        },
        "applications": [
            {
                "id": one.id,
                "bank": one.bank,
                "state": one.state,
                "packet": one.packet,
                "amount": money_json(one.amount_fen, case.currency),
                "reason_code": one.reason_code,
                "loan": {"state": one.loan} if one.loan else None,
            }
            for one in case.applications
        ],
        "payments": [
            {
                "amount": money_json(one.amount_fen, one.currency),
                "account": one.account,
                "outcome": one.outcome,
                "on": one.on.isoformat(),
            }
            for one in case.payments
        ],
        "supplied": [dict(remark) for remark in ending.remarks.get(case.id, ())],
        "story": [
            {"at": rfc3339(told.at), "event": told.event, "text": sentence(told)}
            for told in case.story
        ],
    }


def sentence(told: Told) -> dict[str, str]:
    """What happened, in one sentence of each language."""
    return both(f"story.{told.event}", **told.named)


# For people


def text(ending: Ending, names: Callable[[str, str], str], lang: str) -> list[str]:
    """The story, line by line.

    Args:
        names: the name of the record in a language.
    """
    first, last = ending.days
    lines = [
        t("story.head", lang, first=str(first), last=str(last), n=len(ending.cases),
          seconds=f"{ending.hundredths // 100}"),
    ]  # fmt: skip
    for n, case in enumerate(ending.cases, 1):
        lines += ["", *case_text(ending, case, n, names, lang)]
    if ending.left_out:
        lines += ["", t("story.left_out", lang)]
        lines += [f"   {one['ocid']}: {one['reason']}. {one['remedy']}" for one in ending.left_out]
    return lines


def case_text(
    ending: Ending, case: Case, n: int, names: Callable[[str, str], str], lang: str
) -> list[str]:
    """One contract: who, what, how much, what happened when, and how it ended."""
    head = t(
        "story.case", lang, n=n, supplier=names(case.supplier, lang),
        title=names(case.title, lang), number=case.contract,
        price=show_money(case.amount_fen or 0, case.currency, lang),
    )  # fmt: skip
    remarks = [f"   * {remark[lang]}" for remark in ending.remarks.get(case.id, ())]
    told = [f"   {civil(one.at)}  {sentence(one)[lang]}" for one in case.story]
    end = f"   → {verdict(ending, case, names, lang)}"
    return [line for one in (head, *remarks, *told, end) for line in wrapped(one, "      ")]


def wrapped(text: str, indent: str, width: int = WIDTH) -> list[str]:
    """Break a line so that it fits, Chinese letters counted as two columns.

    Broken is at blanks, and between Chinese letters where a line has no blank.
    """
    lines, line = [], ""
    for piece in _PIECES.findall(text):
        if line.strip() and _columns(line) + _columns(piece) > width:
            lines.append(line.rstrip())
            line = indent + piece.lstrip()
        else:
            line += piece
    return [*lines, line.rstrip()]


def _columns(words: str) -> int:
    return sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in words)


def verdict(ending: Ending, case: Case, names: Callable[[str, str], str], lang: str) -> str:
    """How it ended, in one sentence."""
    states = [one.loan for one in case.applications]
    if "settled" in states:
        return t("story.verdict.settled", lang)
    if loan := next((state for state in states if state), None):
        return t("story.verdict.running", lang, state=t(f"story.loan_state.{loan}", lang))
    for one in case.applications:
        if one.state == "refused":
            return t(
                "story.verdict.refused", lang, code=f"{names(one.bank, lang)}, {one.reason_code}"
            )
    for one in case.applications:
        return t("story.verdict.open", lang, state=t(f"application.state.{one.state}", lang))
    known = ending.verified.get(case.id, Verification(case.is_financeable, case.sentence))
    if not known.financeable:
        return t("story.verdict.not_financeable", lang, why=known.sentence.get(lang, ""))
    return t("story.verdict.nothing", lang)


def recipe(packet: Path, ca: Path, folder: Path) -> list[str]:
    """The lines that check one packet with `unzip` and `openssl` alone.

    They print `CAdES Verification successful`, `ok` for each part, and the packet's identity.

    Source: ETSI EN 319 162-1 (container), EN 319 122-1 (signature); the flags keep the machine's
        own list of authorities out.
    """
    x, p, c = (shlex.quote(str(path)) for path in (folder, packet, ca))
    manifest = "META-INF/ASiCManifest001.xml"
    return [
        f"mkdir -p {x} && unzip -qo -d {x} {p}",
        f"openssl cms -verify -cades -binary -inform DER -in {x}/META-INF/signature001.p7s"
        f" -content {x}/{manifest} -CAfile {c} -no-CAfile -no-CApath -no-CAstore -out /dev/null",
        f"""( cd {x}; sed -n 's/.* URI="\\([^"]*\\)">$/\\1/p;"""
        f""" s/^<ds:DigestValue>\\(.*\\)<.*/\\1/p' {manifest} |"""
        """ while read -r n && read -r d; do"""
        """ [ "$(openssl dgst -sha256 -binary "$n" | openssl base64 -A)" = "$d" ]"""
        """ && echo "ok   $n" || { echo "BAD  $n"; exit 1; }; done )""",
        f"openssl dgst -sha256 -r {x}/{manifest}",
    ]


def after(ending: Ending, packets: Sequence[Path], ca: Path, lang: str) -> Iterable[str]:
    """What can be done with the result: check a packet, read on."""
    yield ""
    if packets:
        folder = packets[0].with_suffix("")
        yield t("story.openssl.head", lang, folder=str(folder))
        yield ""
        yield from recipe(packets[0], ca, folder)
        yield ""
    if ending.holds:
        yield t("story.check.holds", lang)
    else:
        yield t("story.check.broken", lang, names=", ".join(ending.broken))
    yield t("story.next", lang)
