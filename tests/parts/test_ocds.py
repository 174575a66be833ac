"""What the reader of procurement records promises: every shape, exact bytes, nothing lost."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from financing.formats import ocds
from financing.formats.ocds import Release
from financing.formats.recognise import plain, recognise
from financing.values.parked import Parked

ROOT = Path(__file__).parents[2]


def body(n: int = 1, **changes: Any) -> dict[str, Any]:
    """A small release of one contract."""
    money = {"amount": 1234.5, "currency": "CNY"}
    return {
        "ocid": f"ocds-abc123-{n}",
        "id": f"{n}-a",
        "date": "2026-02-13T10:20:00+08:00",
        "tag": ["tender"],
        "buyer": {"identifier": {"scheme": "X-ORG", "id": "B1"}, "name": "某局"},
        "awards": [
            {
                "id": "a",
                "value": money,
                "suppliers": [{"name": "某公司", "identifier": {"scheme": "X-ORG", "id": "S1"}}],
            }
        ],
        "contracts": [
            {"id": "c", "awardID": "a", "value": money, "dateSigned": "2026-02-12T00:00:00+08:00"}
        ],
    } | changes


PUBLISHER = {"name": "某平台", "uri": "https://www.ccgp.example/"}
PACKAGE = {"uri": "https://ccgp.example/1", "version": "1.1", "publisher": PUBLISHER}


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def read(data: bytes) -> list[Release | Parked]:
    stream = BytesIO(data)
    assert recognise(stream) == "records"
    return list(ocds.read(plain(stream).read, "f"))


def releases(data: bytes) -> list[Release]:
    found = read(data)
    assert [item for item in found if isinstance(item, Parked)] == []
    return [item for item in found if isinstance(item, Release)]


def reasons(found: Iterable[Release | Parked]) -> list[str]:
    return [item.reason.split(":")[0] for item in found if isinstance(item, Parked)]


def ocids(found: Iterable[Release | Parked]) -> list[str]:
    return [item.ocid for item in found if isinstance(item, Release)]


def record(one: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"releases": [one], "compiledRelease": one, "versionedRelease": {"ocid": "no"}} | more


SHAPES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "single": (body(1), ("",)),
    "release package": (
        PACKAGE | {"releases": [body(1), body(2)]},
        ("/releases/0", "/releases/1"),
    ),
    "record package": (
        PACKAGE | {"records": [record(body(1), ocid="x"), record(body(2))]},
        ("/records/0/compiledRelease", "/records/1/compiledRelease"),
    ),
    "bare record without ocid": (record(body(1), publisher=PUBLISHER), ("/compiledRelease",)),
    "bare record with ocid": (record(body(1), ocid="ocds-abc123-1"), ("/compiledRelease",)),
    "record of releases alone": (
        {"ocid": "ocds-abc123-1", "releases": [body(1), body(1, id="2")]},
        ("/releases/0", "/releases/1"),
    ),
    "list of a package": ([PACKAGE | {"releases": [body(1)]}], ("/0/releases/0",)),
    "list of releases": ([body(1), body(2)], ("/0", "/1")),
    "list of records": ([record(body(1))], ("/0/compiledRelease",)),
    "package whose publisher comes last": (
        {"releases": [body(1, ocid="7")], "publisher": PUBLISHER},
        ("/releases/0",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("is_compressed", [False, True])
def test_each_shape_gives_its_releases_with_their_places(shape: str, is_compressed: bool) -> None:
    document, places = SHAPES[shape]
    data = dumped(document)
    found = releases(gzip.compress(data) if is_compressed else data)
    assert [item.where for item in found] == list(places)
    assert all(item.body["contracts"][0]["id"] == "c" for item in found)


def test_json_lines_of_any_shape_name_the_line() -> None:
    lines = [body(1), PACKAGE | {"releases": [body(2), body(3)]}, record(body(4))]
    found = releases(b"\n".join(dumped(line) for line in lines) + b"\n\n")
    assert [(item.ocid[-1], item.where) for item in found] == [
        ("1", "line 1"),
        ("2", "line 2: /releases/0"),
        ("3", "line 2: /releases/1"),
        ("4", "line 3: /compiledRelease"),
    ]


def test_the_bytes_are_kept_as_received_and_read_the_same_again() -> None:
    odd = b'{ "ocid" :"ocds-abc123-9",\r\n\t"id":"\\u4e2d","n":1.50 , "\xe4\xb8\xad": "\\/" }'
    found = releases(b'{"publisher":{"name":"p"}, "uri":"u","releases" : [\n ' + odd + b"\n]}")
    assert [item.raw for item in found] == [odd]
    again = ocds.reread(found[0].raw, "f", found[0].where, found[0].publisher)
    assert again == found


def test_a_byte_order_mark_is_passed_over() -> None:
    assert ocids(read(b"\xef\xbb\xbf" + dumped(body(1)))) == ["ocds-abc123-1"]


@pytest.mark.parametrize(
    ("document", "publisher"),
    [
        (PACKAGE | {"releases": [body(1, ocid="OCDS-ABC123-7")]}, "ocds-abc123"),
        (PACKAGE | {"releases": [body(1, ocid="7")]}, "ccgp.example"),
        ({"publisher": {"name": "某 平台"}, "releases": [body(1, ocid="7")]}, "某平台"),
        (body(1, ocid="7"), "某局"),
    ],
)
def test_the_publisher_is_the_prefix_else_the_site_else_a_name(
    document: dict[str, Any], publisher: str
) -> None:
    assert [item.publisher for item in releases(dumped(document))] == [publisher]


@pytest.mark.parametrize(
    ("document", "reason", "where"),
    [
        ({"ocid": "o", "releases": [{"url": "https://x.example/1"}]}, "LINKED", "/releases"),
        ({"ocid": "ocds-abc123-1", "releases": []}, "LINKED", "/releases"),
        ({"hello": "world"}, "NOT-OCDS", ""),
        ([1, 2], "NOT-OCDS", "/0"),
        (PACKAGE | {"releases": ["x"]}, "NOT-OCDS", "/releases/0"),
        ({"tender": {}, "id": "1"}, "OCID-MISSING", "/ocid"),
        ({"tender": {}, "ocid": "7"}, "PUBLISHER-UNKNOWN", "/publisher"),
        (body(1, date="2026-02-30T00:00:00Z"), "DATE", "/date"),
        (body(1, date="tomorrow"), "DATE", "/date"),
    ],
)
def test_what_is_no_usable_record_is_parked_with_place_and_remedy(
    document: Any, reason: str, where: str
) -> None:
    first = read(dumped(document))[0]
    assert isinstance(first, Parked)
    assert (first.reason.split(":")[0], first.where) == (reason, where)
    assert first.remedy
    assert first.raw


BAD: dict[str, tuple[bytes, str]] = {
    "a key twice": (b'{"ocid":"ocds-abc123-2","ocid":"x"}', "JSON"),
    "not a number": (b'{"ocid":"ocds-abc123-2","x":NaN}', "JSON"),
    "infinity": (b'{"ocid":"ocds-abc123-2","x":-Infinity}', "JSON"),
    "number bomb": (b'{"ocid":"ocds-abc123-2","x":1e300000}', "JSON"),
    "endless number": (b'{"ocid":"ocds-abc123-2","x":' + b"9" * 5000 + b"}", "JSON"),
    "nested": (b'{"x":' + b"[" * 65 + b"]" * 65 + b"}", "DEPTH"),
    "nested beyond the stack": (b'{"x":' + b"[" * 90000 + b"]" * 90000 + b"}", "DEPTH"),
    "null character": (b'{"ocid":"ocds-abc123-2","x":"a\\u0000"}', "CHARACTER"),
    "half a pair": (b'{"ocid":"ocds-abc123-2","x":"\\ud800"}', "CHARACTER"),
    "latin": ('{"ocid":"ocds-abc123-2","x":"Ó"}'.encode("latin-1"), "ENCODING"),
    "long text": (b'{"ocid":"ocds-abc123-2","x":"' + b"a" * 65537 + b'"}', "SIZE"),
    "long list": (b'{"ocid":"ocds-abc123-2","x":[' + b"1," * 10000 + b"1]}", "SIZE"),
    "missing comma": (b'{"ocid":"ocds-abc123-2" "x":1}', "JSON"),
    "word": (b"nonsense", "JSON"),
}


@pytest.mark.parametrize("fault", BAD)
@pytest.mark.parametrize("has_publisher_first", [True, False])
def test_a_bad_release_is_parked_alone_and_its_neighbours_go_on(
    fault: str, has_publisher_first: bool
) -> None:
    bad, reason = BAD[fault]
    head = dumped(PACKAGE)[:-1] if has_publisher_first else b'{"version":"1.1"'
    data = head + b',"releases":[' + dumped(body(1)) + b"," + bad + b"," + dumped(body(3)) + b"]}"
    found = read(data)
    assert ocids(found) == ["ocds-abc123-1", "ocds-abc123-3"]
    assert reasons(found) == [reason]
    parked = next(item for item in found if isinstance(item, Parked))
    assert (parked.raw, parked.where) == (bad, "/releases/1")
    assert len(parked.value) <= 80
    assert parked.remedy


@pytest.mark.parametrize("fault", [*BAD, "unbalanced"])
def test_a_bad_line_is_parked_alone_and_the_next_lines_go_on(fault: str) -> None:
    bad = b'{"ocid":"ocds-abc123-2","x":{"y":' if fault == "unbalanced" else BAD[fault][0]
    found = read(b"\n".join([dumped(body(1)), dumped(body(2)), bad, dumped(body(3))]))
    assert ocids(found) == [f"ocds-abc123-{n}" for n in (1, 2, 3)]
    parked = [item for item in found if isinstance(item, Parked)]
    assert [(item.where, item.raw.strip()) for item in parked] == [("line 3", bad)]


def test_the_byte_that_is_not_utf8_is_named() -> None:
    data = b'{"uri":"u","publisher":{"name":"p"},"releases":[{"ocid":"ocds-abc123-1","x":"\xd3"}]}'
    parked = read(data)[0]
    assert isinstance(parked, Parked)
    assert f"byte {data.index(0xD3)} is 0xd3" in parked.reason


def test_a_record_larger_than_a_record_may_be_is_refused_and_its_neighbours_go_on() -> None:
    huge = b'{"ocid":"ocds-abc123-2","x":[' + (b'"' + b"a" * 60000 + b'",') * 300 + b"1]}"
    data = dumped(PACKAGE)[:-1] + b',"releases":[' + huge + b"," + dumped(body(3)) + b"]}"
    found = read(data)
    assert (ocids(found), reasons(found)) == (["ocds-abc123-3"], ["SIZE"])


WHOLE = dumped(PACKAGE | {"releases": [body(n) for n in range(1, 5)]})
NAMED_LAST = dumped({"releases": [body(n) for n in range(1, 5)]} | PACKAGE)


@pytest.mark.parametrize("whole", [WHOLE, NAMED_LAST], ids=["publisher first", "publisher last"])
@given(st.data())
def test_a_file_cut_at_any_byte_gives_all_that_was_complete_and_parks_the_rest(
    whole: bytes, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(whole) - 1))
    found = list(ocds.read(BytesIO(whole[:cut]).read, "f"))
    complete = sum(dumped(body(n)) in whole[:cut] for n in range(1, 5))
    assert ocids(found) == [f"ocds-abc123-{n}" for n in range(1, complete + 1)]
    if cut:
        assert reasons(found) == ["TRUNCATED"]


@given(st.integers(20, 200), st.integers(0, 3))
def test_a_compressed_file_that_is_cut_says_so(cut: int, level: int) -> None:
    data = gzip.compress(WHOLE, level)
    found = list(ocds.read(plain(BytesIO(data[: max(20, len(data) - cut)])).read, "f"))
    assert reasons(found)[-1:] == ["TRUNCATED"]


@given(
    st.sampled_from([dumped(document) for document, _ in SHAPES.values()]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damaged_bytes_are_read_or_parked_and_never_crash(
    data: bytes, damage: list[tuple[int, int]]
) -> None:
    hurt = bytearray(data)
    for place, byte in damage:
        hurt[place % len(hurt)] = byte
    for item in ocds.read(BytesIO(bytes(hurt)).read, "f"):
        if isinstance(item, Parked):
            assert item.reason
            assert item.remedy
        else:
            assert ocds.reread(item.raw, "f", item.where, item.publisher)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_parked_and_never_crash(data: bytes) -> None:
    for item in ocds.read(BytesIO(data).read, "f"):
        assert isinstance(item, Parked)


@given(st.integers(1, 4000))
def test_the_size_of_the_pieces_that_arrive_changes_nothing(size: int) -> None:
    stream = BytesIO(WHOLE)
    found = list(ocds.read(lambda most: stream.read(min(size, most)), "f"))
    assert [item.raw for item in found] == [dumped(body(n)) for n in range(1, 5)]


GROWTH = """
import json
from financing.formats import ocds
one = b"," + json.dumps({"ocid": "ocds-abc123-1", "title": "\\u5408\\u540c" * 400}).encode()
def chunks(times):
    yield b'{"uri":"u","publisher":{"name":"p"},"releases":[' + one[1:]
    for _ in range(times):
        yield one * 8
    yield b"]}"
