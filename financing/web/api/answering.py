"""One request to an operation of the table, from its token to its bytes.

1. `answer`  token → permission → rate → address, filters, body → view in a transaction → bytes
2. `_once`   an effect happens once per `Idempotency-Key`: the answer commits with it
3. `_sent`   the bytes with their ETag, the next piece, and what is left of the rate

What is not the machine's answers like what does not exist.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import orjson
from flask import Response, g, make_response, request
from sqlalchemy import func, insert, select

from financing import words
from financing.context import Context
from financing.errors import (
    Conflict,
    Forbidden,
    Invalid,
    Limited,
    NotFound,
    Unauthenticated,
    Unreadable,
)
from financing.reads.listing import Piece, Window
from financing.rules.permissions import may
from financing.store.db import Actor, Tx
from financing.store.tables import machine_answer
from financing.values import strict_json
from financing.values.times import wall_now
from financing.web import machines
from financing.web.api import cursors, rate
from financing.web.api.table import MOST_ITEMS, USUAL_ITEMS, Call, Operation
from financing.web.routes import File
from financing.web.session import SignedIn
from schemas.fields import read
from schemas.lending import Nothing

_BEARER: Final = re.compile(r"[Bb]earer ([A-Za-z0-9_-]{20,200})")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,64}")
_WHOLE: Final = re.compile(r"[0-9]{1,4}")


class KeyMissing(Unreadable):
    """A request with an effect carries no key by which a repetition would be known."""

    slug = "idempotency-key-missing"


class KeyReused(Invalid):
    """The key was used for another request."""

    slug = "idempotency-key-reused"


class InFlight(Conflict):
    """The same request is being answered at this moment."""

    slug = "idempotency-in-flight"


class NarrowToken(Forbidden):
    """The machine may, but its token does not carry the permission."""

    slug = "insufficient-scope"


class WrongType(Unreadable):
    """The body is not what its address takes."""

    slug, status = "unsupported-media-type", 415


def answer(ctx: Context, take: rate.Take, row: Operation, **given: str) -> Response:
    """Answer one request."""
    g.lang = request.accept_languages.best_match(words.LANGUAGES) or "zh"
    holder = None if row.permits == ("public",) else _holder(ctx)
    actor = holder.actor if holder else Actor("public", lang=g.lang)
    if holder is not None:
        g.person = SignedIn("", actor, "")
        g.allowance = take(str(actor.login_id))
        if g.allowance is not None and not g.allowance.is_granted:
            raise Limited("too many requests", retry_after_s=1)
        _may(row, holder)
    named = row.ids_of(given)
    g.subject = next((str(value) for value in named.values() if isinstance(value, UUID)), "")
    call = _call(ctx, row, actor)
    if row.takes is None:
        seen = ctx.attempt(lambda tx: _written(tx, row, row.view(tx, call, **named), call), actor)
        return _sent(row, *seen)
    key = _key()
    status, body, is_again = ctx.attempt(lambda tx: _once(tx, row, call, named, key), actor)
    response = _sent(row, body, "")
    response.status_code = status
    if is_again:
        response.headers["Idempotency-Replayed"] = "true"
    return response


# ── Who, and what was asked ──────────────────────────────────────────────────────────────────


def _holder(ctx: Context) -> machines.Holder:
    found = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    known = None
    if found is not None:
        with ctx.begin() as tx:
            known = machines.holder(tx, found[1], g.lang)
    if known is None:
        raise Unauthenticated(
            words.t("api.no_token", g.lang),
            where="Authorization",
            remedy=words.t("api.get_token", g.lang),
        )
    return known


def _may(row: Operation, holder: machines.Holder) -> None:
    """Refuse an operation that the role or the token does not reach."""
    own = [name for name in row.permits if may(holder.actor.role, name)]
    if not own:
        raise NotFound("no such address", where=row.path)
    if not holder.scopes.intersection(own):
        raise NarrowToken(
            words.t("api.narrow", g.lang, scope=own[0]),
            where="scope",
            remedy=words.t("api.wider", g.lang),
        )


def _call(ctx: Context, row: Operation, actor: Actor) -> Call:
    """The filters, the piece, and the body of a request, read whole before anything is opened."""
    given = dict(request.args.items())
    if len(given) != len(list(request.args.items(multi=True))):
        raise Invalid(
            words.t("api.twice", g.lang), where=_twice(), remedy=words.t("api.once", g.lang)
        )
    window = _window(ctx, row, actor, given) if row.is_list else Window(USUAL_ITEMS)
    query = read(row.asks, given) if row.asks is not None else {}
    if row.asks is None and given:
        read(Nothing(), given)
    body = read(row.takes, _document()) if row.takes is not None else {}
    return Call(g.lang, body, query, window)


def _twice() -> str:
    names = [name for name, _ in request.args.items(multi=True)]
    return "/" + next(name for name in names if names.count(name) > 1)


def _window(ctx: Context, row: Operation, actor: Actor, given: dict[str, str]) -> Window:
    """Take `limit` and `after` out of what the address asks."""
    limit, after = given.pop("limit", str(USUAL_ITEMS)), given.pop("after", "")
    if not _WHOLE.fullmatch(limit) or not 1 <= int(limit) <= MOST_ITEMS:
        raise Invalid(f"not within 1 to {MOST_ITEMS}", where="/limit")
    if not after:
        return Window(int(limit))
    return Window(int(limit), cursors.opened(ctx.keys, _list_of(row, actor, given), after))


def _list_of(row: Operation, actor: Actor, filters: Mapping[str, Any]) -> str:
    """What a cursor is bound to: the list, its filters, and whose list it is."""
    return f"{request.path}?{urlencode(sorted(filters.items()))} {actor.organisation_id}"


def _document() -> strict_json.Json:
    """The body as JSON; none at all is an empty object.

    Raises:
        WrongType: not sent as JSON, or packed.
        Unreadable: no JSON, or what a lax reader would pass over.
    """
    data = request.get_data(cache=True)
    if not data and request.mimetype == "":
        return {}
    if request.mimetype != "application/json" or request.headers.get("Content-Encoding"):
        raise WrongType(
            words.t("api.not_json", g.lang),
            where="Content-Type",
            remedy=words.t("api.send_json", g.lang),
        )
    return strict_json.loads(data)


# ── An effect, once ──────────────────────────────────────────────────────────────────────────


def _key() -> str:
    key = request.headers.get("Idempotency-Key", "")
    if _KEY.fullmatch(key) is None:
        raise KeyMissing(
            words.t("api.no_key", g.lang),
            where="Idempotency-Key",
            remedy=words.t("api.send_key", g.lang),
        )
    return key


def _once(
    tx: Tx, row: Operation, call: Call, named: Mapping[str, Any], key: str
) -> tuple[int, bytes, bool]:
    """Let an effect happen, or give the answer that it had.

    Raises:
        KeyReused: the key belongs to another request.
        InFlight: the same key is in another open transaction.
    """
    login_id = tx.actor.login_id
    # Held until the end of the transaction: whoever comes meanwhile is told so, and waits for none.
    if not tx.db.execute(
        select(func.pg_try_advisory_xact_lock(func.hashtextextended(f"{login_id} {key}", 0)))
    ).scalar_one():
        raise InFlight(
            words.t("api.in_flight", call.lang),
            where="Idempotency-Key",
            remedy=words.t("api.again_later", call.lang),
        )
    parts = (row.method, request.path, request.get_data(cache=True))
    asked = hashlib.sha256(b"\n".join(p if isinstance(p, bytes) else p.encode() for p in parts))
    known = tx.one(
        select(machine_answer).where(
            machine_answer.c.login_id == login_id, machine_answer.c.key == key
        )
    )
    if known is not None:
        if known.request_digest != asked.hexdigest():
            raise KeyReused(
                words.t("api.key_used", call.lang),
                where="Idempotency-Key",
                remedy=words.t("api.new_key", call.lang),
            )
        return known.status, known.body, True
    body, _ = _written(tx, row, row.view(tx, call, **named), call)
    tx.db.execute(
        insert(machine_answer).values(
            login_id=login_id,
            key=key,
            request_digest=asked.hexdigest(),
            status=row.status,
            body=body,
            at=wall_now(),
        )
    )
    return row.status, body, False


# ── The bytes ────────────────────────────────────────────────────────────────────────────────


def _written(tx: Tx, row: Operation, value: Any, call: Call) -> tuple[bytes, str]:
    """The answer's bytes, and the cursor of the next piece."""
    if isinstance(value, File):
        return value.content, ""
    if row.gives is None:
        return orjson.dumps(value), ""
    if not isinstance(value, Piece):
        return orjson.dumps(row.gives.dump(value)), ""
    filters = {name: text for name, text in request.args.items() if name not in ("limit", "after")}
    following = (
        cursors.seal(tx.keys, _list_of(row, tx.actor, filters), value.last) if value.last else None
    )
    items = [row.gives.dump(each) for each in value.rows]
    return orjson.dumps({"items": items, "next": following}), following or ""


def _sent(row: Operation, body: bytes, following: str) -> Response:
    response = make_response(body, row.status)
    response.headers["Content-Type"] = row.media_type
    response.headers["Vary"] = "Accept-Language, Authorization"
    if row.method == "GET":
        tag = hashlib.sha256(body).hexdigest()[:32]
        response.set_etag(tag)
        if request.if_none_match.contains_weak(tag):
            response = make_response("", 304, {"ETag": f'"{tag}"'})
    if following:
        asked = [pair for pair in request.args.items() if pair[0] != "after"]
        address = f"{request.path}?{urlencode([*asked, ('after', following)])}"
        response.headers["Link"] = f'<{address}>; rel="next"'
    return response
