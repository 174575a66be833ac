"""The bank's mind: what it does with an application, step by step, and by itself.

1. `decide`    opens the packet with the one-file verifier, reads the facts, offers or refuses
2. `contract`  the loan contract is signed
3. `lock`      the designated account is locked
4. `pay_out`   the money goes to the supplier

Each step is one transaction of the bank's books; what comes next is put on the list in it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from bank_adapters.sandbox import faults, loans, packet, statement
from bank_adapters.sandbox.books import Books, Row, money, rfc3339
from bank_adapters.sandbox.config import Config, Decision

LOG = logging.getLogger("sandbox")


@dataclass(frozen=True, slots=True)
class Fixed:
    """What is certain for a test firm, whatever the packet says.

    Args:
        parts: payouts of its loan.
        valid_s: seconds for which its offer stands.
        is_smaller_taken: the first application is refused R31, a smaller one is offered.
        is_amended: the offer is amended once, at a lower rate.
        fails_at: step at which the bank steps back, with `reason`.
    """

    decision: Decision = "offer"
    reason: str = ""
    parts: int | None = None
    valid_s: int | None = None
    is_smaller_taken: bool = False
    is_amended: bool = False
    fails_at: str = ""


FIRMS = {
    "91410100MA9T00018F": Fixed(),
    "91410100MA9T00026A": Fixed("refuse", "R41"),
    "91410100MA9T000345": Fixed("refuse", "R31", is_smaller_taken=True),
    "91410100MA9T000420": Fixed("info_required", "R61"),
    "91410100MA9T00050T": Fixed(valid_s=60),
    "91410100MA9T00069P": Fixed(is_amended=True),
    "91410100MA9T00077J": Fixed(reason="R34", fails_at="contract"),
    "91410100MA9T00085D": Fixed(parts=2),
    "91410100MA9T000938": Fixed("silence"),
    "91410100MA9T00106X": Fixed(),  # overdue by the bank's clock, then settled by a late payment
    "91410100MA9T00114Q": Fixed(reason="R52", fails_at="lock"),
    "91410100MA9T00122K": Fixed("manual"),
}

TEXTS = {
    "R21": "合同无法核实 / the contract could not be verified",
    "R31": "申请金额超过可融资额度 / the amount is above what we lend on this contract",
    "R33": "期限不符合产品要求 / we do not offer this term",
    "R34": "银行额度已满 / our own limit is used up",
    "R41": "征信记录不符合要求 / the credit record does not meet our requirements",
    "R51": "指定账户不符 / the designated account differs",
    "R52": "账户无法锁定 / the account cannot be locked",
    "R61": "资料不全 / documents are incomplete",
    "R62": "融资数据包验签失败 / the packet's signature does not hold",
    "R64": "授权已过期或缺失 / consent is missing",
    "R82": "授信方案过期未接受 / the offer has lapsed",
    "R83": "已放款，不能撤销 / too late to cancel, the money is paid out",
    "R84": "重复申请 / duplicate application",
}
OPEN = ("received", "reviewing", "info_required", "offered", "accepted", "contracted", "locked")
BOUND = ("accepted", "contracted", "locked", "drawn", "overdue")


@dataclass(frozen=True, slots=True)
class Mind:
    """The bank's books and what it was told about itself."""

    config: Config
    books: Books

    def fixed(self, supplier: str) -> Fixed:
        """What is certain for this firm; for others what the configuration says."""
        behaviour = self.config.behaviour
        return FIRMS.get(supplier) or Fixed(behaviour.decision, behaviour.reason_code)

    def step(self) -> bool:
        """Do the oldest thing on the list; False where there is nothing.

        What fails is set aside with its reason, so that one case does not keep the others.
        """
        row = self.books.one("SELECT * FROM todo WHERE stuck IS NULL ORDER BY n LIMIT 1")
        if row is None:
            return False
        try:
            with self.books.writing() as db:
                db.execute("DELETE FROM todo WHERE n = ?", (row["n"],))
                case = self.books.case(row["reference"])
                if case is not None and case["state"] in OPEN:
                    STEPS[row["step"]](self, case)
        except Exception as problem:
            LOG.exception("step %s of %s failed", row["step"], row["reference"])
            with self.books.writing() as db:
                db.execute("UPDATE todo SET stuck = ? WHERE n = ?", (repr(problem), row["n"]))
        return True

    def say(self, case: Row, kind: str, status: str, **rest: Any) -> None:
        """Record that something happened to a case."""
        self.books.say(case["reference"], kind, status, **rest)

    def refuse(self, case: Row, code: str, text: str = "") -> None:
        """Say no, with the code and what would change it."""
        text = text or TEXTS.get(code, code)
        self.say(
            case, "application.refused", "refused", state="refused", reason_code=code, text=text
        )


