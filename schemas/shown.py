"""What our API shows: one field of each kind, and the example and JSON Schema that it stands for.

A view returns rows; a schema of these fields turns them into the document. A column that a row
does not have is a mistake of ours and fails at once: nothing is left out in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

from marshmallow import RAISE, Schema, ValidationError
from marshmallow.fields import Field, List, Nested

from financing.errors import NotFound
from financing.rules.lifecycles import LIFECYCLES, SAME
from financing.values import ids
from financing.values.money import money_json
from financing.values.times import rfc3339
from schemas.fields import Count, Day, Digest, Instant, Money, Rate, Text, Truth

DIGEST: Final = "sha-256:" + "9f" * 32
_LETTERS: Final = "[0-7][0-9A-HJKMNP-TV-Z]{25}"


class Shown(Schema):
    """A document of ours: nothing beside its fields, and every field always there."""

    class Meta:
        unknown = RAISE

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """The value of a column; a path with points reaches inside."""
        return attrgetter(attr)(obj)


class Asked(Schema):
    """A document that is sent to us: a field that we do not know is refused by name."""

    class Meta:
        unknown = RAISE


class Id(Field[Any]):
    """An id as the outside knows it: a prefix and 26 letters."""

    def __init__(self, prefix: str, **rest: Any) -> None:
        super().__init__(**rest)
        self.prefix = prefix

    def _serialize(self, value: Any, attr: Any, obj: Any, **rest: Any) -> str | None:
        return None if value is None else ids.show(self.prefix, value)

    def _deserialize(self, value: Any, attr: Any, data: Any, **rest: Any) -> UUID:
        if not isinstance(value, str):
            raise ValidationError("not text")
        try:
            return ids.read(self.prefix, value)
        except NotFound as problem:
            raise ValidationError(f"not an id that begins with {self.prefix}_") from problem


class Name(Field[str]):
    """Text that is ours or somebody's, as it is kept."""

    def _serialize(self, value: Any, attr: Any, obj: Any, **rest: Any) -> str | None:
        return None if value is None else str(value)


class Word(Name):
    """A word of a closed list, which may grow: an unknown one is treated as pending."""

    def __init__(self, *known: str, **rest: Any) -> None:
        super().__init__(**rest)
        self.known = known


def states_of(kind: str) -> tuple[str, ...]:
    """Every state of a life cycle, in the order in which a row reaches them."""
    return tuple(dict.fromkeys(step.after for step in LIFECYCLES[kind] if step.after != SAME))


class Number(Field[int]):
    """A whole number."""


class Yes(Field[bool]):
    """true or false."""


class Amount(Field[Any]):
    """Minor units of the row's currency: `{"fen": 80000000, "currency": "CNY"}`."""

    def _serialize(self, value: Any, attr: Any, obj: Any, **rest: Any) -> Any:
        return None if value is None else money_json(value, obj.currency)


class At(Field[Any]):
    """An instant, RFC 3339 in UTC."""

    def _serialize(self, value: Any, attr: Any, obj: Any, **rest: Any) -> str | None:
        return rfc3339(value) if isinstance(value, datetime) else None


class On(Field[Any]):
    """A civil date of China."""

    def _serialize(self, value: Any, attr: Any, obj: Any, **rest: Any) -> str | None:
        return value.isoformat() if isinstance(value, date) else None


class Exact(Field[Any]):
    """A decimal number as text, so that no reader rounds it."""

    def _serialize(self, value: Any, attr: Any, obj: Any, **rest: Any) -> str | None:
        return None if value is None else str(Decimal(value))


class Both(Field[Any]):
    """A sentence in both languages; null where there is none."""

    def _serialize(self, value: Any, attr: Any, obj: Any, **rest: Any) -> Any:
        return {"zh": value["zh"], "en": value["en"]} if value else None


class Free(Field[Any]):
    """An object that is somebody else's, or differs by kind, passed on as it is kept."""


def example_of(schema: Schema) -> dict[str, Any]:
    """A document that the schema describes, made of its fields' examples."""
    return {name: _example(field) for name, field in schema.fields.items()}


def _example(field: Any) -> Any:
    if "example" in field.metadata:
        return field.metadata["example"]
    if isinstance(field, Nested):
        return example_of(field.schema)
    if isinstance(field, List):
        return [_example(field.inner)]
    if isinstance(field, Id):
        return f"{field.prefix}_01JNB3K4M5N6P7Q8R9S0T1V2W3"
    if isinstance(field, Word):
        return field.known[0]
    return next(example for kind, _, example in _KINDS if isinstance(field, kind))


