"""Route rows: each view with its method, path, and permission; all rows make the face.

A page's view gets one transaction and what was asked, calls one read or one step, and returns
what to show. The wrapper (`app.py`) does the rest in this order: session, permission, form proof,
transaction, form key, view, rendering. A write's `form` is the page that holds its form: when the
step refuses, that page comes again with the typed values and the faults beside the fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal
from uuid import UUID

from werkzeug.datastructures import MultiDict

from financing.errors import FinancingError, Invalid
from financing.values.ids import read

_ID = re.compile(r"<([a-z]+):(\w+)>")
PREFIXES = ("ct", "ap", "cf", "pk", "pd")  # contract, application, confirmation, packet, parked


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to mend: the field's id, what is wrong, what to do."""

    field: str
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request says: the reader's language, and the typed values of its form or query."""

    lang: str
    typed: MultiDict[str, str] = field(default_factory=MultiDict)
    faults: tuple[Fault, ...] = ()

    def text(self, name: str, default: str = "") -> str:
        """The value of a field, white space at its ends cut."""
        return self.typed.get(name, default).strip()

    def all(self, name: str) -> list[str]:
        """All values of a field that may be ticked more than once."""
        return self.typed.getlist(name)


@dataclass(frozen=True, slots=True)
class Page:
    """A template and the values it shows."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class See:
    """After a write: go and see this address.

    Args:
        told: key of the message shown there.
        token: of a session that begins; empty text ends the one there is.
    """

    path: str
    told: str = ""
    token: str | None = None

    @property
    def location(self) -> str:
        if not self.told:
            return self.path
        return f"{self.path}{'&' if '?' in self.path else '?'}told={self.told}"


@dataclass(frozen=True, slots=True)
class File:
    """A download, named by an id of ours, never by a name of others."""

    content: bytes
    name: str
    media_type: str


Answer = Page | See | File
View = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table.

    Args:
        permit: name in `rules/permissions.py`.
        proof: what a write must carry: the token of a form; `none` where no browser asks: the
            view gets context and request, and checks a signature itself if it must.
        form: for a write, the page that holds the form.
        bare: the view opens its own transactions: it gets the context instead of one.
    """

    method: Literal["GET", "POST"]
    path: str
    permit: str
    view: View
    form: Route | None = None
    proof: Literal["form", "none"] = "form"
    bare: bool = False

    @property
    def name(self) -> str:
        return f"{self.method.lower()} {self.path}"

    @property
    def rule(self) -> str:
        """The path as the web framework writes it; ids are read by `ids_of`."""
        return _ID.sub(r"<string:\2>", self.path)

    def ids_of(self, given: Mapping[str, str]) -> dict[str, UUID | str]:
        """The path's ids, read by their prefix.

        Raises:
            NotFound: malformed, or of another kind: the same answer as for an absent one.
        """
        prefixes = {name: prefix for prefix, name in _ID.findall(self.path)}
        return {
            name: read(prefixes[name], value) if prefixes.get(name) in PREFIXES else value
            for name, value in given.items()
        }


def route(
    method: Literal["GET", "POST"],
    path: str,
    *,
    permit: str,
    form: Route | None = None,
    proof: Literal["form", "none"] = "form",
    bare: bool = False,
) -> Callable[[View], Route]:
    """Make a view a row of the table."""

    def row(view: View) -> Route:
        return Route(method, path, permit, view, form, proof, bare)

    return row


def rows_of(*modules: ModuleType) -> list[Route]:
    """The rows that these modules hold, in the order of their lines."""
    return [
        value for module in modules for value in vars(module).values() if isinstance(value, Route)
    ]


def faults_of(problem: FinancingError) -> tuple[Fault, ...]:
    """A refusal as faults beside fields: `/consent/7` belongs to the field `consent-7`."""
    fields = problem.fields if isinstance(problem, Invalid) else None
    return tuple(
        Fault(where.strip("/").replace("/", "-"), detail, remedy)
        for where, detail, remedy in fields or ((problem.where, problem.detail, problem.remedy),)
    )
