"""No function, method, or class stands there that nothing of the product calls."""

from __future__ import annotations

import ast
import re

from vulture import Vulture

from tests.house.source import PACKAGES, ROOT, files, nodes

CALLED_BY_OTHERS = {
    "list_commands": "click",
    "get_command": "click",
    "format_commands": "click",
    "log_request": "werkzeug",
    "handle_starttag": "html.parser",
    "handle_endtag": "html.parser",
    "handle_data": "html.parser",
    "main": "the console script",
    "Meta": "marshmallow",
    "_serialize": "marshmallow",
    "get_attribute": "marshmallow",
    "is_working_day": "tests of everything that counts days, one day at a time",
    "is_announced": "tests of everything that counts days, one day at a time",
}
BY_DECORATOR = [
    "@route",
    "@*.route",
    "@operation",
    "@*.get",
    "@*.post",
    "@click.*",
    "@*.before_request",
    "@validates_schema",
]


def named_in_text() -> set[str]:
    """Names that tables and templates hold as text: `journey.step`, `{{ row.total }}`."""
    found: set[str] = set()
    for _, node in nodes():
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and re.fullmatch(r"[\w.:]+", text):
            found.update(re.split(r"[.:]", text))
    for path in files():
        if path.suffix in (".html", ".toml"):
            found.update(re.findall(r"\w+", path.read_text("utf-8")))
    return found


def test_nothing_stands_there_that_nothing_calls() -> None:
    vulture = Vulture(ignore_decorators=BY_DECORATOR)
    vulture.scavenge([ROOT / package for package in PACKAGES] + [ROOT / "wsgi.py"])
    known = named_in_text() | CALLED_BY_OTHERS.keys()
    dead = [
        f"{item.filename.relative_to(ROOT)}:{item.first_lineno} {item.name}"
        for item in vulture.get_unused_code(min_confidence=60)
        if item.typ in ("function", "method", "class", "property") and item.name not in known
    ]
    assert dead == []