# ── 1. Deciding ──────────────────────────────────────────────────────────────────────────────


def _decide(mind: Mind, case: Row) -> None:
    fixed = mind.fixed(case["supplier"])
    struck = faults.strike(mind.books, "mind", [case["supplier"]], case["reference"])
    if "silence" in struck or fixed.decision == "silence":
        return
    mind.say(case, "application.received", "received", state="received")
    if "unknown-status" in struck:
        mind.say(case, "application.precheck_passed", "precheck_passed")
    opened = packet.open_packet(case["packet"], mind.config.trust)
    if isinstance(opened, packet.Unacceptable):
        mind.refuse(case, "R62", f"{TEXTS['R62']} ({opened.why})")
        return
    fault = _fault(mind, case, opened)
    if fault:
        mind.refuse(case, *fault)
        return
    account = statement.number(opened.account)
    mind.books.update(case["reference"], account=account, holder=opened.holder)
    statement.open_account(mind.books, account, opened.holder, case["currency"])
    mind.say(
        mind.books.known(case["reference"]), "application.reviewing", "reviewing", state="reviewing"
    )
    _answer(mind, mind.books.known(case["reference"]), fixed, _limit(mind, case, opened))


def _fault(mind: Mind, case: Row, opened: packet.Opened) -> tuple[str, str] | None:
    """What in the packet keeps the bank from looking at the application at all."""
    if opened.identity != case["packet_digest"]:
        return "R62", "the packet is another one than the message names"
    if opened.bank != mind.config.name:
        return "R64", "the packet is for another bank"
    for name, said in (
        ("amount", (opened.amount, opened.currency)),
        ("contract", opened.contract_number),
        ("supplier", opened.supplier),
    ):
        sent = {
            "amount": (case["amount"], case["currency"]),
            "contract": case["contract_number"],
            "supplier": case["supplier"],
        }
        if said != sent[name]:
            return "R62", f"the packet and the message name another {name}"
    if opened.account_digest != case["account_digest"] or opened.holder_id != case["supplier"]:
        return "R51", TEXTS["R51"]
    if opened.failed_checks:
        return "R21", f"{TEXTS['R21']} ({', '.join(opened.failed_checks)})"
    return None


def _limit(mind: Mind, case: Row, opened: packet.Opened) -> int:
    """What the bank would lend on this contract: its share and cap, less what it lent already."""
    lent = sum(
        row["principal"] + row["contracted"] - row["drawn"]
        for row in mind.books.rows(
            "SELECT * FROM credit_case WHERE contract_number = ?", case["contract_number"]
        )
        if row["state"] in BOUND
    )
    product = mind.config.product
    whole = opened.contract_amount * product.share_bp // 10_000
    return int(min(whole, product.cap) - lent)


def _answer(mind: Mind, case: Row, fixed: Fixed, limit: int) -> None:
    if fixed.decision == "manual":
        return
    if fixed.decision == "info_required" and not case["supersedes"]:
        ask_for_more(mind, case)
    elif fixed.is_smaller_taken and not _asked_for_more_before(mind, case):
        mind.refuse(case, "R31")
    elif fixed.decision == "refuse" and not fixed.is_smaller_taken:
        mind.refuse(case, fixed.reason)
    elif case["amount"] > limit:
        mind.refuse(case, "R31")
    elif case["tenor_days"] > mind.config.product.days:
        mind.refuse(case, "R33")
    else:
        offer(mind, case)
        if fixed.is_amended:
            rate = max(Decimal(mind.config.product.rate_bp) - 20, Decimal(1))
            offer(
                mind,
                mind.books.known(case["reference"]),
                rate_bp=f"{rate.normalize():f}",
                revision=2,
            )


def _asked_for_more_before(mind: Mind, case: Row) -> bool:
    known = mind.books.one(
        "SELECT 1 FROM credit_case WHERE contract_number = ? AND supplier = ? "
        "AND reference <> ? AND state = 'refused' AND amount > ?",
        case["contract_number"],
        case["supplier"],
        case["reference"],
        case["amount"],
    )
    return known is not None


def ask_for_more(mind: Mind, case: Row) -> None:
    """Ask for documents; the case waits for them, or for a person at the control page."""
    mind.say(
        case,
        "application.info_required",
        "info_required",
        state="info_required",
        needs=[{"code": "R61", "text": "请补充最近一期财务报表 / latest financial statement"}],
    )


