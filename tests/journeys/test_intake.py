"""Files of procurement records come in: once, in any order, and what is wrong is parked by name."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from financing import work
from financing.context import Context
from financing.journeys import files
from tests.statements_made import Line, Made, camt
from tests.verifying import SUPPLIER, release

Command = Callable[..., subprocess.CompletedProcess[str]]
COUNTS = ("read", "new", "changed", "unchanged", "parked")


@pytest.fixture
def rows(owner: Engine) -> Callable[..., list[tuple[Any, ...]]]:
    def ask(query: str) -> list[tuple[Any, ...]]:
        with owner.connect() as link:
            return [tuple(row) for row in link.execute(text(query))]

    return ask


Rows = Callable[..., list[tuple[Any, ...]]]


def written(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value, ensure_ascii=False), "utf-8")
    return path


def taken(ctx: Context, *paths: Path) -> tuple[int, ...]:
    """Counts of one import over all its files."""
    reports = files.import_paths(ctx, paths)
    return tuple(sum(getattr(report, name) for report in reports) for name in COUNTS)


def later(n: int, day: int, /, release_id: str = "", **changes: Any) -> dict[str, Any]:
    """A further release of contract n, published on a day of March."""
    of_release = {"id": release_id or f"r{day}", "date": f"2026-03-{day:02d}T09:00:00+08:00"}
    return release(n, of_release=of_release, **changes)


def test_a_contract_is_recorded_with_its_parties_version_and_price(
    ctx: Context, rows: Rows, tmp_path: Path
) -> None:
    assert taken(ctx, written(tmp_path / "a", release())) == (1, 1, 0, 0, 0)
    assert rows(
        "SELECT c.state, c.record_version, c.amount_fen, c.currency, s.identifier, s.size"
        " FROM contract c JOIN organisation s ON s.id = c.supplier_id"
    ) == [("signed", 1, 128_000_000, "CNY", SUPPLIER, "small")]
    assert rows("SELECT code, amount_fen FROM milestone") == [("whole", 128_000_000)]
    assert rows(
        "SELECT r.raw FROM contract c JOIN contract_version v ON v.id = c.current_version_id"
        " JOIN release r ON r.id = v.release_id"
    ) == [((tmp_path / "a").read_bytes(),)]


def test_the_same_file_again_changes_nothing(ctx: Context, rows: Rows, tmp_path: Path) -> None:
    bad = release(3, value__currency="XYZ")
    path = written(tmp_path / "a", [release(1), release(2), bad])
    assert taken(ctx, path) == (3, 2, 0, 0, 1)
    before = rows("SELECT version, record_version FROM contract"), rows("SELECT id FROM audit")
    copy = tmp_path / "b.gz"
    copy.write_bytes(gzip.compress(path.read_bytes()))
    assert taken(ctx, path, path, copy) == (9, 0, 0, 9, 0)
    assert before == (
        rows("SELECT version, record_version FROM contract"),
        rows("SELECT id FROM audit"),
    )
    assert rows("SELECT count(*) FROM parked") == [(1,)]


def test_a_newer_release_makes_a_version_and_an_older_one_overwrites_nothing(
    ctx: Context, rows: Rows, tmp_path: Path
) -> None:
    first = later(1, 1, fen=100_00)
    newer = later(1, 9, fen=300_00)
    older = later(1, 5, fen=200_00)
    assert taken(ctx, written(tmp_path / "1", first)) == (1, 1, 0, 0, 0)
    assert taken(ctx, written(tmp_path / "2", newer)) == (1, 0, 1, 0, 0)
    assert taken(ctx, written(tmp_path / "3", older)) == (1, 0, 0, 1, 0)
    assert rows("SELECT amount_fen, record_version FROM contract") == [(300_00, 2)]
    assert rows("SELECT n, facts->>'amount_fen' FROM contract_version ORDER BY n") == [
        (1, "10000"),
        (2, "30000"),
    ]
    assert rows("SELECT event FROM audit ORDER BY n") == [("record_signed",), ("amend",)]
    assert rows("SELECT amount_fen FROM milestone") == [(300_00,)]


def test_a_price_that_goes_back_is_a_version_too(ctx: Context, rows: Rows, tmp_path: Path) -> None:
    path = written(tmp_path / "a", [later(1, n, fen=n % 2 * 100_00 + 100_00) for n in (1, 2, 3)])
    assert taken(ctx, path) == (3, 1, 2, 0, 0)
    assert rows("SELECT amount_fen, record_version FROM contract") == [(200_00, 3)]


def test_releases_shuffled_over_files_end_in_the_same_contracts(
    ctx: Context, rows: Rows, tmp_path: Path, owner: Engine
) -> None:
    several = [later(n, day, fen=day * 1000 + n) for n in range(1, 8) for day in (1, 4, 7)]
    dice = random.Random(7)
    ends = []
    for turn in range(3):
        order = dice.sample(several, len(several))
        for n in range(0, len(order), 5):
            taken(ctx, written(tmp_path / f"{turn}-{n}", order[n : n + 5]))
        ends.append(
            rows(
                "SELECT c.ocid, c.identity, c.amount_fen, v.facts, c.open_fen FROM contract c"
                " JOIN contract_version v ON v.id = c.current_version_id ORDER BY c.ocid"
            )
        )
        with owner.begin() as link:
            link.execute(text("SET LOCAL session_replication_role = replica"))
            for table in (
                "contract",
                "contract_version",
                "release",
                "milestone",
                "ledger",
                "audit",
            ):
                link.execute(text(f"DELETE FROM {table}"))
    assert len(ends[0]) == 7
    assert ends[0] == ends[1] == ends[2]


def test_imports_at_the_same_time_make_each_contract_once(
    ctx: Context, rows: Rows, tmp_path: Path
) -> None:
    paths = [
        written(tmp_path / f"{day}", [later(n, day, fen=day * 100) for n in range(1, 30)])
        for day in range(1, 5)
    ]
    with ThreadPoolExecutor(len(paths)) as pool:
        done = list(pool.map(lambda path: taken(ctx, path), paths))
    assert sum(counts[1] for counts in done) == 29
    assert rows("SELECT DISTINCT amount_fen FROM contract") == [(400,)]
    assert rows("SELECT count(*) FROM release") == [(4 * 29,)]


@pytest.mark.parametrize(
    ("change", "event"),
    [
        ({"x_financing__acceptance": {"date": "2026-03-01"}}, "accept"),
        ({"x_financing__delivery": {"date": "2026-03-01"}}, "deliver"),
        ({"status": "cancelled"}, "terminate"),
        ({"title": "另一名称"}, "amend"),
    ],
)
def test_what_a_newer_release_tells_is_the_event_that_happened(
    ctx: Context, rows: Rows, tmp_path: Path, change: dict[str, Any], event: str
) -> None:
    taken(ctx, written(tmp_path / "1", later(1, 1)), written(tmp_path / "2", later(1, 2, **change)))
    assert rows("SELECT event FROM audit ORDER BY n") == [("record_signed",), (event,)]


def test_filing_and_announcement_may_come_in_releases_of_their_own(
    ctx: Context, rows: Rows, tmp_path: Path
) -> None:
    bare = {"x_financing__filing": None, "x_financing__announcement": None}
    filed = {"x_financing__announcement": None}
    path = written(tmp_path / "a", [later(1, 1, **bare), later(1, 2, **filed), later(1, 3)])
    assert taken(ctx, path) == (3, 1, 2, 0, 0)
    assert rows("SELECT event FROM audit ORDER BY n") == [
        ("record_signed",),
        ("file",),
        ("announce",),
    ]


def test_an_award_that_comes_before_its_contract_is_signed_becomes_signed(
    ctx: Context, rows: Rows, tmp_path: Path
) -> None:
    path = written(tmp_path / "a", [later(1, 1, dateSigned=None), later(1, 2)])
    taken(ctx, path)
    assert rows("SELECT event, to_state FROM audit ORDER BY n") == [
        ("record_award", "awarded"),
        ("sign", "signed"),
    ]


def test_an_altered_copy_is_kept_stops_the_contract_and_overwrites_nothing(
    ctx: Context, rows: Rows, tmp_path: Path
) -> None:
    taken(ctx, written(tmp_path / "1", release(fen=100_00)))
    work.run_due(ctx, errands=False)
    assert taken(ctx, written(tmp_path / "2", release(fen=900_00))) == (1, 0, 0, 1, 0)
    work.run_due(ctx, errands=False)
    assert rows("SELECT amount_fen, record_version FROM contract") == [(100_00, 1)]
    assert rows("SELECT facts->>'amount_fen' FROM altered_copy") == [("90000",)]
    assert rows("SELECT result FROM check_result WHERE check_id = 'LOOK-ALIKE'") == [("unknown",)]


def test_the_same_release_in_another_form_makes_no_version(
    ctx: Context, rows: Rows, tmp_path: Path
) -> None:
    one = release()
    other = release(of_release={"parties": None, "tag": ["compiled"]})
    firm = {"scheme": "CN-USCC", "id": SUPPLIER}
    other["awards"][0]["suppliers"][0]["identifier"] = firm
    other["buyer"]["identifier"] = one["parties"][0]["identifier"]
    taken(ctx, written(tmp_path / "1", one))
    assert taken(ctx, written(tmp_path / "2", {"compiledRelease": other})) == (1, 0, 0, 1, 0)
    assert rows("SELECT count(*) FROM altered_copy") == [(0,)]


def test_milestones_and_payments_follow_the_newest_version(
    ctx: Context, rows: Rows, tmp_path: Path
) -> None:
    def parts(*yuan: int) -> list[dict[str, Any]]:
        return [
            {"id": str(n), "value": {"amount": y, "currency": "CNY"}} for n, y in enumerate(yuan)
        ]

    def paid(yuan: int) -> dict[str, Any]:
        return {"transactions": [{"id": "p", "value": {"amount": yuan}, "date": "2026-03-01"}]}

    taken(ctx, written(tmp_path / "1", later(1, 1, fen=900_00, implementation=paid(10))))
    assert rows("SELECT code, amount_fen FROM milestone") == [("whole", 900_00)]
    newer = later(1, 2, fen=900_00, milestones=parts(400, 500), implementation=paid(11))
    taken(ctx, written(tmp_path / "2", newer))
    assert rows("SELECT code, amount_fen FROM milestone ORDER BY code") == [
        ("0", 400_00),
        ("1", 500_00),
    ]
    assert rows("SELECT code, amount_fen FROM published_payment") == [("p", 11_00)]


def test_what_was_parked_is_mended_by_a_later_release(
    ctx: Context, rows: Rows, tmp_path: Path
) -> None:
    award = later(1, 2)
    contract = later(1, 1)
    del contract["awards"], contract["parties"][1], award["contracts"]
    assert taken(ctx, written(tmp_path / "1", contract)) == (1, 0, 0, 0, 1)
    assert taken(ctx, written(tmp_path / "2", award)) == (1, 1, 0, 0, 0)
    assert rows("SELECT state FROM parked") == [("replayed",)]


def test_a_parked_piece_that_is_still_wrong_stays_open_when_it_is_read_again(
    ctx: Context, rows: Rows, tmp_path: Path
) -> None:
    taken(ctx, written(tmp_path / "1", [release(1, value__currency="XYZ"), {"ocid": 1, "date": 2}]))
    with ctx.begin() as tx:
        outcome = files.replay(tx)
    assert sorted(outcome.values()) == [False, False]
    assert rows("SELECT state, count(*) FROM parked GROUP BY 1") == [("open", 2)]


def test_a_piece_that_could_not_be_used_then_is_used_when_it_is_read_again(
    ctx: Context, rows: Rows, tmp_path: Path, owner: Engine
) -> None:
    taken(ctx, written(tmp_path / "1", release(1, value__currency="XYZ")))
    good = json.dumps(release(2)).encode()
    with owner.begin() as link:
        link.execute(text("UPDATE parked SET raw = :raw"), {"raw": good})
    with ctx.begin() as tx:
        assert list(files.replay(tx).values()) == [True]
    assert rows("SELECT count(*) FROM contract") == [(1,)]
    assert rows("SELECT state FROM parked") == [("replayed",)]


def test_the_number_of_statements_does_not_grow_with_the_releases(
    ctx: Context, tmp_path: Path
) -> None:
    from sqlalchemy import event

    def statements(first: int, last: int) -> int:
        path = written(tmp_path / f"{first}", [release(n) for n in range(first, last)])
        seen: list[str] = []

        def count(_link: Any, _cursor: Any, said: str, *_rest: Any) -> None:
            seen.append(said)

        event.listen(ctx.engine, "before_cursor_execute", count)
        try:
            taken(ctx, path)
        finally:
            event.remove(ctx.engine, "before_cursor_execute", count)
        return len(seen)

    assert statements(1, 11) == statements(100, 200)


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        (b"", "ignored", ""),
        (b"plain text", "ignored", ""),
        (b"{", "refused", "TRUNCATED"),
        (b'{"hello": "world"}', "refused", "NOT-OCDS"),
        (b'{"uri": "u", "releases": []}', "refused", "EMPTY"),
        (b"\x1f\x8bnope", "refused", "TRUNCATED"),
    ],
)
def test_a_file_of_which_nothing_can_be_read_is_refused_by_name(
    ctx: Context, tmp_path: Path, content: bytes, kind: str, reason: str
) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    (report,) = files.import_paths(ctx, [path])
    assert report.kind == kind
    assert (report.new, report.changed) == (0, 0)
    assert str(report.error or "").startswith(reason)
    assert report.error is None or (report.error.remedy and str(path) in report.error.where)


# ── The command line ─────────────────────────────────────────────────────────────────────────


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_import_says_per_file_what_became_of_it(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    written(folder / "a.txt", [release(1), release(2, value__amount="1")])
    (folder / "README.md").write_text("# about")
    (folder / "z.json").write_text('{"ocid": "ocds-abc')
    done = command("import", str(folder), "--json")
    assert done.returncode == 0, done.stderr
    said = document(done)
    assert [(each["kind"], [each[name] for name in COUNTS]) for each in said["files"]] == [
        ("ignored", [0, 0, 0, 0, 0]),
        ("records", [2, 1, 0, 0, 1]),
        ("refused", [1, 0, 0, 0, 1]),
    ]
    assert said["total"] == dict(zip(COUNTS, [3, 1, 0, 0, 2], strict=True))
    assert said["files"][2]["error"]["detail"].startswith("TRUNCATED")
    assert said["files"][2]["error"]["remedy"]
    again = document(command("import", str(folder), "--json"))
    assert again["total"] == dict(zip(COUNTS, [3, 0, 0, 3, 0], strict=True))
    parked = document(command("parked", "--json"))["parked"]
    assert sorted((each["where"], each["reason"].split(":")[0]) for each in parked) == [
        ("", "TRUNCATED"),
        ("/1/contracts/0/value/amount", "AMOUNT"),
    ]
    assert {each["source"] for each in parked} == {str(folder / "a.txt"), str(folder / "z.json")}


def test_import_of_nothing_readable_exits_2_and_says_why(command: Command, tmp_path: Path) -> None:
    cut, other = tmp_path / "cut.json", tmp_path / "other.json"
    cut.write_bytes(b'{"ocid": "ocds-abc123-1"')
    other.write_bytes(b"plain text")
    done = command("import", str(cut))
    assert (done.returncode, done.stderr.count("error:")) == (2, 1)
    assert "TRUNCATED" in done.stderr
    done = command("import", str(other), "--json")
    assert (done.returncode, document(done)["files"][0]["kind"]) == (2, "ignored")


def test_import_of_a_path_that_does_not_exist_exits_2_with_a_remedy(command: Command) -> None:
    done = command("import", "/nowhere/at/all", "--json")
    assert done.returncode == 2
    assert document(done)["remedy"]


def test_replay_of_everything_says_that_some_is_still_wrong(
    command: Command, tmp_path: Path
) -> None:
    command("import", str(written(tmp_path / "a", release(1, value__amount="1"))))
    done = command("parked", "--replay", "all", "--json")
    assert done.returncode == 1
    assert len(document(done)["parked"]) == 1


def test_what_was_parked_is_said_with_its_remedy_where_it_was_imported(
    command: Command, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.xml"
    cut.write_bytes(camt(Made((Line("100.00"), Line("7.00"))))[:-400])
    done = command("import", str(cut))
    assert done.returncode == 2
    assert "parked 1" in done.stdout
    assert "cut.xml, Stmt[1]: TRUNCATED" in done.stderr and "Send the whole file." in done.stderr
    assert command("import", str(cut)).returncode == 0  # the same again is nothing new
