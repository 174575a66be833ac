"""Every page in Chromium: both languages, a telephone and a desk, without script, by keyboard.

The store is what one run of the demo leaves. Screenshots go to `var/shots`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from werkzeug.serving import make_server

from financing import embedded
from financing.context import Context
from financing.rules.permissions import FIRST_PAGE, ROLES
from financing.settings import Settings
from financing.web import session
from financing.web.app import create_app
from tests.conftest import ROOT

SHOTS = ROOT / "var" / "shots"
WIDTHS = {"telephone": 390, "desk": 1280}
MOST_PAGES = 12  # of a role, one of each kind

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Demo:
    """The pages over the store of a finished demo."""

    url: str
    logins: dict[str, str]  # role → the name of somebody who has it


@pytest.fixture(scope="module")
def demo(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    data = tmp_path_factory.mktemp("demo")
    kept = {name: value for name, value in os.environ.items() if "FINANCING" not in name}
    for name in ("DATABASE_URL", "REDIS_URL"):
        kept.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", "financing", "demo", "--json"],
        cwd=ROOT,
        env=kept | {"FINANCING_DATA": str(data)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with embedded.stores(Settings(data=data), fast=True) as stores:
        server = make_server("127.0.0.1", 0, lambda *_: [], threaded=True)
        settings = Settings(
            database_url=stores.database_url, data=data, keys=data / "keys",
            url=f"http://127.0.0.1:{server.server_port}",
        )  # fmt: skip
        ctx = Context.open(replace(settings, redis_url=stores.redis_url))
        server.app = create_app(ctx)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        with ctx.begin() as tx:
            logins = {role: name for name, role, _ in reversed(session.demo_logins(tx))}
        yield Demo(settings.url, logins)
        server.shutdown()
        thread.join()
        server.server_close()
        ctx.engine.dispose()


def sign_in(page: Any, demo: Demo, role: str, lang: str) -> None:
    """By keyboard alone: the fields are reached with Tab, the form leaves with Enter."""
    page.goto(f"{demo.url}/?lang={lang}")
    page.locator("input[name=name]").focus()
    page.keyboard.type(demo.logins[role])
    page.keyboard.press("Tab")
    page.keyboard.type(session.DEMO_PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{FIRST_PAGE[role]}*")


def kind(address: str) -> str:
    """The page that an address shows, whatever row: ids are left out."""
    return re.sub(r"/[a-z]{2}_\w{26}", "/…", urlsplit(address).path)


def walk(page: Any, demo: Demo) -> Iterator[str]:
    """One page of each kind that links lead to, beginning where the browser is."""
    waiting, seen = [page.url], set()
    while waiting and len(seen) < MOST_PAGES:
        address = waiting.pop(0)
        if kind(address) in seen:
            continue
        seen.add(kind(address))
        answer = page.goto(address)
        assert answer.status == 200, f"{address}: {answer.status}"
        yield kind(address)
        for link in page.locator("a[href]").all():
            target = page.evaluate("link => link.href", link.element_handle())
            is_page = target.startswith(demo.url) and not re.search(
                r"/(packets|static|healthz|readyz)|[?&]lang=", target
            )
            if is_page and kind(target) not in seen:
                waiting.append(target)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("role", ROLES)
def test_every_page_fits_and_can_be_read_by_anybody(
    demo: Demo, chromium: Any, role: str, lang: str, width: str
) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    context = chromium.new_context(
        viewport={"width": WIDTHS[width], "height": 900}, bypass_csp=True
    )
    faults, walked = [], []
    try:
        page = context.new_page()
        sign_in(page, demo, role, lang)
        for name in walk(page, demo):
            walked.append(name)
            shot = f"{role}{name.replace('/', '-').replace('…', 'one')}-{lang}-{width}.png"
            page.screenshot(path=SHOTS / shot, full_page=True)
            if page.evaluate("document.documentElement.scrollWidth") > WIDTHS[width]:
                faults.append(f"{name}: wider than the screen")
            if not page.locator("html").get_attribute("lang").startswith(lang):
                faults.append(f"{name}: not marked as {lang}")
            if page.locator("h1").count() != 1:
                faults.append(f"{name}: {page.locator('h1').count()} headings of the first rank")
            faults += [
                f"{name}: {found['id']}: {found['nodes'][0]['html'][:120]}"
                for found in Axe().run(page).response["violations"]
            ]
    finally:
        context.close()
    assert faults == []
    assert len(walked) > 1, "the first page leads nowhere"


@pytest.mark.parametrize("role", ROLES)
def test_pages_work_without_script(demo: Demo, chromium: Any, role: str) -> None:
    context = chromium.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(f"{demo.url}/?lang=en")
        page.fill("input[name=name]", demo.logins[role])
        page.fill("input[name=password]", session.DEMO_PASSWORD)
        page.locator("form button").first.click()
        page.wait_for_url(f"**{FIRST_PAGE[role]}*")
        assert page.locator("main h1").count() == 1
    finally:
        context.close()


def test_nothing_is_loaded_from_elsewhere(demo: Demo, chromium: Any) -> None:
    context = chromium.new_context()
    asked: list[str] = []
    try:
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        sign_in(page, demo, "supplier", "zh")
        assert [address for address in asked if not address.startswith(demo.url)] == []
    finally:
        context.close()
