"""What docs/statements.md shows is what the command does with the files that it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from financing.context import Context
from financing.formats.mapping import parse
from financing.journeys import files
from tests.paying import World

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "statements.md").read_text("utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def written(folder: Path) -> tuple[Path, Path]:
    table, mapping = folder / "august.csv", folder / "ccb.toml"
    table.write_text(block("csv"), "utf-8")
    mapping.write_text(block("toml"), "utf-8")
    return table, mapping


def test_the_table_and_its_mapping_say_what_is_shown(tmp_path: Path) -> None:
    written(tmp_path)
    shown = block("console").splitlines(keepends=True)
    arguments = shown[0].removeprefix("$ ./run ").split()
    done = subprocess.run(
        [sys.executable, "-m", "financing", *arguments],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "".join(shown[1:]))


def test_the_table_is_imported_with_its_mapping(
    tmp_path: Path, ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]
) -> None:
    set_clock(datetime(2026, 9, 1, tzinfo=UTC))
    world = World(ctx, owner)
    world.account(world.party("supplier", "郑州示例科技有限公司"), "6222020200112233")
    table, mapping = written(tmp_path)
    (report,) = files.import_paths(ctx, [table], mapping=parse(mapping.read_bytes(), mapping.name))
    assert (report.kind, report.read, report.new, report.parked) == ("statement", 2, 2, 0)
    assert [row.amount_fen for row in world.payments()] == [260_000_00]


def test_a_mapping_of_messages_is_read_too() -> None:
    assert re.search(r'`format = "mt940"`.*`thirty_day_months = true`', PAGE, re.DOTALL)
    text = b'id = "x"\nversion = 1\nformat = "mt940"\nthirty_day_months = true\n'
    assert parse(text, "x.toml").version == 1


def test_every_reason_that_a_reader_gives_stands_on_the_page() -> None:
    given = set()
    places = [*(ROOT / "financing" / "formats").glob("*.py")]
    places += [ROOT / "financing" / "journeys" / f"{name}.py"
               for name in ("statements", "booking", "announced", "returns")]  # fmt: skip
    for path in places:
        if not path.name.startswith("ocds") and path.name != "json_stream.py":
            given |= set(re.findall(r'"([A-Z]{2,}(?:-[A-Z]+)+)[":]', path.read_text("utf-8")))
    others = {"BALANCE-SIGN-MISSING", "VERSION-UNKNOWN"}  # marks that cost nothing
    assert len(given) > 30
    assert sorted(reason for reason in given - others if f"`{reason}`" not in PAGE) == []