def json_schema(field: Any) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a field; of a nested one, a reference to its schema by name."""
    if isinstance(field, Nested):
        said: dict[str, Any] = {"$ref": f"#/components/schemas/{name_of(field.schema)}"}
        return {"anyOf": [said, {"type": "null"}]} if field.allow_none else said
    if isinstance(field, List):
        return {"type": "array", "items": json_schema(field.inner)} | _limits(field)
    said = dict(next(shape for kind, shape, _ in _KINDS if isinstance(field, kind)))
    said |= _limits(field)
    if field.allow_none and "type" in said:
        said["type"] = [said["type"], "null"]
    return said


def _limits(field: Any) -> dict[str, Any]:
    """What a field asks beyond its kind."""
    if isinstance(field, Id):
        return {"pattern": f"^{field.prefix}_{_LETTERS}$"}
    if isinstance(field, Word):
        return {"x-known-values": list(field.known)}
    if isinstance(field, Count):
        return {"minimum": field.least, "maximum": field.most}
    if isinstance(field, Text):
        pattern = {"pattern": f"^(?:{field.pattern.pattern})$"} if field.pattern else {}
        return {"maxLength": field.most} | pattern
    if isinstance(field, List):
        counts = {"minItems": "min", "maxItems": "max"}
        return {
            word: getattr(check, name)
            for check in field.validators
            for word, name in counts.items()
            if getattr(check, name, None) is not None
        }
    return {}


def object_schema(schema: Schema) -> dict[str, Any]:
    """The JSON Schema of a document."""
    is_shown = isinstance(schema, Shown)
    return {
        "type": "object",
        "properties": {name: json_schema(field) for name, field in schema.fields.items()},
        "required": [name for name, field in schema.fields.items() if is_shown or field.required],
        "additionalProperties": False,
    }


def parts_of(schema: Schema) -> dict[str, Schema]:
    """The schema and every one nested in it, by name."""
    found = {name_of(schema): schema}
    for field in schema.fields.values():
        inner = field.inner if isinstance(field, List) else field
        if isinstance(inner, Nested):
            found |= parts_of(inner.schema)
    return found


def name_of(schema: Schema) -> str:
    """The name of a schema among the components."""
    return type(schema).__name__


_MONEY: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "fen": {"type": "integer"},
        "minor": {"type": "integer"},
        "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
    },
    "required": ["currency"],
    "minProperties": 2,
    "maxProperties": 2,
    "additionalProperties": False,
}
_BOTH: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"zh": {"type": "string"}, "en": {"type": "string"}},
    "required": ["zh", "en"],
    "additionalProperties": False,
}
_TEXT: Final = {"type": "string"}
_DAY: Final = {"type": "string", "format": "date"}
_INSTANT: Final = {"type": "string", "format": "date-time"}
_DIGEST: Final = {"type": "string", "pattern": "^sha-256:[0-9a-f]{64}$"}
_FEN: Final = {"fen": 80_000_000, "currency": "CNY"}

# kind of field → its JSON Schema, its example
_KINDS: Final[tuple[tuple[type[Any], Mapping[str, Any], Any], ...]] = (
    (Id, _TEXT, ""),
    (Word, _TEXT, ""),
    (Name, _TEXT, "区财购〔2026〕1号"),
    (Text, _TEXT, ""),
    (Digest, _DIGEST, DIGEST),
    (Number, {"type": "integer"}, 1),
    (Count, {"type": "integer"}, 180),
    (Yes, {"type": "boolean"}, True),
    (Truth, {"type": "boolean"}, True),
    (Amount, _MONEY, _FEN),
    (Money, _MONEY, _FEN),
    (Rate, _TEXT, "435"),
    (At, _INSTANT, "2026-03-02T01:30:00Z"),
    (Instant, _INSTANT, "2026-03-02T01:30:00Z"),
    (On, _DAY, "2026-03-02"),
    (Day, _DAY, "2026-03-02"),
    (Exact, _TEXT, "12.5"),
    (Both, _BOTH, {"zh": "可以融资。", "en": "May be financed."}),
    (Free, {"type": "object"}, {}),
)
