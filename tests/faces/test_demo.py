"""`financing demo`, run once as an outsider runs it: a process with a data folder of its own.

Every test reads what that one run left behind: its document, its files, and its store.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from financing.city import story

ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT_S = 240


@dataclass(frozen=True, slots=True)
class Run:
    """The one run: its document, what it said meanwhile, and its folders."""

    document: dict[str, Any]
    stderr: str
    data: Path
    out: Path

    def financing(self, *words: str) -> subprocess.CompletedProcess[str]:
        return financing(self.data, *words)

    def json(self, *words: str, code: int = 0) -> Any:
        done = self.financing(*words, "--json")
        assert done.returncode == code, (done.stdout, done.stderr)
        return json.loads(done.stdout)

    def case(self, part: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        (found,) = [one for one in self.document["cases"] if part(one)]
        return found

    @property
    def packets(self) -> list[Path]:
        return sorted(self.out.glob("*.asice"))


def financing(data: Path, *words: str, timeout: int = LIMIT_S) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "financing", *words],
        cwd=ROOT,
        env=environment(data),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def environment(data: Path) -> dict[str, str]:
    dropped = ("FINANCING", "DATABASE_URL", "REDIS_URL")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    return kept | {"FINANCING_DATA": str(data), "LANG": "C.UTF-8"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("out")
    done = financing(data, "demo", "--json", "--out", str(out))
    assert done.returncode == 0, done.stderr[-3000:]
    yield Run(json.loads(done.stdout), done.stderr, data, out)
    shutil.rmtree(data, ignore_errors=True)


def states(case: dict[str, Any]) -> set[str]:
    return {one["loan"]["state"] for one in case["applications"] if one["loan"]}


# ── The document ─────────────────────────────────────────────────────────────────────────────


def test_a_loan_is_settled_and_its_application_closed(run: Run) -> None:
    settled = [one for one in run.document["cases"] if "settled" in states(one)]
    assert settled
    for case in settled:
        (application,) = case["applications"]
        assert application["state"] == "closed"
        assert application["packet"].startswith("sha-256:")
        assert case["verification"]["financeable"]
        assert {one["outcome"] for one in case["payments"]} <= {"allocated", "partial"}
        events = [told["event"] for told in case["story"]]
        assert events.index("application.submit") < events.index("loan.draw")
        assert events.index("loan.draw") < events.index("loan.settle")


def test_one_application_is_refused_with_a_reason(run: Run) -> None:
    refused = run.case(lambda one: any(a["state"] == "refused" for a in one["applications"]))
    (application,) = refused["applications"]
    assert application["reason_code"] == "R41"
    assert application["loan"] is None


def test_a_contract_that_is_not_financeable_says_why_in_both_languages(run: Run) -> None:
    never = [one for one in run.document["cases"] if not one["verification"]["financeable"]]
    assert never
    for case in never:
        assert case["applications"] == []
        assert case["verification"]["sentence"]["zh"]
        assert case["verification"]["sentence"]["en"]


def test_a_payment_into_another_account_is_named_and_bank_and_bureau_are_told(run: Run) -> None:
    wrong = run.case(lambda one: any(p["outcome"] == "diverted" for p in one["payments"]))
    assert states(wrong) <= {"active", "overdue"}
    alert = next(one for one in wrong["story"] if one["event"] == "alert.diverted")
    assert "财政局" in alert["text"]["zh"]
    assert "Model Bank" in alert["text"]["en"]


def test_a_payment_in_two_parts_settles_its_loan(run: Run) -> None:
    parts = run.case(lambda one: len(one["payments"]) == 2)
    total = sum(one["amount"]["fen"] for one in parts["payments"])
    assert total == parts["amount"]["fen"]
    assert states(parts) == {"settled"}


def test_a_deadline_in_a_year_without_holiday_notice_is_called_provisional(run: Run) -> None:
    told = [
        one
        for case in run.document["cases"]
        for one in case["story"]
        if one["event"].startswith("deadline.")
    ]
    assert told
    assert all("暂定" in one["text"]["zh"] for one in told)
    assert all("provisional" in one["text"]["en"] for one in told)


def test_the_document_is_one_and_the_rest_goes_to_stderr(run: Run) -> None:
    assert run.document["check"] == {"holds": True, "broken": []}
    assert 0 < run.document["timing"]["seconds"] < LIMIT_S
    assert len(run.document["banks"]) == 2
    assert "2026-10-" in run.stderr


# ── The store that it left behind ────────────────────────────────────────────────────────────


def test_the_store_can_be_asked_afterwards_by_its_own_date(run: Run) -> None:
    assert run.json("check")["holds"] is True
    late = run.json("late")["late"]
    assert {"FILE"} <= {row["rule"] for row in late}
    listed = run.json("contracts")["contracts"]
    numbers = {one["number"] for one in listed}
    assert {one["contract"] for one in run.document["cases"]} <= numbers
    assert run.json("figures")["figures"]


def test_a_demo_empties_what_an_earlier_demo_left_and_nothing_else(
    run: Run, tmp_path: Path
) -> None:
    data = tmp_path / "theirs"
    records = run.data.glob("demo/records/*.json")
    record = next(one for one in records if '"signatories"' in one.read_text("utf-8"))
    done = financing(data, "import", str(record), "--json")
    assert done.returncode == 0, done.stderr
    refused = financing(data, "demo", "--json")
    assert refused.returncode == 2
    assert json.loads(refused.stdout)["remedy"]
    again = financing(data, "import", str(record), "--json")
    counts = json.loads(again.stdout)["total"]
    assert counts["new"] == 0
    assert counts["unchanged"] > 0  # what was there is still there


def test_nothing_of_it_runs_any_more(run: Run) -> None:
    assert not (run.data / "run.json").exists()
    for process in Path("/proc").glob("[0-9]*/environ"):
        try:
            assert str(run.data).encode() not in process.read_bytes()
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue


# ── The files ────────────────────────────────────────────────────────────────────────────────


def test_the_folder_holds_packets_one_root_statements_and_histories(run: Run) -> None:
    applications = [a for case in run.document["cases"] for a in case["applications"]]
    assert len(run.packets) == len(applications)
    assert len(list(run.out.rglob("ca.pem"))) == 1
    statements = list(run.out.glob("*.xml"))
    assert len(statements) >= 4
    assert all(b"camt.053" in one.read_bytes() for one in statements)
    for n, case in enumerate(run.document["cases"], 1):
        kept = json.loads((run.out / f"case-{n:02d}.json").read_text("utf-8"))
        assert kept["contract"] == case["contract"]
        assert case["contract"] in (run.out / f"case-{n:02d}.zh.txt").read_text("utf-8")


def recipe(run: Run, packet: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    lines = story.recipe(packet, run.out / "ca.pem", folder)
    script = "\n".join(["set -e", *lines])
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)


def test_stock_openssl_accepts_every_packet(run: Run, tmp_path: Path) -> None:
    for packet in run.packets:
        done = recipe(run, packet, tmp_path / packet.stem)
        assert done.returncode == 0, (done.stdout, done.stderr)
        assert "Verification successful" in done.stderr
        assert "ok   checks.json" in done.stdout


def test_one_changed_byte_is_named_by_openssl_and_by_verify(run: Run, tmp_path: Path) -> None:
    packet = run.packets[0]
    with zipfile.ZipFile(packet) as container:
        part = container.read("checks.json")
    whole = packet.read_bytes()
    at = whole.index(part) + 10
    broken = tmp_path / "broken.asice"
    broken.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    # unzip already complains of the container; a stranger who goes on is told the part.
    script = "\n".join(story.recipe(broken, run.out / "ca.pem", tmp_path / "x"))
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert "BAD  checks.json" in done.stdout
    said = run.financing("verify", str(broken), "--trust", str(run.out / "ca.pem"), "--json")
    assert said.returncode == 1
    assert "checks.json" in json.loads(said.stdout)["part"]
    good = run.financing("verify", str(packet), "--trust", str(run.out / "ca.pem"), "--json")
    assert good.returncode == 0, good.stdout


# ── Ctrl-C ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.faults
def test_an_interrupted_demo_stops_everything_and_says_130(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with subprocess.Popen(
        [sys.executable, "-m", "financing", "demo"],
        cwd=ROOT,
        env=environment(data),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        for line in process.stderr:
            if line.startswith("2026-10"):
                break
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(60) == 130, said
    patience = time.monotonic() + 10
    while time.monotonic() < patience and (data / "run.json").exists():
        time.sleep(0.05)
    assert not (data / "run.json").exists()
