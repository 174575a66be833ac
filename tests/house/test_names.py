"""Names are the trade's; the project's text speaks of itself alone."""

from __future__ import annotations

import ast
import re

import pytest

from tests.house.source import ROOT, files, modules, nodes

NO_ROOM = re.compile(
    r"(^|_)(manager|helpers?|utils?|service|common|misc|base|handlers?|processor|wrapper|impl|data"
    r"|info)(_|$)"
)
NO_VERB = re.compile(r"^_?(process|handle(?!_(starttag|endtag|data)$)|do)_")  # but HTMLParser's
NO_PART = re.compile(r"(^|_)(manager|helpers?|utils?|handlers?|processor|wrapper|impl)(_|$)")
FOREIGN = re.compile(r"(^|_)(buyer|client|bundle|escrow|lien)s?(_|$)")
NEVER = {
    "a path of somebody's machine": re.compile(r"(?<![\w.])/(work|root|home|opt|Users)/\w"),
    "a note to oneself": re.compile(r"\b(TODO|FIXME)\b|# *(XXX|HACK)\b"),
    "a registry's address": re.compile(
        r"(pypi|pythonhosted|npmjs|debian|proxy\.golang|crates)\.(org|io|com|net)", re.IGNORECASE
    ),
}
# OCDS writes `buyer`, and readers of its files keep the names of the format; the sandbox bank is
# another party.
FORMAT = ("financing/formats/", "financing/city/", "bank_adapters/sandbox/")


def defined(node: ast.AST) -> str | None:
    named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return node.name if isinstance(node, named) else None


def test_no_file_is_a_room_for_everything() -> None:
    found = [name for name in modules() if NO_ROOM.search(name.rpartition("/")[2][:-3])]
    assert found == []


def test_functions_and_classes_say_what_they_do_in_the_trades_words() -> None:
    found = []
    for where, node in nodes():
        name = defined(node) or ""
        snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        banned = NO_VERB.search(snake) or NO_PART.search(snake.strip("_"))
        if banned or (FOREIGN.search(snake) and not where.startswith(FORMAT)):
            found.append(f"{where} {name}")
    assert found == []


@pytest.mark.parametrize("what", NEVER)
def test_no_text_contains(what: str) -> None:
    found = []
    for path in files():
        if path.name == "test_names.py":
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if NEVER[what].search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert found == []


def test_what_silences_a_check_says_why() -> None:
    silent = re.compile(r"#\s*(noqa: [A-Z0-9, ]+|type: ignore(\[[\w, -]+\])?)\s*(?P<why>.*)$")
    found = []
    for name in modules():
        for number, line in enumerate((ROOT / name).read_text("utf-8").splitlines(), 1):
            match = silent.search(line)
            if match and not re.search(r"\w{3}", match["why"].replace("type: ignore", "")):
                found.append(f"{name}:{number}: {line.strip()[-80:]}")
    assert found == []
