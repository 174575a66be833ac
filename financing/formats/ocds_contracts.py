"""From the releases of one process to what they say about each contract, and each open award.

Judged is what a record holds, not its tag: releases tagged `tender` carry contracts and payments.
A contract whose identity, amount, or signing date cannot be read is parked whole; any other field
that cannot be read is parked alone and named in the facts, and the contract goes on without it.
An award under which no contract stands yet is told as a contract of which only the award is known.

Source: OCDS 1.0 and 1.1 release schemas; `docs/ocds-extension.md` for `x_financing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, Final

from financing.formats import ocds_awards, odd_dates
from financing.formats.json_stream import Path
from financing.formats.ocds import Body, Release, merge
from financing.formats.ocds_fields import (
    Amount,
    Parties,
    Unusable,
    dict_of,
    get,
    list_of,
    name_of,
    read_amount,
    size_of,
    text_of,
)
from financing.formats.ocds_notes import Money, Notes, parked_piece, read_day, read_digest
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
from financing.values.parked import Parked
from financing.values.text import name_key

EXTENSION: Final = "x_financing"
TELLING_DIGITS: Final = 4
TELLING_LETTERS: Final = 16


def contracts_of(
    history: Sequence[Release], merged: Body | None = None
) -> list[ContractFacts | Parked]:
    """What the releases of one process say about its contracts, as of the last of them.

    Args:
        history: releases of one publisher and ocid, oldest first.
        merged: their bodies merged, where the caller has them.
    """
    body = merge([release.body for release in history]) if merged is None else merged
    found: list[ContractFacts | Parked] = []
    unread: set[str] = set()
    seen: dict[str, Any] = {}
    for position, contract in enumerate(list_of(body.get("contracts"))):
        name = text_of(get(contract, "id"))
        if name and seen.get(name) == contract:
            continue  # published twice, word for word
        award_id = text_of(get(contract, "awardID"))
        release = _newest(history, name, award_id)
        notes = Notes(release, _place(release, "contracts", name, position))
        try:
            if not name:
                raise Unusable(
                    ("id",), contract, "CONTRACT-ID: a contract without id", "publish its number"
                )
            if name in seen:
                raise Unusable(
                    ("id",), name, "CONTRACT-ID: the id occurs twice", "give each contract an id"
                )
            seen[name] = contract
            facts = _facts(body, contract, release, notes)
        except Unusable as problem:
            found.append(parked_piece(release, notes.place, problem))
            unread.add(award_id)
            continue
        found.append(facts)
        found.extend(notes.parked)
    return [*found, *_open_awards(history, body, found, unread)]


def _open_awards(
    history: Sequence[Release],
    body: Body,
    contracts: Sequence[ContractFacts | Parked],
    unread: set[str],
) -> Iterator[ContractFacts | Parked]:
    """Awards without a contract; one that has ended is told, but never parked.

    Args:
        unread: the award ids, or nothing, that parked contracts name.
    """
    signed = [one for one in contracts if isinstance(one, ContractFacts)]
    for position, award in ocds_awards.unsigned(body, signed, unread):
        name = text_of(award.get("id"))
        release = _newest(history, "", name)
        notes = Notes(release, _place(release, "awards", name, position))
        parties = Parties(list_of(body.get("parties")), release.publisher)
        winners = parties.all(award.get("suppliers"))
        if not winners:
            continue  # nobody is known to have won
        has_ended = text_of(award.get("status")) in ocds_awards.ENDED
        try:
            ocds_awards.assert_one(award, winners, body, parties)
            facts = _facts(body, {"awardID": name}, release, notes)
        except Unusable as problem:
            if not has_ended:
                yield parked_piece(release, notes.place, problem)
            continue
        yield facts
        if not has_ended:
            yield from notes.parked


def _newest(history: Sequence[Release], name: str, award_id: str) -> Release:
    """The newest release that speaks of the contract or of its award."""
    for release in reversed(history):
        contracts = _ids_in(release.body, "contracts")
        if (name and name in contracts) or (
            award_id and award_id in _ids_in(release.body, "awards")
        ):
            return release
    return history[-1]


def _place(release: Release, key: str, name: str, position: int) -> Path:
    ids = _ids_in(release.body, key)
    return (key, ids.index(name) if name in ids else position)


def _ids_in(body: Body, key: str) -> list[str]:
    return [text_of(get(item, "id")) for item in list_of(body.get(key))]


def _facts(body: Body, contract: Body, release: Release, notes: Notes) -> ContractFacts:
    ours = dict_of(contract.get(EXTENSION))
    code, number = text_of(contract.get("id")), text_of(ours.get("number"))
    amount = _contract_amount(contract) if code else None
    money = Money(notes, amount.currency if amount else "")
    parties = Parties(list_of(body.get("parties")), release.publisher)
    signed_on = _signed_on(contract)
    award, award_id = _award(body, contract, parties, money)
    purchaser = _purchaser(body, parties)
    supplier = _supplier(body, contract, award, parties)
    budget = money.of(get(body, "planning", "budget", "amount"), ("..", "planning", "budget"))
    filing, announcement = dict_of(ours.get("filing")), dict_of(ours.get("announcement"))
    acceptance, terms = dict_of(ours.get("acceptance")), dict_of(ours.get("paymentTerms"))
    retention, declared = dict_of(ours.get("retention")), dict_of(ours.get("smeDeclaration"))
    base: Path = (EXTENSION,)
    return ContractFacts(
        publisher=release.publisher,
        ocid=release.ocid,
        release_id=release.release_id,
        released_at=release.released_at,
        code=code,
        number=number or (_telling_number(release.ocid, code) if code else ""),
        is_numbered=bool(number),
        title=_title(body, contract, award),
        status=text_of(contract.get("status")) if code or award is None else award.status,
        amount_fen=amount.fen if amount else None,
        currency=(amount.currency if amount else award.currency if award else None) or "",
        amount_in_words=text_of(ours.get("amountInWords")),
        purchaser=purchaser,
        supplier=supplier,
        award_id=award_id,
        award=award,
        direct=get(body, "tender", "procurementMethod") == "direct",
        budget_line=text_of(get(body, "planning", "budget", "id")),
        budget_fen=budget.fen if budget else None,
        budget_currency=budget.currency if budget else None,
        signed_on=signed_on,
        signatories=tuple(
            side for side in ("purchaser", "supplier") if side in list_of(ours.get("signatories"))
        ),
        starts_on=read_day(notes, get(contract, "period", "startDate"), ("period", "startDate")),
        ends_on=read_day(notes, get(contract, "period", "endDate"), ("period", "endDate")),
        filed_on=read_day(notes, filing.get("date"), (*base, "filing", "date")),
        filing_receipt=text_of(filing.get("receipt")),
        announced_on=read_day(notes, announcement.get("date"), (*base, "announcement", "date")),
        announcement_url=text_of(announcement.get("url")),
        announcement_digest=read_digest(notes, announcement, (*base, "announcement")),
        secret=_flag(ours.get("secret")),
        delivered_on=read_day(notes, get(ours, "delivery", "date"), (*base, "delivery", "date")),
        accepted_on=read_day(notes, acceptance.get("date"), (*base, "acceptance", "date")),
        acceptance_digest=read_digest(notes, acceptance, (*base, "acceptance")),
        inspection_ends_on=read_day(
            notes, acceptance.get("inspectionEnds"), (*base, "acceptance", "inspectionEnds")
        ),
        payment_days=_whole(terms.get("days")),
        payment_start=text_of(terms.get("start")),
        late_rate_bp=_whole(terms.get("lateRateBp")),
        retention_fen=money.same(retention.get("value"), (*base, "retention", "value")),
        retention_bp=_whole(retention.get("shareBp")),
        retention_until=read_day(notes, retention.get("until"), (*base, "retention", "until")),
        advance_fen=money.same(ours.get("advance"), (*base, "advance")),
        sme_declared=size_of(declared.get("size")),
        sme_declared_on=read_day(notes, declared.get("date"), (*base, "smeDeclaration", "date")),
        assignable=_flag(ours.get("assignable")),
        account=_account(dict_of(ours.get("designatedAccount"))),
        milestones=tuple(_milestones(contract, money)),
        payments=tuple(_payments(contract, money)),
        documents=tuple(_documents(contract, notes)),
        unread=tuple(notes.unread),
    )


# ── Amounts and dates ────────────────────────────────────────────────────────────────────────


def _contract_amount(contract: Body) -> Amount:
    amount = read_amount(contract.get("value"), ("value",))
    if amount is None:
        raise Unusable(
            ("value",), contract.get("value"), "AMOUNT-MISSING: no amount", "publish its value"
        )
    if amount.fen < 0:
        raise Unusable(
            ("value", "amount"), amount.fen, "AMOUNT: below zero", "publish what is to be paid"
        )
    return amount


def _signed_on(contract: Body) -> date | None:
    text = contract.get("dateSigned")
    if text is None or text == "":
        return None
    written = odd_dates.read(text)
    if written is None:
        raise Unusable(
            ("dateSigned",),
            text,
            "DATE: not a date, or a day that does not exist",
            "publish the day of signing as 2026-03-02",
        )
    return written.day


# ── Parties and the award ────────────────────────────────────────────────────────────────────


def _purchaser(body: Body, parties: Parties) -> Party:
    buyer, entity = body.get("buyer"), get(body, "tender", "procuringEntity")
    by_role = {role: parties.by_role(role) for role in ("buyer", "procuringEntity")}
    named = parties.resolve(buyer)
    if named is not None and named.scheme == BY_NAME:
        # A reference by name alone: the party of that role may carry its number.
        same = [one for one in by_role["buyer"] if name_key(one.name) == name_key(named.name)]
        named = same[0] if len(same) == 1 else named
    if named is not None:
        return named
    for candidates in (by_role["buyer"], parties.all([entity]), by_role["procuringEntity"]):
        if len(candidates) == 1:
            return candidates[0]
    raise Unusable(
        ("..", "buyer"),
        buyer,
        "PURCHASER-MISSING: the record names no purchaser, or several",
        "publish the purchaser as `buyer` with its identifier",
    )


def _award(
    body: Body, contract: Body, parties: Parties, money: Money
) -> tuple[AwardFacts | None, str]:
    """The contract's award, and the award's id as the contract gives it."""
    awards = [award for award in list_of(body.get("awards")) if isinstance(award, dict)]
    award_id = text_of(contract.get("awardID"))
    named = [award for award in awards if award_id and text_of(award.get("id")) == award_id]
    if len({parties.all(award.get("suppliers")) for award in named}) > 1:
        raise Unusable(
            ("awardID",),
            award_id,
            "AWARD-AMBIGUOUS: several awards with this id name different suppliers",
            "give each award an id of its own",
        )
    if named:
        link, award = "named", named[0]
    elif len(awards) == 1:
        link, award = "dangling" if award_id else "only", awards[0]
    else:
        own = parties.all(contract.get("suppliers")) or parties.by_role("supplier")
        to_it = [one for one in awards if own and parties.all(one.get("suppliers")) == own]
        if award_id or len(to_it) != 1:
            return None, award_id
        link, award = "only", to_it[0]
    at: Path = ("..", "awards", awards.index(award))
    amount = money.of(award.get("value"), (*at, "value"))
    return AwardFacts(
        id=text_of(award.get("id")),
        link=link,
        status=text_of(award.get("status")),
        title=text_of(award.get("title")),
        issued_on=read_day(money.notes, award.get("date"), (*at, "date")),
        amount_fen=amount.fen if amount else None,
        currency=amount.currency if amount else None,
        suppliers=parties.all(award.get("suppliers")),
    ), award_id


def _supplier(body: Body, contract: Body, award: AwardFacts | None, parties: Parties) -> Party:
    candidates = (
        parties.all(contract.get("suppliers")),
        award.suppliers if award and award.link != "dangling" else (),
        parties.by_role("supplier"),
        award.suppliers if award else (),
    )
    found = next((some for some in candidates if some), ())
    if not found:
        raise Unusable(
            ("awardID",),
            contract.get("awardID"),
            "SUPPLIER-MISSING: neither the contract nor its award names a supplier",
            "publish the award with its supplier, and name it in awardID",
        )
    if len(found) > 1:
        raise Unusable(
            ("awardID",),
            ", ".join(party.name for party in found),
            "SUPPLIER-SEVERAL: several in the award, and the contract names none of them",
            "name the contract's own supplier in `contracts[].suppliers`",
        )
    return found[0]


# ── Milestones, payments, documents, account ─────────────────────────────────────────────────


def _milestones(contract: Body, money: Money) -> Iterator[MilestoneFacts]:
    places: tuple[Path, ...] = (("milestones",), ("implementation", "milestones"))
    codes: list[str] = []
    for place in places:
        for position, item in enumerate(list_of(get(contract, *place))):
            if not isinstance(item, dict):
                continue
            ours = dict_of(item.get(EXTENSION))
            at: Path = (*place, position)
            notes = money.notes
            yield MilestoneFacts(
                code=_own_code(codes, text_of(item.get("id"))),
                title=text_of(item.get("title")) or text_of(item.get("description"))[:200],
                amount_fen=money.same(
                    ours.get("value") or item.get("value"), (*at, EXTENSION, "value")
                ),
                retention_fen=money.same(ours.get("retention"), (*at, EXTENSION, "retention")),
                advance_fen=money.same(
                    ours.get("advanceRecovered"), (*at, EXTENSION, "advanceRecovered")
                ),
                due_on=read_day(notes, item.get("dueDate"), (*at, "dueDate")),
                delivered_on=read_day(notes, ours.get("delivered"), (*at, EXTENSION, "delivered")),
                accepted_on=read_day(notes, ours.get("accepted"), (*at, EXTENSION, "accepted")),
            )


def _payments(contract: Body, money: Money) -> Iterator[PaymentFacts]:
    codes: list[str] = []
    place: Path = ("implementation", "transactions")
    for position, item in enumerate(list_of(get(contract, *place))):
        if not isinstance(item, dict):
            continue
        # 1.1 says `value`, `payer`, `payee`; 1.0 said `amount` and two organisations.
        key = "value" if get(item, "value", "amount") is not None else "amount"
        amount = money.of(item.get(key), (*place, position, key), money.currency)
        code = _own_code(codes, text_of(item.get("id")))
        if amount is None or amount.fen == 0:
            continue  # nothing was paid by it
        payer = dict_of(item.get("payer") or item.get("providerOrganization"))
        payee = dict_of(item.get("payee") or item.get("receiverOrganization"))
        yield PaymentFacts(
            code=code,
            amount_fen=amount.fen,
            currency=amount.currency,
            paid_on=read_day(money.notes, item.get("date"), (*place, position, "date")),
            payer=name_of(payer),
            payee=name_of(payee),
            payee_id=text_of(payee.get("id")) or text_of(get(payee, "identifier", "id")),
        )


def _own_code(codes: list[str], wanted: str) -> str:
    """An id that occurs once: publishers repeat payment ids, and each payment counts."""
    base = wanted or f"#{len(codes) + 1}"
    code, n = base, 1
    while code in codes:
        n += 1
        code = f"{base}#{n}"
    codes.append(code)
    return code


def _documents(contract: Body, notes: Notes) -> Iterator[DocumentFacts]:
    for position, item in enumerate(list_of(contract.get("documents"))):
        if not isinstance(item, dict):
            continue
        at: Path = ("documents", position)
        yield DocumentFacts(
            id=text_of(item.get("id")),
            kind=text_of(item.get("documentType")),
            title=text_of(item.get("title")),
            url=text_of(item.get("url")),
            digest=read_digest(notes, dict_of(item.get(EXTENSION)), (*at, EXTENSION)),
        )


def _account(given: Body) -> DesignatedAccountFacts | None:
    if not text_of(given.get("number")):
        return None
    return DesignatedAccountFacts(
        holder=text_of(given.get("holder")),
        bank_name=text_of(given.get("bankName")),
        cnaps=text_of(given.get("cnaps")),
        number=text_of(given.get("number")),
    )


def _telling_number(ocid: str, code: str) -> str:
    """The contract's id where it tells the contract apart for people, else with its process."""
    digits = sum(letter.isdigit() for letter in code)
    return code if digits >= TELLING_DIGITS or len(code) >= TELLING_LETTERS else f"{ocid}/{code}"


# ── Plain values ─────────────────────────────────────────────────────────────────────────────


def _title(body: Body, contract: Body, award: AwardFacts | None) -> str:
    titles = (
        contract.get("title"),
        award.title if award else "",
        get(body, "tender", "title"),
        contract.get("description"),
    )
    return next((text_of(title)[:400] for title in titles if text_of(title)), "")


def _whole(value: Any) -> int | None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and 0 <= value <= 10**6 else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
