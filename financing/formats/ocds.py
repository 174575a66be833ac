"""Open contracting records (OCDS 1.0 and 1.1) as a stream of releases, with their bytes.

Read are release packages, record packages, bare records, compiled and single releases, lists and
JSON Lines of any of those. What a thing is shows in its content, never in its name or its tag.

1. `read` walks a file and yields a `Release`, or a `Parked` with the place and the remedy.
2. `reread` opens the kept bytes of a release again.
3. `merge` puts the releases of one process together as of the last of them.

Source: Open Contracting Data Standard 1.1, release and record schemas, merging.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from financing.errors import Unreadable
from financing.formats import odd_dates
from financing.formats.json_stream import (
    MOST_CHARS,
    Flaw,
    Path,
    Piece,
    Window,
    encoded,
    examine,
    flaw,
    read_piece,
)
from financing.values.parked import Parked
from financing.values.strict_json import Json, decoder, pointer
from financing.values.text import clean, name_key

Body = Mapping[str, Any]

_PREFIX: Final = re.compile(r"ocds-[0-9a-z]{6}(?![0-9a-z])", re.IGNORECASE)
# Keys that a package has and a record or release has not; `publisher` may stand in each of them.
_OF_PACKAGE: Final = frozenset(("uri", "publishedDate", "license", "publicationPolicy", "packages"))
_OF_RECORD: Final = frozenset(("ocid", "compiledRelease", "versionedRelease"))
_OF_RELEASE: Final = frozenset(
    ("ocid", "planning", "tender", "awards", "contracts", "parties", "buyer", "initiationType")
)
_SHOWN: Final = 80
_FIRST_LINE: Final = 256 << 10  # a longer first line is taken for a document of its own
_STRICT: Final = decoder(big_ints=True)


@dataclass(frozen=True, slots=True)
class Release:
    """One release, or one record with its compiled release, as received.

    Args:
        raw: the bytes of the release or record in the file.
        where: place of the body in the file: JSON pointer, after the line where each value has one.
        publisher: OCDS prefix, or the publisher's site or name.
        release_id: as published, or empty.
        released_at: orders the releases of a process; None where none was published.
    """

    raw: bytes
    source: str
    where: str
    publisher: str
    ocid: str
    release_id: str
    released_at: datetime | None
    body: Body


class _Outer(NamedTuple):
    """What the surroundings of a release say about it."""

    source: str
    by_line: bool
    publisher: Body | None = None


@dataclass(slots=True)
class _Walk:
    """An object that is being read: its members so far, and the items of its long lists.

    While it may still be a record of its own, the items are kept; once it must be a package, each
    is given away as it is read.
    """

    start: int
    line: int
    members: dict[str, Any]
    lists: set[str]
    kept: list[tuple[str, Piece | Flaw]]
    is_package: bool = False
    is_over: bool = False  # the text ended, and that has been said


def read(read_bytes: Callable[[int], bytes], source: str) -> Iterator[Release | Parked]:
    """Read a file of procurement records.

    Memory is bounded by the largest record. A truncated file gives everything that is complete
    before the cut, then one `Parked` with the rest.

    Args:
        read_bytes: gives at most so many bytes, none at the end.
        source: the file's name, for those who must find it again.
    """
    window = Window(read_bytes)
    window.by_line = _looks_by_line(window)
    outer = _Outer(source, window.by_line)
    is_cut = False
    while window.peek():
        for item in _any(window, (), outer):
            is_cut = isinstance(item, Parked) and item.reason.startswith("TRUNCATED")
            yield item
    if window.was_cut and not is_cut:
        yield _parked(_ended((), window.line()), outer)


def reread(raw: bytes, source: str, where: str, publisher: str) -> list[Release | Parked]:
    """Open kept bytes again: a release or record as it was stored, or what was parked."""
    return [
        replace(item, raw=raw, where=where, publisher=publisher)
        if isinstance(item, Release)
        else replace(item, where=where)
        for item in _any(
            Window(io.BytesIO(raw).read), (), _Outer(source, False, {"name": publisher})
        )
    ]


def _looks_by_line(window: Window) -> bool:
    """JSON Lines: the first line is an object, and the second begins another."""
    while "\n" not in window.text and len(window.text) < _FIRST_LINE and window.more():
        pass
    first, _, rest = window.text.partition("\n")
    return first.lstrip().startswith("{") and rest.lstrip("\r\n").startswith("{")


def _any(window: Window, path: Path, outer: _Outer) -> Iterator[Release | Parked]:
    letter = window.peek()
    if letter == "{":
        yield from _object(window, path, outer)
    elif letter == "[" and not path:
        for item in _items(window, path):
            if isinstance(item, Flaw):
                yield _parked(item, outer)
            else:
                yield from _any(window, item, outer)
    else:
        piece = read_piece(window, path)
        yield _parked(piece, outer) if isinstance(piece, Flaw) else _foreign(piece, outer)


def _items(window: Window, path: Path) -> Iterator[Path | Flaw]:
    """Stop at each item of a list; whoever takes its path reads the item there."""
    window.at += 1
    count = 0
    while True:
        letter = window.peek()
        if letter == "]":
            window.at += 1
            return
        if letter == ",":
            window.at += 1
        elif letter == "" or letter in "}:":
            at = window.at
            broken = json.JSONDecodeError("Expecting ',' or ']'", window.text, at)
            yield flaw(window, path, broken, to_end=True)
            return
        else:
            yield (*path, count)
            count += 1


def _object(window: Window, path: Path, outer: _Outer) -> Iterator[Release | Parked]:
    """Walk a package, record, or release member by member."""
    window.hold()
    walk = _Walk(window.at, window.line(), {}, set(), [])
    try:
        for key in _keys(window, walk):
            if key in ("releases", "records") and window.peek() == "[":
                walk.lists.add(key)
                yield from _long_list(window, walk, (*path, key), outer)
                if walk.is_over:
                    return
            else:
                walk.members[key] = window.value()
    except (json.JSONDecodeError, Unreadable) as error:
        yield from _broken(window, walk, path, outer, error)
        return
    text = "" if walk.is_package else window.text[walk.start : window.at]
    at = window.byte(walk.start)
    window.held = False
    if walk.is_package:
        return
    if not (walk.lists - _OF_RELEASE) or walk.members.keys() & _OF_RECORD:
        try:
            examine(walk.members, text, lambda: at)
        except Unreadable as error:
            inner = f" (at {error.where})" if error.where else ""
            detail = error.detail + inner
            yield _parked(Flaw(path, walk.line, detail, error.remedy, encoded(text), False), outer)
            return
    yield from _whole(Piece(walk.members, encoded(text), path, walk.line), walk, outer)


def _keys(window: Window, walk: _Walk) -> Iterator[str]:
    """Stop at the value of each member of the object at the reader's place."""
    window.at += 1
    letter = window.peek()
    while letter != "}":
        key = window.value()
        if not isinstance(key, str) or window.peek() != ":":
            raise json.JSONDecodeError("Expecting ':' delimiter", window.text, window.at)
        if key in walk.members or key in walk.lists:
            raise Unreadable(f"JSON: key {key[:60]!r} occurs twice", remedy="publish each key once")
        window.at += 1
        window.peek()
        yield key
        letter = window.peek()
        if letter == ",":
            window.at += 1
            if window.peek() == "}":
                raise json.JSONDecodeError("Expecting a key", window.text, window.at)
        elif letter != "}":
            raise json.JSONDecodeError("Expecting ',' delimiter", window.text, window.at)
    window.at += 1


