"""`financing serve`, as a newcomer runs it: everything opens, a person signs in, all ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from sqlalchemy import text

from financing.city import acts
from financing.city.browser import Browser
from financing.context import Context

ROOT = Path(__file__).resolve().parent.parent.parent


def environment(data: Path) -> dict[str, str]:
    """Of a process with this data folder and no server of its own."""
    dropped = ("FINANCING", "DATABASE_URL", "REDIS_URL")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    return kept | {"FINANCING_DATA": str(data), "LANG": "C.UTF-8"}


@contextmanager
def serving(data: Path, **more: str) -> Iterator[tuple[str, list[str]]]:
    """Run `serve` on a data folder; gives its address and what it said; it must end with 130."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "financing", "serve", f"--port={port}", "--lang=en"],
        cwd=ROOT,
        env=environment(data) | {"PYTHONUNBUFFERED": "1"} | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    said = []
    for line in process.stdout:
        said.append(line.strip())
        if "Ctrl-C" in line:
            break
    try:
        assert said, process.stderr.read()[-2000:]
        yield f"http://127.0.0.1:{port}", said
    finally:
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        process.stderr.read()
        code = process.wait(60)
        process.stdout.close()
        process.stderr.close()
    assert code == 130


def contracts_of(url: str, login: str) -> set[str]:
    """The contracts that this person finds on the first page."""
    browser = Browser(url, "en")
    page = acts.sign_in(browser, login)
    browser.close()
    return {address for address, _ in page.links if "/contracts/ct_" in address}


def demo(data: Path) -> int:
    """The exit code of a demo on this folder."""
    return subprocess.run(
        [sys.executable, "-m", "financing", "demo", "--json"],
        cwd=ROOT, env=environment(data), capture_output=True, check=False,
    ).returncode  # fmt: skip


@pytest.mark.faults
def test_a_newcomer_signs_in_and_finds_contracts_again_after_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as (url, said):
        assert url in said[0]
        assert any("zhengzhou-demo" in line for line in said)
        assert requests.get(f"{url}/healthz", timeout=10).ok
        first = {address.partition("/contracts/")[2] for address in contracts_of(url, "supplier1")}
        assert first
        assert demo(tmp_path) == 2  # it would empty the store that is being served
    assert demo(tmp_path) == 2  # and what people may have entered in it
    with serving(tmp_path) as (url, _):
        again = {address.partition("/contracts/")[2] for address in contracts_of(url, "supplier1")}
    assert again == first
    assert not (tmp_path / "run.json").exists()


@pytest.mark.faults
def test_a_database_of_the_operators_own_is_served_and_nothing_is_written_into_it(
    ctx: Context, tmp_path: Path
) -> None:
    own = {
        "DATABASE_URL": str(ctx.settings.database_url),
        "REDIS_URL": str(ctx.settings.redis_url),
    }
    with serving(tmp_path, **own) as (url, said):
        assert requests.get(f"{url}/readyz", timeout=10).ok
        assert not any("zhengzhou-demo" in line for line in said)
        with ctx.begin() as tx:
            assert tx.one(text("SELECT 1 FROM organisation UNION ALL SELECT 1 FROM bank")) is None
            assert tx.one(text("SELECT 1 FROM store_mark WHERE demo")) is None
