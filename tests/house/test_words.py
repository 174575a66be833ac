"""Every visible word is in both languages, says the same, and is shown somewhere."""

from __future__ import annotations

import ast
import re
import string
from functools import cache

from financing.words import words
from tests.house.source import ROOT, files, nodes


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_both_languages_of_a_sentence_take_the_same_placeholders() -> None:
    unequal = {
        key: {lang: sorted(placeholders(entry[lang])) for lang in ("zh", "en")}
        for key, entry in words().items()
        if placeholders(entry["zh"]) != placeholders(entry["en"])
        or not placeholders(entry.get("one", "")) <= placeholders(entry["zh"])
    }
    assert unequal == {}


def test_chinese_is_chinese_and_english_is_english() -> None:
    han = re.compile(r"[\u4e00-\u9fff]")
    wrong = [
        key
        for key, entry in words().items()
        if re.search(r"[a-z]{3}", re.sub(r"\{[^}]*\}", "", entry["en"]).lower())
        and not han.search(entry["zh"])
        and entry["zh"] == entry["en"]
        and " " in entry["en"].strip()
    ]
    assert wrong == []


@cache
def spoken() -> tuple[set[str], set[str]]:
    """Keys that stand in the code as they are, and the beginnings of those that are made."""
    whole, begun = set(), set()
    for _, node in nodes():
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            whole.add(node.value)
            if node.value.endswith("."):
                begun.add(node.value)
        if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            begun.add(str(node.values[0].value))
    for path in files():
        if path.suffix == ".html":
            for text in re.findall(r"""["']([\w.-]+)["']""", path.read_text("utf-8")):
                (begun if text.endswith(".") else whole).add(text)
    return whole, {beginning for beginning in begun if "." in beginning}


def test_no_word_is_left_that_nobody_says() -> None:
    whole, begun = spoken()
    unused = [
        key
        for key in words()
        if key not in whole and not any(key.startswith(beginning) for beginning in begun)
    ]
    assert unused == []


def test_every_word_that_is_said_exists() -> None:
    missing = []
    for where, node in nodes():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            first = node.args[0] if node.args else None
            said = isinstance(first, ast.Constant) and isinstance(first.value, str)
            if name in ("t", "both") and said and first.value not in words():  # type: ignore[union-attr]  # said
                missing.append(f"{where} {first.value}")  # type: ignore[union-attr]  # said
    for path in files():
        if path.suffix == ".html":
            for key in re.findall(r"""\bt\(\s*["']([\w.-]+[\w])["']\s*[,)]""", path.read_text()):
                if key not in words():
                    missing.append(f"{path.relative_to(ROOT)} {key}")
    assert missing == []


def test_templates_hold_no_words_of_their_own() -> None:
    found = []
    for path in files():
        if path.suffix != ".html":
            continue
        text = path.read_text("utf-8")
        text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<!--.*?-->", " ", text, flags=re.DOTALL)
        text = re.sub(r"<[^>]*>", " ", text)
        for word in re.findall(r"[A-Za-z]{2,}|[\u4e00-\u9fff]+", text):
            found.append(f"{path.relative_to(ROOT)}: {word}")
    allowed = {"English", "中文", "doctype", "html", "nbsp", "zh", "en"}
    assert [entry for entry in found if entry.rpartition(" ")[2] not in allowed] == []