def _long_list(
    window: Window, walk: _Walk, path: Path, outer: _Outer
) -> Iterator[Release | Parked]:
    key = str(path[-1])
    for item in _items(window, path):
        piece = item if isinstance(item, Flaw) else read_piece(window, item)
        if walk.is_package:
            yield from _deliver(key, piece, _inside(outer, walk.members))
        else:
            # The value is read again when it is needed: bytes take a tenth of its memory.
            walk.kept.append(
                (key, piece if isinstance(piece, Flaw) else replace(piece, value=None))
            )
            if _must_be_package(window, walk, key):
                yield from _give_away(window, walk, outer)
        if isinstance(piece, Flaw) and piece.is_end:
            yield from _give_away(window, walk, outer)
            walk.is_over = True
            return


def _must_be_package(window: Window, walk: _Walk, key: str) -> bool:
    if not window.held or window.at - walk.start > MOST_CHARS:
        return True  # larger than a record may be
    known = walk.members.keys()
    is_package = key == "records" or bool(known & _OF_PACKAGE)
    return is_package and "publisher" in known and not known & _OF_RECORD


def _give_away(window: Window, walk: _Walk, outer: _Outer) -> Iterator[Release | Parked]:
    window.held, walk.is_package = False, True
    for key, piece in walk.kept:
        yield from _deliver(key, piece, _inside(outer, walk.members))
    walk.kept.clear()


