"""Events of banks come in: the signature is the proof, the journey does the rest."""

from __future__ import annotations

import json
from typing import Any

from financing.context import Context
from financing.journeys import answers
from financing.web.routes import route


@route("POST", "/api/v1/webhooks/banks/<bank_code>", permit="public", proof="none")
def bank_event(ctx: Context, request: Any, bank_code: str) -> tuple[str, int, dict[str, str]]:
    """One signed event of a bank, kept before it is answered."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    reply = answers.receive(ctx, bank_code, headers, request.get_data(cache=False))
    return json.dumps(dict(reply.body)), reply.status, {"Content-Type": "application/json"}
