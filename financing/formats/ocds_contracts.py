"""Contracts out of the merged releases of one process: facts, or the reason why there are none.

1. `contracts_of` each contract of the process, with its award, parties, payments, and what the
   record's own extension says (docs/ocds-extension.md)

A contract needs a number, a purchaser, a supplier, an amount, and a currency: without them it is
parked by name. Everything else may be missing; what is there and cannot be read is named in
`unread`, and its check answers unknown.

Source: Open Contracting Data Standard 1.0 and 1.1, release schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from financing.errors import Invalid
from financing.formats import odd_dates
from financing.formats.ocds import shown
from financing.values.contract_facts import (
    BY_NAME,
    AwardFacts,
    ContractFacts,
    DesignatedAccountFacts,
    DocumentFacts,
    MilestoneFacts,
    Party,
    PaymentFacts,
)
from financing.values.money import to_minor
from financing.values.parked import Parked
from financing.values.text import clean, name_key

Body = Mapping[str, Any]

EXTENSION: Final = "x_financing"
SIZES: Final = ("micro", "small", "medium", "large", "sme")
_WHOLE_BP: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Amount:
    fen: int | None
    currency: str | None


@dataclass(slots=True)
class _Reading:
    """One contract that is being read: the record around it, and what of it could not be read."""

    record: Body
    publisher: str
    unread: list[str] = field(default_factory=list)

    def day(self, value: object, where: str) -> date | None:
        """A civil day; one that cannot be read is named and unknown."""
        if value in (None, ""):
            return None
        written = odd_dates.read(value)
        if written is None:
            self.unread.append(f"{where}: DATE-UNREADABLE {shown(value)}")
            return None
        return written.day

    def amount(self, value: object, where: str) -> _Amount:
        """A Value; one that cannot be exact in its currency's minor unit is named and unknown."""
        if not isinstance(value, Mapping):
            return _Amount(None, None)
        currency = _text(value.get("currency")).upper() or None
        number = value.get("amount")
        if number is None:
            return _Amount(None, currency)
        try:
            return _Amount(_minor(number, currency), currency)
        except Invalid as fault:
            self.unread.append(f"{where}: {fault.detail}")
            return _Amount(None, currency)


def contracts_of(
    record: Body,
    *,
    publisher: str,
    ocid: str,
    release_id: str,
    released_at: datetime | None,
    source: str,
    raw: bytes,
) -> list[ContractFacts | Parked]:
    """The contracts of a process as of its newest release.

    Args:
        record: the merged body.
        source, raw: of the newest release, for what has to be parked.
    """
    found: list[ContractFacts | Parked] = []
    for position, contract in enumerate(_objects(record.get("contracts"))):
        try:
            found.append(
                _facts(
                    _Reading(record, publisher),
                    contract,
                    f"/contracts/{position}",
                    ocid,
                    release_id,
                    released_at,
                )
            )
        except Invalid as fault:
            reason, _, sentence = fault.detail.partition(": ")
            found.append(
                Parked(
                    kind="record",
                    source=source,
                    where=f"{ocid} {fault.where}",
                    value=shown(contract.get("id") or contract.get("title") or ""),
                    reason=f"{reason}: {sentence}",
                    remedy=fault.remedy,
                    raw=raw,
                )
            )
    return found


