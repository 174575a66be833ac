"""Every visible word, in both languages side by side: `words/*.toml`, key → zh, en.

A sentence is one entry, never glued from parts. Placeholders are `{named}`; `one` is the English
sentence for `n == 1`. Pages, notices, the command line and check results use the same table.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

LANGUAGES = ("zh", "en")

Named = str | int | Mapping[str, str] | Callable[[str], str]
"""A placeholder's value: the same in both languages, one for each, or made for a language."""


class MissingWord(KeyError):
    """A key, language, or placeholder that the table does not have: a mistake of ours."""


def _leaves(table: dict[str, object], prefix: str, source: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    here = {k: v for k, v in table.items() if isinstance(v, str)}
    if here:
        if not {"zh", "en"} <= here.keys() <= {"zh", "en", "one"}:
            raise MissingWord(f"{source}: [{prefix}] must hold zh and en, may hold one")
        found[prefix] = here
    for name, value in table.items():
        if isinstance(value, dict):
            found.update(_leaves(value, f"{prefix}.{name}" if prefix else name, source))
    return found


@cache
def words() -> Mapping[str, Mapping[str, str]]:
    """The whole table, read once: key → {"zh", "en", maybe "one"}.

    Raises:
        MissingWord: an entry without zh or en, or the same key in two files.
    """
    table: dict[str, dict[str, str]] = {}
    for path in sorted(Path(__file__).parent.glob("*.toml")):
        entries = _leaves(tomllib.loads(path.read_text("utf-8")), "", path.name)
        if twice := entries.keys() & table.keys():
            raise MissingWord(f"{path.name}: already defined elsewhere: {sorted(twice)}")
        table.update(entries)
    return table


def value_of(value: Named, lang: str) -> str | int:
    if isinstance(value, Mapping):
        return value[lang]
    return value(lang) if callable(value) else value


def form(key: str, lang: str, n: object = None) -> str:
    """The words of a key as they stand in the table, placeholders unfilled.

    Raises:
        MissingWord: unknown key or language.
    """
    entry = words().get(key)
    if entry is None or lang not in LANGUAGES:
        raise MissingWord(f"{key} ({lang})")
    return entry["one"] if lang == "en" and n == 1 and "one" in entry else entry[lang]


def t(key: str, lang: str, **named: Named) -> str:
    """The words of a key in one language, placeholders filled.

    Raises:
        MissingWord: unknown key or language, or a placeholder without its value.
    """
    try:
        return form(key, lang, named.get("n")).format_map(
            {name: value_of(value, lang) for name, value in named.items()}
        )
    except KeyError as missing:
        if isinstance(missing, MissingWord):
            raise
        raise MissingWord(f"{key} needs the placeholder {missing}") from missing


def both(key: str, **named: Named) -> dict[str, str]:
    """The words of a key in both languages: what a record keeps and JSON shows."""
    return {lang: t(key, lang, **named) for lang in LANGUAGES}
