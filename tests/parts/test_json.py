"""JSON in: only what every reader understands alike. JSON out: one spelling, as the standard's."""

import json
from decimal import Decimal

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from financing.errors import Invalid, Unreadable
from financing.values import canonical
from financing.values.strict_json import loads, pointer

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
KEYS = st.text(st.characters(min_codepoint=1, max_codepoint=127))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)


@given(VALUES)
def test_canonical_json_is_the_standards_to_the_byte(value: object) -> None:
    assert canonical.dumps(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


@given(VALUES)
def test_canonical_json_reads_back_and_has_one_spelling(value: object) -> None:
    data = canonical.dumps(value)
    again = loads(data, max_depth=100)
    assert canonical.dumps(again) == data


@pytest.mark.parametrize(
    "value",
    [1.5, Decimal(1), 2**53, -(2**53), {"é": 1}, {1: 2}, "\ud800", b"x", {"a": [1, {"b": 2.0}]}],
)
def test_what_two_readers_could_spell_differently_has_no_canonical_form(value: object) -> None:
    with pytest.raises(Invalid):
        canonical.dumps(value)


def test_the_refusal_points_at_the_value() -> None:
    with pytest.raises(Invalid) as caught:
        canonical.dumps({"a": [1, {"b/c": 2.0}]})
    assert caught.value.where == "/a/1/b~1c"


def test_a_digest_names_its_algorithm() -> None:
    assert canonical.digest(b"") == (
        "sha-256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    assert canonical.digest_of({"b": 1, "a": 2}) == canonical.digest(b'{"a":2,"b":1}')


def test_numbers_with_a_point_are_decimals() -> None:
    assert loads(b'{"a": 1.10, "b": 3, "c": 1e2}') == {
        "a": Decimal("1.10"),
        "b": 3,
        "c": Decimal("1E+2"),
    }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a": 1} x',
        b"NaN",
        b'{"a": -Infinity}',
        b"1e400",
        b"1e-400",
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "b": 2}}',
        b'"\\u0000"',
        b'{"\\u0000": 1}',
        b'"\\ud800"',
        b'{"\\udc00": 1}',
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        b"9007199254740992",
        b"1" * 5000,
        b"0." + b"1" * 5000,
        b"[" * 100_000,
        b"[" * 33 + b"]" * 33,
        b'{"a":' * 33 + b"1" + b"}" * 33,
    ],
)
def test_what_a_lax_reader_passes_over_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable):
        loads(data)


def test_limits_are_exact() -> None:
    assert loads(b"[" * 32 + b"]" * 32)
    assert loads(b"9007199254740991") == 2**53 - 1
    assert loads(b"9007199254740993", big_ints=True) == 2**53 + 1
    assert loads(b" " * 90 + b"[]", max_bytes=92) == []
    with pytest.raises(Unreadable):
        loads(b" " * 91 + b"[]", max_bytes=92)


def test_a_refusal_says_where() -> None:
    with pytest.raises(Unreadable) as caught:
        loads(b'{"a": ["x", {"b/c": "\\u0000"}]}')
    assert caught.value.where == "/a/1/b~1c"
    with pytest.raises(Unreadable) as caught:
        loads(b'{"a":\n tru}')
    assert "line 2" in caught.value.where


@given(VALUES)
def test_plain_json_is_read_as_the_library_reads_it(value: object) -> None:
    data = json.dumps(value).encode()
    assert loads(data, max_depth=100) == value


def test_a_pointer_escapes_its_separators() -> None:
    assert pointer(("a/b", 0, "c~d")) == "/a~1b/0/c~0d"
