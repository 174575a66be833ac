"""What the service files and the container example name exists: verbs, options, settings, files."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from financing.cli.main import cli
from financing.settings import from_environment
from tests.house.source import ROOT

UNITS = sorted((ROOT / "packaging" / "systemd").glob("*.service"))
CONTAINER = ROOT / "packaging" / "container" / "Containerfile"


def assert_can_be_typed(words: list[str]) -> None:
    """A verb of ours, with options that it has."""
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None, words
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known, words


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_what_a_unit_starts_can_be_typed(unit: Path) -> None:
    (start,) = re.findall(r"^ExecStart=(.*)$", unit.read_text("utf-8"), re.MULTILINE)
    _, _, words = start.partition(".venv/bin/financing ")
    assert_can_be_typed(words.rstrip("'").split())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_understands_each_unit(tmp_path: Path) -> None:
    copies = []
    for unit in [*UNITS, ROOT / "packaging" / "systemd" / "financing-backup.timer"]:
        copy = tmp_path / unit.name.replace("@.", "@1.")
        copy.write_text(unit.read_text("utf-8").replace("/srv/financing/.venv/bin/", "/bin/"))
        copies.append(copy)
    done = subprocess.run(
        ["systemd-analyze", "verify", *copies], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert [line for line in ours if "/bin/financing" not in line] == []


def test_the_environment_example_is_taken() -> None:
    lines = (ROOT / "packaging" / "systemd" / "environment.example").read_text("utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    known = from_environment(given)
    assert known.live and known.database_url and known.redis_url


def test_what_the_container_copies_and_starts_exists() -> None:
    text = CONTAINER.read_text("utf-8").replace("\\\n", " ")
    for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE):
        *sources, _ = shlex.split(line)
        assert [one for one in sources if not (ROOT / one).exists()] == []
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)
    (start,) = re.findall(r"^CMD (.*)$", text, re.MULTILINE)
    assert json.loads(entry) == ["financing"]
    assert_can_be_typed(json.loads(start))