def _broken(
    window: Window,
    walk: _Walk,
    path: Path,
    outer: _Outer,
    error: json.JSONDecodeError | Unreadable,
) -> Iterator[Release | Parked]:
    """The object does not go on: give what was complete, park the rest."""
    if walk.lists and not walk.members.keys() & _OF_RECORD and not window.by_line:
        yield from _give_away(window, walk, outer)
    elif not walk.is_package:
        window.at = walk.start
    yield _parked(flaw(window, path, error, to_end=walk.is_package), outer)
    window.held = False


def _whole(piece: Piece, walk: _Walk, outer: _Outer) -> Iterator[Release | Parked]:
    """The object has been read to its end: say what it is, and give its releases."""
    members = walk.members
    inner = _inside(outer, members)
    is_record = bool(members.keys() & _OF_RECORD)
    if isinstance(members.get("compiledRelease"), dict):
        yield from _record(piece, members, inner)
    elif walk.lists and is_record and "records" not in walk.lists:
        links = 0
        for _, kept in walk.kept:
            value = None if isinstance(kept, Flaw) else _value(kept)
            if isinstance(value, dict) and "url" in value and "ocid" not in value:
                links += 1
            else:
                yield from _deliver("releases", kept, inner)
        if links or not walk.kept:
            yield _linked(piece, links, inner)
    elif walk.lists:
        for key, kept in walk.kept:
            yield from _deliver(key, kept, inner)
    elif members.keys() & _OF_RELEASE:
        yield _release(piece, members, inner)
    else:
        yield _foreign(piece, outer)


def _deliver(key: str, piece: Piece | Flaw, outer: _Outer) -> Iterator[Release | Parked]:
    if isinstance(piece, Flaw):
        yield _parked(piece, outer)
        return
    value = _value(piece)
    if not isinstance(value, dict):
        yield _foreign(replace(piece, value=value), outer)
    elif key == "releases":
        yield _release(piece, value, outer)
    elif isinstance(value.get("compiledRelease"), dict):
        yield from _record(piece, value, outer)
    else:
        inner = Window(io.BytesIO(piece.raw).read, lines_before=piece.line - 1)
        inner.peek()
        yield from _object(inner, piece.path, outer)


def _value(piece: Piece) -> Json:
    if piece.value is None:
        return _STRICT.decode(piece.raw.decode("utf-8", "surrogateescape"))  # type: ignore[no-any-return]  # json is untyped
    return piece.value


def _record(piece: Piece, record: Body, outer: _Outer) -> Iterator[Release | Parked]:
    """A record counts as its compiled release, once; its own ocid serves where that has none."""
    compiled = record["compiledRelease"]
    body = compiled if compiled.get("ocid") else {**compiled, "ocid": record.get("ocid")}
    yield _release(replace(piece, path=(*piece.path, "compiledRelease")), body, outer)


def _release(piece: Piece, body: Body, outer: _Outer) -> Release | Parked:
    ocid = body.get("ocid")
    if not isinstance(ocid, str | int) or not str(ocid).strip() or isinstance(ocid, bool):
        return _park(
            piece, outer, ("ocid",), ocid, "OCID-MISSING: no ocid", "publish the process's ocid"
        )
    publisher = _publisher(str(ocid), body, outer.publisher)
    if not publisher:
        reason = "PUBLISHER-UNKNOWN: neither the ocid's prefix nor the record says who published it"
        remedy = "publish it in a package with its publisher, or with a registered ocid prefix"
        return _park(piece, outer, ("publisher",), ocid, reason, remedy)
    written = odd_dates.read(body.get("date"))
    if written is None and body.get("date") is not None:
        reason = "DATE: the release has a date that cannot be read"
        remedy = "publish it as 2026-03-02T09:30:00+08:00"
        return _park(piece, outer, ("date",), body.get("date"), reason, remedy)
    return Release(
        raw=piece.raw,
        source=outer.source,
        where=_where(piece, outer),
        publisher=publisher,
        ocid=str(ocid).strip(),
        release_id="" if body.get("id") is None else str(body["id"]),
        released_at=written.instant if written else None,
        body=body,
    )


