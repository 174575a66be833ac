"""Every way in which a request can fail, as one closed family.

A face (page, API, command line) turns an error into its own format; nothing inside does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class FinancingError(Exception):
    """A failure that its caller can understand.

    Args:
        detail: what is wrong with the value, in one sentence.
        where: JSON pointer, `file:line`, or option that carries the value.
        remedy: what the reader can do about it.
    """

    slug: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, detail: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"{self.detail}{place}.{remedy}"


class Unreadable(FinancingError):
    """Not the format it claims, truncated, too large, or wrongly encoded."""

    slug, status, exit_code = "unreadable", 400, 2


class Invalid(FinancingError):
    """Read, but at least one field is wrong; `fields` carries all of them at once."""

    slug, status, exit_code = "invalid", 422, 2

    def __init__(
        self,
        detail: str,
        *,
        where: str = "",
        remedy: str = "",
        fields: tuple[tuple[str, str, str], ...] = (),
    ) -> None:
        super().__init__(detail, where=where, remedy=remedy)
        self.fields = fields or ((where, detail, remedy),)


class Unauthenticated(FinancingError):
    """Nobody we know."""

    slug, status, exit_code = "unauthenticated", 401, 2


class Untrusted(FinancingError):
    """A signature, certificate, digest, time window, or echo does not hold.

    `received` is what we saw of the message, for its sender to compare; never a secret.
    """

    slug, status, exit_code = "untrusted", 401, 1

    def __init__(self, detail: str, *, slug: str = "", where: str = "", remedy: str = "") -> None:
        super().__init__(detail, where=where, remedy=remedy)
        self.kind = slug or self.slug
        self.received: Mapping[str, object] = {}


class Forbidden(FinancingError):
    """Known, but may not; used only where the existence of the thing is no secret."""

    slug, status, exit_code = "forbidden", 403, 2


class NotFound(FinancingError):
    """Absent, or not the asker's: the two answer alike."""

    slug, status, exit_code = "not-found", 404, 2


class Conflict(FinancingError):
    """State, version, capacity, or an idempotency key forbids it."""

    slug, status, exit_code = "conflict", 409, 2


class Limited(FinancingError):
    """Rate or quota used up."""

    slug, status, exit_code = "limited", 429, 4

    def __init__(self, detail: str, *, retry_after_s: int, remedy: str = "") -> None:
        super().__init__(detail, remedy=remedy)
        self.retry_after_s = retry_after_s


class Unreachable(FinancingError):
    """A component of ours (database, queue, key store) cannot be reached."""

    slug, status, exit_code = "unreachable", 503, 4


class Broken(FinancingError):
    """An invariant of ours does not hold: our fault, everything is kept."""

    slug, status, exit_code = "broken", 500, 1
