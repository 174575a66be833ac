"""`demo --contracts` on published contracts of Mexico City: to settlement, or the reason why not.

Counts and sums are taken from the files, not from us.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from financing.city import real

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parent.parent.parent
FINANCING = (sys.executable, "-m", "financing")
LIMIT_S = 300


@pytest.fixture(scope="module")
def folder(real_data: Path) -> Path:
    return real_data / "ocds" / "mx-cdmx"


@pytest.fixture(scope="module")
def ran(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The document of one run, and the folder of its files."""
    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("out")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FINANCING", "DATABASE_URL"))}
    done = subprocess.run(
        [*FINANCING, "demo", "--contracts", str(folder), "--json", "--out", str(out)],
        cwd=ROOT,
        env=kept | {"FINANCING_DATA": str(data), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout), out


def paid(case: dict[str, Any]) -> int:
    return sum(one["amount"]["minor"] for one in case["payments"])


def test_real_contracts_are_carried_from_record_to_settlement(
    ran: tuple[dict[str, Any], Path],
) -> None:
    document, out = ran
    settled = [
        case
        for case in document["cases"]
        if any(one["loan"] and one["loan"]["state"] == "settled" for one in case["applications"])
    ]
    assert settled
    for case in settled:
        assert case["verification"]["financeable"]
        assert case["payments"]
        assert paid(case) > 0
    assert document["check"]["holds"]
    packets = [a for case in document["cases"] for a in case["applications"] if a["packet"]]
    assert len(list(out.glob("*.asice"))) == len(packets)


def test_every_payment_that_the_publisher_reports_arrived_and_nothing_else(
    ran: tuple[dict[str, Any], Path], folder: Path
) -> None:
    document, _ = ran
    candidates, _ = real.read([folder])
    published = {one.name: one for one in candidates}
    for case in document["cases"]:
        one = published[case["ocid"], case["contract"]]
        expected = [payment.amount_fen for _, day in one.payments for payment in day]
        if case["payments"]:
            assert sorted(p["amount"]["minor"] for p in case["payments"]) == sorted(expected)


def test_of_every_other_contract_the_story_says_why_not(ran: tuple[dict[str, Any], Path]) -> None:
    document, _ = ran
    for case in document["cases"]:
        if not case["applications"]:
            why = case["verification"]["sentence"]["en"]
            assert not case["verification"]["financeable"] or case["supplied"]
            assert why or case["supplied"]
    for one in document["left_out"]:
        assert one["reason"]


def test_the_story_says_what_no_record_held(ran: tuple[dict[str, Any], Path]) -> None:
    document, _ = ran
    lent = [case for case in document["cases"] if case["payments"]]
    for case in lent:
        said = " ".join(remark["en"] for remark in case["supplied"])
        for word in ("as of", "account", "confirmation", "consents", "acceptance"):
            assert word in said, case["contract"]


def test_several_files_of_one_process_are_one_contract(folder: Path) -> None:
    candidates, _ = real.read([folder])
    names = [one.name for one in candidates]
    assert len(set(names)) == len(names)
