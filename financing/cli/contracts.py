"""`financing contracts`: which contracts may be financed, and why not."""

from __future__ import annotations

from typing import Any

import click
from sqlalchemy import select

from financing.cli import shared
from financing.errors import NotFound
from financing.journeys import banks, verification
from financing.store.db import Tx
from financing.store.tables import bank, check_result, contract, organisation
from financing.values import ids
from financing.values.money import money_json, show_money


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
            amount = show_money(
                item["amount"]["fen" if "fen" in item["amount"] else "minor"],
                item["amount"]["currency"],
                lang,
            )
            shared.say(f"{mark} {item['number']}  {amount}  {item['supplier']}")
            shared.say(f"  {item['id']}  {item['sentence'].get(lang, '')}")
            if why:
                for check in item["checks"]:
                    seen = check["seen"].get(lang, "")
                    shared.say(f"    {check['result']:14} {check['id']:12} {seen}")


def _rows(tx: Tx, why: str | None) -> list[dict[str, Any]]:
    supplier = organisation.alias("supplier")
    query = (
        select(contract, supplier.c.name.label("supplier"))
        .join(supplier, supplier.c.id == contract.c.supplier_id)
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
    return [
        {
            "id": ids.show("ct", row.id),
            "number": row.number,
            "supplier": row.supplier,
            "amount": money_json(row.amount_fen or 0, row.currency),
            "financeable": row.financeable,
            "sentence": row.sentence,
            "capacity": money_json(_most(tx, row, lenders), row.currency),
            "checks": checks.get(row.id, []),
        }
        for row in rows
    ]


def _most(tx: Tx, row: Any, lenders: list[Any]) -> int:
    """The most that any bank's product may lend on a financeable contract now."""
    if not row.financeable:
        return 0
    products = banks.products_of(tx, lenders, row.currency)
    return max(
        (verification.capacity(tx, row.id, product).fen for product in products.values()), default=0
    )
