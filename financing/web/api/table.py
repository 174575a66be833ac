"""The table of our API: one row for each operation, with all that is known about it.

A row registers its view, feeds the OpenAPI document and the page about the API, and is what the
tests walk. A view gets one transaction and what was asked, calls one read or one step, and returns
rows; `answering.py` does the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final, Literal
from uuid import UUID

from marshmallow import Schema

from financing.reads.listing import Window
from financing.values.ids import read
from schemas.shown import example_of

ROOT: Final = "/api/v1"
MOST_ITEMS: Final = 200
USUAL_ITEMS: Final = 50
_NAMED: Final = re.compile(r"<(?:([a-z]{2}):)?(\w+)>")
EXAMPLES: Final = {"figure": "B-APPR", "job": "submit:0195"}  # of names in a path that are no ids


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked: the reader's language, the body, the filters, the piece of a list."""

    lang: str
    body: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    window: Window = field(default_factory=lambda: Window(USUAL_ITEMS))


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the table.

    Args:
        permits: names in `rules/permissions.py`; a machine needs one of them.
        gives: schema of the answer, or of one item of a list; None where it is no JSON.
        takes: schema of the body; every operation with one needs an `Idempotency-Key`.
        asks: schema of the filters in the address.
        is_list: the answer comes in pieces.
        refuses: statuses beside those that every operation may answer with.
    """

    method: Literal["GET", "POST"]
    below: str
    permits: tuple[str, ...]
    view: Callable[..., Any]
    gives: Schema | None
    takes: Schema | None
    asks: Schema | None
    is_list: bool
    status: int
    refuses: tuple[int, ...]
    media_type: str

    @property
    def name(self) -> str:
        return self.view.__name__

    @property
    def path(self) -> str:
        return ROOT + self.below

    @property
    def rule(self) -> str:
        """The path as the web framework writes it; ids are read by `ids_of`."""
        return _NAMED.sub(r"<string:\2>", self.path)

    @property
    def template(self) -> str:
        """The path as OpenAPI writes it, below the root."""
        return _NAMED.sub(r"{\2}", self.below)

    @property
    def path_names(self) -> dict[str, str]:
        """Name → prefix of its id, or nothing where it is no id."""
        return {name: prefix for prefix, name in _NAMED.findall(self.below)}

    @property
    def example_path(self) -> str:
        """The path of the example."""
        return _NAMED.sub(
            lambda found: (
                f"{found[1]}_01JNB3K4M5N6P7Q8R9S0T1V2W3" if found[1] else EXAMPLES[found[2]]
            ),
            self.path,
        )

    @property
    def example_body(self) -> dict[str, Any] | None:
        """The body of the example; members that may be left out and are null are left out."""
        if self.takes is None:
            return None
        return {name: value for name, value in example_of(self.takes).items() if value is not None}

    @property
    def example_answer(self) -> dict[str, Any] | None:
        if self.gives is None:
            return None
        shown = example_of(self.gives)
        return {"items": [shown], "next": None} if self.is_list else shown

    def ids_of(self, given: Mapping[str, str]) -> dict[str, UUID | str]:
        """The path's ids, read by their prefix.

        Raises:
            NotFound: malformed, or of another kind: the same answer as for an absent one.
        """
        prefixes = self.path_names
        return {
            name: read(prefixes[name], value) if prefixes[name] else value
            for name, value in given.items()
        }


def operation(
    method: Literal["GET", "POST"],
    below: str,
    *,
    permits: tuple[str, ...],
    gives: Schema | None,
    takes: Schema | None = None,
    asks: Schema | None = None,
    is_list: bool = False,
    status: int = 200,
    refuses: tuple[int, ...] = (),
    media_type: str = "application/json",
) -> Callable[[Callable[..., Any]], Operation]:
    """Make a view a row of the table."""

    def row(view: Callable[..., Any]) -> Operation:
        return Operation(
            method, below, permits, view, gives, takes, asks, is_list, status, refuses, media_type
        )

    return row


def operations_of(*modules: ModuleType) -> tuple[Operation, ...]:
    """The rows that these modules hold, in the order of their lines."""
    return tuple(
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, Operation)
    )
