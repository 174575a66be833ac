"""What may hurt stands behind few doors: states, locks, sockets, processes, catch-alls."""

from __future__ import annotations

import ast
import re

from tests.house.source import dotted, nodes

# A `parked` row has no life cycle: open or replayed, and nothing follows from it.
STATE_WRITERS = (
    "financing/store/move.py",
    "financing/store/parking.py",
    "financing/store/tables.py",
)
CATCH_ALL = (
    "financing/cli/main.py",  # raises again what is not ours to tell
    "financing/web/app.py",
    "financing/work.py",
    "bank_adapters/call.py",
    "bank_adapters/registry.py",
    "bank_adapters/sandbox/",
)
SOCKETS = ("bank_adapters/call.py", "bank_adapters/sandbox/", "financing/city/", "financing/cli/")
PROCESSES = (
    "financing/embedded.py",
    "financing/evidence/verify.py",
    "financing/city/",
    "financing/cli/",
    "bank_adapters/sandbox/",
)


def test_a_state_changes_through_move_alone() -> None:
    found = []
    for where, node in nodes("financing", "notifications", skip=STATE_WRITERS):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "values":
            if "update(parked)" in ast.unparse(node.func):
                continue
            if any(keyword.arg == "state" for keyword in node.keywords):
                found.append(where)
            for argument in node.args:
                if isinstance(argument, ast.Dict) and any(
                    isinstance(key, ast.Constant) and key.value == "state" for key in argument.keys
                ):
                    found.append(where)
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.search(r"\bUPDATE\b.*\bSET\b[^;]*\bstate\s*=", node.value, re.DOTALL)
        ):
            found.append(where)
    assert found == []


def test_only_the_outer_doors_catch_everything() -> None:
    found = [
        where
        for where, node in nodes(skip=CATCH_ALL)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or dotted(node.type) in ("Exception", "BaseException"))
        and not any(isinstance(step, ast.Raise) for step in ast.walk(node))
    ]
    assert found == []


def imports(name: str, *, skip: tuple[str, ...]) -> list[str]:
    found = []
    for where, node in nodes(skip=skip):
        if isinstance(node, ast.Import) and any(
            alias.name.partition(".")[0] == name for alias in node.names
        ):
            found.append(where)
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == name:
            found.append(where)
    return found


def test_only_the_adapters_door_and_the_command_line_call_others() -> None:
    assert imports("requests", skip=SOCKETS) == []
    assert imports("urllib3", skip=SOCKETS) == []


def test_processes_are_started_by_few() -> None:
    assert imports("subprocess", skip=PROCESSES) == []


def test_the_verifier_is_one_file_of_the_standard_library() -> None:
    ours = "financing/evidence/verify.py"
    for name in ("financing", "schemas", "cryptography", "asn1crypto", "lxml", "orjson"):
        assert [where for where in imports(name, skip=()) if where.startswith(ours)] == []
