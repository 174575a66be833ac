"""A problem as our API tells it. Source: RFC 9457."""

from __future__ import annotations

from marshmallow import fields

from schemas.shown import Name, Number, Shown


class Fault(Shown):
    """One thing to mend: where it stands in what was sent, what is wrong, what to do."""

    pointer = Name(metadata={"example": "/amount/fen"})
    problem = Name(metadata={"example": "not a whole number"})
    remedy = Name(metadata={"example": "Send a whole number of minor units."})


class Problem(Shown):
    """Why a request was not answered as it asked."""

    type = Name(metadata={"example": "/problems/invalid"})
    title = Name(metadata={"example": "At least one field is wrong"})
    status = Number(metadata={"example": 422})
    detail = Name(metadata={"example": "not a whole number"})
    instance = Name(metadata={"example": "/api/v1/applications"})
    request_id = Name(metadata={"example": "7f3a9c0d12e45b68"})
    errors = fields.List(fields.Nested(Fault()))
