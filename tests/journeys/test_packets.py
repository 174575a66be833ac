"""One packet per application: complete, accepted by anyone, never rewritten."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, Row, insert, text

from financing.context import Context
from financing.errors import Broken, Conflict, NotFound
from financing.evidence import verify
from financing.journeys import accounts, confirmation, packets
from financing.store.db import SYSTEM, Tx
from financing.store.move import create
from financing.store.tables import (
    bank,
    check_result,
    consent,
    contract_version,
    organisation,
    product,
    release,
)
from financing.values import accounts as account_numbers
from financing.values import canonical, ids, uscc
from financing.values.ids import new_id
from financing.values.text import name_key
from tests.facts_made import silent_facts

NOW = datetime(2026, 3, 2, 1, 2, 3, tzinfo=UTC)
RECORD = '{"ocid": "ocds-x-1",\r\n "title": "学校照明改造"}\n'.encode()
NUMBER = "6222 0217 0201 2345 678"
SUPPLIER = "郑州示例照明有限公司"


@dataclass(frozen=True)
class Case:
    """An application that waits for its packet."""

    contract: UUID
    application: Row[Any]
    supplier_code: str


def party(tx: Tx, kind: str, name: str, *, scheme: str = "CN-USCC", code: str = "") -> UUID:
    row_id = new_id()
    tx.db.execute(
        insert(organisation).values(
            id=row_id,
            kind=kind,
            scheme=scheme,
            identifier=code or f"{kind}-{row_id}",
            name=name,
            name_key=name_key(name),
            code="sandbox-a" if kind == "bank" else None,
            created_at=tx.now,
        )
    )
    return row_id


def contract_of(tx: Tx, supplier: UUID, purchaser: UUID) -> Row[Any]:
    version_id = new_id()
    row = create(
        tx,
        "contract",
        "record_signed",
        identity=hashlib.sha256(supplier.bytes).hexdigest(),
        profile="generic",
        publisher="ZZ-SQ",
        ocid="ocds-x-1",
        number="SQ-2026-0117-01",
        number_key="SQ-2026-0117-01",
        number_search="SQ2026011701",
        title="上街区学校照明改造",
        purchaser_id=purchaser,
        supplier_id=supplier,
        current_version_id=version_id,
        record_version=1,
        amount_fen=128_000_000,
        currency="CNY",
        signed_on=date(2026, 2, 11),
        held_fen=0,
        open_fen=128_000_000,
        created_at=tx.now,
    )
    release_id = new_id()
    tx.db.execute(
        insert(release).values(
            id=release_id,
            publisher="ZZ-SQ",
            ocid="ocds-x-1",
            release_id="r-1",
            digest=canonical.digest(RECORD),
            raw=RECORD,
            source="folder/of/the/importer.json#0",
            received_at=tx.now,
        )
    )
    tx.db.execute(
        insert(contract_version).values(
            id=version_id,
            contract_id=row.id,
            n=1,
            release_id=release_id,
            digest="sha-256:0",
            facts=silent_facts(),
            created_at=tx.now,
        )
    )
    for position, (check, result) in enumerate(
        [("SIGNED", "pass"), ("DOC-SIG", "unknown"), ("SME", "not-applicable")]
    ):
        tx.db.execute(
            insert(check_result).values(
                contract_id=row.id,
                check_id=check,
                position=position,
                result=result,
                blocks=False,
                seen={"zh": f"{check} 所见", "en": f"{check} seen"},
                source="Law art. 44",
                remedy={"zh": "", "en": ""},
                at=tx.now,
            )
        )
    return row


def product_of(tx: Tx, bank_id: UUID) -> UUID:
    tx.db.execute(
        insert(bank).values(
            id=bank_id,
            code="sandbox-a",
            adapter="rest_jws",
            base_url="http://127.0.0.1:1",
            poll_interval_s=5,
            answer_days=3,
            answer_key_pem="",
        )
    )
    product_id = new_id()
    tx.db.execute(
        insert(product).values(
            id=product_id,
            bank_id=bank_id,
            code="gov-contract-loan",
            name={"zh": "政采贷", "en": "Contract loan"},
            share_bp=7000,
            min_fen=100,
            cap_fen=1_000_000_000,
            tenor_min_days=30,
            tenor_max_days=360,
            rate_from_bp="300",
            rate_to_bp="400",
            day_basis="ACT/360",
            currency="CNY",
            valid_from=date(2026, 1, 1),
        )
    )
    return product_id


def arrange(tx: Tx, *, with_account: bool = True, scheme: str = "CN-USCC") -> Case:
    code = uscc.make("91410106", "MA9TE5T04"[:8]) if scheme == "CN-USCC" else "ABC010101AB1"
    supplier = party(tx, "supplier", SUPPLIER, scheme=scheme, code=code)
    purchaser = party(tx, "purchaser", "示例区教育局")
    row = contract_of(tx, supplier, purchaser)
    bank_id = party(tx, "bank", "Sandbox Bank A")
    product_id = product_of(tx, bank_id)
    if with_account:
        accounts.propose(
            tx,
            row.id,
            holder=SUPPLIER,
            bank_name="示例银行",
            cnaps=account_numbers.make_cnaps("10249100001"),
            number=NUMBER,
        )
        accounts.confirm(tx, row.id)
    consent_id = new_id()
    tx.db.execute(
        insert(consent).values(
            id=consent_id,
            contract_id=row.id,
            contract_version_id=row.current_version_id,
            bank_id=bank_id,
            supplier_id=supplier,
            text_version="consent/1",
            text_digest="sha-256:c",
            given_at=tx.now,
        )
    )
    application = create(
        tx,
        "application",
        "draft",
        contract_id=row.id,
        contract_version_id=row.current_version_id,
        bank_id=bank_id,
        supplier_id=supplier,
        product_id=product_id,
        amount_fen=64_000_000,
        currency="CNY",
        tenor_days=180,
        consent_id=consent_id,
        created_at=tx.now,
    )
    return Case(row.id, application, code)


@pytest.fixture
def at_noon(set_clock: Callable[[datetime], None]) -> None:
    """The business clock stands elsewhere than the wall clock."""
    set_clock(NOW)


def parts_of(ctx: Context, data: bytes) -> dict[str, bytes]:
    found = verify.verify(data, ctx.keys.ca_pem)
    assert (found.indication, found.reason, found.part) == (verify.PASSED, "passed", "")
    return found.parts


def test_a_packet_is_accepted_by_anyone_who_trusts_the_root(ctx: Context, at_noon: None) -> None:
    with ctx.begin(SYSTEM) as tx:
        case = arrange(tx)
        row = packets.issue(tx, case.application)
        data = packets.containers(tx, [row.id])[row.id]
    found = verify.verify(data, ctx.keys.ca_pem)
    assert (found.indication, found.packet) == (verify.PASSED, row.identity)
    index = json.loads(found.parts["packet.json"])
    assert index["application"] == {
        "id": ids.show("ap", case.application.id),
        "requested": {"currency": "CNY", "fen": 64_000_000},
        "tenor_days": 180,
    }
    assert index["supplier"] == {"name": SUPPLIER, "uscc": case.supplier_code}
    assert index["recipient"]["bank"] == "sandbox-a"
    assert index["as_of"] == "2026-03-02"
    assert index["issued_at"] != "2026-03-02T01:02:03Z"
    assert index["supersedes"] is None
    assert index["serial"] == str(row.id)


def test_the_record_is_in_the_packet_as_it_was_received(ctx: Context, at_noon: None) -> None:
    with ctx.begin(SYSTEM) as tx:
        row = packets.issue(tx, arrange(tx).application)
        data = packets.containers(tx, [row.id])[row.id]
    parts = parts_of(ctx, data)
    assert parts["contract/record.json"] == RECORD
    record = json.loads(parts["packet.json"])["contract"]["record"]
    assert record["digest"] == canonical.digest(RECORD)
    assert b"importer" not in data


def test_the_account_digest_is_that_of_the_account_in_the_packet(
    ctx: Context, at_noon: None
) -> None:
    with ctx.begin(SYSTEM) as tx:
        row = packets.issue(tx, arrange(tx).application)
        data = packets.containers(tx, [row.id])[row.id]
    account = parts_of(ctx, data)["account.json"]
    assert row.account_digest == canonical.digest(account)
    assert json.loads(account)["number"] == NUMBER.replace(" ", "")
    assert json.loads(account)["holder"] == name_key(SUPPLIER)


def test_what_is_not_known_is_said(ctx: Context, at_noon: None) -> None:
    with ctx.begin(SYSTEM) as tx:
        row = packets.issue(tx, arrange(tx).application)
        data = packets.containers(tx, [row.id])[row.id]
    parts = parts_of(ctx, data)
    unknowns = json.loads(parts["unknowns.json"])
    assert unknowns == [
        {"check": "DOC-SIG", "sentence": {"zh": "DOC-SIG 所见", "en": "DOC-SIG seen"}}
    ]
    checks = json.loads(parts["checks.json"])
    assert [(each["id"], each["result"]) for each in checks] == [
        ("SIGNED", "pass"),
        ("DOC-SIG", "unknown"),
        ("SME", "not-applicable"),
    ]
    assert "confirmation.json" not in parts


def test_the_purchaser_s_word_is_in_it_while_it_is_of_these_figures(
    ctx: Context, at_noon: None, owner: Engine
) -> None:
    with ctx.begin(SYSTEM) as tx:
        case = arrange(tx)
        asked = confirmation.ask(tx, case.contract)
        confirmation.answer(tx, case.contract, same=True, paid_fen=0)
        row = packets.issue(tx, case.application)
        data = packets.containers(tx, [row.id])[row.id]
    said = json.loads(parts_of(ctx, data)["confirmation.json"])
    assert said["shown_digest"] == asked.shown_digest == canonical.digest_of(said["shown"])
    assert said["paid"] == {"currency": "CNY", "fen": 0}
    with owner.begin() as link:
        link.execute(text("UPDATE contract SET amount_fen = amount_fen - 1"))
    with ctx.begin(SYSTEM) as tx:
        row = packets.issue(tx, case.application)
        data = packets.containers(tx, [row.id])[row.id]
    assert "confirmation.json" not in parts_of(ctx, data)


def test_the_capacity_is_shown_term_by_term(ctx: Context, at_noon: None) -> None:
    with ctx.begin(SYSTEM) as tx:
        row = packets.issue(tx, arrange(tx).application)
        data = packets.containers(tx, [row.id])[row.id]
    capacity = json.loads(parts_of(ctx, data)["capacity.json"])
    terms = {term["name"]: term["amount"]["fen"] for term in capacity["terms"]}
    assert terms["amount"] == 128_000_000
    assert terms["capacity"] == capacity["capacity"]["fen"] == 128_000_000 * 7 // 10


def test_a_party_of_another_register_is_named_by_it(ctx: Context, at_noon: None) -> None:
    with ctx.begin(SYSTEM) as tx:
        row = packets.issue(tx, arrange(tx, scheme="MX-RFC").application)
        data = packets.containers(tx, [row.id])[row.id]
    index = json.loads(parts_of(ctx, data)["packet.json"])
    assert index["supplier"] == {"id": "ABC010101AB1", "name": SUPPLIER, "scheme": "MX-RFC"}


def test_the_same_packet_comes_again_byte_for_byte(ctx: Context, at_noon: None) -> None:
    with ctx.begin(SYSTEM) as tx:
        row = packets.issue(tx, arrange(tx).application)
        first = packets.containers(tx, [row.id])[row.id]
    with ctx.begin(SYSTEM) as tx:
        assert packets.containers(tx, [row.id]) == {row.id: first}


def test_a_new_packet_names_the_one_it_supersedes_and_shares_its_record(
    ctx: Context, at_noon: None, owner: Engine
) -> None:
    with ctx.begin(SYSTEM) as tx:
        case = arrange(tx)
        old = packets.issue(tx, case.application)
        new = packets.issue(tx, case.application)
        both = packets.containers(tx, [old.id, new.id])
    assert new.supersedes_id == old.id
    assert json.loads(parts_of(ctx, both[new.id])["packet.json"])["supersedes"] == old.identity
    assert parts_of(ctx, both[old.id])
    with owner.connect() as link:
        stored = link.execute(text("SELECT count(*) FROM blob WHERE bytes = :raw"), {"raw": RECORD})
        assert stored.scalar_one() == 1


def test_without_an_account_there_is_no_packet(ctx: Context, at_noon: None, owner: Engine) -> None:
    with ctx.begin(SYSTEM) as tx:
        case = arrange(tx, with_account=False)
    with pytest.raises(Conflict) as caught, ctx.begin(SYSTEM) as tx:
        packets.issue(tx, case.application)
    assert caught.value.remedy
    with owner.connect() as link:
        for table in ("packet", "packet_part", "blob"):
            assert link.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0


def test_a_part_changed_in_the_store_is_not_sent(
    ctx: Context, at_noon: None, owner: Engine
) -> None:
    with ctx.begin(SYSTEM) as tx:
        row = packets.issue(tx, arrange(tx).application)
    with owner.begin() as link:
        link.execute(text("SET LOCAL session_replication_role = replica"))
        changed = RECORD.replace(b"-1", b"-2")
        link.execute(
            text("UPDATE blob SET bytes = :new WHERE bytes = :old"),
            {"new": changed, "old": RECORD},
        )
    with pytest.raises(Broken), ctx.begin(SYSTEM) as tx:
        packets.containers(tx, [row.id])
    with owner.begin() as link:
        link.execute(text("SET LOCAL session_replication_role = replica"))
        link.execute(text("DELETE FROM packet_part"))
    with pytest.raises(Broken), ctx.begin(SYSTEM) as tx:
        packets.containers(tx, [row.id])


def test_an_account_changed_in_the_store_is_not_signed(
    ctx: Context, at_noon: None, owner: Engine
) -> None:
    with ctx.begin(SYSTEM) as tx:
        case = arrange(tx)
    with owner.begin() as link:
        link.execute(text("UPDATE bank_account SET holder = 'somebody else'"))
    with pytest.raises(Broken), ctx.begin(SYSTEM) as tx:
        packets.issue(tx, case.application)


def test_an_unknown_packet_is_not_found(ctx: Context) -> None:
    with pytest.raises(NotFound), ctx.begin(SYSTEM) as tx:
        packets.containers(tx, [new_id()])
