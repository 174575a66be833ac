"""What a row says that must not change outside its chain, as one table.

Every audit entry carries the digest of its row as the step left it; `financing check` computes the
digest again from the row of now. A row reads: these columns, and these things beside the row that
belong to it. Left out is what changes without a step: sums kept for speed, the bank's own words,
a bank's running number.
"""

from __future__ import annotations

from typing import Final

SEALED: Final = {
    "contract": (
        "purchaser_id",
        "supplier_id",
        "number",
        "title",
        "amount_fen",
        "currency",
        "award_fen",
        "award_on",
        "signed_on",
        "ends_on",
        "(SELECT v.facts FROM contract_version v WHERE v.id = x.current_version_id)",
    ),
    "confirmation": (
        "contract_id",
        "contract_version_id",
        "shown_digest",
        "shown",
        "asked_at",
        "answered_at",
        "answered_by",
        "paid_fen",
    ),
    "account_version": (
        "contract_id",
        "account_id",
        "digest",
        "from_on",
        "to_on",
        "locked_by",
        "(SELECT jsonb_build_array(b.holder, b.cnaps, b.last4, encode(b.number_sealed, 'hex'),"
        "        encode(b.number_index, 'hex')) FROM bank_account b WHERE b.id = x.account_id)",
        # The supplier's consent follows its proposal.
        "CASE WHEN x.state <> 'proposed' THEN"
        " (SELECT jsonb_agg(jsonb_build_array(c.role, c.digest, c.login_id, c.at) ORDER BY c.id)"
        "    FROM account_consent c WHERE c.account_version_id = x.id) END",
    ),
    "application": (
        "contract_id",
        "contract_version_id",
        "bank_id",
        "supplier_id",
        "product_id",
        "amount_fen",
        "currency",
        "tenor_days",
        "request_id",
        "packet_id",
        "reason_code",
        "(SELECT to_jsonb(c) FROM consent c WHERE c.id = x.consent_id)",
    ),
    "offer": (
        "application_id",
        "reference",
        "revision",
        "amount_fen",
        "currency",
        "rate_bp",
        "day_basis",
        "tenor_days",
        "repayment",
        "fees_fen",
        "digest",
        "valid_until",
    ),
    "claim": ("application_id", "contract_id", "loan_fen", "share_bp", "held_fen"),
    "loan": (
        "application_id",
        "offer_id",
        "principal_fen",
        "currency",
        "rate_bp",
        "day_basis",
        "drawn_fen",
        "signed_on",
        "due_on",
        "bank_settled_on",
        "(SELECT jsonb_agg(jsonb_build_array(d.flow_reference, d.amount_fen, d.on) ORDER BY d.id)"
        "   FROM drawdown d WHERE d.loan_id = x.id)",
        "(SELECT jsonb_agg(jsonb_build_array(l.account, l.debit_fen, l.credit_fen, l.on)"
        "        ORDER BY l.id) FROM ledger l"
        "  WHERE l.book = 'loan' AND l.subject_id = x.id AND l.event = 'drawdown')",
    ),
    "payment": (
        "entry_id",
        "part",
        "account_id",
        "contract_id",
        "account_version_id",
        "reversed_by",
        "amount_fen",
        "currency",
        "value_on",
        "payer",
        "outcome",
        "(SELECT jsonb_build_array(e.amount_fen, e.booking_on, e.remittance) FROM entry e"
        "   WHERE e.id = x.entry_id)",
        # Only these steps follow their postings; a diversion is posted after its step.
        "CASE WHEN x.state IN ('allocated', 'reversed') THEN"
        " (SELECT jsonb_agg(jsonb_build_array(l.book, l.subject_id, l.event, l.account,"
        "         l.debit_fen, l.credit_fen, l.on) ORDER BY l.id)"
        "    FROM ledger l WHERE l.payment_id = x.id) END",
    ),
}


def digest(kind: str) -> str:
    """The SQL expression of the digest of a row `x` of this kind: 64 hex digits."""
    columns = ", ".join(one if " " in one else f"x.{one}" for one in SEALED[kind])
    return f"encode(sha256(convert_to(CAST(jsonb_build_array({columns}) AS text), 'UTF8')), 'hex')"
