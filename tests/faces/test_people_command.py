"""`financing people`: the first operator gets in, whoever is let out is out at once."""

from __future__ import annotations

import json
import os
import pty
import select as waiting
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from financing.context import Context
from financing.settings import Settings
from financing.store.tables import login
from financing.web.people import admit
from tests.conftest import ROOT, Web, process_environment
from tests.faces.test_sign_in import PASSWORD, Reader
from tests.sandbox import wait_for

OFFICE = "郑州市融资平台"
FIRST = ("add", "wang", "--role", "operator", "--organisation", OFFICE, "--new")

People = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def people(settings: Settings, clean: None) -> People:
    """Run `financing people …` with this text on its stdin."""

    def run(*words: str, typed: str = PASSWORD + "\n") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "financing", "people", *words],
            cwd=ROOT,
            env=process_environment(settings),
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def everybody(people: People) -> list[dict[str, Any]]:
    return list(json.loads(people("list", "--json").stdout)["people"])


def test_the_first_operator_is_let_in_and_signs_in(web: Web, people: People) -> None:
    done = people(*FIRST, "--person", "王工", "--lang", "en")
    assert (done.returncode, done.stdout) == (0, f"wang may sign in as operator of {OFFICE}\n")
    answer = Reader(web).sign_in("wang")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/parked")
    (one,) = everybody(people)
    assert (one["person"], one["organisation"], one["sessions"]) == ("王工", OFFICE, 1)


def test_a_password_is_no_argument_and_stands_in_no_output(people: People, owner: Engine) -> None:
    done = people(*FIRST, "--json")
    assert json.loads(done.stdout) == {"name": "wang", "role": "operator", "organisation": OFFICE}
    assert PASSWORD not in done.stdout + done.stderr
    with owner.connect() as link:
        kept = link.execute(text("SELECT password_hash FROM login")).scalar_one()
    assert kept.startswith("$argon2id$")
    refused = people("add", "li", "--role", "operator", "--organisation", OFFICE, "--password", "x")
    assert refused.returncode == 2


@pytest.mark.parametrize(
    ("words", "where", "remedy"),
    [
        (("add", "wang", "--role", "operator", "--organisation", OFFICE), "NAME", "another name"),
        (("add", "mc_1", "--role", "operator", "--organisation", OFFICE), "NAME", "a letter"),
        (("add", "li", "--role", "king", "--organisation", OFFICE), "--role", "bureau, operator"),
        (("add", "li", "--role", "operator", "--organisation", "别处"), "--organisation", OFFICE),
        (("add", "li", "--role", "bureau", "--organisation", "别处"), "--organisation", "--new"),
        (("add", "li", "--role", "supplier", "--organisation", "别处"), "--organisation", "import"),
        (("add", "li", "--role", "bank", "--organisation", "x", "--new"), "--new", "registration"),
        (("add", "li", "--role", "operator", "--organisation", OFFICE, "--new"), "--new", "Leave"),
        (("disable", "nobody"), "NAME", "people list"),
        (("password", "nobody"), "NAME", "people list"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(
    ctx: Context, people: People, words: tuple[str, ...], where: str, remedy: str
) -> None:
    with ctx.begin() as tx:
        admit(tx, "wang", "operator", OFFICE, PASSWORD, new=True)
        before = tx.rows(select(login))
    done = people(*words, "--json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["where"]) == (2, where)
    assert remedy in said["remedy"]
    with ctx.begin() as tx:
        assert tx.rows(select(login)) == before


@pytest.mark.parametrize(
    "weak",
    ["", "short", "aaaaaaaaaaaaaaaaaaaaaa", "12345678901234567890", "zhengzhou-demo-1", OFFICE * 3],
)
def test_a_password_that_is_easily_guessed_lets_nobody_in(
    owner: Engine, people: People, weak: str
) -> None:
    done = people(*FIRST, "--json", typed=weak + "\n")
    assert (done.returncode, json.loads(done.stdout)["where"]) == (2, "password")
    with owner.connect() as link:
        assert link.execute(text("SELECT count(*) FROM login")).scalar_one() == 0
        assert link.execute(text("SELECT count(*) FROM organisation")).scalar_one() == 0


def test_who_is_disabled_is_out_at_once_and_comes_back_with_a_new_password(
    web: Web, people: People
) -> None:
    people(*FIRST)
    reader = Reader(web)
    reader.sign_in("wang")
    assert reader.open("/parked").status_code == 200
    done = people("disable", "wang", "--lang", "en")
    assert "1 session ended" in done.stdout
    assert reader.open("/parked").status_code == 303
    assert Reader(web).sign_in("wang").status_code == 422
    assert people("disable", "wang").returncode == 0
    assert everybody(people)[0]["disabled"] is True
    assert people("password", "wang", typed="another horse battery\n").returncode == 0
    assert Reader(web).sign_in("wang", "another horse battery").status_code == 303
    assert Reader(web).sign_in("wang").status_code == 422


def test_at_a_terminal_a_weak_password_is_asked_for_again_and_nothing_is_shown(
    settings: Settings, clean: None, owner: Engine
) -> None:
    first, again = b"more): ", b"again: "
    answers = [(first, "weak"), (again, "weak"), (first, PASSWORD), (again, PASSWORD)]
    ours, theirs = pty.openpty()
    seen = b""
    with subprocess.Popen(
        [sys.executable, "-m", "financing", "people", *FIRST, "--lang", "en"],
        cwd=ROOT,
        env=process_environment(settings),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        for question, line in answers:
            rest = b""
            while not rest.endswith(question):
                assert waiting.select([ours], [], [], 30)[0], f"nobody asked: {seen!r}"
                rest += os.read(ours, 1)
            seen += rest
            os.write(ours, line.encode() + b"\n")
        wait_for(lambda: process.poll() is not None, "an end", 30)
    os.close(ours)
    assert process.returncode == 0
    assert b"the password has 4 characters" in seen
    assert PASSWORD.encode() not in seen
    with owner.connect() as link:
        assert link.execute(text("SELECT count(*) FROM login")).scalar_one() == 1