def _publisher(ocid: str, body: Body, of_package: Body | None) -> str:
    """Who published: the ocid's registered prefix, else a site, else a name; empty if unknown."""
    prefix = _PREFIX.match(ocid)
    if prefix is not None:
        return prefix.group().lower()
    own = body.get("publisher") or _member(body.get("packageInfo"), "publisher")
    buyers = [body.get("buyer")]
    parties = body.get("parties")
    for party in parties if isinstance(parties, list) else []:
        if isinstance(party, dict) and "buyer" in (party.get("roles") or ()):
            buyers.append(party)
    named = [own, of_package]
    sites = [_member(one, "uri") for one in named]
    sites += [_member(_member(one, "identifier"), "uri") for one in buyers]
    for site in sites:
        host = urlsplit(site).hostname if isinstance(site, str) and "//" in site else None
        if host:
            return host.removeprefix("www.")
    for one in (*named, *buyers):
        name = _member(one, "name")
        if isinstance(name, str) and name.strip():
            return name_key(name).lower()
    return ""


def _member(value: object, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _inside(outer: _Outer, members: Body) -> _Outer:
    own = members.get("publisher")
    return outer._replace(publisher=own) if isinstance(own, dict) else outer


def _linked(piece: Piece, links: int, outer: _Outer) -> Parked:
    reason = "LINKED: the record names its releases by address only and has no compiled release"
    return _park(piece, outer, ("releases",), links, reason, "import the releases themselves")


def _foreign(piece: Piece, outer: _Outer) -> Parked:
    reason = "NOT-OCDS: neither a record, a release, nor a package of them"
    return _park(piece, outer, (), piece.value, reason, "import OCDS 1.0 or 1.1")


def _ended(path: Path, line: int) -> Flaw:
    reason = "TRUNCATED: the file ends before the list or package does"
    return Flaw(path, line, reason, "send the file again, whole", b"", True)


def _park(
    piece: Piece, outer: _Outer, inner: Path, value: object, reason: str, remedy: str
) -> Parked:
    where = _where(piece, outer) + pointer(inner)
    return Parked("record", outer.source, where, shown(value), reason, remedy, piece.raw)


def _parked(fault: Flaw, outer: _Outer) -> Parked:
    begin = fault.raw[: 2 * _SHOWN].decode("utf-8", "replace")
    value = clean(begin)[:_SHOWN]
    where = _where(fault, outer)
    return Parked("record", outer.source, where, value, fault.reason, fault.remedy, fault.raw)


def _where(piece: Piece | Flaw, outer: _Outer) -> str:
    place = pointer(piece.path)
    return f"line {piece.line}: {place}".rstrip(": ") if outer.by_line else place


def shown(value: object) -> str:
    """A value of a record as the list of parked things shows it."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return clean(text)[:_SHOWN]


def merge(bodies: Sequence[Body]) -> dict[str, Any]:
    """The releases of one process, oldest first, as one body.

    Objects are merged member by member, lists of objects by their ids, everything else is replaced
    by the newer value, and null removes. A list that names an id twice, or an item without id,
    cannot be merged item by item: the newer list replaces it whole.

    Source: OCDS 1.1, merging.
    """
    merged: dict[str, Any] = {}
    for body in bodies:
        merged = _merged(merged, body)
    return merged


def _merged(old: Body, new: Body) -> dict[str, Any]:
    result = dict(old)
    for key, value in new.items():
        if value is None:
            result.pop(key, None)
            continue
        before = result.get(key)
        if isinstance(value, dict):
            result[key] = _merged(before if isinstance(before, dict) else {}, value)
        elif isinstance(value, list) and isinstance(before, list):
            result[key] = _merged_lists(before, value)
        else:
            result[key] = value
    return result


def _merged_lists(old: list[Any], new: list[Any]) -> list[Any]:
    ids, new_ids = _ids(old), _ids(new)
    if ids is None or new_ids is None:
        return new
    result = dict(zip(ids, old, strict=True))
    for name, item in zip(new_ids, new, strict=True):
        result[name] = _merged(result.get(name, {}), item)
    return list(result.values())


def _ids(items: list[Any]) -> list[str] | None:
    """The items' ids, or None where they do not tell the items apart."""
    found = [
        str(item["id"]) for item in items if isinstance(item, dict) and item.get("id") is not None
    ]
    return found if len(found) == len(items) == len(set(found)) else None
