"""What the documents name exists: files, tests, settings, verbs."""

from __future__ import annotations

import re
from pathlib import Path

from financing.cli.main import VERBS
from financing.settings import KNOWN
from tests.house.source import ROOT, files

OWN_VERBS = {"test", "soak", "lint", "fix", "lock", "shots"}
OF_OTHERS = {"DATABASE_URL", "REDIS_URL"}


def documents() -> dict[Path, str]:
    return {path: path.read_text("utf-8") for path in files() if path.suffix == ".md"}


def test_no_link_is_dead() -> None:
    dead = []
    for path, text in documents().items():
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if "://" not in target and not (path.parent / target).exists():
                dead.append(f"{path.relative_to(ROOT)}: {target}")
    assert dead == []


def test_every_file_that_is_named_exists() -> None:
    roots = r"(?:financing|bank_adapters|notifications|schemas|tests|docs)"
    dead = []
    for path, text in documents().items():
        for name in re.findall(rf"`({roots}/[\w./-]+\.(?:py|toml|sql|md|html))`", text):
            if not (ROOT / name).exists():
                dead.append(f"{path.relative_to(ROOT)}: {name}")
    assert dead == []


def test_every_verb_that_is_shown_can_be_typed() -> None:
    known = {verb.name for verb in VERBS} | OWN_VERBS
    unknown = []
    for path, text in documents().items():
        blocks = re.findall(r"```(?:sh|console|bash)\n(.*?)```", text, re.DOTALL)
        code = set(re.findall(r"`(?:\./run|financing) ([a-z]+)", text)) | {
            word for block in blocks for word in re.findall(r"\./run ([a-z]+)", block)
        }
        unknown += [f"{path.relative_to(ROOT)}: {word}" for word in sorted(code - known)]
    assert unknown == []


def test_the_operators_table_is_the_settings() -> None:
    text = (ROOT / "docs" / "operators.md").read_text("utf-8")
    rows = set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE))
    assert rows == KNOWN.keys() | OF_OTHERS


def test_every_verb_is_a_file_of_the_command_line() -> None:
    missing = [
        verb.name
        for verb in VERBS
        if not (ROOT / (verb.at.partition(":")[0].replace(".", "/") + ".py")).exists()
    ]
    assert missing == []


def test_the_readme_and_run_stay_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120
    assert len((ROOT / "run").read_text("utf-8").splitlines()) <= 120
    assert len((ROOT / ".ci" / "run").read_text("utf-8").splitlines()) <= 15
