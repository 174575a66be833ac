"""The project's own text, as the house tests read it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("financing", "bank_adapters", "notifications", "schemas")
TEXTS = {".py", ".toml", ".md", ".html", ".css", ".sql", ".lock", ".json", ""}
NOT_OURS = {"var", "build", "__pycache__", "node_modules"}


@cache
def files() -> tuple[Path, ...]:
    """Every text file that belongs to the project; nothing that a command made."""
    found = []
    for path in sorted(ROOT.rglob("*")):
        inside = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part != ".ci" for part in inside)
        if hidden or NOT_OURS & set(inside) or any(part.endswith(".egg-info") for part in inside):
            continue
        if path.suffix in TEXTS and path.is_file():
            found.append(path)
    return tuple(found)


@cache
def modules(*packages: str) -> dict[str, ast.Module]:
    """Path from the root → syntax tree, of these packages or of all four."""
    roots = packages or PACKAGES
    return {
        str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8"))
        for path in files()
        if path.suffix == ".py" and str(path.relative_to(ROOT)).startswith(roots)
    }


def nodes(*packages: str, skip: tuple[str, ...] = ()) -> Iterator[tuple[str, ast.AST]]:
    """Every node of every module, with `path:line` of where it stands."""
    for name, tree in modules(*packages).items():
        if name.startswith(skip or ("\0",)):
            continue
        for node in ast.walk(tree):
            yield f"{name}:{getattr(node, 'lineno', 0)}", node


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute or name, else nothing."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""
