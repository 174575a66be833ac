"""The bank officer's pages: which answer is due first, and is the case real?"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from financing.evidence import verify
from financing.journeys import packets
from financing.reads import cases, contracts
from financing.rules.calendar import working_days_between
from financing.store import holidays
from financing.store.db import Tx
from financing.values import ids
from financing.web.routes import Ask, Page, route

# The same lines as docs/verify.md; `ca.pem` comes to the bank by another way.
RECIPE = r"""
mkdir x && unzip -q -d x {name}.asice
openssl cms -verify -cades -binary -inform DER -in x/META-INF/signature001.p7s \
  -content x/META-INF/ASiCManifest001.xml \
  -CAfile ca.pem -no-CAfile -no-CApath -no-CAstore -out /dev/null
( cd x
  sed -n 's/.* URI="\([^"]*\)">$/\1/p; s/^<ds:DigestValue>\(.*\)<.*/\1/p' \
    META-INF/ASiCManifest001.xml |
  while read -r n && read -r d; do
    [ "$(openssl dgst -sha256 -binary "$n" | openssl base64 -A)" = "$d" ] \
    && echo "ok   $n" || {{ echo "BAD  $n"; exit 1; }}
  done )
openssl dgst -sha256 -r x/META-INF/ASiCManifest001.xml
""".strip()
GROUPS = {
    "answer": ("sending", "asking", "submitted", "reviewing", "action-required"),
    "supplier": ("offered",),
    "lend": ("accepted", "contracted", "locked"),
    "lent": ("drawn",),
}


@route("GET", "/cases", permit="case.read")
def cases_page(tx: Tx, _ask: Ask) -> Page:
    """Which answer is due first?"""
    rows = [(row, cases.answer_by(tx, row)) for row in cases.listed(tx)]
    known = {state: name for name, states in GROUPS.items() for state in states}
    groups: dict[str, list[Any]] = {name: [] for name in (*GROUPS, "ended")}
    for row, due in rows:
        groups[known.get(row.state, "ended")].append((row, due))
    groups["answer"].sort(key=lambda pair: (pair[1] is None, pair[1] and pair[1].on))
    waiting = [due for _, due in groups["answer"] if due is not None]
    return Page(
        "bank/cases.html",
        {
            "groups": {name: found for name, found in groups.items() if found},
            "diverted": cases.diverted(tx, [row.contract_id for row, _ in rows]),
            "waiting": len(groups["answer"]),
            "late": sum(1 for due in waiting if due.on < tx.today),
            "first": min((due.on for due in waiting), default=None),
        },
    )


@route("GET", "/cases/<ap:application_id>", permit="case.read")
def case_page(tx: Tx, _ask: Ask, application_id: UUID) -> Page:
    """Is it real, and what do we owe by when?"""
    row = cases.one(tx, application_id)
    packet = cases.packet_of(tx, row.packet_id)
    loan = cases.loan_of(tx, row.id)
    due = cases.answer_by(tx, row)
    return Page(
        "bank/case.html",
        {
            "case": row,
            "due": due,
            "days_left": _days_left(tx, due),
            "packet": packet,
            "parts": cases.parts(tx, packet.id) if packet else (),
            "verdict": _verdict(tx, packet.id) if packet else None,
            "commands": RECIPE.format(name=ids.show("pk", packet.id)) if packet else "",
            "claim": cases.claim_of(tx, row.id),
            "consent": cases.consent_of(tx, row.consent_id),
            "checks": contracts.checks(tx, row.contract_id),
            "account": contracts.account(tx, row.contract_id),
            "milestones": contracts.milestones(tx, row.contract_id),
            "loan": loan,
            "payments": contracts.payments(tx, row.contract_id) if loan else (),
            "drawdowns": cases.drawdowns(tx, loan.id) if loan else (),
            "events": cases.events(tx, [row.id] + ([loan.id] if loan else [])),
        },
    )


def _days_left(tx: Tx, due: Any) -> int | None:
    """Chinese working days up to the due day; negative once it has passed."""
    if due is None:
        return None
    known = holidays.known(tx)
    if due.on < tx.today:
        return -working_days_between(due.on, tx.today, known)
    return working_days_between(tx.today, due.on, known)


def _verdict(tx: Tx, packet_id: UUID) -> verify.Verdict:
    """The packet judged again, now, by the program that anybody may run."""
    container = packets.containers(tx, [packet_id])[packet_id]
    return verify.verify(container, tx.keys.ca_pem)
