"""Our API described by its own table, as OpenAPI 3.1: what runs is what is written.

Every schema stands once among the components; every operation carries its permission, an example
of each side, and each status it may answer with.

Source: OpenAPI Specification 3.1.1; JSON Schema 2020-12.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from financing import words
from financing.rules.permissions import PERMISSIONS
from financing.store.db import Tx
from financing.web.api import bureau, contracts, lending, operator, public
from financing.web.api.table import (
    MOST_ITEMS,
    ROOT,
    USUAL_ITEMS,
    Call,
    Operation,
    operation,
    operations_of,
)
from schemas.problem import Problem
from schemas.shown import example_of, json_schema, name_of, object_schema, parts_of

VERSION: Final = "1"
TOKEN_PATH: Final = "/oauth/token"  # noqa: S105  an address, no secret


@operation("GET", "/openapi.json", permits=("public",), gives=None)
def get_openapi(_tx: Tx, call: Call) -> dict[str, Any]:
    """This table as OpenAPI 3.1."""
    return document(call.lang)


OPERATIONS: Final = (
    *operations_of(contracts, lending, bureau, operator, public),
    get_openapi,
)


@cache
def document(lang: str) -> dict[str, Any]:
    """The OpenAPI document in one language."""
    paths: dict[str, Any] = {}
    for row in OPERATIONS:
        paths.setdefault(row.template, {})[row.method.lower()] = _operation(row, lang)
    asked = {name for row in OPERATIONS for name in row.permits}
    scopes = [row.name for row in PERMISSIONS if row.name in asked and row.roles]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": words.t("api.title", lang),
            "version": VERSION,
            "description": words.t("api.about", lang),
        },
        "servers": [{"url": ROOT}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "machine": {
                    "type": "oauth2",
                    "flows": {
                        "clientCredentials": {
                            "tokenUrl": TOKEN_PATH,
                            "scopes": {name: name for name in scopes},
                        }
                    },
                }
            },
        },
    }


def summary(row: Operation, lang: str) -> str:
    """What an operation does, in one line."""
    return words.t(f"api.op.{row.name}", lang)


def statuses(row: Operation) -> tuple[int, ...]:
    """Every status that refuses, in order."""
    own: set[int] = {422, 503, *row.refuses}
    if row.permits != ("public",):
        own |= {401, 403, 404, 429}
    if row.takes is not None:
        own |= {400, 409, 413, 415}
    return tuple(sorted(own))


def filters(row: Operation) -> dict[str, tuple[dict[str, Any], Any]]:
    """What may stand behind the ?: name → its JSON Schema and an example."""
    found: dict[str, tuple[dict[str, Any], Any]] = {}
    if row.asks is not None:
        examples = example_of(row.asks)
        for name, field in row.asks.fields.items():
            found[name] = (json_schema(field), examples[name])
    if row.is_list:
        limits = {"minimum": 1, "maximum": MOST_ITEMS, "default": USUAL_ITEMS}
        found["limit"] = ({"type": "integer"} | limits, USUAL_ITEMS)
        found["after"] = ({"type": "string", "maxLength": 1000}, None)
    return found


def _operation(row: Operation, lang: str) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": row.name,
        "summary": summary(row, lang),
        "x-permission": list(row.permits),
        "security": [] if row.permits == ("public",) else [{"machine": [p]} for p in row.permits],
        "parameters": _parameters(row, lang),
        "responses": {
            str(row.status): _answer(row, lang),
            **{str(status): _refusal(status, lang) for status in statuses(row)},
        },
    }
    if row.takes is not None:
        said["requestBody"] = {
            "required": bool(row.example_body),
            "content": {
                "application/json": {
                    "schema": {"$ref": f"#/components/schemas/{name_of(row.takes)}"},
                    "example": row.example_body,
                }
            },
        }
    return said


def _parameters(row: Operation, lang: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": f"^{prefix}_"}
            if prefix
            else {"type": "string"},
        }
        for name, prefix in row.path_names.items()
    ]
    for name, (schema, example) in filters(row).items():
        given = {"name": name, "in": "query", "schema": schema}
        found.append(given if example is None else given | {"example": example})
    if row.takes is not None:
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "description": words.t("api.send_key", lang),
                "schema": {"type": "string", "minLength": 1, "maxLength": 64},
            }
        )
    return found


def _answer(row: Operation, lang: str) -> dict[str, Any]:
    described = {"description": summary(row, lang)}
    if row.gives is None:
        is_bytes = row.media_type != "application/json"
        return described | {"content": {row.media_type: {} if is_bytes else {"schema": {}}}}
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{name_of(row.gives)}"}
    if row.is_list:
        schema = {
            "type": "object",
            "properties": {
                "items": {"type": "array", "items": schema, "maxItems": MOST_ITEMS},
                "next": {"type": ["string", "null"]},
            },
            "required": ["items", "next"],
            "additionalProperties": False,
        }
    content = {row.media_type: {"schema": schema, "example": row.example_answer}}
    return described | {"content": content}


def _refusal(status: int, lang: str) -> dict[str, Any]:
    return {
        "description": words.t(f"api.status.{status}", lang),
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }


def _schemas() -> dict[str, Any]:
    parts = parts_of(Problem())
    for row in OPERATIONS:
        for schema in (row.gives, row.takes):
            if schema is not None:
                parts |= parts_of(schema)
    return {name: object_schema(schema) for name, schema in sorted(parts.items())}
