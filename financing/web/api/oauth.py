"""A machine's secret, or a statement signed with its key, buys a token of fifteen minutes.

A live service takes no secret: `private_key_jwt` is the only way in.

Source: RFC 6749, sections 4.4 (client credentials), 2.3.1 (Basic), 5.1 and 5.2 (answers);
RFC 7523, section 2.2 (signed statements).
"""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import unquote_plus

from financing.context import Context
from financing.errors import Invalid, Limited, Unauthenticated
from financing.web import machines
from financing.web.api.openapi import TOKEN_PATH
from financing.web.routes import route

SIGNED: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
Reply = tuple[str, int, dict[str, str]]


@route("POST", TOKEN_PATH, permit="public", proof="none")
def token(ctx: Context, request: Any) -> Reply:
    """A new token for a machine, by its secret or by a statement that it signed."""
    if request.form.get("grant_type") != "client_credentials":
        return _no("unsupported_grant_type", 400, "grant_type must be client_credentials")
    try:
        made = _made(ctx, request)
    except Unauthenticated as refusal:
        return _no("invalid_client", 401, refusal.detail)
    except Invalid as refusal:
        return _no("invalid_scope", 400, refusal.detail)
    except Limited as refusal:
        text, _, headers = _no("slow_down", 429, "too many failures")
        return text, 429, headers | {"Retry-After": str(refusal.retry_after_s)}
    said = {
        "access_token": made.text,
        "token_type": "Bearer",
        "expires_in": int(machines.LIFE.total_seconds()),
        "scope": " ".join(made.scopes),
    }
    return json.dumps(said), 200, {"Content-Type": "application/json", "Pragma": "no-cache"}


def _made(ctx: Context, request: Any) -> machines.Token:
    """The token of whichever proof the request brings.

    Raises:
        Unauthenticated: it brings none, or one that does not hold.
    """
    wanted, address = request.form.get("scope", "").split(), request.remote_addr or ""
    if request.form.get("client_assertion_type") == SIGNED:
        audience = ctx.settings.url + TOKEN_PATH
        assertion = request.form.get("client_assertion", "")
        return machines.by_key(ctx, assertion, audience, wanted, address)
    basic = request.authorization
    if basic is None or basic.type != "basic":
        raise Unauthenticated("id and secret by Basic, or a signed client_assertion, are expected")
    name, secret = (unquote_plus(part or "") for part in (basic.username, basic.password))
    return machines.by_secret(ctx, name, secret, wanted, address)


def _no(error: str, status: int, why: str) -> Reply:
    headers = {"Content-Type": "application/json"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="oauth"'
    return json.dumps({"error": error, "error_description": why}), status, headers
