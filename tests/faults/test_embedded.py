"""The embedded servers: found, shared, and ended with their command, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import psycopg
import pytest
from redis import Redis

from financing import embedded
from financing.errors import Broken, Invalid, Unreachable
from financing.settings import Settings

HOLD = """
import pathlib, sys, time
from financing import embedded
from financing.settings import Settings
with embedded.stores(Settings(data=pathlib.Path(sys.argv[1])), fast=True) as stores:
    print(stores.database_url, flush=True)
    sys.stdin.read()
"""


def ask(stores: embedded.Stores, question: str) -> list[tuple[object, ...]]:
    with psycopg.connect(
        stores.database_url.replace("+psycopg", ""), autocommit=True
    ) as connection:
        cursor = connection.execute(question.encode())
        return cursor.fetchall() if cursor.description else []


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split(")")[1][:3]
    except FileNotFoundError:
        return False


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A command of another process that holds the servers until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("postgresql+psycopg:")
        yield process
        process.kill()


def test_rows_outlive_a_command_and_servers_do_not(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "资料 with blank")
    with embedded.stores(settings, fast=True) as stores:
        ask(stores, "CREATE TABLE kept (a int)")
        with Redis.from_url(stores.redis_url) as redis:
            assert redis.ping()
        folder = Path(json.loads((settings.data / "run.json").read_bytes())["postgres"]["folder"])
        pid = int((settings.data / "postgres" / "postmaster.pid").read_text().split()[0])
    assert not alive(pid)
    assert not folder.exists()
    assert not (settings.data / "run.json").exists()
    with embedded.stores(settings, fast=True) as stores:
        assert ask(stores, "SELECT count(*) FROM kept") == [(0,)]


def test_a_second_command_uses_the_servers_that_run_and_leaves_them(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with embedded.stores(Settings(data=tmp_path)) as second:
        with embedded.stores(Settings(data=tmp_path)) as third:
            assert second == third
        assert ask(second, "SELECT 1") == [(1,)]
    with embedded.stores(Settings(data=tmp_path)) as fourth:
        assert fourth == second
    holder.communicate("")
    assert holder.returncode == 0


def test_the_first_command_waits_for_the_second_before_it_stops_the_servers(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    assert holder.stdin is not None
    with embedded.stores(Settings(data=tmp_path)) as second:
        holder.stdin.close()
        with pytest.raises(subprocess.TimeoutExpired):
            holder.wait(0.5)
        assert ask(second, "SELECT 1") == [(1,)]
    assert holder.wait(20) == 0


def test_a_killed_command_takes_its_servers_along_and_the_next_one_starts(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with embedded.stores(Settings(data=tmp_path)) as stores:
        ask(stores, "CREATE TABLE kept (a int)")
        ask(stores, "INSERT INTO kept VALUES (1)")
        ask(stores, "CHECKPOINT")
    pid = int((tmp_path / "postgres" / "postmaster.pid").read_text().split()[0])
    left_behind = json.loads((tmp_path / "run.json").read_bytes())["postgres"]["folder"]
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with embedded.stores(Settings(data=tmp_path)) as stores:
        assert not alive(pid)
        assert ask(stores, "SELECT a FROM kept") == [(1,)]
    assert not Path(left_behind).exists()


def test_a_server_that_died_under_its_command_is_no_reason_to_wait(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    pid = int((tmp_path / "postgres" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Unreachable) as refused, embedded.stores(Settings(data=tmp_path)):
        pass
    assert "still runs" in refused.value.detail
    assert holder.stdin is not None
    holder.stdin.close()
    holder.wait(20)
    with embedded.stores(Settings(data=tmp_path), fast=True) as stores:
        assert ask(stores, "SELECT 1") == [(1,)]


def test_servers_that_are_set_are_used_as_they_are(tmp_path: Path) -> None:
    settings = Settings(database_url="postgresql+psycopg://x", redis_url="redis://y", data=tmp_path)
    with embedded.stores(settings) as stores:
        assert stores == embedded.Stores("postgresql+psycopg://x", "redis://y")
    assert list(tmp_path.iterdir()) == []


def test_a_live_service_brings_its_own_servers(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, live=True)
    with pytest.raises(Invalid, match="DATABASE_URL"), embedded.stores(settings):
        pass


def test_a_server_that_cannot_start_says_why_and_which_variable_to_set(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    with pytest.raises(Unreachable) as problem, embedded.stores(Settings(data=tmp_path)):
        pass
    assert problem.value.where == "DATABASE_URL"
    assert "Set DATABASE_URL" in problem.value.remedy
    assert problem.value.exit_code == 4
    assert not (tmp_path / "run.json").exists()


def test_a_data_folder_that_cannot_be_written_names_the_settings(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = Settings(data=tmp_path / "file" / "below")
    with pytest.raises(Unreachable, match="FINANCING_DATA"), embedded.stores(settings):
        pass


def test_what_the_body_raises_is_not_taken_for_a_server_that_failed(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mine"), embedded.stores(Settings(data=tmp_path), fast=True):
        raise OSError("mine")


def test_a_thread_that_may_end_early_may_not_start_servers(tmp_path: Path) -> None:
    caught: list[BaseException] = []

    def start() -> None:
        with ExitStack() as stack:
            try:
                stack.enter_context(embedded.stores(Settings(data=tmp_path)))
            except Broken as problem:
                caught.append(problem)

    thread = Thread(target=start)
    thread.start()
    thread.join()
    assert len(caught) == 1
