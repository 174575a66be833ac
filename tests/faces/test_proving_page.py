"""Whoever holds a packet has it judged on a page, without an account."""

from __future__ import annotations

import re

import pytest
import requests

from tests.conftest import Web
from tests.sandbox import Wish, submission


@pytest.fixture
def visitor(web: Web) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


def judged(web: Web, visitor: requests.Session, data: bytes) -> requests.Response:
    page = visitor.get(f"{web.url}/verify?lang=en", timeout=10)
    assert page.status_code == 200
    hidden = dict(re.findall(r'name="(proof|form_key)" value="([^"]*)"', page.text))
    return visitor.post(
        f"{web.url}/verify", data=hidden, files={"packet": ("p.asice", data)}, timeout=30
    )


def test_a_packet_of_ours_is_accepted_and_named(web: Web, visitor: requests.Session) -> None:
    sent = submission(web.ctx.keys, Wish())
    page = judged(web, visitor, sent.packet)
    assert page.status_code == 200
    assert 'class="verdict ok"' in page.text
    assert sent.packet_digest in page.text and "checks.json" in page.text


def test_a_changed_part_is_named(web: Web, visitor: requests.Session) -> None:
    packet = submission(web.ctx.keys, Wish()).packet
    at = packet.index(b'"id":"SIGNED"')
    page = judged(web, visitor, packet[:at] + b'"id":"SIGNEX"' + packet[at + 13 :])
    assert page.status_code == 200
    assert "checks.json" in page.text and 'class="verdict bad"' in page.text


@pytest.mark.parametrize(
    ("data", "status"), [(b"", 422), (b"no packet", 200), (b"x" * 9_000_000, 413)]
)
def test_what_is_no_packet_is_said_so(
    web: Web, visitor: requests.Session, data: bytes, status: int
) -> None:
    page = judged(web, visitor, data)
    assert page.status_code == status
    assert 'class="verdict ok"' not in page.text
