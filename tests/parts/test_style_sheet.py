"""The one style sheet: small, and readable in both themes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from financing.web import app

SHEET = (Path(app.__file__).parent / "static" / "style.css").read_text("utf-8")
TEXT = 4.5  # WCAG 2.2, 1.4.3
PART = 3.0  # WCAG 2.2, 1.4.11
PAIRS = [
    *((ink, on, TEXT) for ink in ("ink", "ink2", "brand") for on in ("paper", "card", "tint")),
    *((hue, ground, TEXT) for hue in ("ok", "warn", "bad") for ground in ("card", f"{hue}-tint")),
    ("white", "btn", TEXT),
    ("white", "seal", TEXT),
    ("edge", "card", PART),
    ("edge", "paper", PART),
]  # fmt: skip


def tokens(theme: str) -> dict[str, str]:
    light, dark = SHEET.split("@media (prefers-color-scheme:dark)", 1)
    part = light if theme == "light" else light + dark.split("}\n}")[0]
    return dict(re.findall(r"--([\w-]+):(#[0-9a-f]{3,6})", part)) | {"white": "#fff"}


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_pair_of_colours_has_the_contrast_that_it_needs(theme: str) -> None:
    known = tokens(theme)
    faint = []
    for one, other, least in PAIRS:
        dark, light = sorted((luminance(known[one]), luminance(known[other])))
        ratio = (light + 0.05) / (dark + 0.05)
        if ratio < least:
            faint.append(f"{one} on {other}: {ratio:.2f}")
    assert faint == []


def test_the_sheet_stays_small() -> None:
    assert len(SHEET.encode()) <= 14 * 1024


def test_nothing_is_set_smaller_than_can_be_read() -> None:
    assert [
        size for size in re.findall(r"font(?:-size)?:[^;}]*?(\d+)px", SHEET) if int(size) < 13
    ] == []


def test_nothing_comes_from_elsewhere() -> None:
    assert re.findall(r"url\(|@import", SHEET) == []
