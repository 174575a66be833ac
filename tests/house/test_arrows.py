"""Imports go down, never up: the contracts stand in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.house.source import ROOT


def test_every_import_follows_the_arrows() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    said = subprocess.run(
        [sys.executable, tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout
