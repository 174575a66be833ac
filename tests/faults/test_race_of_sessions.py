"""Two people press accept at the same moment, in sessions of their own, over HTTP."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from threading import Barrier
from uuid import UUID

import pytest
import requests
from sqlalchemy import Engine, insert

from financing.city.processes import free_port
from financing.context import Context
from financing.settings import Settings
from financing.store.tables import login
from financing.values.ids import new_id, show
from tests.conftest import ROOT, Web, process_environment
from tests.faces.test_sign_in import HASH, Reader
from tests.faults.test_race import offered
from tests.paying import NOW, Case, World, case
from tests.sandbox import wait_for


@contextmanager
def web_process(settings: Settings) -> Iterator[str]:
    """The web process as a service manager runs it: two processes answer; gives its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = process_environment(replace(settings, url=url))
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{environment['PATH']}"
    with subprocess.Popen(
        [sys.executable, "-m", "financing", "web", f"--port={port}"],
        cwd=ROOT,
        env=environment | {"PATH": path},
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_for(lambda: _answers(url), "the web process to answer", 60)
            yield url
        finally:
            process.terminate()


def _answers(url: str) -> bool | None:
    try:
        return requests.get(f"{url}/readyz", timeout=5).ok or None
    except requests.RequestException:
        return None


@pytest.fixture
def known(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]) -> Case:
    """1,000.00 are open, of which banks lend 70 %."""
    set_clock(NOW)
    return case(World(ctx, owner), 1_000_00)


@pytest.fixture
def url(settings: Settings, known: Case) -> Iterator[str]:
    with web_process(settings) as running:
        yield running


def signed_in(known: Case, url: str, name: str) -> Reader:
    with known.world.ctx.begin() as tx:
        tx.db.execute(
            insert(login).values(
                id=new_id(), name=name, password_hash=HASH, role="supplier", person=name,
                organisation_id=known.supplier, created_at=tx.now,
            )
        )  # fmt: skip
    reader = Reader(Web(url, known.world.ctx))
    assert reader.sign_in(name).status_code == 303
    return reader


def form_of(reader: Reader, application: UUID) -> dict[str, str]:
    """What the page that asks for the last yes would send."""
    page = reader.open(f"/applications/{show('ap', application)}/accept")
    assert page.status_code == 200
    return dict(re.findall(r'<input type="hidden" name="([\w-]+)" value="([^"]*)">', page.text))


def at_once(presses: list[tuple[Reader, UUID, dict[str, str]]]) -> list[requests.Response]:
    together = Barrier(len(presses))

    def press(one: tuple[Reader, UUID, dict[str, str]]) -> requests.Response:
        reader, application, form = one
        address = f"{reader.web.url}/applications/{show('ap', application)}/accept"
        together.wait(20)
        return reader.client.post(address, data=form, allow_redirects=False, timeout=20)

    with ThreadPoolExecutor(len(presses)) as pool:
        return list(pool.map(press, presses))


def test_two_sessions_press_for_the_last_fen_and_one_of_them_gets_it(known: Case, url: str) -> None:
    # Two loans of 350.00 fit to the fen, and one of these is a fen more.
    cases = [
        offered(known, "bank-a", 350_00, "sha-256:a"),
        offered(known, "bank-b", 350_01, "sha-256:b"),
    ]
    readers = [signed_in(known, url, name) for name in ("li", "wang")]
    forms = [form_of(*pair) for pair in zip(readers, cases, strict=True)]
    answers = at_once(list(zip(readers, cases, forms, strict=True)))
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    (lost,) = (answer for answer in answers if answer.status_code == 409)
    assert 'id="errs"' in lost.text, "the loser reads why, on the page it came from"
    states = known.world.rows("SELECT state FROM application ORDER BY state")
    assert [row.state for row in states] == ["accepted", "offered"]
    (held,) = known.world.rows("SELECT held_fen, open_fen FROM contract")
    (claim,) = known.world.rows("SELECT held_fen FROM claim WHERE state = 'held'")
    assert held.held_fen == claim.held_fen <= held.open_fen
    assert len(known.world.rows("SELECT 1 FROM outbox WHERE kind = 'accept'")) == 1


def test_the_same_form_pressed_twice_at_once_is_one_acceptance(known: Case, url: str) -> None:
    application = offered(known, "bank-a", 350_00, "sha-256:a")
    reader = signed_in(known, url, "li")
    form = form_of(reader, application)
    answers = at_once([(reader, application, form)] * 3)
    assert [answer.status_code for answer in answers] == [303, 303, 303]
    assert len({answer.headers["Location"] for answer in answers}) == 1
    accepted = known.world.rows("SELECT 1 FROM audit WHERE event = 'accept_offer'")
    assert len(accepted) == len(known.world.rows("SELECT 1 FROM claim")) == 1
