"""One reader for every JSON body: what a lax reader would pass over in silence is refused here."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Final, NoReturn, TypeAlias

from financing.errors import Unreadable

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | Decimal | bool | None"

MOST_INT: Final = 2**53 - 1
_LONGEST_NUMBER: Final = 64
_LARGEST_EXPONENT: Final = 308


def loads(
    data: bytes,
    *,
    max_bytes: int = 1 << 20,
    max_depth: int = 32,
    big_ints: bool = False,
) -> Json:
    """Read one JSON document.

    Numbers with a point or exponent become `Decimal`, never float.

    Args:
        big_ints: take whole numbers beyond 2**53, which other readers would round.
    Raises:
        Unreadable: too large or deep, not UTF-8, not one document, a key twice, NaN or infinity,
            a number out of range, U+0000, or half a surrogate pair. `where` says where.
    Source: RFC 8259; RFC 7493 (I-JSON) for what is refused beyond it.
    """
    if len(data) > max_bytes:
        raise Unreadable(
            f"{len(data)} bytes, at most {max_bytes} are read",
            remedy="send a smaller document",
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable(
            "not UTF-8",
            where=f"byte {error.start}",
            remedy="send the document as UTF-8",
        ) from error
    try:
        value = decoder(big_ints=big_ints).decode(text)
    except json.JSONDecodeError as error:
        raise Unreadable(
            f"not JSON: {error.msg}",
            where=f"line {error.lineno}, column {error.colno}",
            remedy="send one complete JSON document",
        ) from error
    except RecursionError as error:
        raise _too_deep(max_depth) from error
    _walk(value, max_depth)
    return value  # type: ignore[no-any-return]  # json is untyped; the walk has seen every value


def decoder(*, big_ints: bool = False) -> json.JSONDecoder:
    """The same strictness for a reader that walks a longer text value by value.

    It refuses keys twice, NaN, and numbers out of range; depth and characters are its caller's.
    """
    return json.JSONDecoder(
        object_pairs_hook=_unique,
        parse_constant=_no_constant,
        parse_float=_decimal,
        parse_int=_big_int if big_ints else _int,
    )


def pointer(parts: tuple[str | int, ...]) -> str:
    """A JSON pointer from the keys and indexes that lead to a value. Source: RFC 6901."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise Unreadable(
                    f"key {key[:60]!r} occurs twice in one object",
                    remedy="send each key once",
                )
            seen.add(key)
    return found


def _no_constant(name: str) -> NoReturn:
    raise Unreadable(f"{name} is not a JSON number", remedy="send a number or null")


def _decimal(text: str) -> Decimal:
    number = Decimal(text) if len(text) <= _LONGEST_NUMBER else None
    if number is None or abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise Unreadable(f"number {text[:24]}… out of range", remedy="send a smaller number")
    return number


def _int(text: str) -> int:
    number = _big_int(text)
    if abs(number) > MOST_INT:
        raise Unreadable(
            f"whole number {text[:24]} beyond 2**53",
            remedy="send it as text, or a smaller one",
        )
    return number


def _big_int(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise Unreadable(f"number {text[:24]}… out of range", remedy="send a smaller number")
    return int(text)


def _too_deep(max_depth: int) -> Unreadable:
    return Unreadable(f"nested deeper than {max_depth} levels", remedy="send a flatter document")


def _walk(value: Json, max_depth: int) -> None:
    """Refuse depth and characters that the scanner lets through, without recursion."""
    rest: list[tuple[Json, tuple[str | int, ...]]] = [(value, ())]
    while rest:
        item, path = rest.pop()
        if isinstance(item, str):
            _check_text(item, path)
        elif isinstance(item, dict):
            if len(path) >= max_depth:
                raise _too_deep(max_depth)
            for key, inner in item.items():
                _check_text(key, path)
                rest.append((inner, (*path, key)))
        elif isinstance(item, list):
            if len(path) >= max_depth:
                raise _too_deep(max_depth)
            rest.extend((inner, (*path, i)) for i, inner in enumerate(item))


def _check_text(text: str, path: tuple[str | int, ...]) -> None:
    if "\x00" in text:
        raise Unreadable("U+0000 in text", where=pointer(path), remedy="remove the character")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise Unreadable(
                "half a surrogate pair in text",
                where=pointer(path),
                remedy="send whole characters",
            ) from error
