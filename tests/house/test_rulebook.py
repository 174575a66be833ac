"""The rulebook shows the code's tables; `python tests/house/test_rulebook.py` writes them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from financing.rules.deadlines import RULES
from financing.rules.lifecycles import BORN, LIFECYCLES, SAME

BOOK = Path(__file__).resolve().parents[2] / "docs" / "rulebook.md"


def deadlines() -> str:
    lines = [
        "| rule | who | from | term | kind | where | for | valid | source |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for rule in RULES:
        term = "per contract" if rule.limit is None else f"{rule.limit} {rule.unit}"
        until = rule.valid_to.isoformat() if rule.valid_to else ""
        doubt = "" if rule.confirmed else " (not confirmed)"
        lines.append(
            f"| {rule.id} | {rule.owner} | {rule.trigger} | {term} | {rule.kind} | {rule.scope} |"
            f" {rule.suppliers} | {rule.valid_from.isoformat()}–{until} | {rule.source}{doubt} |"
        )
    return "\n".join(lines)


def life_cycles() -> str:
    parts = []
    for kind, steps in LIFECYCLES.items():
        parts += [
            f"\n**{kind.replace('_', ' ')}**\n",
            "| event | from | to |",
            "| --- | --- | --- |",
        ]
        for step in steps:
            before = ", ".join("–" if state == BORN else state for state in step.before)
            after = "same" if step.after == SAME else step.after
            parts.append(f"| {step.event} | {before} | {after} |")
    return "\n".join(parts)


TABLES: dict[str, Callable[[], str]] = {"deadlines": deadlines, "life-cycles": life_cycles}


def rendered(text: str) -> str:
    for name, table in TABLES.items():
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)",
            lambda found, table=table: f"{found[1]}\n{table()}\n\n{found[2]}",
            text,
            flags=re.DOTALL,
        )
    return text


def test_the_rulebook_shows_the_tables_that_the_code_obeys() -> None:
    text = BOOK.read_text("utf-8")
    for name in TABLES:
        assert f"<!-- {name} -->" in text
    assert rendered(text) == text, "write it anew: python tests/house/test_rulebook.py"


if __name__ == "__main__":
    BOOK.write_text(rendered(BOOK.read_text("utf-8")), "utf-8")
    sys.exit(0)
