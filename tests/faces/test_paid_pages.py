"""Money that has arrived: the supplier sees his part, the operator what fits no contract."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text

from financing.values.ids import show
from tests.conftest import Web
from tests.faces.test_forms import person
from tests.paying import NOW, Case, World, case
from tests.statements_made import Line, Made


@pytest.fixture
def known(web: Web, owner: Engine, set_clock: Callable[[datetime], None]) -> Case:
    set_clock(NOW)
    return case(World(web.ctx, owner), 1_000_00)


def test_a_supplier_sees_what_of_a_payment_repaid_the_loan_and_what_is_his(
    web: Web, known: Case
) -> None:
    world: Any = known.world
    loan = world.loan(known.contract, "bank-a", 300_00, rate_bp="0")
    world.arrive(Made((Line("400.00", known.number, ref="1"),)))
    with world.owner.begin() as link:
        row = link.execute(text("SELECT application_id FROM loan WHERE id = :id"), {"id": loan})
        application = row.scalar_one()
        # The made-up packet has no parts.
        link.execute(text("UPDATE application SET packet_id = NULL"))
    page = person(web, world, "supplier", known.supplier).open(
        f"/applications/{show('ap', application)}?lang=en"
    )
    assert page.status_code == 200
    assert "¥300.00 of it repaid the loan, ¥100.00 is yours" in _read(page.text)


def test_the_operator_sees_a_payment_that_fits_no_contract_surely(web: Web, known: Case) -> None:
    world: Any = known.world
    world.contract(known.supplier, known.purchaser, "ZZCG-2026-777", 2_000_00)
    world.arrive(Made((Line("55.00", "unclear", ref="1"),)))
    platform = world.party("platform", "平台", "platform")
    page = person(web, world, "operator", platform).open("/parked?lang=en")
    assert "1 payment waits for a person" in _read(page.text)
    assert "¥55.00" in page.text and "unclear" in page.text


def _read(page: str) -> str:
    """A page as it is read: without its marks."""
    return re.sub(r"<[^>]+>", "", page)
