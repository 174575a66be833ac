"""`financing contracts`: which contracts may be financed, and why not."""

from __future__ import annotations

from typing import Any

import click
from sqlalchemy import select

from financing.cli import shared
from financing.errors import NotFound
from financing.journeys import banks, verification
from financing.store.db import Tx
from financing.store.tables import (
    bank,
    check_result,
    contract,
    contract_version,
    organisation,
)
from financing.values import ids
from financing.values.money import money_json, show_money
from financing.words import t


@click.command("contracts", epilog="Example: financing contracts --why ct_01JNB3K4…")
@click.option("--why", metavar="ID", help="One contract, by id or number, with every check.")
@shared.options
def contracts(why: str | None, as_json: bool, lang: str) -> None:
    """List contracts, whether each may be financed, and the sentence why not."""
    with shared.opened() as ctx, ctx.begin() as tx:
        found = _rows(tx, why)
        if why and not found:
            raise NotFound(
                "no such contract",
                where=why,
                remedy="Give an id or a number from `financing contracts`.",
            )
        if as_json:
            shared.emit({"contracts": found})
            return
        for item in found:
            mark = {True: "✓", False: "✗", None: "?"}[item["financeable"]]
            name = item["number"] or t("award.named", lang, award=item["award"])
            shared.say(f"{mark} {name}  {_price(item, lang)}  {item['supplier']}")
            shared.say(f"  {item['id']}  {item['sentence'].get(lang, '')}")
            if why:
                for check in item["checks"]:
                    seen = check["seen"].get(lang, "")
                    shared.say(f"    {check['result']:14} {check['id']:12} {seen}")


def _price(item: dict[str, Any], lang: str) -> str:
    """The contract's amount; while there is none, that of the award."""
    if item["amount"] is not None:
        return _shown(item["amount"], lang)
    if item["award_amount"] is not None:
        return f"{t('award.amount', lang)} {_shown(item['award_amount'], lang)}"
    return "—"


def _shown(amount: dict[str, Any], lang: str) -> str:
    return show_money(amount["fen" if "fen" in amount else "minor"], amount["currency"], lang)


def _rows(tx: Tx, why: str | None) -> list[dict[str, Any]]:
    supplier = organisation.alias("supplier")
    query = (
        select(
            contract,
            supplier.c.name.label("supplier"),
            contract_version.c.facts,
        )
        .join(supplier, supplier.c.id == contract.c.supplier_id)
        .join(contract_version, contract_version.c.id == contract.c.current_version_id)
        .order_by(contract.c.created_at, contract.c.id)
    )
    if why:
        query = query.where(
            contract.c.id == ids.read("ct", why)
            if why.startswith("ct_")
            else contract.c.number == why
        )
    rows = tx.rows(query)
    checks: dict[Any, list[dict[str, Any]]] = {}
    for row in tx.rows(
        select(check_result)
        .where(check_result.c.contract_id.in_([row.id for row in rows]))
        .order_by(check_result.c.contract_id, check_result.c.position)
    ):
        checks.setdefault(row.contract_id, []).append(
            {
                "id": row.check_id,
                "result": row.result,
                "blocks": row.blocks,
                "seen": row.seen,
                "source": row.source,
                "remedy": row.remedy,
            }
        )
    lenders = [row.id for row in tx.rows(select(bank.c.id))]
    won = {row.id: row.facts["award"] or {} for row in rows}
    return [
        {
            "id": ids.show("ct", row.id),
            "number": row.number,
            "award": row.facts["award_id"] or won[row.id].get("id", ""),
            "state": row.state,
            "supplier": row.supplier,
            "amount": _amount(row.amount_fen, row.currency),
            "award_amount": _amount(row.award_fen, won[row.id].get("currency") or ""),
            "financeable": row.financeable,
            "sentence": row.sentence,
            "capacity": _amount(_most(tx, row, lenders), row.currency),
            "checks": checks.get(row.id, []),
        }
        for row in rows
    ]


def _amount(fen: int | None, currency: str) -> dict[str, int | str] | None:
    return None if fen is None or not currency else money_json(fen, currency)


def _most(tx: Tx, row: Any, lenders: list[Any]) -> int:
    """The most that any bank's product may lend on a financeable contract now."""
    if not row.financeable:
        return 0
    products = banks.products_of(tx, lenders, row.currency)
    return max(
        (verification.capacity(tx, row.id, product).fen for product in products.values()), default=0
    )