def measured(times):
    source = chunks(times)
    count = sum(1 for _ in ocds.read(lambda most: next(source, b""), "f"))
    with open("/proc/self/status") as status:  # getrusage counts what the parent had at the fork
        peak = next(line for line in status if line.startswith("VmHWM"))
    return count, int(peak.split()[1])
print(json.dumps([measured(20), measured(1500)]))
"""


def test_memory_does_not_grow_with_the_file() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GROWTH],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    (few, small_kib), (many, large_kib) = json.loads(done.stdout)
    assert (few, many) == (161, 12001)
    assert large_kib - small_kib < 4096


def test_objects_are_merged_lists_by_their_ids_and_null_removes() -> None:
    old = {"a": {"x": 1, "y": 2}, "l": [{"id": 1, "v": 1}, {"id": 2}], "t": ["a"], "gone": 1}
    new = {"a": {"y": 3}, "l": [{"id": 3}, {"id": 1, "v": 9}], "t": ["b"], "gone": None}
    assert ocds.merge([old, new]) == {
        "a": {"x": 1, "y": 3},
        "l": [{"id": 1, "v": 9}, {"id": 2}, {"id": 3}],
        "t": ["b"],
    }


def test_a_list_that_names_an_id_twice_replaces_the_older_whole() -> None:
    twice = [{"id": 1, "v": 1}, {"id": 1, "v": 2}]
    assert ocds.merge([{"l": [{"id": 1}]}, {"l": twice}]) == {"l": twice}
    assert ocds.merge([{"l": twice}, {"l": [{"id": 1}]}]) == {"l": [{"id": 1}]}
