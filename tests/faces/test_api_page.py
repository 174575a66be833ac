"""The page about our API: every operation with its example, for people, in both languages."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from financing.web.api.openapi import OPERATIONS, summary
from financing.web.api.page import command
from financing.words import words
from tests.asking import nobody
from tests.conftest import ROOT, Web

SHOTS = ROOT / "var" / "shots"
TOP = {"x": 0, "y": 0, "height": 3600}


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_operation_is_shown_with_its_example(web: Web, lang: str) -> None:
    answer = nobody(web).get(f"/docs/api?lang={lang}")
    assert answer.status_code == 200
    page = unescape(answer.text)
    for row in OPERATIONS:
        assert f'<h2 id="{row.name}">{summary(row, lang)}</h2>' in page
        assert command(row, web.url) in page
    assert "<script" not in page and "style=" not in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_the_type_of_every_problem_is_an_address_that_explains_it(web: Web) -> None:
    slugs = [key.removeprefix("api.why.") for key in words() if key.startswith("api.why.")]
    assert {f"api.problem.{slug}" for slug in slugs} == {
        key for key in words() if key.startswith("api.problem.")
    }
    for slug in slugs:
        answer = nobody(web).get(f"/problems/{slug}?lang=en")
        assert answer.status_code == 200
        assert words()[f"api.why.{slug}"]["en"] in unescape(answer.text)
    assert nobody(web).get("/problems/nothing").status_code == 404


@pytest.mark.browser
def test_the_page_fits_and_can_be_read_by_anybody(chromium: Any, web: Web) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    for lang in ("zh", "en"):
        for width in (390, 1280):
            context = chromium.new_context(
                viewport={"width": width, "height": 900}, bypass_csp=True
            )
            page = context.new_page()
            assert page.goto(f"{web.url}/docs/api?lang={lang}").status == 200
            wide = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert wide <= 0, (lang, width, wide)
            page.screenshot(
                full_page=True, path=SHOTS / f"api-{lang}-{width}.png", clip=TOP | {"width": width}
            )
            results = Axe().run(page)
            assert results.violations_count == 0, results.generate_report()
            context.close()
