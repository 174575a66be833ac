"""Published contracts of Mexico City under the table of checks; counts are the files' own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from financing import work
from financing.context import Context
from financing.journeys import files
from financing.rules.checks import CHECKS

pytestmark = pytest.mark.real


def test_every_published_contract_gets_every_check_and_its_sentence(
    ctx: Context, owner: Engine, real_data: Path
) -> None:
    ctx = replace(ctx, settings=replace(ctx.settings, profile="generic"))
    files.import_paths(ctx, [real_data / "ocds" / "mx-cdmx"])
    work.run_due(ctx, errands=False)
    with owner.connect() as link:
        contracts = link.execute(text("SELECT ocid, financeable, sentence FROM contract")).all()
        results = link.execute(text("SELECT check_id, result FROM check_result")).all()
        failed = {
            check: set(
                link.execute(
                    text(
                        "SELECT right(c.ocid, 11) FROM check_result r"
                        "  JOIN contract c ON c.id = r.contract_id"
                        " WHERE r.check_id = :check AND r.result = 'fail'"
                    ),
                    {"check": check},
                ).scalars()
            )
            for check in ("SIGNED", "UNPAID", "LOOK-ALIKE")
        }
    # The eleventh names no purchaser and is parked for that.
    assert len(contracts) == 10
    assert len(results) == 10 * len(CHECKS)
    assert all(each.financeable is False for each in contracts)
    assert all(each.sentence["zh"] and each.sentence["en"] for each in contracts)
    assert failed["SIGNED"] == {"AD-024-2016", "/A/015/2015"}
    assert failed["UNPAID"] == {"RM-063-2015", "RM-065-2015", "RM-066-2015", "AD-024-2016"}
    assert failed["LOOK-ALIKE"] == set()