def canonical(value: object) -> bytes:
    """JSON of a value with one spelling (RFC 8785 for what an offer holds: text, whole numbers)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def offer(mind: Mind, case: Row, *, rate_bp: str | None = None, revision: int = 1) -> None:
    """Offer the amount applied for, on the bank's terms."""
    product = mind.config.product
    valid_s = mind.fixed(case["supplier"]).valid_s or mind.config.behaviour.valid_s
    amount = money(case["amount"], case["currency"])
    terms: dict[str, Any] = {
        "reference": f"SX{case['reference']}",
        "revision": revision,
        "amount": amount,
        "rate_bp": rate_bp or product.rate_bp,
        "rate_kind": "fixed",
        "day_basis": product.day_basis,
        "tenor_days": case["tenor_days"],
        "repayment": "on_contract_payment",
        "fees": [],
        "conditions": [
            {"code": "account_lock", "text": "放款前锁定指定账户 / account locked before payout"}
        ],
        "valid_until": rfc3339(mind.books.now() + timedelta(seconds=valid_s)),
    }
    digest = f"sha-256:{hashlib.sha256(canonical(terms)).hexdigest()}"
    mind.books.update(case["reference"], offer=json.dumps(terms), offer_digest=digest)
    kind = "offer.made" if revision == 1 else "offer.amended"
    mind.say(
        case,
        kind,
        "offered",
        state="offered",
        offer={**terms, "digest": digest},
        echo_amount=amount,
    )


# ── 2.–4. Lending ────────────────────────────────────────────────────────────────────────────


def _contract(mind: Mind, case: Row) -> None:
    fixed = mind.fixed(case["supplier"])
    if fixed.fails_at == "contract":
        mind.refuse(case, fixed.reason)
        return
    terms = json.loads(case["offer"])
    today = mind.books.today()
    due_on = today + timedelta(days=terms["tenor_days"])
    loan = f"DK{mind.books.next_number('loan'):08d}"
    amount = money(case["amount"], case["currency"])
    mind.books.update(
        case["reference"],
        loan_reference=loan,
        signed_on=today.isoformat(),
        due_on=due_on.isoformat(),
        rate_bp=terms["rate_bp"],
        day_basis=terms["day_basis"],
        contracted=case["amount"],
    )
    mind.say(
        case,
        "loan.contracted",
        "contracted",
        state="contracted",
        loan_reference=loan,
        money=amount,
        rate_bp=terms["rate_bp"],
        day_basis=terms["day_basis"],
        on=today.isoformat(),
        due_on=due_on.isoformat(),
        echo_amount=amount,
    )
    mind.books.put_on_list(case["reference"], "lock")


def _lock(mind: Mind, case: Row) -> None:
    fixed = mind.fixed(case["supplier"])
    if fixed.fails_at == "lock":
        mind.refuse(case, fixed.reason)
        return
    mind.say(
        case,
        "account.locked",
        "account_locked",
        state="locked",
        account_digest=case["account_digest"],
        contract_number=case["contract_number"],
        proof_reference=f"SD{case['reference']}",
        loan_reference=case["loan_reference"],
    )
    mind.books.put_on_list(case["reference"], "pay_out")


def _pay_out(mind: Mind, case: Row) -> None:
    struck = faults.strike(mind.books, "payout", [case["supplier"]], case["reference"])
    parts = mind.fixed(case["supplier"]).parts or mind.config.behaviour.parts
    if "partial-payout" in struck:
        parts = 2
    whole = case["contracted"]
    if "over-payout" in struck:
        whole += whole // 10
    share = whole // parts
    for part in range(1, parts + 1):
        amount = share if part < parts else whole - share * (parts - 1)
        loans.pay_out(mind.books, mind.books.known(case["reference"]), amount, part, parts)
    if "status-back" in struck:
        mind.say(case, "application.reviewing", "reviewing")


STEPS: dict[str, Callable[[Mind, Row], None]] = {
    "decide": _decide,
    "contract": _contract,
    "lock": _lock,
    "pay_out": _pay_out,
}


def pass_time(mind: Mind) -> None:
    """What the clock brings: offers lapse, loans fall due. Writes only where something does."""
    now = mind.books.now()
    for case in mind.books.rows("SELECT * FROM credit_case WHERE state = 'offered'"):
        terms = json.loads(case["offer"])
        if datetime.fromisoformat(terms["valid_until"]) <= now:
            _lapse(mind, case["reference"], terms["reference"])
    loans.fall_due(mind.books)


def _lapse(mind: Mind, reference: str, offer_reference: str) -> None:
    with mind.books.writing():
        case = mind.books.known(reference)
        if case["state"] == "offered":  # it may have been accepted since it was looked at
            mind.say(
                case,
                "offer.expired",
                "offer_expired",
                state="expired",
                offer_reference=offer_reference,
            )