def _facts(
    reading: _Reading,
    contract: Body,
    where: str,
    ocid: str,
    release_id: str,
    released_at: datetime | None,
) -> ContractFacts:
    more = _object(contract.get(EXTENSION))
    award, link = _award_of(reading, contract)
    number = _text(more.get("number")) or _text(contract.get("id"))
    if not number:
        raise Invalid(
            "NUMBER-MISSING: the contract has no number",
            where=f"{where}/id",
            remedy="Ask the publisher for the contract's id.",
        )
    value = _contract_value(contract, award, where)
    suppliers = _suppliers(reading, contract, award)
    if len(suppliers) != 1:
        many = "SUPPLIERS-SEVERAL: several suppliers share the award"
        none = "SUPPLIER-MISSING: neither contract nor award names a supplier"
        raise Invalid(
            many if suppliers else none,
            where=f"{where}/awardID",
            remedy="Ask the publisher which supplier signed this contract.",
        )
    purchaser = _purchaser(reading)
    if purchaser is None:
        raise Invalid(
            "PURCHASER-MISSING: the record names no buyer",
            where="/buyer",
            remedy="Ask the publisher who bought.",
        )
    known = _award_facts(reading, award, link) if award else None
    budget = reading.amount(
        _object(_object(reading.record.get("planning")).get("budget")).get("amount"),
        "/planning/budget/amount",
    )
    filing, notice = _object(more.get("filing")), _object(more.get("announcement"))
    acceptance, terms = _object(more.get("acceptance")), _object(more.get("paymentTerms"))
    retention, declared = _object(more.get("retention")), _object(more.get("smeDeclaration"))
    period = _object(contract.get("period"))
    tender = _object(reading.record.get("tender"))
    share_bp = _whole(retention.get("shareBp"))
    withheld = reading.amount(retention.get("value"), f"{where}/{EXTENSION}/retention")
    return ContractFacts(
        publisher=reading.publisher,
        ocid=ocid,
        release_id=release_id,
        released_at=released_at,
        number=number,
        title=clean(
            _text(contract.get("title"))
            or _text(contract.get("description"))
            or (known.title if known else "")
            or _text(tender.get("title"))
        )[:500],
        status=_text(contract.get("status")),
        amount_fen=value.fen or 0,
        currency=value.currency or "",
        amount_in_words=_text(more.get("amountInWords")),
        purchaser=purchaser,
        supplier=suppliers[0],
        award_id=_text(contract.get("awardID")),
        award=known,
        direct=_text(tender.get("procurementMethod")) == "direct",
        budget_line=_text(_object(_object(reading.record.get("planning")).get("budget")).get("id")),
        budget_fen=budget.fen,
        budget_currency=budget.currency,
        signed_on=reading.day(contract.get("dateSigned"), f"{where}/dateSigned"),
        signatories=tuple(
            word for word in _list(more.get("signatories")) if word in ("purchaser", "supplier")
        ),
        starts_on=reading.day(period.get("startDate"), f"{where}/period/startDate"),
        ends_on=reading.day(period.get("endDate"), f"{where}/period/endDate"),
        filed_on=reading.day(filing.get("date"), f"{where}/filing"),
        filing_receipt=_text(filing.get("receipt")),
        announced_on=reading.day(notice.get("date"), f"{where}/announcement"),
        announcement_url=_text(notice.get("url")),
        announcement_digest=_text(notice.get("digest")),
        secret=_flag(more.get("secret")),
        delivered_on=reading.day(_object(more.get("delivery")).get("date"), f"{where}/delivery"),
        accepted_on=reading.day(acceptance.get("date"), f"{where}/acceptance"),
        acceptance_digest=_text(acceptance.get("digest")),
        inspection_ends_on=reading.day(acceptance.get("inspectionEnds"), f"{where}/acceptance"),
        payment_days=_whole(terms.get("days")),
        payment_start=_text(terms.get("start")),
        late_rate_bp=_whole(terms.get("lateRateBp")),
        retention_fen=withheld.fen
        if withheld.fen is not None or share_bp is None
        else -(-(value.fen or 0) * share_bp // _WHOLE_BP),
        retention_bp=share_bp,
        retention_until=reading.day(retention.get("until"), f"{where}/retention"),
        advance_fen=reading.amount(more.get("advance"), f"{where}/advance").fen,
        sme_declared=_one_of(declared.get("size"), SIZES),
        sme_declared_on=reading.day(declared.get("date"), f"{where}/smeDeclaration"),
        assignable=_flag(more.get("assignable")),
        account=_account(more.get("designatedAccount")),
        milestones=tuple(_milestones(reading, contract, where)),
        payments=tuple(_payments(reading, contract, where)),
        documents=tuple(_documents(reading, contract, where)),
        unread=tuple(sorted(set(reading.unread))),
    )


# ── Amounts ──────────────────────────────────────────────────────────────────────────────────


def _minor(number: object, currency: str | None) -> int:
    if isinstance(number, bool) or not isinstance(number, int | Decimal):
        raise Invalid(f"AMOUNT-UNREADABLE: {shown(number)} is no number")
    if currency is None:
        raise Invalid("CURRENCY-MISSING: the amount names no currency")
    fen = to_minor(number, currency)
    if fen < 0:
        raise Invalid(f"AMOUNT-NEGATIVE: {shown(number)} is below zero")
    return fen


def _contract_value(contract: Body, award: Body | None, where: str) -> _Amount:
    """The contract's amount; the award's only where the contract names none at all."""
    for value, place in (
        (contract.get("value"), f"{where}/value"),
        ((award or {}).get("value"), "/awards/value"),
    ):
        if not isinstance(value, Mapping) or value.get("amount") is None:
            continue
        currency = _text(value.get("currency")).upper() or None
        remedy = "Ask the publisher for the exact amount and its currency."
        try:
            fen = _minor(value["amount"], currency)
        except Invalid as fault:
            known = fault.detail.split(":")[0].isupper()
            detail = fault.detail if known else f"AMOUNT-UNREADABLE: {fault.detail}"
            raise Invalid(detail, where=place, remedy=remedy) from fault
        if fen == 0:
            raise Invalid("AMOUNT-ZERO: the amount is 0", where=place, remedy=remedy)
        return _Amount(fen, currency)
    raise Invalid(
        "AMOUNT-MISSING: the contract has no amount",
        where=f"{where}/value",
        remedy="Ask the publisher for the contract's value.",
    )


# ── Parties ──────────────────────────────────────────────────────────────────────────────────


def _party(reading: _Reading, named: object, *, size: str = "") -> Party | None:
    """A party as it is named, completed from the record's list of parties (OCDS 1.1)."""
    short = _object(named)
    listed = next(
        (
            one
            for one in _objects(reading.record.get("parties"))
            if short.get("id") is not None and one.get("id") == short["id"]
        ),
        {},
    )
    identifier = _object(short.get("identifier")) or _object(listed.get("identifier"))
    name = clean(
        _text(identifier.get("legalName"))
        or _text(short.get("name"))
        or _text(listed.get("name"))
        or _text(short.get("legalName"))
    )
    scheme = _text(identifier.get("scheme"))
    number = _text(identifier.get("id")) or _text(short.get("id")) or _text(listed.get("id"))
    if not name and not number:
        return None
    scale = _one_of(_object(listed.get("details")).get("scale"), SIZES) or size
    if number and scheme:
        return Party(scheme, number, name or number, scale)
    if number:
        return Party(f"publisher:{reading.publisher}", number, name or number, scale)
    return Party(BY_NAME, f"{reading.publisher}:{name_key(name)}", name, scale)


def _purchaser(reading: _Reading) -> Party | None:
    tender = _object(reading.record.get("tender"))
    named = [reading.record.get("buyer")]
    parties = _objects(reading.record.get("parties"))
    for role in ("buyer", "procuringEntity"):
        named += [one for one in parties if role in _list(one.get("roles"))]
    named.append(tender.get("procuringEntity"))
    return next((party for one in named if (party := _party(reading, one))), None)


def _suppliers(reading: _Reading, contract: Body, award: Body | None) -> list[Party]:
    """Who signed: the contract's own suppliers, else the award's, else the only supplier."""
    for named in (contract.get("suppliers"), (award or {}).get("suppliers")):
        found = [party for one in _objects(named) if (party := _party(reading, one))]
        if found:
            return list({(one.scheme, one.identifier): one for one in found}.values())
    listed = [
        party
        for one in _objects(reading.record.get("parties"))
        if "supplier" in _list(one.get("roles")) and (party := _party(reading, one))
    ]
    return listed if len(listed) == 1 else []


# ── The award ────────────────────────────────────────────────────────────────────────────────


def _award_of(reading: _Reading, contract: Body) -> tuple[Body | None, str]:
    """The award that the contract names, or the only one of the record."""
    awards = _objects(reading.record.get("awards"))
    wanted = _text(contract.get("awardID"))
    named = [one for one in awards if wanted and _text(one.get("id")) == wanted]
    if len(named) == 1:
        return named[0], "named"
    if not wanted and len(awards) == 1:
        return awards[0], "only"
    return None, ""


def _award_facts(reading: _Reading, award: Body, link: str) -> AwardFacts:
    value = reading.amount(award.get("value"), "/awards/value")
    return AwardFacts(
        id=_text(award.get("id")),
        link=link,
        status=_text(award.get("status")),
        title=clean(_text(award.get("title"))),
        issued_on=reading.day(award.get("date"), "/awards/date"),
        amount_fen=value.fen,
        currency=value.currency,
        suppliers=tuple(
            party for one in _objects(award.get("suppliers")) if (party := _party(reading, one))
        ),
    )


# ── What hangs on the contract ───────────────────────────────────────────────────────────────


def _milestones(reading: _Reading, contract: Body, where: str) -> Iterator[MilestoneFacts]:
    named = _objects(contract.get("milestones")) or _objects(
        _object(contract.get("implementation")).get("milestones")
    )
    seen: set[str] = set()
    for position, one in enumerate(named, 1):
        more = _object(one.get(EXTENSION))
        place = f"{where}/milestones/{position - 1}"
        code = _text(one.get("id")) or str(position)
        code = code if code not in seen else f"{code}#{position}"
        seen.add(code)
        yield MilestoneFacts(
            code=code,
            title=clean(_text(one.get("title"))),
            amount_fen=reading.amount(more.get("value") or one.get("value"), place).fen,
            retention_fen=reading.amount(more.get("retention"), place).fen,
            advance_fen=reading.amount(more.get("advanceRecovered"), place).fen,
            due_on=reading.day(one.get("dueDate"), place),
            delivered_on=reading.day(more.get("delivered"), place),
            accepted_on=reading.day(more.get("accepted"), place),
        )


def _payments(reading: _Reading, contract: Body, where: str) -> Iterator[PaymentFacts]:
    """Published payments: `value` and `payee` since 1.1, `amount` and `receiverOrganization`."""
    named = _objects(_object(contract.get("implementation")).get("transactions"))
    seen: set[str] = set()
    for position, one in enumerate(named):
        place = f"{where}/implementation/transactions/{position}"
        value = reading.amount(one.get("value") or one.get("amount"), place)
        if not value.fen or value.currency is None:
            continue
        code = _text(one.get("id")) or str(position)
        code = code if code not in seen else f"{code}#{position}"
        seen.add(code)
        payer = _party(reading, one.get("payer") or one.get("providerOrganization"))
        payee = _party(reading, one.get("payee") or one.get("receiverOrganization"))
        yield PaymentFacts(
            code=code,
            amount_fen=value.fen,
            currency=value.currency,
            paid_on=reading.day(one.get("date"), place),
            payer=payer.name if payer else "",
            payee=payee.name if payee else "",
            payee_id=payee.identifier if payee else "",
        )


def _documents(reading: _Reading, contract: Body, where: str) -> Iterator[DocumentFacts]:
    for position, one in enumerate(_objects(contract.get("documents"))):
        yield DocumentFacts(
            id=_text(one.get("id")),
            kind=_text(one.get("documentType")),
            title=clean(_text(one.get("title"))),
            url=_text(one.get("url")),
            digest=_text(_object(one.get(EXTENSION)).get("digest")),
            published_on=reading.day(one.get("datePublished"), f"{where}/documents/{position}"),
        )


def _account(value: object) -> DesignatedAccountFacts | None:
    known = _object(value)
    number = _text(known.get("number"))
    if not number:
        return None
    return DesignatedAccountFacts(
        holder=_text(known.get("holder")),
        bank_name=_text(known.get("bankName")),
        cnaps=_text(known.get("cnaps")),
        number=number,
    )


# ── Shapes ───────────────────────────────────────────────────────────────────────────────────


def _object(value: object) -> Body:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _objects(value: object) -> list[Body]:
    return [item for item in _list(value) if isinstance(item, Mapping)]


def _text(value: object) -> str:
    """Text as it stands; a number that stands for one (ids are published as numbers)."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    return ""


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _one_of(value: object, words: Sequence[str]) -> str:
    return value if isinstance(value, str) and value in words else ""
