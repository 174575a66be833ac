"""One spelling for every JSON value that is hashed or signed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import orjson

from financing.errors import Invalid
from financing.values.strict_json import MOST_INT, pointer

_OPTIONS: Final = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def dumps(value: object) -> bytes:
    """Write a value as canonical JSON.

    Restricted so that a fast writer and the standard agree to the byte: objects with ASCII keys,
    lists, text, whole numbers within 2**53, booleans, null. No floats, no dates, no classes.

    Raises:
        Invalid: anything else; `where` points at it.
    Source: RFC 8785 (JSON Canonicalization Scheme).
    """
    _guard(value, ())
    try:
        return orjson.dumps(value, option=_OPTIONS)
    except TypeError as error:  # half a surrogate pair, or nesting beyond what is sensible
        raise Invalid(f"not canonical JSON: {error}", remedy="send plain text") from error


def digest(data: bytes) -> str:
    """The SHA-256 of bytes as it is written everywhere: `sha-256:` and 64 hex digits."""
    return "sha-256:" + hashlib.sha256(data).hexdigest()


def digest_of(value: object) -> str:
    """The digest of a value's canonical JSON."""
    return digest(dumps(value))


def _guard(value: object, path: tuple[str | int, ...]) -> None:
    if value is None or isinstance(value, (str, bool)):
        return
    if isinstance(value, int):
        if abs(value) > MOST_INT:
            raise Invalid(
                f"{value} is beyond 2**53",
                where=pointer(path),
                remedy="write it as text",
            )
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise Invalid(f"key {key!r} is not ASCII text", where=pointer(path))
            _guard(inner, (*path, key))
    elif isinstance(value, (list, tuple)):
        for i, inner in enumerate(value):
            _guard(inner, (*path, i))
    else:
        raise Invalid(f"{type(value).__name__} has no canonical form", where=pointer(path))
