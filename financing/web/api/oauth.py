"""A machine's secret buys a token of fifteen minutes.

Source: RFC 6749, sections 4.4 (client credentials), 2.3.1 (Basic), 5.1 and 5.2 (answers).
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote_plus

from financing.context import Context
from financing.errors import Invalid, Limited, Unauthenticated
from financing.web import machines
from financing.web.routes import route

Reply = tuple[str, int, dict[str, str]]


@route("POST", "/oauth/token", permit="public", proof="none")
def token(ctx: Context, request: Any) -> Reply:
    """A new token for the machine that the request names by Basic authentication."""
    if request.form.get("grant_type") != "client_credentials":
        return _no("unsupported_grant_type", 400, "grant_type must be client_credentials")
    basic = request.authorization
    if basic is None or basic.type != "basic":
        return _no("invalid_client", 401, "id and secret are expected by Basic authentication")
    name, secret = (unquote_plus(part or "") for part in (basic.username, basic.password))
    wanted = request.form.get("scope", "").split()
    try:
        made = machines.issue(ctx, name, secret, wanted, request.remote_addr or "")
    except Unauthenticated:
        return _no("invalid_client", 401, "id and secret do not fit together")
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


def _no(error: str, status: int, why: str) -> Reply:
    headers = {"Content-Type": "application/json"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="oauth"'
    return json.dumps({"error": error, "error_description": why}), status, headers
