"""Money is whole minor units; the wall clock and the environment have one door each."""

from __future__ import annotations

import ast

from tests.house.source import dotted, nodes

MONEY = (
    "financing/values/",
    "financing/rules/",
    "financing/journeys/",
    "financing/store/",
    "financing/formats/",
    "schemas/",
    "notifications/",
)
AMOUNT = ("fen", "amount", "minor", "capacity", "price", "balance", "principal", "interest")
# Another party's program has clocks of its own; the verifier is one file that imports nothing.
OWN_CLOCK = ("bank_adapters/sandbox/", "financing/evidence/verify.py", "financing/values/times.py")
OWN_ENVIRONMENT = (
    "bank_adapters/sandbox/",
    "financing/settings.py",
    "financing/evidence/verify.py",
    "financing/city/processes.py",  # hands its own on to the processes that it starts
)


def test_no_amount_is_divided_but_by_the_rules_of_money() -> None:
    found = []
    for where, node in nodes(*MONEY, skip=("financing/values/money.py",)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            text = ast.unparse(node).lower()
            if any(word in text for word in AMOUNT) and "decimal" not in text:
                found.append(f"{where} {text}")
    assert found == []


def test_no_amount_is_a_float() -> None:
    found = []
    for where, node in nodes(*MONEY):
        if isinstance(node, ast.Call) and dotted(node.func) in ("float", "Float", "fields.Float"):
            found.append(f"{where} {ast.unparse(node)}")
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            name = node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)
            seconds = name.endswith("_s") or name in ("seconds", "value", "literal", "number")
            if "float" in ast.unparse(node.annotation) and not seconds:
                found.append(f"{where} {name}")
    assert found == []


def test_the_wall_clock_has_one_door() -> None:
    clocks = ("datetime.now", "datetime.utcnow", "date.today", "time.time", "datetime.today")
    found = [
        f"{where} {ast.unparse(node)}"
        for where, node in nodes(skip=OWN_CLOCK)
        if isinstance(node, ast.Call) and dotted(node.func).endswith(clocks)
    ]
    assert found == []


def test_the_environment_is_read_in_one_place() -> None:
    found = [
        where
        for where, node in nodes(skip=OWN_ENVIRONMENT)
        if isinstance(node, ast.Attribute) and dotted(node) in ("os.environ", "os.getenv")
    ]
    assert found == []
